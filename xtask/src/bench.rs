//! Databases that are filled and measured. All of it is in `crates/bench`; here it is built, with the service beside it as
//! it is shipped, and told where everything lies.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    Failure,
    install::{self, Recipe},
    postgres, repository,
};

const WRK: &[Recipe] = &[
    &[&["apt-get", "update"], &["apt-get", "install", "--yes", "--no-install-recommends", "wrk"]],
    &[&["dnf", "install", "--assumeyes", "wrk"]],
    &[&["apk", "add", "wrk"]],
    &[&["pacman", "--sync", "--refresh", "--noconfirm", "wrk"]],
    &[&["brew", "install", "wrk"]],
];
const HOW_TO_INSTALL_WRK: &str = "wrk is missing, the load generator: `apt-get install wrk` installs it";

const PAGE: &str = "docs/performance.md";
const PROGRAM: &str = "convoke-bench";

/// The profiles of `Cargo.toml`: for release, and as the service is shipped in images, which takes twice as long to build.
const RELEASE: &str = "release";
const DIST: &str = "dist";

/// Measures the service beside its limits, and writes docs/performance.md; a quick run writes into the target folder
/// instead, for its figures are not worth keeping.
pub fn bench(arguments: &[String]) -> Result<(), Failure> {
    postgres::provide()?;
    install::provide("wrk", || install::is_program("wrk"), WRK, HOW_TO_INSTALL_WRK)?;
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    // One after the other, so that the service is built with its own features alone, as it is shipped.
    let service = build("convoke", if is_quick { RELEASE } else { DIST })?;
    let program = build(PROGRAM, RELEASE)?;
    let folder = repository::metadata()?.target_directory.into_std_path_buf();
    let kept = folder.join(if is_quick { "bench-quick" } else { "bench" });
    fs::create_dir_all(&kept).map_err(|error| format!("{}: {error}", kept.display()))?;
    let page = if is_quick { kept.join("performance.md") } else { repository::root().join(PAGE) };
    let mut command = Command::new(program);
    command.arg("bench").arg("--program").arg(service);
    command.arg("--figures").arg(kept.join("figures.json")).arg("--page").arg(page).args(arguments);
    finish(&mut command, "the measurement")
}

/// Fills a database.
pub fn seed(arguments: &[String]) -> Result<(), Failure> {
    finish(Command::new(build(PROGRAM, RELEASE)?).arg("seed").args(arguments), "the seed")
}

/// Builds a program, and says where it is.
fn build(package: &str, profile: &str) -> Result<PathBuf, Failure> {
    let words = ["build", "--locked", "--profile", profile, "--package", package];
    finish(repository::cargo().args(words), "the build")?;
    let folder = repository::metadata()?.target_directory.into_std_path_buf().join(profile);
    Ok(folder.join(format!("{package}{}", std::env::consts::EXE_SUFFIX)))
}

fn finish(command: &mut Command, what: &str) -> Result<(), Failure> {
    let status = command.status().map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if status.success() { Ok(()) } else { Err(format!("{what} failed")) }
}
