//! Where PostgreSQL's programs are, and who may run them.

use std::{
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// What to tell somebody who has no PostgreSQL.
pub const HOW_TO_INSTALL: &str = "PostgreSQL's programs (initdb, pg_ctl, postgres) are missing: `cargo xtask test` installs them, or run `apt-get install postgresql`";

/// The folder that holds `initdb`, `pg_ctl` and `postgres`, if there is one.
#[must_use]
pub fn find_programs() -> Option<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok().filter(|output| output.status.success());
    let told = told.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let versioned = newest_first(subfolders(Path::new("/usr/lib/postgresql")));
    let path = env::var_os("PATH").unwrap_or_default();
    told.into_iter()
        .chain(versioned.into_iter().map(|folder| folder.join("bin")))
        .chain(env::split_paths(&path))
        .chain(newest_first(subfolders(Path::new("/opt/homebrew/opt"))).into_iter().map(|folder| folder.join("bin")))
        .find(|folder| ["initdb", "pg_ctl", "postgres"].iter().all(|program| folder.join(program).is_file()))
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Folders named by a version, or by a name that ends with one, the newest first.
fn newest_first(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    folders.sort_by_key(|folder| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let version = name.rsplit(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default().to_owned();
        std::cmp::Reverse(version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>())
    });
    folders
}

/// The user and group to run PostgreSQL as, if it can't be run as who this process is.
///
/// # Errors
/// If there is no such user.
pub fn unprivileged_user() -> Result<Option<(u32, u32)>, String> {
    let own = tempfile::tempdir().and_then(|folder| folder.path().metadata());
    other_user(own.map_err(|error| format!("temporary folder: {error}"))?.uid())
}

/// The user and group to run PostgreSQL as, if it can't be run as who we are: it refuses to run as root.
pub(crate) fn other_user(our_uid: u32) -> Result<Option<(u32, u32)>, String> {
    if our_uid != 0 {
        return Ok(None);
    }
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| Some((id("-u", name)?, id("-g", name)?)))
        .map(Some)
        .ok_or_else(|| "PostgreSQL does not run as root, and there is no user `postgres` or `nobody`".to_owned())
}

fn id(option: &str, user: &str) -> Option<u32> {
    let output = Command::new("id").args([option, user]).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first() {
        let names = ["/x/9.6", "/x/15", "/x/postgresql@17", "/x/other"].map(PathBuf::from).to_vec();
        let sorted = ["/x/postgresql@17", "/x/15", "/x/9.6", "/x/other"].map(PathBuf::from).to_vec();
        assert_eq!(newest_first(names), sorted);
    }

    #[test]
    fn only_root_runs_it_as_somebody_else() {
        assert_eq!(other_user(1000), Ok(None));
        assert!(other_user(0).unwrap().is_some_and(|(uid, _)| uid != 0));
    }
}
