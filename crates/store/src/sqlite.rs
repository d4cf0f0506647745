//! The embedded default: SQLite, in WAL mode, synced to disk at every commit.

mod accounts;
mod backup;
mod counts;
mod events;
mod examine;
mod groups;
mod id;
mod list;
mod operations;
mod operator;
mod people;
mod register;
mod removal;
mod retries;
mod sandbox;
pub(crate) mod schema;
mod sql;
mod system;
#[cfg(test)]
mod tests;
mod threads;
mod tokens;

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use convoke_domain::{
    ChatFilter, ChatId, ChatQuery, Environment, Operation, OperationId, PageSize, TenantId, WalkPosition,
};
use diesel::{
    SqliteConnection,
    migration::{Migration, MigrationSource},
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use crate::{
    Changes, ChatDocument, ChatInvitation, ChatPage, ChatWalk, Freshness, Migrate, NewChat, NewRemoval, Position,
    Progress, Reader, Reads, Registration, Removal, Repository,
    error::{Result, StoreError},
    lanes::Turns,
    migrate::apply_missing,
    patience::SlowReads,
};

pub use backup::BackupError;

/// How long a slow read waits for its turn.
const SLOW_PATIENCE: Duration = Duration::from_secs(2);

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");

/// A SQLite database, opened.
pub struct SqliteStore {
    threads: threads::Threads,
    changes: Changes,
    environment: Arc<dyn Environment>,
    turns: Turns,
    slow_reads: SlowReads,
    /// Held for as long as this process serves the database.
    _serving: Option<File>,
}

impl SqliteStore {
    /// Opens the database in the file at `path`, making it and its folder if they are not there.
    ///
    /// # Errors
    /// [`StoreError::Open`] if it can't be opened, or if `serve` and another process serves it.
    pub async fn open(path: &Path, migrate: Migrate, serve: bool, environment: Arc<dyn Environment>) -> Result<Self> {
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            let path = provide(&path)?;
            let serving = if serve { Some(lock(&path)?) } else { None };
            if migrate == Migrate::Auto {
                apply_migrations(&path, &())?;
            }
            Ok::<_, StoreError>((threads::Threads::start(&path)?, serving))
        });
        let (threads, serving) = opened.await.map_err(|error| StoreError::Open(error.to_string()))??;
        if serving.is_some() {
            // Only one process serves this database: whoever held leases is gone. Without a schema there are none.
            let now = environment.now();
            let release = move |connection: &mut SqliteConnection| {
                accounts::release_all(connection)?;
                operations::release(connection, None, now)
            };
            match threads.write(release).await {
                Ok(released) => tracing::debug!(released, "leases of a process that is gone were given back"),
                Err(error) => tracing::debug!(%error, "no leases could be given back"),
            }
        }
        Ok(Self {
            threads,
            changes: Changes::default(),
            environment,
            turns: Turns::default(),
            slow_reads: SlowReads::new(threads::SLOW_READERS),
            _serving: serving,
        })
    }

    /// Brings the schema of the database at `path` up to date, making the database if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Open`], which says why not.
    pub async fn migrate(path: &Path, progress: Arc<dyn Progress>) -> Result<()> {
        let path = path.to_owned();
        let applied = tokio::task::spawn_blocking(move || apply_migrations(&provide(&path)?, &*progress));
        applied.await.map_err(|error| StoreError::Open(error.to_string()))?
    }
}

/// Who may read a database, its log and its copies: their owner, nobody else. They hold sessions and what tokens are known
/// by.
const MODE: u32 = 0o600;

/// Sees to it that there is a file for the database, and a folder for that; gives its real name, which is the same whatever
/// links lead to it.
fn provide(path: &Path) -> Result<PathBuf> {
    let failed = |place: &Path, error| StoreError::Open(format!("{} can't be opened: {error}", place.display()));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| failed(folder, error))?;
    }
    // A file that is there is not opened: to close it would take SQLite's locks from whoever has it open in this process.
    match OpenOptions::new().write(true).create_new(true).mode(MODE).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(path, error)),
        _ => fs::canonicalize(path).map_err(|error| failed(path, error)),
    }
}

