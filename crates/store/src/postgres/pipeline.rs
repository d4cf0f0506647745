//! Connections for short reads, shared by all that run on a thread: what is asked at once is sent at once, and the
//! answers come in turn. Much faster than a pool, as long as nothing slow stands in front: hence one connection for
//! look-ups of a few rows by their keys, and another one for whatever takes longer.

use std::{
    cell::Cell,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use diesel_async::AsyncPgConnection;
use tokio::time::{Instant, timeout_at};

use super::{
    connect::{Connection, Connector},
    deadline::of_a_call,
    failure::Outcome,
    pool::late,
};
use crate::{
    error::Result,
    measure::{Call, Calls},
};

/// How often a query is asked at most. A server that is told to end a connection says so in answer to what is under way,
/// where it looks like any other error; only the second time the connection is closed.
const ATTEMPTS: u32 = 3;

/// How many threads have connections of their own at most; more share them.
fn max_threads() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| cores.get() * 2).max(4)
}

/// The connections of all threads.
pub struct Pipelines {
    connector: Arc<Connector>,
    reading: Calls,
    /// Tells stores apart where threads remember their place.
    id: u64,
    places: Vec<Place>,
    next_thread: AtomicUsize,
}

/// The connections of a thread.
#[derive(Default)]
struct Place {
    look_ups: Lane,
    pages: Lane,
}

/// Over which of a thread's connections something is asked.
#[derive(Debug, Clone, Copy)]
pub enum Over {
    /// That of look-ups of a few rows by their keys.
    LookUps,
    /// That of whatever takes longer.
    Pages,
}

/// Where a connection is, once there is one.
#[derive(Default)]
struct Lane {
    shared: RwLock<Option<Arc<Shared>>>,
    opening: tokio::sync::Mutex<()>,
}

/// A connection that many use at once.
pub struct Shared(Connection);

impl Shared {
    /// For queries.
    pub const fn queries(&self) -> &AsyncPgConnection {
        &self.0.queries
    }
}

impl Pipelines {
    pub fn new(connector: Arc<Connector>) -> Self {
        static STORES: AtomicU64 = AtomicU64::new(1);
        Self {
            connector,
            reading: Calls::new("read"),
            id: STORES.fetch_add(1, Ordering::Relaxed),
            places: (0..max_threads()).map(|_| Place::default()).collect(),
            next_thread: AtomicUsize::new(0),
        }
    }

    /// Looks up a few rows by their keys; what takes longer would keep others waiting.
    pub async fn look_up<T, F>(&self, query: impl Fn(Arc<Shared>) -> F) -> Result<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let call = self.begin();
        call.end(self.ask_for_many(Over::LookUps, query).await)
    }

    /// Reads a page of many rows, or what takes as long as that.
    pub async fn read<T, F>(&self, query: impl Fn(Arc<Shared>) -> F) -> Result<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let call = self.begin();
        call.end(self.ask_for_many(Over::Pages, query).await)
    }

    /// Asks for many, each of whom measures their own call by [`Self::begin`].
    pub async fn ask_for_many<T, F>(&self, over: Over, query: impl Fn(Arc<Shared>) -> F) -> Result<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let place = &self.places[self.place()];
        let lane = match over {
            Over::LookUps => &place.look_ups,
            Over::Pages => &place.pages,
        };
        self.answer(lane, query).await
    }

    /// A call begins.
    pub fn begin(&self) -> Call<'_> {
        self.reading.begin()
    }

    /// If the connection is lost, the query is asked again on a new one: it only reads. If the answer does not come in time,
    /// the connection is given up, with everything that waits on it.
    async fn answer<T, F>(&self, lane: &Lane, query: impl Fn(Arc<Shared>) -> F) -> Result<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let end = Instant::now() + of_a_call();
        let mut attempt = 1;
        loop {
            let shared = timeout_at(end, self.shared(lane)).await.map_err(|_| late())??;
            let failure = match timeout_at(end, query(shared.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => failure,
                Err(_) => {
                    tracing::warn!("PostgreSQL does not answer a short query: its connection is closed");
                    shared.0.life.end();
                    return Err(late());
                }
            };
            if failure.is_lost_connection() || shared.0.life.is_over() {
                shared.0.life.end();
            } else if !failure.is_servers_own() {
                return Err(failure.into());
            }
            if attempt == ATTEMPTS {
                return Err(failure.into());
            }
            attempt += 1;
        }
    }

    /// How many places there are.
    pub fn places(&self) -> usize {
        self.places.len()
    }

    /// The place of this thread, which it shares with others only where there are very many threads.
    pub fn place(&self) -> usize {
        thread_local! {
            /// A store and this thread's place in it; a process has one store.
            static PLACE: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
        }
        PLACE.with(|kept| {
            let (store, place) = kept.get();
            if store == self.id {
                return place;
            }
            let place = self.next_thread.fetch_add(1, Ordering::Relaxed) % self.places.len();
            kept.set((self.id, place));
            place
        })
    }

    async fn shared(&self, lane: &Lane) -> Result<Arc<Shared>> {
        if let Some(shared) = lane.open(&self.connector) {
            return Ok(shared);
        }
        let _turn = lane.opening.lock().await;
        // Whoever was before us may have opened it.
        if let Some(shared) = lane.open(&self.connector) {
            return Ok(shared);
        }
        let shared = Arc::new(Shared(self.connector.connect().await?));
        *lane.shared.write().unwrap_or_else(PoisonError::into_inner) = Some(shared.clone());
        Ok(shared)
    }
}

impl Lane {
    fn open(&self, connector: &Connector) -> Option<Arc<Shared>> {
        let shared = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        shared.as_ref().filter(|shared| connector.is_current(&shared.0)).cloned()
    }
}
