//! Somebody who reads, and looks at the health of the service, all the while.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinHandle, time::sleep};

use crate::{
    Failure,
    api::{Api, ask, status_of},
    setting::Setting,
    writers::Writers,
};

/// How many read at once.
const READERS: u64 = 4;

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// How often `/livez` was asked for, and what it answered when that was not 200.
    pub lives: u64,
    pub not_alive: Vec<String>,
    /// How many reads were answered 200, and how many 503.
    pub read: u64,
    pub refused: u64,
    /// Answers to reads that nobody should ever see.
    pub wrong: Vec<String>,
    /// How long the slowest answer to a read took.
    pub slowest: Duration,
}

/// They at work.
pub struct Watch {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    stops: AtomicBool,
    seen: Mutex<Seen>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn goes_on(&self) -> bool {
        !self.stops.load(Ordering::SeqCst)
    }

    async fn look_at_health(&self, admin: &str) {
        while self.goes_on() {
            let status = status_of(admin, "/livez").await;
            self.take_down(&status);
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn take_down(&self, health: &Result<u16, Failure>) {
        let mut seen = self.seen();
        seen.lives += 1;
        if !matches!(health, Ok(200)) {
            seen.not_alive.push(format!("{health:?}"));
        }
    }

    async fn read(&self, api: &Api, path: &str) {
        let begun = Instant::now();
        let answer = ask(api.get(path)).await;
        let took = begun.elapsed();
        let mut seen = self.seen();
        seen.slowest = seen.slowest.max(took);
        match answer {
            Ok(answer) if answer.status == 200 => seen.read += 1,
            Ok(answer) if answer.status == 503 && answer.says_when_to_retry => seen.refused += 1,
            Ok(answer) => seen.wrong.push(format!("{path}: {} {}", answer.status, answer.body)),
            Err(failure) => seen.wrong.push(format!("{path}: {failure}")),
        }
    }
}

impl Watch {
    /// Starts them; they read what these writers have registered.
    pub fn start(setting: &Setting, api: &Api, admin: &str, writers: &Arc<Writers>) -> Self {
        let shared = Arc::new(Shared { stops: AtomicBool::new(false), seen: Mutex::default() });
        let (of_health, admin) = (Arc::clone(&shared), admin.to_owned());
        let mut tasks = vec![tokio::spawn(async move { of_health.look_at_health(&admin).await })];
        for place in 0..READERS {
            let (shared, api, writers) = (Arc::clone(&shared), api.clone(), Arc::clone(writers));
            let mut chance = setting.chance(2_000 + place);
            tasks.push(tokio::spawn(async move {
                while shared.goes_on() {
                    if let Some(chat) = writers.any_chat(&mut chance) {
                        shared.read(&api, &format!("/chats/{chat}")).await;
                        shared.read(&api, "/chats?size=5").await;
                    }
                    sleep(Duration::from_millis(20)).await;
                }
            }));
        }
        Self { shared, tasks }
    }

    /// Lets them finish, and says what they saw.
    pub async fn stop(self) -> Result<Seen, Failure> {
        self.shared.stops.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await?;
        }
        Ok(std::mem::take(&mut *self.shared.seen()))
    }
}