/// Takes the lock that one serving process holds; the system gives it back when that process ends, however it ends.
fn lock(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&name);
    let file = open.map_err(|error| StoreError::Open(format!("{} can't be opened: {error}", name.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Open(format!(
            "another `convoke serve` already serves the SQLite database {}; stop it first, or use PostgreSQL for several",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => {
            Err(StoreError::Open(format!("{} can't be locked: {error}", name.display())))
        }
    }
}

/// Applies what is missing of the schema, in one transaction, so that of several processes one does it.
fn apply_migrations(path: &Path, progress: &dyn Progress) -> Result<()> {
    let mut connection = threads::connect(path)?;
    let applied = connection
        .immediate_transaction(|connection| apply_missing(connection, MIGRATIONS, progress).map_err(MigrationFailed));
    applied.map_err(|MigrationFailed(error)| {
        StoreError::Open(format!("the schema of {} can't be brought up to date: {error}", path.display()))
    })
}

struct MigrationFailed(Box<dyn std::error::Error + Send + Sync>);

impl From<diesel::result::Error> for MigrationFailed {
    fn from(error: diesel::result::Error) -> Self {
        Self(error.into())
    }
}

/// The names of the migrations that this release knows.
fn known_migrations() -> Result<Vec<String>> {
    let known = MigrationSource::<diesel::sqlite::Sqlite>::migrations(&MIGRATIONS);
    let known = known.map_err(|error| StoreError::Inconsistent(error.to_string()))?;
    Ok(known.iter().map(|migration| migration.name().version().to_string()).collect())
}

#[async_trait]
impl Reads for SqliteStore {
    async fn find_chat(&self, tenant: &TenantId, id: ChatId) -> Result<Option<ChatDocument>> {
        if let Some(found) = self.threads.look_up(|connection| list::find(connection, tenant, id)) {
            return Ok(found);
        }
        let tenant = tenant.clone();
        self.threads.read(move |connection| list::find(connection, &tenant, id)).await
    }

    async fn find_invitation(&self, tenant: &TenantId, id: ChatId) -> Result<Option<ChatInvitation>> {
        let tenant = tenant.clone();
        self.threads.read(move |connection| list::find_invitation(connection, &tenant, id)).await
    }

    async fn list_chats(&self, tenant: &TenantId, query: &ChatQuery) -> Result<ChatPage> {
        let (of, query) = (tenant.clone(), query.clone());
        if query.sort.by_registration().is_some() {
            return self.threads.read(move |connection| list::page(connection, &of, &query)).await;
        }
        // Other orders may take all chats into the hand. The turn is held until that is done, though whoever asked may go
        // away.
        let turn = self.slow_reads.turn(tenant, SLOW_PATIENCE).await?;
        let question = move |connection: &mut SqliteConnection| {
            let _turn = turn;
            list::page(connection, &of, &query)
        };
        self.threads.read_slowly(question).await
    }

    async fn walk_chats(
        &self,
        tenant: &TenantId,
        filter: &ChatFilter,
        after: Option<WalkPosition>,
        size: PageSize,
    ) -> Result<ChatWalk> {
        let (tenant, filter) = (tenant.clone(), filter.clone());
        self.threads.read(move |connection| list::walk(connection, &tenant, &filter, after, size)).await
    }

    async fn find_operation(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>> {
        let tenant = tenant.clone();
        self.threads.read(move |connection| operations::find(connection, &tenant, id)).await
    }
}

#[async_trait]
impl Repository for SqliteStore {
    async fn register_chat(&self, tenant: &TenantId, chat: NewChat) -> Result<Registration> {
        let tenant = tenant.clone();
        let registration =
            self.threads.write_counted(move |writing| register::register(writing, &tenant, &chat)).await?;
        if matches!(registration, Registration::New(_)) {
            self.changes.operations.notify_one();
        }
        Ok(registration)
    }

    async fn request_removal(&self, tenant: &TenantId, removal: NewRemoval) -> Result<Removal> {
        let tenant = tenant.clone();
        let removed = self.threads.write(move |connection| removal::request(connection, &tenant, &removal)).await?;
        if matches!(removed, Removal::Accepted(_)) {
            self.changes.operations.notify_one();
        }
        Ok(removed)
    }

    fn changes(&self) -> &Changes {
        &self.changes
    }

    fn as_fresh_as(&self, _freshness: Freshness) -> Reader<'_> {
        Reader::Itself(self)
    }

    fn is_replicated(&self) -> bool {
        false
    }

    async fn position(&self) -> Option<Position> {
        None
    }
}
