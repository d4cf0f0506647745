//! Clients that register chats and read them while the database changes hands, and what they were answered.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use convoke_test_support::Chance;
use reqwest::RequestBuilder;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    Failure,
    api::{Answer, Api, ask},
};

/// How long a writer rests between two registrations: a few dozen a second, all together.
const WRITERS_REST: Duration = Duration::from_millis(150);
const READERS_REST: Duration = Duration::from_millis(100);

/// What was answered to all clients.
#[derive(Debug, Default)]
pub struct Told {
    /// Chats whose registration was answered 202: id, and the position, if one was told.
    pub registered: Vec<(String, Option<String>)>,
    /// When registrations were answered 202.
    pub written_at: Vec<Instant>,
    /// How many answers there were, by what was asked and the status.
    pub answers: BTreeMap<(&'static str, u16), u64>,
    /// What should never be answered.
    pub wrong: Vec<String>,
    /// The longest that an answer took.
    pub slowest: Duration,
}

impl Told {
    /// The longest time without a registration, from this instant on.
    pub fn longest_gap(&self, from: Instant) -> Duration {
        let after = self.written_at.iter().copied().filter(|at| *at >= from);
        let mut longest = Duration::ZERO;
        let mut before = from;
        for at in after.chain([Instant::now()]) {
            longest = longest.max(at.duration_since(before));
            before = at;
        }
        longest
    }

    /// How many answers of this status there were.
    pub fn number(&self, status: u16) -> u64 {
        self.answers.iter().filter(|((_, answered), _)| *answered == status).map(|(_, number)| number).sum()
    }
}

/// The clients, until they are told to stop.
pub struct Load {
    told: Arc<Mutex<Told>>,
    clients: Vec<JoinHandle<()>>,
    stopping: Arc<Mutex<bool>>,
}

/// What each client has.
#[derive(Clone)]
struct Client {
    apis: Vec<Api>,
    told: Arc<Mutex<Told>>,
    stopping: Arc<Mutex<bool>>,
    chance: Chance,
}

impl Load {
    /// Lets so many write and read, each now here, now there.
    pub fn start(apis: &[Api], writers: u64, readers: u64, chance: impl Fn(u64) -> Chance) -> Self {
        let (told, stopping) = (Arc::<Mutex<Told>>::default(), Arc::<Mutex<bool>>::default());
        let client = |place| Client {
            apis: apis.to_vec(),
            told: told.clone(),
            stopping: stopping.clone(),
            chance: chance(place),
        };
        let mut clients = Vec::new();
        for place in 0..writers {
            clients.push(tokio::spawn(client(place).write(place)));
        }
        for place in writers..writers + readers {
            clients.push(tokio::spawn(client(place).read()));
        }
        Self { told, clients, stopping }
    }

    /// What was answered so far.
    pub fn told<T>(&self, look: impl FnOnce(&Told) -> T) -> T {
        look(&self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets every client come to the end of what it is at; gives all that was answered.
    pub async fn stop(self) -> Result<Told, Failure> {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner) = true;
        for client in self.clients {
            client.await?;
        }
        Ok(std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Client {
    fn is_stopping(&self) -> bool {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers chats. Whoever was answered 503 asks again under the same key, until it is told what became of it.
    async fn write(mut self, writer: u64) {
        for number in 0.. {
            if self.is_stopping() {
                return;
            }
            let title = format!("{writer}-{number}");
            loop {
                let api = self.chance.one_of(&self.apis).clone();
                let request = api.register(&title).header("Idempotency-Key", &title);
                if let Some(answer) = self.ask("POST", request, &[202, 503]).await
                    && answer.status == 202
                {
                    let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                    told.written_at.push(Instant::now());
                    let id = answer.body["id"].as_str().unwrap_or_default().to_owned();
                    told.registered.push((id, answer.position));
                    break;
                }
                sleep(WRITERS_REST).await;
            }
            sleep(WRITERS_REST).await;
        }
    }

    /// Reads chats that are there, and lists.
    async fn read(mut self) {
        while !self.is_stopping() {
            sleep(READERS_REST).await;
            let chance = self.chance.number();
            let chosen = {
                let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                // What was registered last is of most interest.
                let newest = told.registered.len().checked_sub(1);
                newest.map(|newest| {
                    told.registered[newest - usize::try_from(chance % 8).unwrap_or(0).min(newest)].clone()
                })
            };
            let Some((id, position)) = chosen else { continue };
            let api = self.chance.one_of(&self.apis).clone();
            let mut request =
                if self.chance.is(20) { api.get("/chats?size=5") } else { api.get(&format!("/chats/{id}")) };
            if let Some(position) = position.filter(|_| self.chance.is(50)) {
                request = request.header("Convoke-Position", position);
            }
            self.ask("GET", request, &[200, 503]).await;
        }
    }

    /// Asks, and notes what was answered; no answer at all is wrong: the service is there all the time.
    async fn ask(&self, what: &'static str, request: RequestBuilder, right: &[u16]) -> Option<Answer> {
        let begun = Instant::now();
        let answer = ask(request).await;
        let took = begun.elapsed();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.slowest = told.slowest.max(took);
        match answer {
            Ok(answer) => {
                *told.answers.entry((what, answer.status)).or_default() += 1;
                if !right.contains(&answer.status) {
                    told.wrong.push(format!("{what}: {} {}", answer.status, answer.body));
                } else if answer.status == 503 && !answer.says_when_to_retry {
                    told.wrong.push(format!("{what}: 503 without Retry-After"));
                }
                Some(answer)
            }
            Err(failure) => {
                told.wrong.push(format!("{what}: no answer after {took:?}: {failure}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_that_between_two_registrations_or_until_now() {
        let now = Instant::now();
        let before = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
        let told = Told { written_at: vec![before(90), before(50), before(42), before(1)], ..Told::default() };
        assert_eq!(told.longest_gap(before(60)).as_secs(), 41);
        assert_eq!(told.longest_gap(before(30)).as_secs(), 29);
        assert!(Told::default().longest_gap(before(5)) >= Duration::from_secs(5));
    }
}
