//! `kill -9` at random moments while chats are registered, made, joined, left and renamed.

use std::{sync::Arc, time::Duration};

use convoke_test_support::Program;
use tokio::time::sleep;

use crate::{
    Failure,
    api::Api,
    database,
    outcome::{Outcome, median_and_most},
    proof,
    setting::Setting,
    visitors::Visitor,
    writers::Writers,
};

/// The longest pause of a writer: the killing is what matters, not the mass.
const PAUSE: Duration = Duration::from_millis(40);

/// On a SQLite database.
pub async fn on_sqlite(setting: &Setting) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    let program = setting.program(folder.path(), "sqlite://torture.db").at_fixed_addresses()?;
    run(setting, &program).await
}

/// On a PostgreSQL database.
pub async fn on_postgres(setting: &Setting) -> Result<Outcome, Failure> {
    let folder = tempfile::tempdir()?;
    let cluster = database::postgres()?;
    let program = setting.program(folder.path(), &cluster.url()).at_fixed_addresses()?;
    run(setting, &program).await
}

async fn run(setting: &Setting, program: &Program) -> Result<Outcome, Failure> {
    let kills = setting.scale(100, 6);
    let token = program.token("torture")?;
    let mut chance = setting.chance(0);
    let mut service = program.serve("all", "log")?;
    service.until_ready()?;
    let api = Api::new(&service.address, &token)?;
    let writers = Arc::new(Writers::start(setting, &api, PAUSE));
    let visitor = Visitor::start(setting, &api, &writers);
    let mut times = Vec::new();
    for _ in 0..kills {
        sleep(Duration::from_millis(chance.below(1_500))).await;
        service.kill()?;
        service = program.serve("all", "log")?;
        // Some are killed before they are ready.
        if chance.is(10) {
            sleep(Duration::from_millis(chance.below(200))).await;
            service.kill()?;
            service = program.serve("all", "log")?;
        }
        times.push(service.until_ready()?.as_secs_f64());
    }
    let deeds = visitor.stop().await?;
    let writers = Arc::into_inner(writers).ok_or("somebody still looks at the writers")?;
    let ledger = writers.stop().await?;

    let mut outcome = Outcome::new();
    proof::nothing_is_lost(&mut outcome, &api, program, &ledger).await?;
    outcome.promise("joins, leavings and new titles were answered", deeds.count().to_string(), deeds.count() > 0);
    outcome.never("one of them is not in the record", &deeds.missing(&api).await?);
    outcome.promise(
        "registrations whose answer was lost, and that were done, were found by their key",
        ledger.done_before.to_string(),
        true,
    );
    let (median, most) = median_and_most(&times);
    // What is built for development starts slowly, and the small edition runs on busy machines.
    let promised = setting.scale(2.0, 10.0);
    let promise = format!("after each of {kills} kills it is ready again within {promised} s");
    outcome.promise(promise, format!("median {median:.2} s, most {most:.2} s"), most <= promised);
    Ok(outcome)
}
