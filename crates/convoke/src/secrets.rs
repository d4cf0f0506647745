//! The key that opens the secrets in the database: from the settings or, on SQLite, from a file beside the database.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use convoke_domain::{Environment, Service};
use convoke_provider::AccountStorage;
use convoke_store::DatabaseUrl;
use convoke_telegram::SecretsKey;
use data_encoding::BASE64;

use crate::{failure::Failure, settings::Settings};

/// The name of the file, beside the database.
const FILE: &str = "secrets.key";

/// Who may read the file: its owner, nobody else.
const MODE: u32 = 0o600;
/// What else of a mode lets somebody in.
const OTHERS: u32 = 0o077;

/// The key, if there is one: on SQLite it is made if it is not there yet, unless there are accounts that another key
/// sealed.
///
/// # Errors
/// A file that can't be read, made or kept from others, or one that holds no key.
pub async fn key(
    settings: &Settings,
    accounts: &dyn AccountStorage,
    environment: &dyn Environment,
) -> Result<Option<SecretsKey>, Failure> {
    if let Some(key) = existing_key(settings)? {
        return Ok(Some(key));
    }
    let Some(path) = own_file(settings) else { return Ok(None) };
    // Where the schema is yet to come there are none.
    let accounts = accounts.list_accounts(Service::Telegram).await.unwrap_or_default();
    if let Some(account) = accounts.iter().find(|account| account.secret.is_some()) {
        return Err(Failure::new(format!(
            "{} is not there, but the session of the account {name} was sealed with it: put it back, or forget the \
             account with `convoke telegram logout --name {name}`",
            path.display(),
            name = account.name
        )));
    }
    make(&path, environment).map(Some).map_err(|error| failed(&path, &error))
}

/// The key, if there is one already.
///
/// # Errors
/// As [`key`].
pub fn existing_key(settings: &Settings) -> Result<Option<SecretsKey>, Failure> {
    match (&settings.secrets.key, own_file(settings)) {
        (Some(key), _) => Ok(Some(key.clone())),
        (None, Some(path)) => read(&path).map_err(|error| failed(&path, &error)),
        (None, None) => Ok(None),
    }
}

fn failed(path: &Path, error: &FileError) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

/// Where the key of the embedded database is kept.
pub fn own_file(settings: &Settings) -> Option<PathBuf> {
    match &settings.database.url {
        DatabaseUrl::Sqlite(database) => Some(database.with_file_name(FILE)),
        DatabaseUrl::Postgres(_) => None,
    }
}

#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    NoKey(#[from] convoke_telegram::SecretsKeyError),
    #[error("others may read it, and it can't be kept from them: {0}")]
    Lax(io::Error),
}

fn read(path: &Path) -> Result<Option<SecretsKey>, FileError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if fs::metadata(path)?.permissions().mode() & OTHERS != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(MODE)).map_err(FileError::Lax)?;
        tracing::warn!(path = %path.display(), "others could read the secrets key; now they can't");
    }
    Ok(Some(text.parse()?))
}

/// Makes the file. It appears with all that is in it, and whoever comes second takes what the first has made.
fn make(path: &Path, environment: &dyn Environment) -> Result<SecretsKey, FileError> {
    let mut key = [0; 32];
    environment.fill_random(&mut key);
    let unfinished = path.with_file_name(format!("{FILE}.{}", environment.new_uuid()));
    let written = write(&unfinished, &BASE64.encode(&key)).and_then(|()| fs::hard_link(&unfinished, path));
    // Whether it was linked or not; if it stays, it is in nobody's way.
    let _ = fs::remove_file(&unfinished);
    match written {
        Ok(()) => tracing::info!(path = %path.display(), "made the secrets key: keep a copy of it"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    let made = read(path)?;
    made.ok_or_else(|| FileError::Io(io::Error::new(io::ErrorKind::NotFound, "it was removed again at once")))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::SystemEnvironment;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn many_who_make_it_at_once_make_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| make(&path, &SystemEnvironment).unwrap())).collect();
            let keys: Vec<_> = makers.into_iter().map(|maker| maker.join().unwrap()).collect();
            let sealed = keys[0].seal(Service::Telegram, "a", b"x", &SystemEnvironment);
            assert!(keys.iter().all(|key| key.open(Service::Telegram, "a", &sealed).is_ok()));
        });
        assert_eq!(mode(&path), MODE);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_is_kept_from_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert!(read(&path).unwrap().is_none());
        make(&path, &SystemEnvironment).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(&path).unwrap().is_some());
        assert_eq!(mode(&path), MODE);
    }

    #[test]
    fn a_file_that_holds_no_key_is_told_without_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, "hunter2").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("base64") && !error.contains("hunter2"), "{error}");
    }
}
