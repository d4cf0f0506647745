//! A connection to a replica.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use diesel::{
    OptionalExtension,
    sql_types::{BigInt, Nullable},
};
use diesel_async::AsyncPgConnection;
use tokio::time::sleep;

use crate::{
    Position,
    postgres::{
        connect::{Connection, Connector},
        failure::Outcome,
        sql::Sql,
    },
};

/// How long after a connection could not be opened the next one is tried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Replicas are a few milliseconds behind: who asks for what was just written is given that long, a few times over.
const PAUSES: [Duration; 3] = [Duration::from_millis(2), Duration::from_millis(8), Duration::from_millis(20)];

/// A connection to a replica, which many use at once.
pub struct Standby {
    connection: Connection,
    /// What it is known to have replayed; it may be further by now.
    replayed: AtomicU64,
}

impl Standby {
    /// For queries.
    pub const fn queries(&self) -> &AsyncPgConnection {
        &self.connection.queries
    }

    /// Closes the connection.
    pub fn end(&self) {
        self.connection.life.end();
    }

    /// Whether this is replayed, as far as it is known.
    pub async fn has(&self, floor: Position) -> Outcome<bool> {
        match self.replayed.load(Ordering::Acquire) {
            // It was never asked.
            0 => self.is_now_at(floor).await,
            replayed => Ok(Position(replayed) >= floor),
        }
    }

    /// Whether this is replayed, perhaps after a moment.
    pub async fn reaches(&self, floor: Position) -> Outcome<bool> {
        if self.has(floor).await? {
            return Ok(true);
        }
        for pause in PAUSES {
            if self.is_now_at(floor).await? {
                return Ok(true);
            }
            sleep(pause).await;
        }
        self.is_now_at(floor).await
    }

    async fn is_now_at(&self, floor: Position) -> Outcome<bool> {
        Ok(self.look().await?.is_some_and(|replayed| replayed >= floor))
    }

    /// Asks what is replayed; nothing if it is no replica any more.
    pub async fn look(&self) -> Outcome<Option<Position>> {
        let replayed = replayed(self.queries()).await?;
        if let Some(Position(replayed)) = replayed {
            self.replayed.fetch_max(replayed, Ordering::AcqRel);
        }
        Ok(replayed)
    }
}

/// What a replica has replayed. A statement after this one sees all of it; nothing, if it is none.
pub async fn replayed(mut queries: &AsyncPgConnection) -> Outcome<Option<Position>> {
    // Here alone: it would give atomics a `load` too.
    use diesel_async::RunQueryDsl as _;
    const ASK: &str = "select (pg_last_wal_replay_lsn() - '0/0')::bigint where pg_is_in_recovery()";
    let replayed: Option<Option<i64>> = Sql::<Nullable<BigInt>>::new(ASK).get_result(&mut queries).await.optional()?;
    Ok(replayed.flatten().map(|replayed| Position(replayed.unsigned_abs())))
}

/// Where a thread finds its connection.
#[derive(Default)]
pub struct Door(Arc<Behind>);

#[derive(Default)]
struct Behind {
    standby: RwLock<Option<Arc<Standby>>>,
    is_opening: AtomicBool,
}

impl Door {
    /// The connection, if it is there.
    pub fn open(&self) -> Option<Arc<Standby>> {
        let standby = self.0.standby.read().unwrap_or_else(PoisonError::into_inner);
        standby.as_ref().filter(|standby| !standby.connection.life.is_over()).cloned()
    }

    /// The same. If it is not there, one is opened on this runtime, and nobody waits for it.
    pub fn standby(&self, connector: &Arc<Connector>) -> Option<Arc<Standby>> {
        let standby = self.open();
        if standby.is_none() && !self.0.is_opening.swap(true, Ordering::AcqRel) {
            let opening = Opening(self.0.clone());
            let connector = connector.clone();
            tokio::spawn(async move {
                match connector.connect().await {
                    Ok(connection) => opening.done(connection),
                    Err(error) => {
                        tracing::debug!(?error, "no replica can be reached");
                        sleep(RETRY_AFTER).await;
                    }
                }
            });
        }
        standby
    }
}

/// The right to open a connection, given back however that ends: its runtime may end too.
struct Opening(Arc<Behind>);

impl Opening {
    fn done(&self, connection: Connection) {
        let standby = Standby { connection, replayed: AtomicU64::new(0) };
        *self.0.standby.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(standby));
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.is_opening.store(false, Ordering::Release);
    }
}
