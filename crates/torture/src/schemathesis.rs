//! Schemathesis asks whatever the OpenAPI document allows and whatever it forbids, and follows its links; no answer is
//! other than the document says. What it is told lies in `schemathesis/`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use convoke_test_support::Program;
use tokio::process::Command;

use crate::{
    Failure,
    api::{Api, ask},
    database,
    outcome::Outcome,
    setting::Setting,
};

/// How many examples are thought of for each operation in a run; with 7,000 Schemathesis gave up an operation early.
const EXAMPLES: (u32, u32) = (1_000, 250);
/// How often Schemathesis runs at most until there were enough cases.
const RUNS: (usize, usize) = (20, 1);
/// How many cases there are to be.
const CASES: (u64, u64) = (50_000, 1_500);
/// How many chats with people in them are there to be asked about.
const CHATS: usize = 3;

/// Runs it: on both databases at once, since Schemathesis keeps a core busy and the service far less.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let tool = setting.schemathesis.as_ref().ok_or("`--schemathesis` says where Schemathesis is")?;
    let (sqlite, postgres, cluster) = (tempfile::tempdir()?, tempfile::tempdir()?, database::postgres()?);
    let embedded = setting.program(sqlite.path(), &format!("sqlite://{}/convoke.db", sqlite.path().display()));
    let server = setting.program(postgres.path(), &cluster.url());
    let (embedded, server) =
        tokio::try_join!(look_at("SQLite", &embedded, tool, setting), look_at("PostgreSQL", &server, tool, setting))?;
    Ok(embedded.and(server))
}

async fn look_at(name: &str, program: &Program, tool: &Path, setting: &Setting) -> Result<Outcome, Failure> {
    let mut process = program.serve("all", "log")?;
    process.until_ready()?;
    let token = program.token("torture")?;
    let api = Api::new(&process.address, &token)?;
    for number in 0..CHATS {
        people_a_chat(&api, number).await?;
    }
    let wanted = setting.scale(CASES.0, CASES.1);
    let (mut cases, mut runs, mut passed) = (0, 0, true);
    while passed && cases < wanted && runs < setting.scale(RUNS.0, RUNS.1) {
        let run = once(&process.address, program, &token, tool, setting).await?;
        (cases, runs, passed) = (cases + run.0, runs + 1, run.1);
    }
    let mut outcome = Outcome::new();
    outcome.promise(
        format!("{name}: no answer of at least {wanted} is other than the document says"),
        format!("{cases} cases, in so many runs: {runs}"),
        passed && cases >= wanted,
    );
    let log = process.log()?;
    let errors = log.lines().filter(|line| line.contains("\"level\":\"ERROR\"")).map(str::to_owned);
    outcome.never(format!("{name}: something goes wrong inside"), &errors.collect::<Vec<_>>());
    Ok(outcome)
}

/// Runs Schemathesis once: how many cases there were, and whether all of them passed. If not, what it says is shown, its
/// seed too.
async fn once(
    address: &str,
    program: &Program,
    token: &str,
    tool: &Path,
    setting: &Setting,
) -> Result<(u64, bool), Failure> {
    let mut command = Command::new(tool);
    command.arg("--config-file").arg(config());
    command.args(["run", "--checks", "all", "--mode", "all", "--continue-on-failure", "--no-color"]);
    command.args(["--max-examples", &setting.scale(EXAMPLES.0, EXAMPLES.1).to_string()]);
    // Chance is the same every time in the small edition; in the full one it is new in every run.
    if setting.small {
        command.args(["--seed", &setting.seed.to_string()]);
    }
    command.arg(format!("http://{address}/openapi.json"));
    let output = command.env("CONVOKE_TOKEN", token).current_dir(program.folder()).output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        eprintln!("{said}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok((cases(&said), output.status.success()))
}

/// A chat in which there are people, whom Schemathesis finds in the list.
async fn people_a_chat(api: &Api, number: usize) -> Result<(), Failure> {
    let chat = ask(api.register(&format!("peopled {number}")).header("Prefer", "wait=30")).await?;
    if chat.status != 201 {
        return Err(format!("no chat: {} {}", chat.status, chat.body).into());
    }
    let id = chat.body["id"].as_str().unwrap_or_default().to_owned();
    let invitation = ask(api.get(&format!("/chats/{id}/invitation"))).await?;
    let link = invitation.body["invitation"].as_str().unwrap_or_default();
    for person in ["ann", "bob"] {
        let joined = ask(api.form(link, "join", &[("username", person)])).await?;
        if joined.status != 303 {
            return Err(format!("nobody joins: {} {}", joined.status, joined.body).into());
        }
    }
    // The record learns of it soon after.
    for _ in 0..500 {
        let chat = ask(api.get(&format!("/chats/{id}"))).await?;
        if chat.body["participants"].as_array().is_some_and(|people| people.len() == 3) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("those who joined do not appear in the record".into())
}

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis/schemathesis.toml")
}

/// How many cases there were, as the summary tells.
fn cases(said: &str) -> u64 {
    let line = said.lines().skip_while(|line| *line != "Test cases:").nth(1).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.replace(',', "").parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_summary_is_read() {
        let said = "Seed: 7\n\nTest cases:\n  50,897 generated, 50,897 passed, 8 skipped\n\nSeed: 1\n";
        assert_eq!(super::cases(said), 50_897);
        assert_eq!(super::cases("Errors:\n  1"), 0);
    }
}
