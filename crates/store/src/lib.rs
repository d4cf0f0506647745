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
mod page;
mod placement;
mod postgres;
mod progress;
mod repository;
mod rows;
mod sqlite;
mod system;
mod url;

use std::sync::Arc;

use convoke_domain::Environment;
use convoke_provider::{AccountStorage, SandboxStorage};

pub use changes::Changes;
/// What is kept of a messenger's accounts, for those that are not to know messengers.
pub use convoke_provider::{Account, AccountCondition, AccountId};
pub use document::DOCUMENT_VERSION;
pub use error::StoreError;
pub use operator::{Cancellation, OperationDetails, OperationFilter, Retry};
pub use page::{ChatPage, ChatWalk};
pub use postgres::PostgresStore;
pub use progress::{Progress, Reached, Unit};
pub use repository::{
    AcceptedChat, ChatDocument, ChatInvitation, IdempotencyKey, NewChat, NewRemoval, Registration, Removal, Repository,
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

/// Opens the database, creating the folder and file of a SQLite one.
///
/// # Errors
/// [`StoreError`], told so that its words alone help whoever configured the database.
pub async fn open(options: &OpenOptions, environment: Arc<dyn Environment>) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match &options.url {
        DatabaseUrl::Sqlite(path) => {
            Arc::new(SqliteStore::open(path, options.migrate, options.serve, environment).await?)
        }
        DatabaseUrl::Postgres(url) => Arc::new(PostgresStore::open(url, options.migrate, environment).await?),
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
