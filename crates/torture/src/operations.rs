//! Three workers, one of which is killed or frozen every second, drive thousands of operations to their end.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use convoke_test_support::{Chance, Process, Program};
use futures_util::{StreamExt as _, stream};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use crate::{
    Failure,
    api::{Api, ask},
    database,
    outcome::{Outcome, median_and_most},
    proof,
    setting::Setting,
};

const WORKERS: usize = 3;
/// How long a worker is frozen: longer than its leases of 30 s.
const FROZEN: Duration = Duration::from_secs(33);
/// How long a group takes to be made, so that there is something to be interrupted.
const DELAY: &str = "50ms";
/// How many registrations (and removals) are begun in a second.
const A_SECOND: u64 = 80;
/// One chat in so many has somebody who joins and is removed.
const REMOVALS: u64 = 10;
/// Within which an operation is done whose worker died.
const RECOVERY: f64 = 40.0;
/// How long everything may take in the end.
const PATIENCE: Duration = Duration::from_mins(3);

/// Runs it.
pub async fn run(setting: &Setting) -> Result<Outcome, Failure> {
    let chats: u64 = setting.scale(10_000, 300) * REMOVALS / (REMOVALS + 1);
    let folder = tempfile::tempdir()?;
    let cluster = database::postgres()?;
    let program = setting.program(folder.path(), &cluster.url()).with("CONVOKE__SANDBOX__DELAY", DELAY);
    let token = program.token("torture")?;
    let mut service = program.serve("api", "log-api")?;
    service.until_ready()?;
    let api = Api::new(&service.address, &token)?;
    let mut workers = Workers::start(&program, setting.chance(0))?;
    let sql = database::connect(&cluster.url()).await?;

    // Registrations begin at a steady pace, whatever happens to the workers.
    let registering = {
        let api = api.clone();
        tokio::spawn(async move {
            let chats = stream::iter(0..chats).map(|number| live(&api, number)).buffer_unordered(10_000);
            chats.collect::<Vec<Result<(), Failure>>>().await
        })
    };
    let mut finished: BTreeMap<String, String> = BTreeMap::new();
    let mut stale = Vec::new();
    let begun = Instant::now();
    let ends = Duration::from_secs(chats / A_SECOND) + PATIENCE;
    while !registering.is_finished() && begun.elapsed() < ends {
        sleep(Duration::from_secs(1)).await;
        // Once all are registered, the last ones are left to recover.
        if begun.elapsed() < Duration::from_secs(chats / A_SECOND) {
            workers.ill_treat()?;
        } else {
            workers.thaw(false)?;
        }
        compare(&sql, &mut finished, &mut stale).await?;
    }
    workers.thaw(true)?;
    let lives = timeout(PATIENCE, registering).await.map_err(|_| "registrations do not come to their end")??;
    let failed: Vec<String> =
        lives.into_iter().filter_map(|life| life.err().map(|failure| failure.to_string())).collect();
    until_all_is_done(&sql).await?;
    compare(&sql, &mut finished, &mut stale).await?;

    let mut outcome = Outcome::new();
    outcome.never("a chat is not made, or somebody not removed", &failed);
    let done = count(&sql, "select count(*) from operations where state = 'succeeded'").await?;
    let all = count(&sql, "select count(*) from operations").await?;
    let treated = format!("{} kills, {} freezes", workers.kills, workers.freezes);
    outcome.promise(format!("{treated}: all operations succeed"), format!("{done} of {all}"), done == all && done > 0);
    let groups = count(&sql, "select count(*) from sandbox_groups").await?;
    let made = count(&sql, "select count(*) from chats").await?;
    let told = count(&sql, "select count(*) from chat_events where key = 'convoke:groupMade'").await?;
    let reached = format!("{groups} groups, {told} told of, for {made} chats");
    outcome.promise("one group for each chat", reached, groups == made && told == made);
    outcome.never("an operation that has ended is written to again", &stale);
    let interrupted = recoveries(&sql).await?;
    let (median, most) = median_and_most(&interrupted);
    outcome.promise(
        format!("{} operations were interrupted: each recovers within {RECOVERY} s", interrupted.len()),
        format!("median {median:.1} s, most {most:.1} s"),
        // In the small edition chance may spare them all.
        most <= RECOVERY && (setting.small || !interrupted.is_empty()),
    );
    proof::outcome_of_doctor(&mut outcome, &program);
    Ok(outcome)
}

/// The workers, and what was done to them.
struct Workers {
    program: Program,
    chance: Chance,
    running: Vec<Process>,
    /// Which one is frozen, and since when.
    frozen: Option<(usize, Instant)>,
    kills: u64,
    freezes: u64,
}

impl Workers {
    fn start(program: &Program, chance: Chance) -> Result<Self, Failure> {
        let mut running = Vec::new();
        for place in 0..WORKERS {
            let mut worker = program.serve("worker", &format!("log-{place}"))?;
            worker.until_ready()?;
            running.push(worker);
        }
        Ok(Self { program: program.clone(), chance, running, frozen: None, kills: 0, freezes: 0 })
    }

