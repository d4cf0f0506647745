//! Replicas behind HAProxy are told to stop, one after the other, and start again, while requests go on: nobody notices. Each
//! time a worker that is in the middle of operations is told to stop as well: they go on elsewhere.

use std::time::{Duration, Instant};

use convoke_test_support::{Process, Program};
use rustix::process::Signal;
use tokio::time::sleep;
use tokio_postgres::Client;

use crate::{
    Failure,
    api::Api,
    database,
    haproxy::{ASKED_EVERY, HaProxy},
    mixed_load::{MixedLoad, Tally},
    outcome::{Outcome, median_and_most},
    setting::Setting,
};

/// How long a replica goes on answering once it was told to stop.
const DRAIN: Duration = Duration::from_secs(1);
/// Within which a replica says that it is not ready: "at once", as far as somebody who asks can tell.
const AT_ONCE: Duration = Duration::from_millis(250);
/// Within which a replica is gone after the drain.
const GONE: Duration = Duration::from_secs(10);
/// Within which an operation that was given back is done elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(2);
/// How long the end of anything is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long an operation has been under way that will not end by itself.
const STUCK: &str = "500 milliseconds";

/// What was found in all rounds.
#[derive(Default)]
struct Found {
    not_ready: Vec<f64>,
    gone: Vec<f64>,
    elsewhere: Vec<f64>,
    given_back: usize,
    wrong: Vec<String>,
}

/// Runs it.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let (rounds, rate) = setting.scale((50, 300), (4, 100));
    let cluster = database::postgres()?;
    let folder = tempfile::tempdir()?;
    let replica = setting.program(folder.path(), &cluster.url());
    let replica = replica.with("CONVOKE__SERVER__DRAIN", &format!("{}ms", DRAIN.as_millis()));
    let replica = replica.with("CONVOKE__SANDBOX__DELAY", "20ms");
    let token = replica.token("acme")?;
    let queries = database::connect(&cluster.url()).await?;

    let mut processes = Vec::new();
    for _ in 0..2 {
        processes.push(Replica::start(&replica)?);
    }
    for replica in &mut processes {
        replica.process.until_ready()?;
    }
    let addresses: Vec<_> = processes.iter().map(Replica::addresses).collect();
    let proxy = HaProxy::start(folder.path(), &addresses).await?;
    let load = MixedLoad::start(vec![Api::new(&proxy.address, &token)?], rate, setting.chance(0));
    let worker = setting.program(folder.path(), &cluster.url()).with("CONVOKE__SANDBOX__DELAY", "1h");
    let (mut chance, mut found) = (setting.chance(1), Found::default());
    for round in 0..rounds {
        sleep(Duration::from_millis(chance.below(500))).await;
        let stuck = stop_worker(&worker, &queries, round, &mut found).await;
        let restarted = processes[round % 2].restart(round, &mut found).await;
        stuck?;
        restarted?;
    }
    let tally = load.stop().await?;
    Ok(told(rounds, rate, &tally, &found))
}

fn told(rounds: usize, rate: u32, tally: &Tally, found: &Found) -> Outcome {
    let mut outcome = Outcome::new();
    let sent = format!("{} requests, {} of them registrations, at {rate}/s", tally.sent, tally.registered);
    let times = median_and_most(&tally.times);
    let all_sent = format!("none of {sent}; answers to reads: median {:.1} ms, most {:.0} ms", times.0, times.1);
    let failed = match tally.failures.first() {
        None => all_sent,
        Some(first) => format!("{} of {sent}; the first: {first}", tally.failures.len()),
    };
    outcome.promise(format!("no request fails under {rounds} SIGTERMs"), failed, tally.failures.is_empty());
    let mut within = |promise: &str, times: &[f64], limit: Duration| {
        let (median, most) = median_and_most(times);
        let promise = format!("{promise} within {:.2} s", limit.as_secs_f64());
        let is_kept = most <= limit.as_secs_f64() && !times.is_empty();
        outcome.promise(promise, format!("median {median:.3} s, most {most:.3} s"), is_kept);
    };
    within("`/readyz` answers 503", &found.not_ready, AT_ONCE);
    within("a replica is gone after its drain", &found.gone, GONE);
    within("what a worker gave back is done elsewhere", &found.elsewhere, ELSEWHERE);
    let promise = "leases are given back in every round";
    outcome.promise(promise, format!("{} operations", found.given_back), found.elsewhere.len() == rounds);
    outcome.never("a replica or a worker ends with another code than 0, or complains", &found.wrong);
    outcome
}

