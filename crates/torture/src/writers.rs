//! Writers that register chats as fast as they are let, and remember every answer.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use convoke_test_support::Chance;
use reqwest::RequestBuilder;
use serde_json::json;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    Failure,
    api::{Answer, Api, ask},
    setting::Setting,
};

/// How many write at once.
pub const WRITERS: u64 = 16;

/// What became of all registrations so far. Every registration has a title of its own.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Those that were answered 202: their ids by their titles.
    pub kept: BTreeMap<String, String>,
    /// How many requests were answered 503.
    pub refused: u64,
    /// How many requests were not answered, or not to the end.
    pub unanswered: u64,
    /// How many requests were answered with what an earlier one had done, whose answer was lost.
    pub done_before: u64,
    /// Answers that nobody should ever see.
    pub wrong: Vec<String>,
    /// How long the slowest whole answer took, and which it was.
    pub slowest: (Duration, u16),
    /// When a registration was last answered 202.
    pub last_kept: Option<Instant>,
}

/// How a registration can be told from another, should its answer be lost.
#[derive(Clone, Copy)]
enum Form {
    /// Not at all.
    Plain,
    /// By its `Idempotency-Key`.
    Keyed,
    /// By the chat's own id.
    OwnId,
}

/// A registration.
struct Registration {
    form: Form,
    title: String,
    id: String,
}

impl Registration {
    /// One of any form.
    fn any(chance: &mut Chance, title: String) -> Self {
        let form = *chance.one_of(&[Form::Plain, Form::Keyed, Form::OwnId]);
        Self { form, title, id: chance.id().to_string() }
    }

    const fn is_repeatable(&self) -> bool {
        !matches!(self.form, Form::Plain)
    }

    fn request(&self, api: &Api) -> RequestBuilder {
        match self.form {
            Form::Plain => api.register(&self.title),
            Form::Keyed => api.register(&self.title).header("Idempotency-Key", &self.title),
            Form::OwnId => api.post("/chats", &json!({"title": self.title, "id": self.id})),
        }
    }
}

/// Writers at work.
pub struct Writers {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    api: Api,
    stops: AtomicBool,
    /// The longest pause between two registrations of a writer.
    pause: Duration,
    ledger: Mutex<Ledger>,
}

impl Writers {
    /// Starts them; `pause` is the longest that each of them pauses between two registrations.
    pub fn start(setting: &Setting, api: &Api, pause: Duration) -> Self {
        let shared =
            Arc::new(Shared { api: api.clone(), stops: AtomicBool::new(false), pause, ledger: Mutex::default() });
        let start = |place| {
            let (shared, chance) = (Arc::clone(&shared), setting.chance(place));
            tokio::spawn(async move { shared.write(place, chance).await })
        };
        let tasks = (1..=WRITERS).map(start).collect();
        Self { shared, tasks }
    }

    /// What they know by now.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger()
    }

    /// One of the chats that are known to be there.
    pub fn any_chat(&self, chance: &mut Chance) -> Option<String> {
        let ledger = self.ledger();
        let count = u64::try_from(ledger.kept.len()).ok().filter(|count| *count > 0)?;
        ledger.kept.values().nth(usize::try_from(chance.below(count)).ok()?).cloned()
    }

    /// Lets each finish what it is at, and gives what they know.
    pub async fn stop(self) -> Result<Ledger, Failure> {
        self.shared.stops.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await?;
        }
        Ok(std::mem::take(&mut *self.shared.ledger()))
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, writer: u64, mut chance: Chance) {
        let pause = u64::try_from(self.pause.as_millis()).unwrap_or(u64::MAX);
        for number in 0.. {
            let registration = Registration::any(&mut chance, format!("writer-{writer}-number-{number}"));
            // Safe to repeat: then it is, until it is answered. Even at the stop, for a while.
            let mut tries_left = 200;
            while !self.is_settled(&registration).await && registration.is_repeatable() && tries_left > 0 {
                tries_left -= u32::from(self.stops.load(Ordering::SeqCst));
                sleep(Duration::from_millis(50)).await;
            }
            if self.stops.load(Ordering::SeqCst) {
                return;
            }
            sleep(Duration::from_millis(chance.below(pause + 1))).await;
        }
    }

    /// Sends it, and remembers the answer; whether it was one that is not to be repeated.
    async fn is_settled(&self, registration: &Registration) -> bool {
        let begun = Instant::now();
        let answer = ask(registration.request(&self.api)).await;
        let took = begun.elapsed();
        let mut ledger = self.ledger();
        let Ok(answer) = answer else {
            ledger.unanswered += 1;
            return false;
        };
        if took > ledger.slowest.0 {
            ledger.slowest = (took, answer.status);
        }
        match answer {
            Answer { status: 202, body, is_replayed, .. } => {
                let id = body["id"].as_str().unwrap_or_default().to_owned();
                ledger.kept.insert(registration.title.clone(), id);
                ledger.done_before += u64::from(is_replayed);
                ledger.last_kept = Some(Instant::now());
                true
            }
            Answer { status: 503, says_when_to_retry: true, .. } => {
                ledger.refused += 1;
                false
            }
            Answer { status, body, .. } => {
                ledger.wrong.push(format!("{}: {status} {body}", registration.title));
                true
            }
        }
    }
}
