//! The repository as the checks see it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{Metadata, MetadataCommand};

use crate::{Failure, process::finish};

/// The folder that everything lies in.
pub fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The cargo that runs us. What it told us of our own package is kept from it: it would build ring anew, and all that
/// stands on that, for ring asks for these.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let is_ours = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|begins| name.starts_with(begins));
    for (name, _) in env::vars_os().filter(|(name, _)| is_ours(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.current_dir(root());
    command
}

/// How a program is built: a profile of `Cargo.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Dev,
    Release,
    /// As it is shipped in images, which takes twice as long.
    Dist,
}

impl Profile {
    /// Its name, and that of its folder below the target folder.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Dev => ("dev", "debug"),
            Self::Release => ("release", "release"),
            Self::Dist => ("dist", "dist"),
        }
    }
}

/// Builds a package by itself, so that it has its own features alone, as it is shipped; gives the program.
pub fn build(package: &str, profile: Profile) -> Result<PathBuf, Failure> {
    let (name, folder) = profile.names();
    finish(cargo().args(["build", "--locked", "--profile", name, "--package", package]), "the build")?;
    let target = metadata()?.target_directory.into_std_path_buf();
    Ok(target.join(folder).join(package))
}

/// Packages and their dependencies, as cargo sees them.
pub fn metadata() -> Result<Metadata, Failure> {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).other_options(["--locked".to_owned()]);
    command.exec().map_err(|error| error.to_string().trim().to_owned())
}

/// The files that are in the repository or about to be, from its root; what git ignores is not among them.
pub fn files() -> Result<Vec<PathBuf>, Failure> {
    let mut command = Command::new("git");
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let output = command.output().map_err(|error| format!("git: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut files: Vec<PathBuf> = listed.split_terminator('\0').map(PathBuf::from).collect();
    // A file that was just removed is still listed.
    files.retain(|file| root().join(file).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

/// The text of a file, named from the root.
pub fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(root().join(file)).map_err(|error| format!("{}: {error}", file.display()))
}

/// Whether a file's name ends in this way (without the dot).
pub fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|is| is == extension)
}
