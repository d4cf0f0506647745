//! PostgreSQL commits, and the answer to that is lost.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    Failure,
    api::Api,
    database,
    outcome::Outcome,
    proof,
    proxy::{Mode, Proxy},
    setting::Setting,
    writers::Writers,
};

/// Runs it.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    let cluster = database::postgres()?;
    let (proxy, program) = Proxy::between(setting, folder.path(), &cluster).await?;
    let token = program.token("torture")?;
    let mut service = program.serve("all", "log")?;
    service.until_ready()?;
    let api = Api::new(&service.address, &token)?;
    let writers = Arc::new(Writers::start(setting, &api, Duration::from_millis(5)));
    let mut chance = setting.chance(0);
    let (at_least, mut times) = (setting.scale(50, 6), 0);
    // What is lost may be the answer to any statement. Chance is given time until it was one that committed a chat.
    while times < at_least || (writers.ledger().done_before == 0 && times < 10 * at_least) {
        times += 1;
        sleep(Duration::from_millis(500 + chance.below(1_000))).await;
        proxy.set(Mode::SwallowAnswers);
        sleep(Duration::from_millis(20 + chance.below(600))).await;
        proxy.cut();
        proxy.set(Mode::Forward);
    }
    let ledger = Arc::into_inner(writers).ok_or("somebody still looks at the writers")?.stop().await?;

    let mut outcome = Outcome::new();
    proof::nothing_is_lost(&mut outcome, &api, &program, &ledger).await?;
    let reached = format!("{} answered 503, {} not answered", ledger.refused, ledger.unanswered);
    let is_so = ledger.refused > 0 && ledger.unanswered == 0;
    outcome.promise(format!("answers lost {times} times: registrations are answered 503"), reached, is_so);
    outcome.promise(
        "what was answered 503 and is committed nevertheless is given by its `Idempotency-Key`",
        format!("{} times", ledger.done_before),
        ledger.done_before > 0,
    );
    Ok(outcome)
}
