//! The former release beside this one, on the schema of this one: both take requests, and each does the work that the other
//! one accepted, whichever is started when.

use std::time::Duration;

use convoke_test_support::{Process, Program};
use tokio::time::sleep;

use crate::{Failure, api::Api, database, mixed_load::MixedLoad, outcome::Outcome, setting::Setting};

/// Requests a second, to both together.
const RATE: u32 = 100;

/// Runs it.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::new();
    let Some(former) = &setting.former else {
        return Err("the former release is missing: --former tells where it is".into());
    };
    let (cluster, folder) = (database::postgres()?, tempfile::tempdir()?);
    let new = setting.program(folder.path(), &cluster.url());
    let old = Program::new(former, folder.path())
        .with("CONVOKE__DATABASE__URL", &cluster.url())
        .with("CONVOKE__AUTH__FIRST_TOKEN", "false")
        .with("CONVOKE__LOG__FORMAT", "json");

    // As when it is rolled out: the former release has made the database, this one brings it up to date under it.
    let token = old.token("acme")?;
    let mut wrong = Vec::new();
    let queries = database::connect(&cluster.url()).await?;
    let migrations = async || {
        let row = queries.query_one("select count(*) from __diesel_schema_migrations", &[]).await?;
        Ok::<i64, Failure>(row.get(0))
    };
    let before = migrations().await?;
    let mut first = ready(&old, "all", "old.log")?;
    let load = MixedLoad::start(vec![Api::new(&first.address, &token)?], RATE, setting.chance(0));
    let pause = Duration::from_secs(setting.scale(10, 3));
    sleep(pause).await;
    let second = ready(&new, "all", "new.log")?;
    let added = migrations().await? - before;
    sleep(pause).await;
    let alone = load.stop().await?;
    outcome.never("a request to the former release fails while the schema changes under it", &alone.failures);

    let apis = vec![Api::new(&first.address, &token)?, Api::new(&second.address, &token)?];
    let both = MixedLoad::start(apis.clone(), RATE, setting.chance(1));
    sleep(pause).await;
    // One that starts on the newer schema, as after a rollback.
    let again = ready(&old, "all", "old-again.log")?;
    sleep(pause).await;
    let both = both.stop().await?;
    outcome.never("a request to either of them fails beside the other", &both.failures);

    // What one accepts the other one does.
    for (accepts, works) in [(&old, &new), (&new, &old)] {
        drop(first);
        first = ready(accepts, "api", "accepts.log")?;
        let worker = ready(works, "worker", "works.log")?;
        let load = MixedLoad::start(vec![Api::new(&first.address, &token)?], RATE, setting.chance(2));
        sleep(pause).await;
        wrong.extend(load.stop().await?.failures);
        drop(worker);
    }
    drop((second, again));
    let last = ready(&new, "all", "last.log")?;
    let undone = "select count(*) from operations where state <> 'succeeded'";
    let mut left = -1_i64;
    for _ in 0..600 {
        left = queries.query_one(undone, &[]).await?.get(0);
        if left == 0 {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    drop(last);
    if left != 0 {
        wrong.push(format!("{left} operations stay undone"));
    }
    outcome.never("what one of them accepts is not done by the other", &wrong);
    let doctor = new.told(&["doctor"])?;
    let found = format!("{added} of the schema's migrations are new; {doctor}");
    outcome.promise("the doctor of this release finds nothing, the one of the former neither", found, true);
    old.told(&["doctor"])?;
    Ok(outcome)
}

fn ready(program: &Program, role: &str, log: &str) -> Result<Process, Failure> {
    let mut process = program.serve(role, log)?;
    process.until_ready()?;
    Ok(process)
}
