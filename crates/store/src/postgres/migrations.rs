//! The schema, embedded in the program.

use std::{sync::Arc, thread::sleep, time::Duration};

use diesel::{
    migration::{Migration, MigrationSource},
    pg::Pg,
    sql_types::{Bool, Text},
};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tokio::runtime::Handle;

use super::{connect::Connector, failure::Outcome, sql::Sql};
use crate::{
    Progress,
    error::{Result, StoreError},
    migrate::apply_missing,
};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// Names the lock under which one process migrates; any number that nobody else uses.
const LOCK: i64 = 0x636f_6e76_6f6b_6501;

/// How long a statement of a migration waits for a lock.
const PATIENCE: &str = "set lock_timeout = '1s'";
/// What the server says when that is over, in English; where it speaks another language, whoever started it tries again.
const NO_LOCK: &str = "lock timeout";
/// How often a migration is tried while others are at its tables, and how long they have to themselves in between.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// The names of the migrations that this release knows.
fn known() -> Result<Vec<String>> {
    let known = MigrationSource::<Pg>::migrations(&MIGRATIONS).map_err(|error| StoreError::Open(error.to_string()))?;
    Ok(known.iter().map(|migration| migration.name().version().to_string()).collect())
}

/// Those that the database does not have. What it has beyond them, a newer release brought.
pub async fn missing(mut queries: &AsyncPgConnection) -> Outcome<Vec<String>> {
    let known = known()?;
    let table = "select to_regclass('__diesel_schema_migrations') is not null";
    let is_there: bool = Sql::<Bool>::new(table).get_result(&mut queries).await?;
    if !is_there {
        return Ok(known);
    }
    let applied = Sql::<Text>::new("select version::text from __diesel_schema_migrations");
    let applied: Vec<String> = applied.load(&mut queries).await?;
    Ok(known.into_iter().filter(|version| !applied.contains(version)).collect())
}

/// Applies what is missing. Of several processes that do so at once, one applies it and the others wait.
pub async fn apply(connector: &Connector, runtime: &Handle, progress: Arc<dyn Progress>) -> Result<(), MigrationError> {
    let mut connection = connector.connect().await.map_err(MigrationError::Connect)?;
    let failed = |error: &dyn std::fmt::Display| MigrationError::Failed(error.to_string());
    let missing = missing(&connection.queries).await.map_err(|failure| failed(&StoreError::from(failure)))?;
    if missing.is_empty() {
        return Ok(());
    }
    tracing::info!(?missing, "the schema is brought up to date");
    let lock = format!("select pg_advisory_lock({LOCK})");
    connection.queries.batch_execute(&lock).await.map_err(|error| failed(&error))?;
    // Whoever waits for a lock holds up all who come after: requests, too. Set behind our own lock, which may take long.
    connection.queries.batch_execute(PATIENCE).await.map_err(|error| failed(&error))?;
    // The harness blocks; the connection's driver goes on meanwhile, on the runtime's own thread.
    let migrate = move || {
        let mut harness = AsyncMigrationHarness::new(connection.queries);
        let mut applied = apply_missing(&mut harness, MIGRATIONS, &*progress);
        for _ in 1..TRIES {
            if !applied.as_ref().is_err_and(|error| error.to_string().contains(NO_LOCK)) {
                break;
            }
            tracing::info!("a migration waits until nobody is at the table any more");
            sleep(PAUSE);
            applied = apply_missing(&mut harness, MIGRATIONS, &*progress);
        }
        // The lock goes with the connection, which lasts until here.
        drop((harness, connection.life));
        applied.map_err(|error| MigrationError::Failed(error.to_string()))
    };
    runtime.spawn_blocking(migrate).await.map_err(|error| failed(&error))?
}

/// Why the schema is not brought up to date.
pub enum MigrationError {
    /// There is no connection.
    Connect(super::connect::ConnectError),
    /// The database said this.
    Failed(String),
}
