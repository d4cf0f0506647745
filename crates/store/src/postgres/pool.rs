//! Connections for transactions, and for what may take long: each belongs to one caller at a time.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use deadpool::{
    Runtime,
    managed::{Manager, Metrics, Object, PoolError, RecycleError, RecycleResult},
};
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, TransactionManager};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};

use super::{
    connect::{ConnectError, Connection, Connector, Lifeline},
    failure::{Failure, Outcome},
};
use crate::{
    Connections,
    error::{Result, StoreError},
    measure::{self, Calls},
};

/// How many connections there are at most.
const SIZE: usize = 10;

/// How long a request is kept waiting, for a connection and for everything that is done on it.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(2);

/// How long work of the service's own may take.
pub const UPKEEP_DEADLINE: Duration = Duration::from_secs(30);

/// How a transaction that writes begins. Who falls silent in the middle of one, frozen or cut off, holds its locks no
/// longer than this: the server ends the connection, and whoever waits for those rows goes on.
const BEGIN: &str = "begin isolation level read committed; set local idle_in_transaction_session_timeout = '5s'";

/// How often something is tried that the server refused.
const ATTEMPTS: u32 = 3;

/// Opens connections and looks them over before they are used again.
pub struct Opener {
    connector: Arc<Connector>,
    /// Where the connections' drivers run: not with the caller, whose runtime may end.
    runtime: Handle,
    /// Grows when all connections are to be opened anew.
    generation: Arc<AtomicU64>,
}

/// A connection of the pool.
pub struct Pooled {
    connection: Connection,
    generation: u64,
}

impl Manager for Opener {
    type Type = Pooled;
    type Error = ConnectError;

    async fn create(&self) -> Result<Pooled, ConnectError> {
        let generation = self.generation.load(Ordering::Acquire);
        let connector = self.connector.clone();
        let opened = self.runtime.spawn(async move { connector.connect().await }).await;
        let connection = opened.map_err(|_| ConnectError::Unreachable("the store is being closed".to_owned()))??;
        Ok(Pooled { connection, generation })
    }

    /// Asks nothing of the server: that would double the time of a short transaction.
    async fn recycle(&self, pooled: &mut Pooled, _: &Metrics) -> RecycleResult<ConnectError> {
        let is_old = pooled.generation != self.generation.load(Ordering::Acquire);
        let is_gone = pooled.connection.life.is_over();
        // Whoever had it left a transaction open: went away in the middle, or failed.
        let is_open = AnsiTransactionManager::is_broken_transaction_manager(&mut pooled.connection.queries);
        if is_old || is_gone || is_open {
            return Err(RecycleError::message("not as it was"));
        }
        Ok(())
    }
}

/// The connections.
#[derive(Clone)]
pub struct Pool {
    connections: deadpool::managed::Pool<Opener>,
    generation: Arc<AtomicU64>,
    writing: Calls,
    reading_long: Calls,
}

/// A connection that is the caller's own for a while.
pub struct Own(Object<Opener>);

impl Deref for Own {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        &self.0.connection.queries
    }
}

impl Own {
    fn line(&self) -> EndUnlessDone {
        EndUnlessDone(Some(self.0.connection.life.line()))
    }

    async fn begin(mut self, statement: &str) -> Outcome<Transaction> {
        AnsiTransactionManager::begin_transaction_sql(&mut self.0.connection.queries, statement).await?;
        Ok(Transaction(self))
    }
}

/// Somebody who waits for a connection: in vain if it is dropped, for then the time was up.
struct Waiting;

impl Waiting {
    fn end(self) {
        std::mem::forget(self);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        measure::waited_in_vain(1);
    }
}

/// Ends a connection whose user went away in the middle: somebody else would get the answers.
struct EndUnlessDone(Option<Lifeline>);

impl EndUnlessDone {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for EndUnlessDone {
    fn drop(&mut self) {
        if let Some(line) = &self.0 {
            line.end();
        }
    }
}

/// A transaction. If it is dropped before its end, its connection is closed, and the server rolls back.
pub struct Transaction(Own);

impl Deref for Transaction {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        &self.0
    }
}

impl Transaction {
    /// Makes everything lasting.
    pub async fn commit(mut self) -> Outcome<()> {
        Ok(AnsiTransactionManager::commit_transaction(&mut self.0.0.connection.queries).await?)
    }