/// A replica that always listens where it did.
struct Replica {
    program: Program,
    process: Process,
}

impl Replica {
    fn start(program: &Program) -> Result<Self, Failure> {
        let program = program.clone().at_fixed_addresses()?;
        Ok(Self { process: program.serve("all", "replica.log")?, program })
    }

    fn addresses(&self) -> (String, String) {
        (self.process.address.clone(), self.process.admin.clone())
    }

    /// Tells it to stop, sees it off, starts it again, and waits until HAProxy knows.
    async fn restart(&mut self, round: usize, found: &mut Found) -> Result<(), Failure> {
        let begun = Instant::now();
        self.process.signal(Signal::TERM)?;
        while self.process.health("/readyz") == Some(200) {
            sleep(Duration::from_millis(1)).await;
        }
        found.not_ready.push(begun.elapsed().as_secs_f64());
        see_off(&mut self.process, &format!("round {round}, replica"), found).await?;
        found.gone.push((begun.elapsed().saturating_sub(DRAIN)).as_secs_f64());
        self.process = self.program.serve("all", "replica.log")?;
        self.process.until_ready()?;
        sleep(ASKED_EVERY * 4).await;
        Ok(())
    }
}

/// Starts a worker whose calls do not come back, tells it to stop when it is in the middle of operations, and waits until
/// those are done elsewhere.
async fn stop_worker(program: &Program, queries: &Client, round: usize, found: &mut Found) -> Result<(), Failure> {
    let mut worker = program.serve("worker", "worker.log")?;
    let begun = Instant::now();
    let stuck = loop {
        let text = format!(
            "select id::text from operations where state = 'running' \
             and updated_at < (extract(epoch from now() - interval '{STUCK}') * 1000)::bigint"
        );
        let rows = queries.query(&text, &[]).await?;
        let ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        if !ids.is_empty() {
            break ids;
        }
        if begun.elapsed() > PATIENCE {
            return Err("a worker claims nothing".into());
        }
        sleep(Duration::from_millis(20)).await;
    };
    worker.signal(Signal::TERM)?;
    see_off(&mut worker, &format!("round {round}, worker"), found).await?;
    let begun = Instant::now();
    let undone = "select count(*) from operations where id::text = any($1) and state <> 'succeeded'";
    while queries.query_one(undone, &[&stuck]).await?.get::<_, i64>(0) > 0 {
        if begun.elapsed() > PATIENCE {
            found.wrong.push(format!("round {round}: what the worker gave back stays undone"));
            return Ok(());
        }
        sleep(Duration::from_millis(5)).await;
    }
    found.elsewhere.push(begun.elapsed().as_secs_f64());
    found.given_back += stuck.len();
    Ok(())
}

/// Waits for the end of a process that was told to stop.
async fn see_off(process: &mut Process, which: &str, found: &mut Found) -> Result<(), Failure> {
    let begun = Instant::now();
    while !process.has_ended() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{which} does not end").into());
        }
        sleep(Duration::from_millis(5)).await;
    }
    let code = process.exit_code();
    if code != Some(0) {
        found.wrong.push(format!("{which} ends with {code:?}"));
    }
    let log = process.log()?;
    let complaints = log.lines().filter(|line| line.contains("\"level\":\"ERROR\""));
    found.wrong.extend(complaints.map(|line| format!("{which}: {line}")));
    Ok(())
}
