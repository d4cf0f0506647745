//! One chat, read at random: beside `pgbench` with the same statement, and beside HTTP without a database.

use std::{fs, path::PathBuf, process::Child};

use convoke_test_support::{ask_status, free_address};

use super::{Bench, in_turn, path_of, ratio};
use crate::{
    Failure,
    figures::Figures,
    limit::{self, Script},
    load::{PERCENTILES, Question},
    report,
};

/// How many chats are read.
const IDS: usize = 20_000;
/// The clients of the service in the table.
const CLIENTS: u32 = 32;
/// The clients of `pgbench` in the table, and those among which the best are looked for.
const LIMIT_CLIENTS: u32 = 8;
const OTHER_CLIENTS: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];
/// What the plot of the service shows.
const PLOTTED_CLIENTS: [u32; 7] = [1, 4, 8, 16, 32, 64, 128];

pub async fn measure(bench: &Bench, figures: &mut Figures) -> Result<(), Failure> {
    let (ids, rows) = limit::keep_ids(&bench.sql, IDS).await?;
    let service = bench.program.serve("all")?;
    let chat = service.client()?.get(&path_of(&ids[0]))?.body;
    let statement = limit::last_statement(&bench.sql, "%\"document\"%\"chats\".\"id\" = $2%").await?;
    let script = Script::by_id(&statement, rows);
    let paths: Vec<String> = ids.iter().map(|id| path_of(id)).collect();
    let load =
        |clients| bench.load.run(&service.address, &service.token, &Question::Get(&paths), clients, bench.seconds);
    load(CLIENTS)?;

    let mut best = (0, 0.0);
    let mut line = Vec::new();
    for clients in OTHER_CLIENTS {
        let rate = bench.limit.run(&script, clients, bench.seconds)?.rate;
        line.push((f64::from(clients), rate));
        best = if rate > best.1 { (clients, rate) } else { best };
    }
    figures.draw(report::THROUGHPUT, "pgbench, same statement", line);
    let mut line = Vec::new();
    for clients in PLOTTED_CLIENTS {
        let outcome = load(clients)?;
        line.push((f64::from(clients), outcome.rate));
        if [8, CLIENTS, 128].contains(&clients) {
            let points = PERCENTILES.iter().copied().zip(outcome.percentiles).collect();
            figures.draw(report::PERCENTILES, &format!("one chat, {clients:3} clients"), points);
        }
    }
    figures.draw(report::THROUGHPUT, "service: one chat", line);

    let limit = |clients| Ok(bench.limit.run(&script, clients, bench.seconds)?.rate);
    let measured = in_turn(bench.rounds, || Ok(load(CLIENTS)?.rate), || limit(LIMIT_CLIENTS))?;
    figures.put("10", ratio("one chat, 32 clients, beside pgbench with 8", "a second", measured, 0.75, 1.0));
    let measured = in_turn(bench.rounds, || Ok(load(CLIENTS)?.rate), || limit(best.0))?;
    let what = format!("one chat, 32 clients, beside pgbench with its best number, {}", best.0);
    figures.put("11", ratio(&what, "a second", measured, 0.60, 0.85));

    let ceiling = Ceiling::start(bench, &chat)?;
    let of_ceiling = || {
        let question = Question::Get(&paths);
        Ok(bench.load.run(&ceiling.address, &service.token, &question, CLIENTS, bench.seconds)?.rate)
    };
    let measured = in_turn(bench.rounds, || Ok(load(CLIENTS)?.rate), of_ceiling)?;
    figures.put("12", ratio("one chat, beside the same bytes without a database", "a second", measured, 0.5, 0.7));
    Ok(())
}

/// A server that answers without a database.
struct Ceiling {
    address: String,
    child: Child,
}

impl Ceiling {
    fn start(bench: &Bench, answer: &str) -> Result<Self, Failure> {
        let file: PathBuf = bench.program.folder.join("answer");
        fs::write(&file, answer)?;
        let address = free_address()?;
        let mut command = std::process::Command::new(std::env::current_exe()?);
        let child = command.args(["ceiling", "--address", &address, "--file"]).arg(file).spawn()?;
        let ceiling = Self { address, child };
        for _ in 0..500 {
            if ask_status(&ceiling.address, "/").is_ok_and(|status| status == 200) {
                return Ok(ceiling);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Err("the ceiling of HTTP does not start".into())
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
