//! The repositories of Convoke: one interface, on PostgreSQL and on SQLite, each the best its database can do.
//!
//! [`Repository`] is what requests need and takes the tenant in every call; [`SystemRepository`] is what the service
//! itself needs across tenants. [`open`] gives a [`Store`], which is both, and the storage that providers ask for.

mod changes;
mod counts;
mod document;
mod error;
mod examine;
mod intake;
mod lanes;
mod measure;
mod migrate;
mod operator;
mod origin;
mod page;
mod patience;
mod placement;
mod position;
mod postgres;
mod progress;
mod repository;
mod rows;
mod sql;
mod sqlite;
mod system;
mod url;

use std::{sync::Arc, time::Duration};

use convoke_domain::Environment;
use convoke_provider::{AccountStorage, SandboxStorage};
use secrecy::SecretString;

pub use changes::Changes;
/// What is kept of a messenger's accounts, for those that are not to know messengers.
pub use convoke_provider::{Account, AccountCondition, AccountId};
pub use document::DOCUMENT_VERSION;
pub use error::StoreError;
pub use operator::{Cancellation, OperationDetails, OperationFilter, Retry};
pub use origin::Origin;
pub use page::{ChatPage, ChatWalk};
pub use position::{Freshness, Position};
pub use postgres::{PostgresStore, deadline::having_spent};
pub use progress::{Progress, Reached, Unit};
pub use repository::{
    AcceptedChat, ChatDocument, ChatInvitation, IdempotencyKey, NewChat, NewRemoval, Reader, Reads, Registration,
    Removal, Repository,
};
pub use sqlite::{BackupError, SqliteStore};
pub use system::{
    Claim, ClaimedOperation, Connections, DoctorReport, Finding, Lease, NewToken, OpenOperations, Outcome, Retention,
    StoredToken, SystemRepository, Work,
};
pub use url::DatabaseUrl;

/// A database with everything that the service keeps in it.
pub trait Store: Repository + SystemRepository + SandboxStorage + AccountStorage {}

impl<T: Repository + SystemRepository + SandboxStorage + AccountStorage> Store for T {}

/// Whether a store brings its schema up to date when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Migrate {
    /// Missing migrations are applied, by one process at a time.
    #[default]
    Auto,
    /// The schema is taken as it is; until it is there, [`SystemRepository::ready`] fails.
    Off,
}

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Which database.
    pub url: DatabaseUrl,
    /// Whether its schema is brought up to date.
    pub migrate: Migrate,
    /// Whether this process is the one that serves it: on SQLite there is only one, held by a lock file.
    pub serve: bool,
}

/// A replica of a PostgreSQL database, or several behind one address, from which may be read.
#[derive(Debug, Clone)]
pub struct ReplicaOptions {
    /// A libpq URL.
    pub url: SecretString,
    /// How old what is read from it may be.
    pub max_lag: Duration,
}

/// Opens the database, creating the folder and file of a SQLite one.
///
/// # Errors
/// [`StoreError`], told so that its words alone help whoever configured the database.
pub async fn open(options: &OpenOptions, environment: Arc<dyn Environment>) -> Result<Arc<dyn Store>, StoreError> {
    open_with_replica(options, None, environment).await
}

/// The same, with a replica.
///
/// # Errors
/// Those of [`open`]; also [`StoreError::Open`] if there can be no such replica.
pub async fn open_with_replica(
    options: &OpenOptions,
    replica: Option<&ReplicaOptions>,
    environment: Arc<dyn Environment>,
) -> Result<Arc<dyn Store>, StoreError> {
    let OpenOptions { url, migrate, serve } = options;
    Ok(match url {
        DatabaseUrl::Sqlite(_) if replica.is_some() => {
            return Err(StoreError::Open("SQLite has no read replicas".to_owned()));
        }
        DatabaseUrl::Sqlite(path) => Arc::new(SqliteStore::open(path, *migrate, *serve, environment).await?),
        DatabaseUrl::Postgres(url) => {
            Arc::new(PostgresStore::open_with_replica(url, replica, *migrate, environment).await?)
        }
    })
}

/// Brings the schema of the database up to date, as opening it with [`Migrate::Auto`] does, and tells how far it has come.
///
/// # Errors
/// As [`open`].
pub async fn migrate(url: &DatabaseUrl, progress: Arc<dyn Progress>) -> Result<(), StoreError> {
    match url {
        DatabaseUrl::Sqlite(path) => SqliteStore::migrate(path, progress).await,
        DatabaseUrl::Postgres(url) => PostgresStore::migrate(url, &progress).await,
    }
}
