//! `convoke backup`. It works beside a running `serve`.

use std::{
    fs::{self, File},
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use convoke_domain::Environment as _;
use convoke_store::{DatabaseUrl, SqliteStore};
use indicatif::BinaryBytes;
use tokio::task::spawn_blocking;

use crate::{
    commands::print, environment::SystemEnvironment, failure::Failure, progress::Bar, secrets, serve::signals::Signals,
    settings::Settings,
};

/// What is said instead of a file.
const STANDARD_OUTPUT: &str = "-";

const POSTGRES: &str = "PostgreSQL is backed up by its own tools: `pg_dump --format=custom`, or a base backup and the \
    write-ahead log where nothing at all may be lost; see \"Backup\" in deploy/README.md";

/// Copies the SQLite database to a file, or to standard output.
pub async fn back_up(settings: &Settings, file: &Path, replace: bool) -> Result<(), Failure> {
    let DatabaseUrl::Sqlite(database) = &settings.database.url else { return Err(Failure::new(POSTGRES)) };
    let mut signals = Signals::new()?;
    let copying = async {
        if file == Path::new(STANDARD_OUTPUT) {
            to_standard_output(database).await
        } else {
            let begun = SystemEnvironment.now();
            let bytes = copy(database, file, replace).await?;
            let size = BinaryBytes(bytes);
            print(&format!("{} holds {} as it was at {begun}, in {size}.\n", file.display(), settings.database.url))?;
            tell_of_key(settings)
        }
    };
    tokio::select! {
        copied = copying => copied,
        // Taken here, so that nothing is left of a backup that is not whole.
        () = signals.next() => Err(Failure::new("interrupted")),
    }
}

async fn copy(database: &Path, target: &Path, replace: bool) -> Result<u64, Failure> {
    let bar = Bar::new(false);
    let copied = SqliteStore::back_up(database, target, replace, &SystemEnvironment, bar.clone()).await;
    bar.clear();
    copied.map_err(|error| Failure::new(error.to_string()))
}

/// The copy has to be whole before a byte of it leaves, so it is made beside the database first, where there is room.
async fn to_standard_output(database: &Path) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return Err(Failure::usage("standard output is a terminal: name a file"));
    }
    let beside = Temporary(database.with_added_extension(format!("{}.backup", SystemEnvironment.new_uuid())));
    copy(database, &beside.0, false).await?;
    let mut whole = File::open(&beside.0).map_err(|error| Failure::new(error.to_string()))?;
    let written = spawn_blocking(move || io::copy(&mut whole, &mut io::stdout().lock())).await;
    let written = written.map_err(io::Error::other).and_then(|written| written);
    written.map(drop).map_err(|error| Failure::new(format!("standard output can't be written: {error}")))
}

/// A file that is removed when this is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // If it was never made, there is nothing to remove.
        let _ = fs::remove_file(&self.0);
    }
}

/// Says what a backup does not hold, and can't be used without.
fn tell_of_key(settings: &Settings) -> Result<(), Failure> {
    let own_file = secrets::own_file(settings).filter(|path| settings.secrets.key.is_none() && path.is_file());
    let Some(path) = own_file else { return Ok(()) };
    print(&format!(
        "Sessions in it are sealed with {}, which it does not hold: keep a copy of that too.\n",
        path.display()
    ))
}
