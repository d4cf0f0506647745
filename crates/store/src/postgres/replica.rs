//! Read replicas: what may be a little old is read from one, if it is known how old it is.
//!
//! Two questions are one. What is read at a position has to be read where that was replayed. And a replica lags too much
//! if it has not replayed what the primary had written that long ago: that is a position too, which the watcher knows, for
//! it asks the primary now and then. No clock but our own is looked at, and a replica that is cut off from its primary is
//! seen to lag, though it has replayed everything that it got.
//!
//! Behind one address there may be several replicas, so what was replayed is known of each connection by itself.
//!
//! Nobody waits for a replica and nothing fails for its sake: connections are opened aside, and whoever finds none, or
//! gets no answer at once, asks the primary.

mod history;
mod reads;
mod standby;

use std::{sync::Arc, time::Duration};

use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use secrecy::ExposeSecret;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

use super::{
    connect::Connector,
    failure::Outcome,
    gather::{self, Gathered},
    pipeline::Pipelines,
    pool::{Own, Pool, Transaction},
    sql::Sql,
};
use crate::{
    Freshness, Position, ReplicaOptions,
    error::{Result, StoreError},
    measure,
};

use self::{
    history::History,
    standby::{Door, Standby},
};

pub use reads::ReplicaFirst;

/// How long a replica may take to answer: then there is still time to ask the primary.
const PATIENCE: Duration = Duration::from_millis(300);

/// How long the answer to a write waits for its position; without it, it is answered all the same.
const POSITION_PATIENCE: Duration = Duration::from_millis(250);

/// How many positions are told by one question at most.
const ASKED_AT_ONCE: usize = 512;

/// How often the primary and the replicas are asked where they stand, at least.
const LONGEST_BREAK: Duration = Duration::from_secs(1);
const SHORTEST_BREAK: Duration = Duration::from_millis(20);

/// The replicas behind an address, and how far the primary is.
pub struct Replica {
    /// Gives each thread its place, here as there.
    primary: Arc<Pipelines>,
    connector: Arc<Connector>,
    doors: Vec<Door>,
    /// For what may take long.
    long: Pool,
    history: History,
    positions: Gathered<(), Position>,
}

impl Replica {
    /// Begins to watch.
    pub fn start(options: &ReplicaOptions, primary: Arc<Pipelines>, runtime: &Handle) -> Result<Arc<Self>> {
        let connector = Arc::new(Connector::to_replica(options.url.expose_secret())?);
        let positions = {
            let primary = primary.clone();
            Gathered::new(runtime, ASKED_AT_ONCE, move |asked| {
                let primary = primary.clone();
                async move {
                    let (asked, answers) = gather::apart(asked);
                    answers.give(vec![position(&primary).await; asked.len()]);
                }
            })
        };
        let replica = Arc::new(Self {
            doors: (0..primary.places()).map(|_| Door::default()).collect(),
            long: Pool::new(connector.clone(), runtime.clone())?,
            history: History::new(options.max_lag),
            primary,
            connector,
            positions,
        });
        runtime.spawn(watch(replica.clone()));
        Ok(replica)
    }

    /// A position after everything that was committed before the call; those who ask together are told together.
    pub async fn position(&self) -> Option<Position> {
        let position = self.positions.make((), POSITION_PATIENCE).await;
        position.inspect_err(|error| tracing::debug!(%error, "a position is not known")).ok()
    }

