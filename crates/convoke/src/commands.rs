//! The commands that do one thing and end. They work beside a running `serve`.

mod backup;
mod config;
mod doctor;
mod health;
mod manual;
mod operations;
mod telegram;
mod token;

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use convoke_store::{Migrate, OpenOptions, Store};

use crate::{
    environment::SystemEnvironment,
    failure::Failure,
    progress::Bar,
    settings::{Layers, Settings},
};

pub use backup::back_up;
pub use config::{check_config, print_config};
pub use doctor::examine;
pub use health::check_health;
pub use manual::{print_completions, write_manual};
pub use operations::operations;
pub use telegram::telegram;
pub use token::token;

/// Writes to standard output; that nobody can read it is a failure.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    written.map_err(|error| Failure::new(format!("standard output can't be written: {error}")))
}

/// Brings the schema up to date, whatever `database.migrate` says: this is how it is done where that is `off`.
pub async fn migrate(layers: &Layers, settings: &Settings) -> Result<(), Failure> {
    let bar = Bar::new(false);
    let migrated = convoke_store::migrate(&settings.database.url, bar.clone()).await;
    bar.clear();
    migrated.map_err(|error| Failure::of_database(layers, &error))?;
    open(layers, settings, Migrate::Off).await?;
    print(&format!("The schema of {} is up to date.\n", settings.database.url))
}

/// Opens the database for a command, beside whoever serves it.
async fn open(layers: &Layers, settings: &Settings, migrate: Migrate) -> Result<Arc<dyn Store>, Failure> {
    let options = OpenOptions { url: settings.database.url.clone(), migrate, serve: false };
    let opened = convoke_store::open(&options, Arc::new(SystemEnvironment)).await;
    let store = opened.map_err(|error| Failure::of_database(layers, &error))?;
    store.ready().await?;
    Ok(store)
}
