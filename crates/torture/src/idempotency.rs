//! The same request many times at once, and again after the service died between commit and answer: one chat.

use std::{collections::BTreeSet, time::Duration};

use convoke_test_support::{Process, Program};
use futures_util::{StreamExt as _, future::join_all, stream};
use tokio::time::sleep;

use crate::{
    Failure,
    api::{Answer, Api, ask},
    database,
    outcome::Outcome,
    proof,
    proxy::{Mode, Proxy},
    setting::Setting,
};

/// How many send the same at once.
const TWINS: usize = 20;
/// How many keys are worked at, at once.
const KEYS_AT_ONCE: usize = 4;
/// How many different requests are under way when the service is killed.
const UNDER_WAY: usize = 64;

/// Runs it.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::new();
    let folder = tempfile::tempdir()?;
    let program = setting.program(folder.path(), "sqlite://torture.db").at_fixed_addresses()?;
    on(setting, &program, "SQLite", None, &mut outcome).await?;

    let folder = tempfile::tempdir()?;
    let cluster = database::postgres()?;
    let (proxy, program) = Proxy::between(setting, folder.path(), &cluster).await?;
    on(setting, &program, "PostgreSQL", Some(&proxy), &mut outcome).await?;
    Ok(outcome)
}

async fn on(
    setting: &Setting,
    program: &Program,
    database: &str,
    proxy: Option<&Proxy>,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let token = program.token("torture")?;
    let mut service = program.serve("all", "log")?;
    service.until_ready()?;
    let api = Api::new(&service.address, &token)?;

    let keys = setting.scale(1_000, 50);
    let twins: Vec<Vec<String>> =
        stream::iter(0..keys).map(|key| same_at_once(&api, key)).buffer_unordered(KEYS_AT_ONCE).collect().await;
    outcome.never(
        format!(
            "{database}: {keys} keys, {TWINS} at once: they are answered differently, or another request not by 422"
        ),
        &twins.concat(),
    );
    let total = api.total().await?;
    outcome.promise(format!("{database}: {keys} keys make {keys} chats"), total.to_string(), total == keys as u64);

    let rounds = setting.scale(40, 5);
    let (mut wrong, mut done_before) = (Vec::new(), 0);
    for round in 0..rounds {
        let titles: Vec<String> = (0..UNDER_WAY).map(|place| format!("killed-{round}-{place}")).collect();
        // On the way to PostgreSQL the answers get lost, so that it has committed for certain when the service dies.
        let moment = match proxy {
            Some(proxy) => {
                proxy.set(Mode::SwallowAnswers);
                Duration::from_millis(300)
            }
            None => Duration::from_millis(setting.chance(round).below(30)),
        };
        let answered = {
            let sending = join_all(titles.iter().map(|title| ask(keyed(&api, title, title))));
            let killing = async {
                sleep(moment).await;
                service.kill()
            };
            let (answers, killed) = tokio::join!(sending, killing);
            killed?;
            answers
        };
        if let Some(proxy) = proxy {
            proxy.cut();
            proxy.set(Mode::Forward);
        }
        service = started(program)?;
        for (title, first) in titles.iter().zip(answered) {
            let again = ask(keyed(&api, title, title)).await?;
            let is_same = first.as_ref().map_or(true, |first| {
                first.status == 503 || (first.status == 202 && first.body["id"] == again.body["id"])
            });
            if again.status != 202 || !is_same {
                wrong.push(format!("{title}: {first:?}, then {again:?}"));
            }
            done_before += u64::from(again.is_replayed && first.is_err());
        }
    }
    outcome.never(format!("{database}: killed before the answer, repeated: another answer than 202"), &wrong);
    outcome.promise(
        format!("{database}: killed between commit and answer, the first answer is given again"),
        format!("{done_before} times"),
        // Where nothing loses the answers, chance has to help.
        done_before > 0 || proxy.is_none(),
    );
    let (total, wanted) = (api.total().await?, keys as u64 + rounds * UNDER_WAY as u64);
    outcome.promise(format!("{database}: no doubles: {wanted} chats"), total.to_string(), total == wanted);
    proof::outcome_of_doctor(outcome, program);
    Ok(())
}

fn started(program: &Program) -> Result<Process, Failure> {
    let mut service = program.serve("all", "log")?;
    service.until_ready()?;
    Ok(service)
}

fn keyed(api: &Api, title: &str, key: &str) -> reqwest::RequestBuilder {
    api.register(title).header("Idempotency-Key", key)
}

/// Sends the same many times at once, then something else under the same key; says what was wrong.
async fn same_at_once(api: &Api, key: usize) -> Vec<String> {
    let (title, key) = (format!("twins of {key}"), format!("key-{key}"));
    let answers = join_all((0..TWINS).map(|_| ask(keyed(api, &title, &key)))).await;
    let mut wrong = Vec::new();
    let mut ids = BTreeSet::new();
    for answer in answers {
        match answer {
            Ok(Answer { status: 202, body, .. }) => {
                ids.insert(body["id"].to_string());
            }
            // The contract allows it while the first one is still running.
            Ok(Answer { status: 409, says_when_to_retry: true, body, .. }) if body["code"] == "request-in-progress" => {
            }
            other => wrong.push(format!("{key}: {other:?}")),
        }
    }
    if ids.len() != 1 {
        wrong.push(format!("{key}: {} chats", ids.len()));
    }
    match ask(keyed(api, "something else", &key)).await {
        Ok(Answer { status: 422, .. }) => {}
        other => wrong.push(format!("{key}, for something else: {other:?}")),
    }
    wrong
}
