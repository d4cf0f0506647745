//! openapi/openapi.json as linters see it: Redocly's recommended rules, Spectral's for OpenAPI and its set after OWASP's
//! list of risks. What they are told to leave out stands, with the reason, in the files in openapi/lint/.
//!
//! The linters are Node.js packages. They are installed below target/ from the lock file, and asked to tell nobody.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{Failure, node, repository};

const DOCUMENT: &str = "openapi/openapi.json";
const SETTINGS: &str = "openapi/lint";
/// Where they are installed and run: what they are to find must lie beside their packages.
const FOLDER: &str = "target/openapi-lint";

pub fn run() -> Result<(), Failure> {
    let node = node::provide()?;
    let folder = repository::root().join(FOLDER);
    node::install_packages(Path::new(SETTINGS), &folder)?;
    for file in ["redocly.yaml", ".redocly.lint-ignore.yaml", ".spectral.yaml"] {
        copy(&Path::new(SETTINGS).join(file), &folder)?;
    }
    copy(Path::new(DOCUMENT), &folder)?;
    let redocly = redocly(&node, &folder)?;
    let spectral = spectral(&node, &folder)?;
    if redocly && spectral { Ok(()) } else { Err(format!("the linters have findings in {DOCUMENT}")) }
}

fn redocly(node: &Path, folder: &Path) -> Result<bool, Failure> {
    let mut command = linter(node, folder, "redocly");
    command.args(["lint", "--config=redocly.yaml", "--format=stylish", "openapi.json"]);
    // It would ask the network for a newer one of itself, and report on its use.
    command.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    succeeds(command, folder)
}

fn spectral(node: &Path, folder: &Path) -> Result<bool, Failure> {
    let mut command = linter(node, folder, "spectral");
    command.args(["lint", "--ruleset=.spectral.yaml", "--fail-severity=hint", "openapi.json"]);
    succeeds(command, folder)
}

fn linter(node: &Path, folder: &Path, name: &str) -> Command {
    let mut command = Command::new(node);
    command.arg(folder.join("node_modules/.bin").join(name));
    command
}

fn succeeds(mut command: Command, folder: &Path) -> Result<bool, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.current_dir(folder).stdin(Stdio::null()).status();
    status.map(|status| status.success()).map_err(|error| format!("{name}: {error}"))
}

/// Copies a file of the repository into the folder.
fn copy(file: &Path, folder: &Path) -> Result<(), Failure> {
    let name = file.file_name().unwrap_or_default();
    let copied = fs::copy(repository::root().join(file), folder.join(name));
    copied.map(drop).map_err(|error| format!("{}: {error}", file.display()))
}
