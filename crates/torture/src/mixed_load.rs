//! Requests of every kind at a steady rate, whatever becomes of those before: as from clients that know nothing of each other.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use convoke_test_support::Chance;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

use crate::{
    Failure,
    api::{Api, ask},
};

/// Of how many chats the youngest are asked for.
const REMEMBERED: usize = 1_000;

/// What came of the requests.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many were sent.
    pub sent: u64,
    /// How many chats were registered.
    pub registered: u64,
    /// Those that got no answer, or one that is none to be expected: what, and when since the beginning.
    pub failures: Vec<String>,
    /// How long the answers took, in milliseconds, but for those who asked to wait.
    pub times: Vec<f64>,
    /// Chats that were accepted.
    chats: Vec<String>,
}

/// Requests that go on until they are told to stop.
pub struct MixedLoad {
    stopped: Arc<AtomicBool>,
    sender: JoinHandle<()>,
    tally: Arc<Mutex<Tally>>,
}

impl MixedLoad {
    /// Begins to send `rate` requests a second, turn by turn to each of these.
    pub fn start(apis: Vec<Api>, rate: u32, chance: Chance) -> Self {
        let (stopped, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Tally::default())));
        let sender = tokio::spawn(send(apis, rate, chance, stopped.clone(), tally.clone()));
        Self { stopped, sender, tally }
    }

    /// Stops, and waits for the answers that are due.
    pub async fn stop(self) -> Result<Tally, Failure> {
        self.stopped.store(true, Ordering::Relaxed);
        self.sender.await?;
        Ok(std::mem::take(&mut *lock(&self.tally)))
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn send(apis: Vec<Api>, rate: u32, mut chance: Chance, stopped: Arc<AtomicBool>, tally: Arc<Mutex<Tally>>) {
    let begun = Instant::now();
    let mut due = interval(Duration::from_secs(1) / rate);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    for api in apis.iter().cycle() {
        due.tick().await;
        while under_way.try_join_next().is_some() {}
        if stopped.load(Ordering::Relaxed) {
            break;
        }
        let (api, tally) = (api.clone(), tally.clone());
        let (kind, choice) = (chance.below(10), chance.clone());
        chance.number();
        under_way.spawn(async move { one(&api, kind, choice, begun, &tally).await });
    }
    under_way.join_all().await;
}

/// Three of ten are registrations, two are lists, the others ask for a chat.
async fn one(api: &Api, kind: u64, mut choice: Chance, begun: Instant, tally: &Mutex<Tally>) {
    let known = {
        let mut tally = lock(tally);
        tally.sent += 1;
        let chats = &tally.chats;
        (!chats.is_empty()).then(|| choice.one_of(&chats[chats.len().saturating_sub(REMEMBERED)..]).clone())
    };
    let (what, request) = match (kind, known) {
        (0..3, _) | (_, None) => ("a registration", api.register("Under way").header("Prefer", "wait=1")),
        (3..5, _) => ("a list", api.get("/chats?size=20")),
        (_, Some(id)) => ("a chat", api.get(&format!("/chats/{id}"))),
    };
    let sent = Instant::now();
    let answer = ask(request).await;
    let took = sent.elapsed().as_secs_f64() * 1000.0;
    let mut tally = lock(tally);
    match answer {
        Ok(answer) if what == "a registration" && [201, 202].contains(&answer.status) => {
            tally.registered += 1;
            tally.chats.extend(answer.body["id"].as_str().map(str::to_owned));
        }
        Ok(answer) if what != "a registration" && answer.status == 200 => tally.times.push(took),
        Ok(answer) => {
            let failure = format!("{what}, {:.2} s: {} {}", begun.elapsed().as_secs_f64(), answer.status, answer.body);
            tally.failures.push(failure);
        }
        Err(error) => {
            let causes = std::iter::successors(Some(&*error as &dyn std::error::Error), |error| error.source());
            let causes: Vec<String> = causes.map(ToString::to_string).collect();
            let failure = format!("{what}, {:.2} s: {}", begun.elapsed().as_secs_f64(), causes.join(": "));
            tally.failures.push(failure);
        }
    }
}