    /// Kills one, or freezes it, if none is; whoever was frozen for long enough goes on.
    fn ill_treat(&mut self) -> Result<(), Failure> {
        self.thaw(false)?;
        let place = usize::try_from(self.chance.below(WORKERS as u64))?;
        let place = if self.frozen.is_some_and(|(frozen, _)| frozen == place) { (place + 1) % WORKERS } else { place };
        match self.frozen {
            None if self.freezes == 0 || self.chance.is(20) => {
                self.running[place].signal(Signal::STOP)?;
                self.frozen = Some((place, Instant::now()));
                self.freezes += 1;
            }
            _ => {
                self.running[place].kill()?;
                self.running[place] = self.program.serve("worker", &format!("log-{place}"))?;
                self.kills += 1;
            }
        }
        Ok(())
    }

    /// Lets whoever is frozen go on, if it is time for it or `at_once`.
    fn thaw(&mut self, at_once: bool) -> Result<(), Failure> {
        if let Some((place, since)) = self.frozen
            && (at_once || since.elapsed() > FROZEN)
        {
            self.running[place].signal(Signal::CONT)?;
            self.frozen = None;
        }
        Ok(())
    }
}

/// A chat is registered; in some of them somebody joins and is removed.
async fn live(api: &Api, number: u64) -> Result<(), Failure> {
    sleep(Duration::from_millis(number * 1_000 / A_SECOND)).await;
    let answer = ask(api.register(&format!("operation {number}"))).await?;
    let id = answer.body["id"].as_str().ok_or_else(|| format!("{} {}", answer.status, answer.body))?.to_owned();
    let chat = format!("/chats/{id}");
    if !number.is_multiple_of(REMOVALS) {
        return until(api, &chat, |record| (record["isActive"] == true).then_some(())).await;
    }
    let link = |answer: &Value| answer["invitation"].as_str().map(str::to_owned);
    let link = until(api, &format!("{chat}/invitation"), link).await?;
    let joined = ask(api.form(&link, "join", &[("username", "guest")])).await?;
    if joined.status != 303 {
        return Err(format!("joining: {} {}", joined.status, joined.body).into());
    }
    let guest = |record: &Value| {
        let guest =
            record["participants"].as_array()?.iter().find(|one| one["userProperties"]["username"] == "guest")?;
        Some((guest["id"].as_str()?.to_owned(), guest["participations"][0]["endReason"].clone()))
    };
    let (person, _) = until(api, &chat, guest).await?;
    remove(api, &format!("{chat}/participants/{person}")).await?;
    until(api, &chat, |record| guest(record).filter(|(_, reason)| reason == "removed").map(drop)).await
}

/// Has somebody removed. A worker that was frozen in the middle of a transaction holds the chat's row for a few seconds.
async fn remove(api: &Api, path: &str) -> Result<(), Failure> {
    for _ in 0..10 {
        let removal = ask(api.delete(path)).await?;
        match removal.status {
            202 => return Ok(()),
            503 if removal.says_when_to_retry => sleep(Duration::from_secs(1)).await,
            _ => return Err(format!("removing: {} {}", removal.status, removal.body).into()),
        }
    }
    Err("removing: 503, again and again".into())
}

/// Waits until what is at this path is what is looked for.
async fn until<T>(api: &Api, path: &str, look: impl Fn(&Value) -> Option<T>) -> Result<T, Failure> {
    let begun = Instant::now();
    loop {
        let answer = ask(api.get(path)).await?;
        if let Some(found) = look(&answer.body) {
            return Ok(found);
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("{path} stays {}", answer.body).into());
        }
        sleep(Duration::from_millis(if begun.elapsed() < Duration::from_secs(2) { 200 } else { 1_000 })).await;
    }
}

/// Operations that have ended stay as they are: whoever writes to one does so under a lease that was lost.
async fn compare(
    sql: &Client,
    finished: &mut BTreeMap<String, String>,
    stale: &mut Vec<String>,
) -> Result<(), Failure> {
    let ended = "select id::text, concat_ws(' ', state, attempts, updated_at, completed_at, fence, error) from operations \
                 where completed_at is not null";
    for row in sql.query(ended, &[]).await? {
        let (id, now): (String, String) = (row.get(0), row.get(1));
        match finished.get(&id) {
            Some(before) if *before != now => stale.push(format!("{id}: {before}, then {now}")),
            Some(_) => {}
            None => {
                finished.insert(id, now);
            }
        }
    }
    Ok(())
}

async fn until_all_is_done(sql: &Client) -> Result<(), Failure> {
    let begun = Instant::now();
    while count(sql, "select count(*) from operations where completed_at is null").await? > 0 {
        if begun.elapsed() > PATIENCE {
            return Err("operations do not come to their end".into());
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// How many seconds those operations took that needed more than one attempt, for each attempt that was interrupted.
async fn recoveries(sql: &Client) -> Result<Vec<f64>, Failure> {
    let took =
        "select ((completed_at - created_at) / 1000.0 / (attempts - 1))::float8 from operations where attempts > 1";
    Ok(sql.query(took, &[]).await?.iter().map(|row| row.get(0)).collect())
}

async fn count(sql: &Client, question: &str) -> Result<i64, Failure> {
    Ok(sql.query_one(question, &[]).await?.get(0))
}