    /// Asks a replica something short; nothing if there is none that will do.
    pub async fn ask<T, F>(&self, freshness: Freshness, query: impl Fn(Arc<Standby>) -> F) -> Option<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let floor = self.floor(freshness)?;
        let standby = self.standby()?;
        let answer = timeout(PATIENCE, async {
            let is_fit = match freshness {
                Freshness::AtLeast(_) => standby.reaches(floor).await?,
                // One that lags is not waited for.
                Freshness::Newest | Freshness::Recent => standby.has(floor).await?,
            };
            if is_fit { query(standby.clone()).await.map(Some) } else { Ok(None) }
        });
        match answer.await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(failure)) => {
                tracing::debug!(?failure, "a replica does not answer");
                if failure.is_lost_connection() {
                    standby.end();
                }
            }
            Err(_) => {
                tracing::warn!("a replica does not answer in time: its connection is closed");
                standby.end();
            }
        }
        None
    }

    /// Reads from a replica what may take long, in a transaction that sees one state of the database throughout; nothing
    /// if there is none that will do.
    async fn ask_long<T, F>(
        &self,
        freshness: Freshness,
        deadline: Duration,
        work: impl Fn(Transaction) -> F,
    ) -> Option<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let floor = self.floor(freshness)?;
        // A sign of life, so that nobody waits in vain for a connection of their own.
        let _standby = self.standby()?;
        // Before the transaction begins, for what it sees is settled by its first statement.
        let look = |own: Own| async move {
            // An error has the connection closed: the next one leads to what is a replica now.
            let promoted = || StoreError::Unavailable("what was a replica is one no more".to_owned());
            let replayed = standby::replayed(&own).await?.ok_or_else(promoted)?;
            Ok((replayed >= floor).then_some(own))
        };
        let answer = self.long.snapshot_where(PATIENCE, look, deadline, work).await;
        answer.inspect_err(|failure| tracing::debug!(?failure, "a replica does not answer")).ok().flatten()
    }

    /// What has to be replayed where it is to be read; nothing if no replica will do.
    fn floor(&self, freshness: Freshness) -> Option<Position> {
        let recent = || self.history.floor(Instant::now());
        match freshness {
            Freshness::Newest => None,
            Freshness::AtLeast(position) => Some(position.max(recent()?)),
            Freshness::Recent => recent(),
        }
    }

    /// This thread's connection. If there is none, one is opened, for those who come later.
    fn standby(&self) -> Option<Arc<Standby>> {
        self.doors[self.primary.place()].standby(&self.connector)
    }

    /// Asks the primary and the replicas where they stand.
    async fn look(&self) {
        let now = Instant::now();
        match position(&self.primary).await {
            Ok(position) => self.history.note(now, position),
            Err(error) => tracing::debug!(%error, "how far the primary is is not known"),
        }
        // For the watcher itself, so that there is a connection though nobody reads.
        let _ = self.standby();
        let mut least = None;
        for standby in self.doors.iter().filter_map(Door::open) {
            match timeout(PATIENCE, standby.look()).await {
                Ok(Ok(Some(replayed))) => least = Some(least.map_or(replayed, |least: Position| least.min(replayed))),
                Ok(Ok(None)) => {
                    tracing::info!("what was a replica is one no more: its connection is closed");
                    standby.end();
                }
                Ok(Err(failure)) => {
                    tracing::debug!(?failure, "a replica does not answer");
                    standby.end();
                }
                Err(_) => {
                    tracing::debug!("a replica does not answer in time");
                    standby.end();
                }
            }
        }
        measure::replica_lag(self.history.lag(Instant::now(), least));
    }
}

/// Looks again and again, until its runtime ends.
async fn watch(replica: Arc<Replica>) {
    let pause = (replica.history.max_lag() / 4).clamp(SHORTEST_BREAK, LONGEST_BREAK);
    loop {
        replica.look().await;
        sleep(pause).await;
    }
}

/// How far the primary is. Everything that it has answered a commit of is there and sent, or will be at once: with
/// `synchronous_commit = off` it is not even written yet, so that what is about to be written counts.
async fn position(primary: &Pipelines) -> Result<Position> {
    const ASK: &str = "select (case current_setting('synchronous_commit') when 'off' then pg_current_wal_insert_lsn() \
        else pg_current_wal_flush_lsn() end - '0/0')::bigint";
    let position = primary
        .look_up(|shared| async move { Ok(Sql::<BigInt>::new(ASK).get_result::<i64>(&mut shared.queries()).await?) })
        .await?;
    Ok(Position(position.unsigned_abs()))
}
