//! Six processes start at once on an empty PostgreSQL database: it is migrated once, and all of them are ready.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    Failure,
    api::{Api, ask},
    database,
    outcome::{Outcome, median_and_most},
    setting::Setting,
};

const PROCESSES: usize = 6;
/// Within which all of them have to be ready.
const PROMISED: Duration = Duration::from_secs(10);

/// Runs it.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let rounds = setting.scale(10, 1);
    let mut chance = setting.chance(0);
    let (mut times, mut not_once, mut unwell) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let cluster = database::postgres()?;
        let folder = tempfile::tempdir()?;
        let program = setting.program(folder.path(), &cluster.url());
        let mut processes = Vec::new();
        for place in 0..PROCESSES {
            processes.push(program.serve("all", &format!("log-{place}"))?);
            // At once, but not always in step.
            sleep(Duration::from_millis(chance.below(30))).await;
        }
        for process in &mut processes {
            times.push(process.until_ready()?.as_secs_f64());
        }
        let token = program.token("torture")?;
        for process in &processes {
            let log = process.log()?;
            let errors = log.lines().filter(|line| line.contains("\"level\":\"ERROR\""));
            unwell.extend(errors.map(|line| format!("round {round}: {line}")));
            let answer = ask(Api::new(&process.address, &token)?.register("together")).await?;
            if answer.status != 202 {
                unwell.push(format!("round {round}: {} {}", answer.status, answer.body));
            }
        }
        let total = Api::new(&processes[0].address, &token)?.total().await?;
        if total != PROCESSES as u64 {
            unwell.push(format!("round {round}: {total} chats of {PROCESSES}"));
        }
        let versions = "select count(*), count(distinct version) from __diesel_schema_migrations";
        let row = database::connect(&cluster.url()).await?.query_one(versions, &[]).await?;
        let (rows, distinct): (i64, i64) = (row.get(0), row.get(1));
        if rows == 0 || rows != distinct {
            not_once.push(format!("round {round}: {rows} migrations are noted, {distinct} different ones"));
        }
    }
    let mut outcome = Outcome::new();
    let (median, most) = median_and_most(&times);
    let promise = format!("{PROCESSES} processes that start at once are ready within {} s", PROMISED.as_secs());
    outcome.promise(promise, format!("median {median:.2} s, most {most:.2} s"), most <= PROMISED.as_secs_f64());
    outcome.never("a migration is not applied exactly once", &not_once);
    outcome.never("one of them fails, or does not serve", &unwell);
    Ok(outcome)
}
