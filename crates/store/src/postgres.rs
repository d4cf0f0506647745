//! PostgreSQL: short reads over shared, pipelined connections, transactions over a small pool, registrations in batches.
//!
//! Everything that is shared lives on a runtime of the store's own, so that callers may come from many runtimes, and go.

mod accounts;
mod attempts;
mod background;
mod connect;
mod counts;
pub mod deadline;
mod events;
mod examine;
mod failure;
mod gather;
mod groups;
mod keys;
mod list;
mod migrations;
mod near_page;
mod notify;
mod operations;
mod operator;
mod pipeline;
mod pool;
mod read;
mod register;
mod removal;
mod replica;
mod retries;
mod sandbox;
pub(crate) mod schema;
pub(crate) mod settings;
mod sql;
mod system;
mod tls;
mod together;
mod tokens;
mod upkeep;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use convoke_domain::{
    ChatFilter, ChatId, ChatQuery, Environment, Operation, OperationId, PageSize, TenantId, WalkPosition,
};
use convoke_provider::NewSandboxGroup;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use crate::{
    Changes, ChatDocument, ChatInvitation, ChatPage, ChatWalk, Freshness, Migrate, NewChat, NewRemoval, Position,
    Progress, Reader, Reads, Registration, Removal, ReplicaOptions, Repository,
    error::{Result, StoreError},
    lanes::Turns,
    measure,
    patience::SlowReads,
};

use self::{
    attempts::Attempts,
    background::Background,
    connect::{ConnectError, Connector},
    deadline::{in_a_task, of_a_call},
    failure::Outcome,
    gather::Gathered,
    migrations::MigrationError,
    near_page::NearPage,
    notify::Herald,
    pipeline::Pipelines,
    pool::{Own, Pool},
    read::WantedChat,
    register::Registrar,
    replica::{Replica, ReplicaFirst},
    together::Together,
};

/// How long a start waits for a database that is not there yet.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// How long a read may take that is not short.
const SLOW_DEADLINE: Duration = Duration::from_secs(10);

/// How many of those run at once, so that most of the pool's connections are left for others.
const SLOW_READS: usize = 4;

/// A PostgreSQL database, opened.
pub struct PostgresStore {
    reads: Arc<Pipelines>,
    chat_reads: Together<WantedChat>,
    page_reads: Together<NearPage>,
    pool: Pool,
    registrar: Registrar,
    attempts: Attempts,
    sandbox_groups: Gathered<NewSandboxGroup, ()>,
    herald: Arc<Herald>,
    slow_reads: SlowReads,
    replica: Option<Arc<Replica>>,
    environment: Arc<dyn Environment>,
    turns: Turns,
    /// The last to go: the others live on it.
    _background: Background,
}

impl PostgresStore {
    /// Opens the database at `url`, a libpq URL.
    ///
    /// What somebody must correct (the URL, the log-in, the certificate, the name of the database) fails at once. A
    /// server that can't be reached may be about to start: with [`Migrate::Auto`] it is waited for, half a minute, for
    /// nothing can be done without its schema; with [`Migrate::Off`] the store opens without it, and every call says that
    /// it is unavailable until it is there.
    ///
    /// # Errors
    /// [`StoreError::Open`], or [`StoreError::Unavailable`] if a server that was waited for did not come.
    pub async fn open(url: &SecretString, migrate: Migrate, environment: Arc<dyn Environment>) -> Result<Self> {
        Self::open_with_replica(url, None, migrate, environment).await
    }

    /// The same with a replica, which may be away and may come later.
    ///
    /// # Errors
    /// Those of [`Self::open`]; also [`StoreError::Open`] if the replica can't be used as it is configured.
    pub async fn open_with_replica(
        url: &SecretString,
        replica: Option<&ReplicaOptions>,
        migrate: Migrate,
        environment: Arc<dyn Environment>,
    ) -> Result<Self> {
        let connector = Arc::new(Connector::new(url.expose_secret())?);
        let background = Background::start().map_err(|error| StoreError::Open(format!("no thread: {error}")))?;
        let runtime = background.handle();
        prepare(&connector, migrate, runtime, &(Arc::new(()) as Arc<dyn Progress>)).await?;
        let herald = Arc::new(Herald::start(connector.clone(), Arc::default(), runtime));
        let pool = Pool::new(connector.clone(), runtime.clone())?;
        let reads = Arc::new(Pipelines::new(connector));
        measure::replicas();
        let replica = replica.map(|options| Replica::start(options, reads.clone(), runtime)).transpose()?;
        Ok(Self {
            chat_reads: Together::new(reads.clone()),
            page_reads: Together::new(reads.clone()),
            reads,
            registrar: Registrar::new(pool.clone(), herald.clone(), runtime),
            attempts: Attempts::new(&pool, &environment, runtime),
            sandbox_groups: sandbox::inserts(&pool, runtime),
            pool,
            herald,
            slow_reads: SlowReads::new(SLOW_READS),
            replica,
            environment,
            turns: Turns::default(),
            _background: background,
        })
    }