    /// Undoes everything, and keeps the connection.
    pub async fn roll_back(mut self) -> Outcome<()> {
        Ok(AnsiTransactionManager::rollback_transaction(&mut self.0.0.connection.queries).await?)
    }
}

impl Pool {
    pub fn new(connector: Arc<Connector>, runtime: Handle) -> Result<Self> {
        let generation = Arc::new(AtomicU64::new(0));
        let opener = Opener { connector, runtime, generation: generation.clone() };
        // Creating has its own time-outs, one for each host.
        let connections = deadpool::managed::Pool::builder(opener)
            .max_size(SIZE)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(REQUEST_DEADLINE))
            .create_timeout(Some(UPKEEP_DEADLINE))
            .recycle_timeout(Some(REQUEST_DEADLINE))
            .build()
            .map_err(|error| StoreError::Open(error.to_string()))?;
        measure::waited_in_vain(0);
        Ok(Self { connections, generation, writing: Calls::new("write"), reading_long: Calls::new("long_read") })
    }

    /// How connections are used.
    pub fn connections(&self) -> Connections {
        let status = self.connections.status();
        Connections {
            max: status.max_size,
            used: status.size.saturating_sub(status.available),
            idle: status.available,
            waiting: status.waiting,
        }
    }

    /// A connection of one's own.
    async fn get(&self) -> Result<Own> {
        let waiting = Waiting;
        let connection = self.connections.get().await;
        if !matches!(connection, Err(PoolError::Timeout(_))) {
            waiting.end();
        }
        let connection = connection.map_err(|error| match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => StoreError::Unavailable("no connection is free".to_owned()),
            PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                StoreError::Unavailable("the store is being closed".to_owned())
            }
        })?;
        Ok(Own(connection))
    }

    /// Has every connection opened anew: those there are lead to a server that takes no writes.
    fn renew(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.connections.retain(|_, _| false);
    }

    /// Does `work` on a connection of its own, without a transaction around it; once.
    pub async fn once<T, F>(&self, deadline: Duration, work: impl Fn(Own) -> F) -> Outcome<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let whole = async {
            let own = self.get().await?;
            let line = own.line();
            let outcome = work(own).await;
            line.done();
            outcome
        };
        let call = self.writing.begin();
        call.end(self.attempt(Instant::now() + deadline, whole).await)
    }

    /// Does `work` in a transaction, which it ends itself; again if the server refuses it, for it was rolled back then.
    pub async fn transaction<T, F>(&self, deadline: Duration, work: impl Fn(Transaction) -> F) -> Result<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let call = self.writing.begin();
        call.end(self.begin_and_work(BEGIN, deadline, work).await)
    }

    /// Reads in a transaction that sees one state of the database throughout. `deadline` is for the reading; the server
    /// gives up then too.
    pub async fn snapshot<T, F>(&self, deadline: Duration, work: impl Fn(Transaction) -> F) -> Result<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let begin = format!(
            "begin isolation level repeatable read, read only; set local statement_timeout = {}",
            deadline.as_millis()
        );
        let call = self.reading_long.begin();
        call.end(self.begin_and_work(&begin, deadline, work).await)
    }

    async fn begin_and_work<T, F>(&self, begin: &str, deadline: Duration, work: impl Fn(Transaction) -> F) -> Result<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let end = Instant::now() + deadline;
        let mut attempt = 1;
        loop {
            // A request's patience is enough for any connection to be there, however long the work may take.
            let begin_by = end.min(Instant::now() + REQUEST_DEADLINE);
            let begun = self.attempt(begin_by, async { self.get().await?.begin(begin).await }).await;
            let outcome = match begun {
                Ok(transaction) => {
                    let line = transaction.0.line();
                    let whole = async {
                        let outcome = work(transaction).await;
                        line.done();
                        outcome
                    };
                    self.attempt(end, whole).await
                }
                Err(failure) => Err(failure),
            };
            match outcome {
                Ok(done) => return Ok(done),
                Err(failure) if failure.is_servers_own() && attempt < ATTEMPTS => {
                    tracing::debug!(?failure, attempt, "a transaction is tried again");
                    attempt += 1;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    async fn attempt<T>(&self, end: Instant, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        let outcome = timeout_at(end, work).await.unwrap_or_else(|_| Err(late().into()));
        if outcome.as_ref().is_err_and(Failure::is_read_only) {
            self.renew();
        }
        outcome
    }
}

/// What is said of an answer that did not come in time.
pub fn late() -> StoreError {
    StoreError::Unavailable("no answer in time".to_owned())
}
