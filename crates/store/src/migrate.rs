//! Applying what is missing of the schema, one migration after the other, so that it can be told which one it is at.

use std::error::Error;

use diesel::{backend::Backend, migration::MigrationSource};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};

use crate::{Progress, Reached, Unit};

/// Applies those of `migrations` that the database does not have, in their order.
pub fn apply_missing<B: Backend>(
    harness: &mut impl MigrationHarness<B>,
    migrations: EmbeddedMigrations,
    progress: &dyn Progress,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    EmbeddedMigrations: MigrationSource<B>,
{
    let missing = harness.pending_migrations(migrations)?;
    let total = u64::try_from(missing.len()).ok();
    for (done, migration) in (0..).zip(&missing) {
        let step = migration.name().to_string();
        progress.reached(Reached { step: &step, done, total, unit: Unit::Things });
        harness.run_migration(migration)?;
    }
    Ok(())
}
