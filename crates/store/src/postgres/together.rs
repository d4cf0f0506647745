//! Chats that are asked for at the same time are read together, by one statement: most of what a short read costs is the
//! statement around it. Whoever asks alone is answered by a simpler one, at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoke_domain::{ChatId, TenantId};
use tokio::{sync::oneshot, time::timeout};

use super::{deadline::of_a_call, failure::Outcome, pipeline::Pipelines, pool::late, read};
use crate::{
    ChatDocument,
    error::{Result, StoreError},
};

/// How many chats are read together at most: a client that waits for one should not wait for very many.
const AT_ONCE: usize = 32;
/// How many statements of a thread are under way at once. While one is, whoever asks waits for its end, so that the next
/// one is worth its while; only if more wait than that will read, another one goes out before.
const TURNS: usize = 4;
/// How many wait at most; beyond them the answer is that the database does not keep up.
const WAITING: usize = 8_192;

/// Reads chats, those of a thread together.
pub struct ChatReads {
    pipelines: Arc<Pipelines>,
    places: Vec<Arc<Place>>,
}

/// Who waits on a thread.
struct Place {
    pipelines: Arc<Pipelines>,
    state: Mutex<State>,
}

/// While anybody waits, somebody has a turn and reads for them.
#[derive(Default)]
struct State {
    turns: usize,
    waiting: Vec<Asked>,
}

/// What somebody is told who asks for a chat.
type Answer = Result<Option<ChatDocument>>;

/// Somebody who waits for a chat.
struct Asked {
    tenant: TenantId,
    id: ChatId,
    answer: oneshot::Sender<Answer>,
}

impl ChatReads {
    pub fn new(pipelines: Arc<Pipelines>) -> Self {
        let place = || Arc::new(Place { pipelines: pipelines.clone(), state: Mutex::default() });
        Self { places: (0..pipelines.places()).map(|_| place()).collect(), pipelines }
    }

    /// The chat of this id, if there is one.
    pub async fn find(&self, tenant: &TenantId, id: ChatId) -> Answer {
        let call = self.pipelines.begin();
        let place = &self.places[self.pipelines.place()];
        let answer = async {
            let answered = timeout(of_a_call(), place.enter(tenant, id)?).await.map_err(|_| late())?;
            answered.map_err(|_| StoreError::Unavailable("the reading was interrupted".to_owned()))?
        };
        call.end(answer.await)
    }
}

impl Place {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, tenant: &TenantId, id: ChatId) -> Result<oneshot::Receiver<Answer>> {
        let mut state = self.state();
        if state.waiting.len() >= WAITING {
            return Err(StoreError::Unavailable("too many reads are waiting".to_owned()));
        }
        let (answer, answered) = oneshot::channel();
        state.waiting.push(Asked { tenant: tenant.clone(), id, answer });
        if state.turns == 0 || (state.turns < TURNS && state.waiting.len() > AT_ONCE) {
            state.turns += 1;
            // A task of its own, for whoever asked may go away. It begins once those who have arrived together have all
            // asked.
            tokio::spawn(read_on(Turn(Some(self.clone()))));
        }
        Ok(answered)
    }
}

/// The right to have a statement under way.
struct Turn(Option<Arc<Place>>);

impl Turn {
    /// Those who have waited longest. If nobody does, the turn is given back.
    fn next(&mut self) -> Option<(&Place, Vec<Asked>)> {
        let mut state = self.0.as_ref()?.state();
        // Whoever gave up needs no answer.
        state.waiting.retain(|asked| !asked.answer.is_closed());
        let number = state.waiting.len().min(AT_ONCE);
        let asked: Vec<Asked> = state.waiting.drain(..number).collect();
        if asked.is_empty() {
            state.turns -= 1;
            drop(state);
            self.0 = None;
            return None;
        }
        drop(state);
        self.0.as_deref().map(|place| (place, asked))
    }
}

/// Its task was ended in the middle, with its runtime: those who wait are told so.
impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(place) = &self.0 {
            let mut state = place.state();
            state.turns -= 1;
            state.waiting.clear();
        }
    }
}

/// Reads for those who wait until nobody does.
async fn read_on(mut turn: Turn) {
    while let Some((place, asked)) = turn.next() {
        let found = match asked.as_slice() {
            [alone] => {
                let read = place.pipelines.look_up_for_many(|shared| async move {
                    let found = read::chat(shared.queries(), &alone.tenant, alone.id).await?;
                    Outcome::Ok(vec![Ok(found)])
                });
                read.await
            }
            asked => {
                let wanted: Vec<(&TenantId, ChatId)> = asked.iter().map(|asked| (&asked.tenant, asked.id)).collect();
                let wanted = wanted.as_slice();
                place
                    .pipelines
                    .look_up_for_many(|shared| async move { read::chats(shared.queries(), wanted).await })
                    .await
            }
        };
        // Whoever does not wait any more is not told.
        match found {
            Ok(found) => asked.into_iter().zip(found).for_each(|(asked, found)| drop(asked.answer.send(found))),
            Err(error) => asked.into_iter().for_each(|asked| drop(asked.answer.send(Err(error.clone())))),
        }
    }
}
