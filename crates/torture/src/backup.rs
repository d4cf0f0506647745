//! Backups of a database that is written to: each is restored, and holds every registration that was accepted before it
//! began. On SQLite by `convoke backup`, on PostgreSQL as deploy/README.md says, once.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use convoke_test_support::find_programs;
use tokio::time::sleep;

use crate::{
    Failure,
    api::Api,
    database,
    outcome::{Outcome, median_and_most, table},
    proof,
    setting::Setting,
    writers::{Ledger, WRITERS, Writers},
};

/// The longest pause of a writer: the database is to grow, but each copy of it is looked through.
const PAUSE: Duration = Duration::from_millis(80);
/// The longest that goes by before the next backup, in ms.
const LONGEST_WAIT: u64 = 1_500;

/// Runs it on either database.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::new();
    on_sqlite(setting, &mut outcome).await?;
    on_postgres(setting, &mut outcome).await?;
    Ok(outcome)
}

async fn on_sqlite(setting: &Setting, outcome: &mut Outcome) -> Result<(), Failure> {
    let rounds = setting.scale(20, 2);
    let folder = tempfile::tempdir()?;
    let program = setting.program(folder.path(), "sqlite://convoke.db");
    let mut service = program.serve("all", "log")?;
    service.until_ready()?;
    let token = program.token("torture")?;
    let api = Api::new(&service.address, &token)?;
    let writers = Writers::start(setting, &api, PAUSE);
    let mut chance = setting.chance(0);
    let (mut times, mut broken) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        sleep(Duration::from_millis(chance.below(LONGEST_WAIT)) + PAUSE).await;
        let accepted = writers.ledger().kept.clone();
        let begun = Instant::now();
        program.told(&["backup", "copy.db"])?;
        times.push(begun.elapsed().as_secs_f64());
        let place = tempfile::tempdir()?;
        fs::rename(folder.path().join("copy.db"), place.path().join("convoke.db"))?;
        let found = look_through(setting, place.path(), "sqlite://convoke.db", &token, accepted).await?;
        broken.extend(found.map(|found| format!("round {round}: {found}")));
    }
    let ledger = writers.stop().await?;
    let left: Vec<String> = names_in(folder.path())?.into_iter().filter(|name| name.contains("copy")).collect();

    let (median, most) = median_and_most(&times);
    outcome.promise(
        format!("of {rounds} backups under {WRITERS} writers, each restores with all that was accepted before it"),
        format!("{}; each took {median:.2} s, at most {most:.2} s", rounds - broken.len()),
        broken.is_empty(),
    );
    outcome.never("a restored backup lacks something, or is not as it should be", &broken);
    outcome.never("a backup leaves anything behind", &left);
    let (slowest, _) = ledger.slowest;
    outcome.promise(
        "registrations are answered meanwhile, and none is refused",
        format!("{} of them, the slowest after {:.2} s", ledger.kept.len(), slowest.as_secs_f64()),
        ledger.refused + ledger.unanswered == 0,
    );
    proof::nothing_is_lost(outcome, &api, &program, &ledger).await
}

async fn on_postgres(setting: &Setting, outcome: &mut Outcome) -> Result<(), Failure> {
    let cluster = database::postgres()?;
    let url = cluster.url();
    let folder = tempfile::tempdir()?;
    let program = setting.program(folder.path(), &url);
    let mut service = program.serve("all", "log")?;
    service.until_ready()?;
    let token = program.token("torture")?;
    let writers = Writers::start(setting, &Api::new(&service.address, &token)?, PAUSE);
    sleep(Duration::from_secs(setting.scale(10, 2))).await;
    let accepted = writers.ledger().kept.clone();
    let count = accepted.len();
    let dump = folder.path().join("convoke.dump").display().to_string();
    run_tool("pg_dump", &["--format=custom", &format!("--file={dump}"), &url])?;
    writers.stop().await?;
    drop(service);

    database::connect(&url).await?.batch_execute("create database restored").await?;
    let (server, _) = url.rsplit_once('/').ok_or("the URL names no database")?;
    let restored = format!("{server}/restored");
    run_tool("pg_restore", &["--no-owner", "--exit-on-error", &format!("--dbname={restored}"), &dump])?;
    let place = tempfile::tempdir()?;
    let broken = look_through(setting, place.path(), &restored, &token, accepted).await?;
    let promise = "what pg_dump writes meanwhile restores with all that was accepted before it";
    outcome.promise(promise, broken.clone().unwrap_or(format!("{count} chats")), broken.is_none());
    Ok(())
}

/// Starts the service on a restored database; says what is wrong, if anything is.
async fn look_through(
    setting: &Setting,
    folder: &Path,
    database: &str,
    token: &str,
    accepted: BTreeMap<String, String>,
) -> Result<Option<String>, Failure> {
    let program = setting.program(folder, database);
    let mut found = Outcome::new();
    // Before anything is done to it.
    proof::outcome_of_doctor(&mut found, &program);
    let mut service = program.serve("all", "log")?;
    service.until_ready()?;
    let ledger = Ledger { kept: accepted, ..Ledger::default() };
    proof::nothing_is_lost(&mut found, &Api::new(&service.address, token)?, &program, &ledger).await?;
    Ok((!found.is_kept()).then(|| table(&[("restored", found)])))
}

fn names_in(folder: &Path) -> Result<Vec<String>, Failure> {
    fs::read_dir(folder)?.map(|there| Ok(there?.file_name().to_string_lossy().into_owned())).collect()
}

/// Runs one of PostgreSQL's programs to its end.
fn run_tool(name: &str, words: &[&str]) -> Result<(), Failure> {
    let path = find_programs().ok_or("PostgreSQL's programs are not there")?.join(name);
    let output = Command::new(path).args(words).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}
