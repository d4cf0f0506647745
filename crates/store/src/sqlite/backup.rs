//! A copy of the database as it is at one moment, made while others read and write it.
//!
//! `VACUUM INTO` reads one snapshot, which holds everything that was committed before it began, and keeps nobody from
//! writing meanwhile; only the write-ahead log can't be shortened until it is done. (SQLite's other way, the backup API,
//! begins anew whenever another process writes.) The copy grows under a name of its own, is checked and synced, and gets
//! its name when it is whole: whatever stops it, no half of a backup is taken for one.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use convoke_domain::Environment;
use diesel::{
    Connection as _, RunQueryDsl as _, SqliteConnection,
    dsl::sql,
    sql_query,
    sql_types::{BigInt, Text},
};
use tokio::{task::spawn_blocking, time::interval};

use super::{MODE, SqliteStore, threads};
use crate::{Progress, Reached, StoreError, Unit};

/// How often the size of the copy is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to be copied.
    #[error("there is no database {}", .0.display())]
    NoDatabase(PathBuf),
    /// The copy would take the place of something else.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The copy would take the place of the database itself, or of a file that SQLite or the service keeps beside it.
    #[error("{} belongs to the database that is to be copied", .0.display())]
    Itself(PathBuf),
    /// A file of the copy's can't be written.
    #[error("{} can't be written: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The database can't be read, or the copy not be made.
    #[error("{0}")]
    Database(String),
    /// The copy is damaged, most likely because the database is.
    #[error("the copy is damaged: {0}")]
    Damaged(String),
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Database(error.to_string())
    }
}

impl From<diesel::result::Error> for BackupError {
    fn from(error: diesel::result::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl SqliteStore {
    /// Copies the database at `path` to `target`, and returns how many bytes the copy has. It holds everything that was
    /// written before this was called. The schema is left as it is. A file that is there already is only replaced if that
    /// is asked for, and only by a copy that is whole.
    ///
    /// # Errors
    /// [`BackupError`]; then `target` is as it was.
    pub async fn back_up(
        path: &Path,
        target: &Path,
        replace: bool,
        environment: &dyn Environment,
        progress: Arc<dyn Progress>,
    ) -> Result<u64, BackupError> {
        // Opening it would make it.
        let Some(path) = path.canonicalize().ok().filter(|path| path.is_file()) else {
            return Err(BackupError::NoDatabase(path.to_owned()));
        };
        if belongs_to(&path, target) {
            return Err(BackupError::Itself(target.to_owned()));
        }
        let exists = || fs::symlink_metadata(target).is_ok_and(|there| !replace || !there.is_file());
        if exists() {
            return Err(BackupError::Exists(target.to_owned()));
        }
        let copy = Unfinished::beside(target, environment)?;
        fill(&path, &copy, &progress).await?;
        progress.reached(Reached { step: "checking the copy", done: 0, total: None, unit: Unit::Bytes });
        let unchecked = copy.path.clone();
        let bytes = off_the_runtime(move || finish(&unchecked)).await?;
        if exists() {
            return Err(BackupError::Exists(target.to_owned()));
        }
        copy.rename(target)?;
        Ok(bytes)
    }
}

/// Whether `target` is the database at this real path, or a file beside it that is a part of it.
fn belongs_to(database: &Path, target: &Path) -> bool {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let in_its_folder = |folder: PathBuf| folder.join(target.file_name().unwrap_or_default());
    let real = target.canonicalize().or_else(|_| folder.canonicalize().map(in_its_folder));
    let parts = ["", "-wal", "-shm", "-journal", ".lock"].map(|end| {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        name
    });
    real.is_ok_and(|real| parts.iter().any(|part| part == real.as_os_str()))
}

/// A copy that is not whole yet; removed when this is dropped.
struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    /// An empty file in the folder of `target`, under a name of its own.
    fn beside(target: &Path, environment: &dyn Environment) -> Result<Self, BackupError> {
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".{}.unfinished", environment.new_uuid()));
        // SQLite takes what does not begin with a slash for a URL, if it looks like one.
        let path = std::path::absolute(name).map_err(failed_at(target))?;
        OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path).map_err(failed_at(target))?;
        Ok(Self { path })
    }

    /// Gives the copy its name, and sees to it that this outlives a crash.
    fn rename(self, target: &Path) -> Result<(), BackupError> {
        fs::rename(&self.path, target).map_err(failed_at(target))?;
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed_at(folder))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Gone already, if it was renamed; and SQLite keeps a journal beside what it has not written to its end.
        let _ = fs::remove_file(&self.path);
        let mut journal = self.path.as_os_str().to_owned();
        journal.push("-journal");
        let _ = fs::remove_file(journal);
    }
}

/// Copies the database into the empty file, telling how far it has come by that file's size.
async fn fill(path: &Path, copy: &Unfinished, progress: &Arc<dyn Progress>) -> Result<(), BackupError> {
    let from = path.to_owned();
    let (mut connection, total) = off_the_runtime(move || measured(&from)).await?;
    let into =
        copy.path.to_str().ok_or_else(|| BackupError::Database("the name of the copy is not UTF-8".to_owned()))?;
    let into = into.to_owned();
    let copying =
        off_the_runtime(move || Ok(sql_query("vacuum into ?").bind::<Text, _>(into).execute(&mut connection)?));
    tokio::pin!(copying);
    let mut looks = interval(LOOK);
    loop {
        tokio::select! {
            copied = &mut copying => return copied.map(drop),
            _ = looks.tick() => {
                // A size that can't be told now is told the next time.
                let done = fs::metadata(&copy.path).map_or(0, |there| there.len()).min(total);
                progress.reached(Reached { step: "copying", done, total: Some(total), unit: Unit::Bytes });
            }
        }
    }
}

/// A connection to the database, and how many bytes of it are in use.
fn measured(path: &Path) -> Result<(SqliteConnection, u64), BackupError> {
    const BYTES: &str = "select (page_count - freelist_count) * page_size \
        from pragma_page_count, pragma_freelist_count, pragma_page_size";
    let mut connection = threads::connect(path)?;
    let bytes: i64 = sql::<BigInt>(BYTES).get_result(&mut connection)?;
    Ok((connection, bytes.unsigned_abs()))
}

/// Sees to it that the copy is on disk and in order; returns its size.
fn finish(path: &Path) -> Result<u64, BackupError> {
    let file = File::open(path).map_err(failed_at(path))?;
    file.sync_all().map_err(failed_at(path))?;
    let url = path.to_str().unwrap_or_default();
    let open = SqliteConnection::establish(url);
    let mut connection = open.map_err(|error| BackupError::Damaged(error.to_string()))?;
    let check = sql::<Text>("pragma integrity_check(1)");
    let finding: String = check.get_result(&mut connection).map_err(|error| BackupError::Damaged(error.to_string()))?;
    if finding != "ok" {
        return Err(BackupError::Damaged(finding));
    }
    Ok(file.metadata().map_err(failed_at(path))?.len())
}

fn failed_at(path: &Path) -> impl Fn(io::Error) -> BackupError {
    move |error| BackupError::File { path: path.to_owned(), error }
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    spawn_blocking(work).await.map_err(|error| BackupError::Database(error.to_string()))?
}
