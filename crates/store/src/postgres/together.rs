//! Chats that are asked for at the same time are read together, by one statement: most of what a short read costs is the
//! statement around it. Whoever asks while nobody else does is answered at once, by a statement of their own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoke_domain::{ChatId, TenantId};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

use super::{
    pipeline::Pipelines,
    pool::{REQUEST_DEADLINE, late},
    read,
};
use crate::{
    ChatDocument,
    error::{Result, StoreError},
};

/// How many statements of a thread are under way at once; who asks meanwhile waits for one of them to end.
const TURNS: usize = 2;
/// How many chats are read together at most: a client that waits for one should not wait for very many.
const AT_ONCE: usize = 32;
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

/// Somebody waits only while all turns are taken: whoever gives one back hands it on.
#[derive(Default)]
struct State {
    turns: usize,
    waiting: Vec<Asked>,
}

/// Somebody who waits for a chat.
struct Asked {
    tenant: TenantId,
    id: ChatId,
    answer: oneshot::Sender<Result<Option<ChatDocument>>>,
}

impl ChatReads {
    pub fn new(pipelines: Arc<Pipelines>) -> Self {
        let place = || Arc::new(Place { pipelines: pipelines.clone(), state: Mutex::default() });
        Self { places: (0..pipelines.places()).map(|_| place()).collect(), pipelines }
    }

    /// The chat of this id, if there is one.
    pub async fn find(&self, tenant: &TenantId, id: ChatId) -> Result<Option<ChatDocument>> {
        let place = &self.places[self.pipelines.place()];
        match place.enter(tenant, id)? {
            Entered::Turn(_turn) => {
                self.pipelines.read(|shared| async move { read::chat(shared.queries(), tenant, id).await }).await
            }
            Entered::Waiting(answered) => {
                let interrupted = |_| StoreError::Unavailable("the reading was interrupted".to_owned());
                timeout(REQUEST_DEADLINE, answered).await.map_err(|_| late())?.map_err(interrupted)?
            }
        }
    }
}

/// What became of somebody who asks.
enum Entered {
    /// They may ask the database at once.
    Turn(Turn),
    /// They will be told.
    Waiting(oneshot::Receiver<Result<Option<ChatDocument>>>),
}

impl Place {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, tenant: &TenantId, id: ChatId) -> Result<Entered> {
        let mut state = self.state();
        if state.turns < TURNS {
            state.turns += 1;
            return Ok(Entered::Turn(Turn(self.clone())));
        }
        if state.waiting.len() >= WAITING {
            return Err(StoreError::Unavailable("too many reads are waiting".to_owned()));
        }
        let (answer, answered) = oneshot::channel();
        state.waiting.push(Asked { tenant: tenant.clone(), id, answer });
        Ok(Entered::Waiting(answered))
    }

    /// Those who have waited longest.
    fn next(&self) -> Vec<Asked> {
        let mut state = self.state();
        // Whoever gave up needs no answer.
        state.waiting.retain(|asked| !asked.answer.is_closed());
        let number = state.waiting.len().min(AT_ONCE);
        state.waiting.drain(..number).collect()
    }
}

/// The right to have a statement under way. Given back, it goes to those who wait, if anybody does.
struct Turn(Arc<Place>);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if !state.waiting.is_empty()
            && let Ok(runtime) = Handle::try_current()
        {
            drop(state);
            runtime.spawn(go_on(self.0.clone(), LastTurn(Some(self.0.clone()))));
            return;
        }
        state.turns -= 1;
        // Without a runtime nobody is waited for any more.
        state.waiting.clear();
    }
}

/// The same right in the hands of the task that goes on: if that is ended in the middle, with its runtime, those who
/// wait are told so, instead of starting another one that would be ended too.
struct LastTurn(Option<Arc<Place>>);

impl Drop for LastTurn {
    fn drop(&mut self) {
        if let Some(place) = &self.0 {
            let mut state = place.state();
            state.turns -= 1;
            state.waiting.clear();
        }
    }
}

/// Reads for those who wait until nobody does.
async fn go_on(place: Arc<Place>, mut turn: LastTurn) {
    loop {
        let asked = place.next();
        if asked.is_empty() {
            // Somebody may have come just now: then it goes on again.
            return drop(turn.0.take().map(Turn));
        }
        let wanted: Vec<(&TenantId, ChatId)> = asked.iter().map(|asked| (&asked.tenant, asked.id)).collect();
        let wanted = wanted.as_slice();
        let found = place.pipelines.read(|shared| async move { read::chats(shared.queries(), wanted).await }).await;
        // Whoever does not wait any more is not told.
        match found {
            Ok(found) => asked.into_iter().zip(found).for_each(|(asked, found)| drop(asked.answer.send(found))),
            Err(error) => asked.into_iter().for_each(|asked| drop(asked.answer.send(Err(error.clone())))),
        }
    }
}