    /// Brings the schema of the database at `url` up to date. A server that can't be reached is waited for, half a minute.
    ///
    /// # Errors
    /// As [`PostgresStore::open`] with [`Migrate::Auto`].
    pub async fn migrate(url: &SecretString, progress: &Arc<dyn Progress>) -> Result<()> {
        let connector = Arc::new(Connector::new(url.expose_secret())?);
        let background = Background::start().map_err(|error| StoreError::Open(format!("no thread: {error}")))?;
        prepare(&connector, Migrate::Auto, background.handle(), progress).await
    }

    /// Does something that is one statement, or several that need not be one transaction.
    async fn write_once<T, F>(&self, work: impl Fn(Own) -> F) -> Result<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        Ok(self.pool.once(of_a_call(), work).await?)
    }
}

/// Sees to it that the database can be used, as far as it is asked for.
async fn prepare(
    connector: &Arc<Connector>,
    migrate: Migrate,
    runtime: &Handle,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    let end = Instant::now() + START_DEADLINE;
    let mut pause = Duration::from_millis(100);
    let mut told = String::new();
    loop {
        let (connector, handle, progress) = (connector.clone(), runtime.clone(), progress.clone());
        // On the store's runtime, so that the caller's may be of any kind.
        let attempt = runtime.spawn(async move {
            match migrate {
                Migrate::Auto => migrations::apply(&connector, &handle, progress).await,
                Migrate::Off => connector.connect().await.map(drop).map_err(MigrationError::Connect),
            }
        });
        let reason = match attempt.await.map_err(|error| StoreError::Open(error.to_string()))? {
            Ok(()) => return Ok(()),
            Err(MigrationError::Failed(reason)) => {
                return Err(StoreError::Open(format!("the schema can't be brought up to date: {reason}")));
            }
            Err(MigrationError::Connect(ConnectError::Refused(reason))) => {
                return Err(StoreError::Open(format!("PostgreSQL refuses the connection: {reason}")));
            }
            Err(MigrationError::Connect(ConnectError::Unreachable(reason))) => reason,
        };
        if migrate == Migrate::Off {
            tracing::warn!(%reason, "PostgreSQL can't be reached yet");
            return Ok(());
        }
        if Instant::now() + pause > end {
            return Err(StoreError::Unavailable(reason));
        }
        if reason != told {
            tracing::warn!(%reason, "PostgreSQL can't be reached yet: trying again for half a minute");
            told = reason;
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

#[async_trait]
impl Reads for PostgresStore {
    async fn find_chat(&self, tenant: &TenantId, id: ChatId) -> Result<Option<ChatDocument>> {
        self.chat_reads.ask(WantedChat { tenant: tenant.clone(), id }).await
    }

    async fn find_invitation(&self, tenant: &TenantId, id: ChatId) -> Result<Option<ChatInvitation>> {
        self.reads.look_up(|shared| async move { read::invitation(shared.queries(), tenant, id).await }).await
    }

    async fn list_chats(&self, tenant: &TenantId, query: &ChatQuery) -> Result<ChatPage> {
        if let Some(page) = NearPage::new(tenant, query) {
            return self.page_reads.ask(page).await;
        }
        let turn = self.slow_reads.turn(tenant, of_a_call()).await?;
        let (pool, tenant, query) = (self.pool.clone(), tenant.clone(), query.clone());
        in_a_task(async move {
            let _turn = turn;
            pool.snapshot(SLOW_DEADLINE, |work| list::page_of(work, &tenant, &query)).await
        })
        .await?
    }

    async fn walk_chats(
        &self,
        tenant: &TenantId,
        filter: &ChatFilter,
        after: Option<WalkPosition>,
        size: PageSize,
    ) -> Result<ChatWalk> {
        self.reads.read(|shared| async move { list::walk(shared.queries(), tenant, filter, after, size).await }).await
    }

    async fn find_operation(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>> {
        self.reads.look_up(|shared| async move { read::operation(shared.queries(), tenant, id).await }).await
    }
}

#[async_trait]
impl Repository for PostgresStore {
    async fn register_chat(&self, tenant: &TenantId, chat: NewChat) -> Result<Registration> {
        self.registrar.register(tenant, chat).await
    }

    async fn request_removal(&self, tenant: &TenantId, removal: NewRemoval) -> Result<Removal> {
        let removed = removal::request(&self.pool, tenant, &removal).await?;
        if matches!(removed, Removal::Accepted(_)) {
            self.herald.operations();
        }
        Ok(removed)
    }

    fn changes(&self) -> &Changes {
        self.herald.changes()
    }

    fn as_fresh_as(&self, freshness: Freshness) -> Reader<'_> {
        match &self.replica {
            Some(replica) => Reader::Replicated(Box::new(ReplicaFirst { primary: self, replica, freshness })),
            None => Reader::Itself(self),
        }
    }

    fn is_replicated(&self) -> bool {
        self.replica.is_some()
    }

    async fn position(&self) -> Option<Position> {
        self.replica.as_ref()?.position().await
    }
}

#[cfg(test)]
mod tests;
