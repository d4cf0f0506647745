//! Node.js and npm, installed if they are missing. A system's Node.js is often older than the linters ask for; then npm,
//! which is content with it, fetches a newer one for them alone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Failure,
    install::{self, Recipe},
    process::finish,
    repository,
};

const HOW_TO_INSTALL: &str = "Node.js and npm are needed: https://nodejs.org/";

const RECIPES: [Recipe; 5] = [
    &[&["apt-get", "update"], &["apt-get", "install", "--yes", "--no-install-recommends", "nodejs", "npm"]],
    &[&["dnf", "install", "--assumeyes", "nodejs", "npm"]],
    &[&["apk", "add", "nodejs", "npm"]],
    &[&["pacman", "--sync", "--noconfirm", "nodejs", "npm"]],
    &[&["brew", "install", "node"]],
];

/// Where a newer Node.js is kept, and which one it is.
const FOLDER: &str = "target/node";
const NEWER: &str = "22.23.3";

/// A Node.js that is as new as the linters ask for, with npm beside the system's own.
pub fn provide() -> Result<PathBuf, Failure> {
    let is_there = || version(Path::new("node")).is_some() && version(Path::new("npm")).is_some();
    install::provide("Node.js", is_there, &RECIPES, HOW_TO_INSTALL)?;
    match version(Path::new("node")) {
        Some(version) if is_new_enough(&version) => Ok("node".into()),
        _ => newer(),
    }
}

/// Fetches a newer Node.js, unless it is there.
fn newer() -> Result<PathBuf, Failure> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let package = format!("node-{}-{architecture}", if cfg!(target_os = "macos") { "darwin" } else { "linux" });
    let folder = repository::root().join(FOLDER);
    let node = folder.join("node_modules").join(&package).join("bin/node");
    if version(&node).is_none_or(|version| !is_new_enough(&version)) {
        eprintln!("xtask: Node.js is too old; npm fetches {package} {NEWER} into {FOLDER}");
        fs::create_dir_all(&folder).map_err(|error| format!("{FOLDER}: {error}"))?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]);
        npm.arg(format!("{package}@{NEWER}")).current_dir(&folder).stdin(Stdio::null());
        let fetched = npm.status().map_err(|error| format!("npm: {error}"))?.success();
        if !fetched {
            return Err(format!("npm could not fetch {package}. {HOW_TO_INSTALL}"));
        }
    }
    Ok(node)
}

/// Installs the packages that the lock file in a folder of the repository names, unless they are there.
pub fn install_packages(sources: &Path, folder: &Path) -> Result<(), Failure> {
    const LOCK: &str = "package-lock.json";
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let wanted = repository::read(&sources.join(LOCK))?;
    if install::is_noted(folder, &wanted) {
        return Ok(());
    }
    for file in ["package.json", LOCK] {
        let from = sources.join(file);
        fs::copy(repository::root().join(&from), folder.join(file))
            .map_err(|error| format!("{}: {error}", from.display()))?;
    }
    let words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"];
    finish(Command::new("npm").args(words).current_dir(folder), "`npm ci`")?;
    install::note(folder, &wanted)
}

/// The version that a program says it has; nothing if it is not there.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Redocly asks for the newest one.
fn is_new_enough(version: &str) -> bool {
    let numbers: Vec<u32> = version.trim_start_matches('v').split('.').map_while(|part| part.parse().ok()).collect();
    numbers >= vec![20, 19]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_are_not_new_enough() {
        assert!(is_new_enough("v20.19.0") && is_new_enough("v22.1.0"));
        assert!(!is_new_enough("v18.20.4") && !is_new_enough("v20.9.0") && !is_new_enough(""));
    }
}
