//! Databases that are filled and measured. All of it is in `crates/bench`; here it is built, with the service beside it as
//! it is shipped, and told where everything lies.

use std::{fs, process::Command};

use crate::{
    Failure,
    install::{self, Recipe},
    postgres,
    process::finish,
    repository::{self, Profile, build},
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

/// Measures the service beside its limits, and writes docs/performance.md; a quick run writes into the target folder
/// instead, for its figures are not worth keeping.
pub fn bench(arguments: &[String]) -> Result<(), Failure> {
    postgres::provide()?;
    install::provide("wrk", || install::is_program("wrk"), WRK, HOW_TO_INSTALL_WRK)?;
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let service = build("convoke", if is_quick { Profile::Release } else { Profile::Dist })?;
    let program = build(PROGRAM, Profile::Release)?;
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
    finish(Command::new(build(PROGRAM, Profile::Release)?).arg("seed").args(arguments), "the seed")
}
