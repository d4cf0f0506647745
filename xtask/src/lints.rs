//! Every crate is held to the lints of the workspace, which forbid `unsafe`. What is forbidden there no file can allow.

use std::path::Path;

use crate::{Failure, Mistakes, repository};

/// What the workspace says, and by what a crate takes it over.
const FORBIDDEN: &str = "unsafe_code = \"forbid\"";
const TAKEN_OVER: &str = "[lints]\nworkspace = true\n";

pub fn check() -> Result<Mistakes, Failure> {
    let mut mistakes = Vec::new();
    if !repository::read(Path::new("Cargo.toml"))?.contains(FORBIDDEN) {
        mistakes.push(format!("Cargo.toml does not say {FORBIDDEN}"));
    }
    for package in repository::metadata()?.workspace_packages() {
        if !repository::read(package.manifest_path.as_std_path())?.contains(TAKEN_OVER) {
            mistakes.push(format!("{} does not take over the lints of the workspace", package.name));
        }
    }
    Ok(mistakes)
}
