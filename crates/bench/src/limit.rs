//! What PostgreSQL itself gives: `pgbench` with the service's own statements, prepared.

use std::{fs, path::PathBuf, process::Command, thread::sleep, time::Duration};

use convoke_test_support::find_programs;
use tokio_postgres::Client;

use crate::{Failure, service::TENANT};

/// A script for `pgbench`.
pub struct Script {
    text: String,
    /// How many of what is counted a run of the script does.
    times: f64,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// How often a second.
    pub rate: f64,
    /// How long each took on average, in milliseconds.
    pub latency: f64,
}

/// How many reads a script does: its ids are fetched together, so that fetching them costs little.
const READS: usize = 100;

impl Script {
    /// A statement without anything that changes.
    pub fn new(statement: &str) -> Self {
        Self { text: format!("{};\n", one_line(statement)), times: 1.0 }
    }

    /// A statement whose second argument is the id of a chat, out of those that [`keep_ids`] keeps.
    pub fn by_id(statement: &str, rows: usize) -> Self {
        let statement = one_line(&statement.replace("$1", ":tenant").replace("$3", ":one"));
        let mut text = format!("\\set n random(1, {rows})\nselect * from bench.ids where n = :n \\gset\n");
        for place in 0..READS {
            text.push_str(&statement.replace("$2", &format!(":a{place}")));
            text.push_str(";\n");
        }
        Self { text, times: READS as f64 }
    }
}

fn one_line(statement: &str) -> String {
    statement.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `pgbench`, on a database.
pub struct Limit {
    pub database: String,
    pub folder: PathBuf,
}

impl Limit {
    /// Runs a script with so many clients for so long.
    pub fn run(&self, script: &Script, clients: u32, seconds: u32) -> Result<Outcome, Failure> {
        let programs = find_programs().ok_or("PostgreSQL's programs are missing")?;
        let file = self.folder.join("pgbench.sql");
        fs::write(&file, &script.text)?;
        let mut command = Command::new(programs.join("pgbench"));
        command.args(["--no-vacuum", "--protocol", "prepared", "--client", &clients.to_string()]);
        command.args(["--jobs", &clients.min(2).to_string(), "--time", &seconds.to_string(), "--file"]).arg(&file);
        command.args(["--define", &format!("tenant={TENANT}"), "--define", "one=1"]).arg(&self.database);
        let output = command.output().map_err(|error| format!("pgbench: {error}"))?;
        let told = String::from_utf8_lossy(&output.stdout);
        let number = |name: &str| -> Option<f64> {
            told.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
        };
        let outcome = number("tps = ").zip(number("latency average = ")).filter(|_| output.status.success());
        let said = || String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("no figures").to_owned();
        let (rate, latency) = outcome.ok_or_else(|| format!("pgbench: {}", said()))?;
        Ok(Outcome { rate: rate * script.times, latency: latency / script.times })
    }
}

/// Keeps ids of chats where `pgbench` finds them, a hundred in a row; gives those ids and how many rows there are.
pub async fn keep_ids(client: &Client, number: usize) -> Result<(Vec<String>, usize), Failure> {
    let ids = "select id::text from chats where tenant_id = $1 order by md5(id::text) limit $2";
    let rows = client.query(ids, &[&TENANT, &i64::try_from(number)?]).await?;
    let ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let columns = |of: fn(usize) -> String| (0..READS).map(of).collect::<Vec<_>>().join(", ");
    client
        .batch_execute(&format!(
            "create schema if not exists bench; drop table if exists bench.ids; \
            create table bench.ids (n integer primary key, {})",
            columns(|place| format!("a{place} text")),
        ))
        .await?;
    let insert =
        format!("insert into bench.ids select $1, {}", columns(|place| format!("($2::text[])[{}]", place + 1)));
    let rows = ids.chunks_exact(READS);
    let number = rows.len();
    for (place, row) in rows.enumerate() {
        client.execute(&insert, &[&i32::try_from(place + 1)?, &row]).await?;
    }
    Ok((ids, number))
}

/// The text of the last statement that a connection of the service has run and that looks like this.
pub async fn last_statement(client: &Client, like: &str) -> Result<String, Failure> {
    const FIND: &str = "select query from pg_stat_activity where pid <> pg_backend_pid() and query like $1 \
        order by query_start desc limit 1";
    for _ in 0..50 {
        if let Some(row) = client.query_opt(FIND, &[&like]).await? {
            return Ok(row.get(0));
        }
        sleep(Duration::from_millis(20));
    }
    Err(format!("the service runs no statement like {like}").into())
}
