//! Connections for transactions, and for what may take long: each belongs to one caller at a time.

use std::{ops::Deref, sync::Arc, time::Duration};

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
    deadline::{REQUEST_DEADLINE, of_a_call},
    failure::{Failure, Outcome},
};
use crate::{
    Connections,
    error::{Result, StoreError},
    measure::{self, Calls},
};

/// How many connections there are at most.
const SIZE: usize = 10;

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
}

impl Manager for Opener {
    type Type = Connection;
    type Error = ConnectError;

    async fn create(&self) -> Result<Connection, ConnectError> {
        let connector = self.connector.clone();
        let opened = self.runtime.spawn(async move { connector.connect().await }).await;
        opened.map_err(|_| ConnectError::Unreachable("the store is being closed".to_owned()))?
    }

    /// Asks nothing of the server: that would double the time of a short transaction.
    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<ConnectError> {
        // Whoever had it left a transaction open: went away in the middle, or failed.
        let is_open = AnsiTransactionManager::is_broken_transaction_manager(&mut connection.queries);
        if is_open || !self.connector.is_current(connection) {
            return Err(RecycleError::message("not as it was"));
        }
        Ok(())
    }
}

/// The connections.
#[derive(Clone)]
pub struct Pool {
    connections: deadpool::managed::Pool<Opener>,
    connector: Arc<Connector>,
    writing: Calls,
    reading_long: Calls,
}

/// A connection that is the caller's own for a while.
pub struct Own(Object<Opener>);

impl Deref for Own {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        &self.0.queries
    }
}

impl Own {
    fn line(&self) -> EndUnlessDone {
        EndUnlessDone(Some(self.0.life.line()))
    }

    async fn begin(mut self, statement: &str) -> Outcome<Transaction> {
        AnsiTransactionManager::begin_transaction_sql(&mut self.0.queries, statement).await?;
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

/// Ends a connection whose user went away in the middle, or ended no transaction: somebody else would get the answers, and
/// its locks would be kept until then.
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
        Ok(AnsiTransactionManager::commit_transaction(&mut self.0.0.queries).await?)
    }

    /// Undoes everything, and keeps the connection.
    pub async fn roll_back(mut self) -> Outcome<()> {
        Ok(AnsiTransactionManager::rollback_transaction(&mut self.0.0.queries).await?)
    }
}

impl Pool {
    pub fn new(connector: Arc<Connector>, runtime: Handle) -> Result<Self> {
        let opener = Opener { connector: connector.clone(), runtime };
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
        Ok(Self { connections, connector, writing: Calls::new("write"), reading_long: Calls::new("long_read") })
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
        let call = self.reading_long.begin();
        call.end(self.begin_and_work(&begin_snapshot(deadline), deadline, work).await)
    }

    /// The same, once, on a connection that `look` has let pass within `patience`; nothing if it has not.
    pub async fn snapshot_where<T, L, F>(
        &self,
        patience: Duration,
        look: impl Fn(Own) -> L,
        deadline: Duration,
        work: impl Fn(Transaction) -> F,
    ) -> Outcome<Option<T>>
    where
        L: Future<Output = Outcome<Option<Own>>>,
        F: Future<Output = Outcome<T>>,
    {
        let begun = self.attempt(Instant::now() + patience, async {
            let own = self.get().await?;
            let line = own.line();
            let passed = look(own).await?;
            line.done();
            match passed {
                Some(own) => own.begin(&begin_snapshot(deadline)).await.map(Some),
                None => Ok(None),
            }
        });
        let Some(transaction) = begun.await? else { return Ok(None) };
        let line = transaction.0.line();
        let call = self.reading_long.begin();
        let whole = async {
            let done = work(transaction).await?;
            line.done();
            Ok(done)
        };
        call.end(self.attempt(Instant::now() + deadline, whole).await).map(Some)
    }

    async fn begin_and_work<T, F>(&self, begin: &str, deadline: Duration, work: impl Fn(Transaction) -> F) -> Result<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let end = Instant::now() + deadline;
        let mut attempt = 1;
        loop {
            // A request's patience is enough for any connection to be there, however long the work may take.
            let begin_by = end.min(Instant::now() + of_a_call());
            let begun = self.attempt(begin_by, async { self.get().await?.begin(begin).await }).await;
            let outcome = match begun {
                Ok(transaction) => {
                    let line = transaction.0.line();
                    let whole = async {
                        let done = work(transaction).await?;
                        line.done();
                        Ok(done)
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
            tracing::warn!("the server takes no writes any more: every connection is opened anew");
            self.connector.renew();
            self.connections.retain(|_, _| false);
        }
        outcome
    }
}

/// Begins to read in a transaction that the server gives up after this time.
fn begin_snapshot(deadline: Duration) -> String {
    format!("begin isolation level repeatable read, read only; set local statement_timeout = {}", deadline.as_millis())
}

/// What is said of an answer that did not come in time.
pub fn late() -> StoreError {
    StoreError::Unavailable("no answer in time".to_owned())
}
