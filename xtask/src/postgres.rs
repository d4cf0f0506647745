//! PostgreSQL's programs, installed if they are missing.

use std::{path::Path, process::Command};

use convoke_test_support::{HOW_TO_INSTALL, find_programs};

use crate::Failure;

/// How a system installs PostgreSQL: the commands, in order.
type Recipe = &'static [&'static [&'static str]];

const RECIPES: &[Recipe] = &[
    &[&["apt-get", "update"], &["apt-get", "install", "--yes", "--no-install-recommends", "postgresql"]],
    &[&["dnf", "install", "--assumeyes", "postgresql-server"]],
    &[&["apk", "add", "postgresql"]],
    &[&["pacman", "--sync", "--refresh", "--noconfirm", "postgresql"]],
    &[&["zypper", "--non-interactive", "install", "postgresql-server"]],
    &[&["brew", "install", "postgresql"]],
];

/// Sees to it that PostgreSQL's programs are there.
pub fn provide() -> Result<(), Failure> {
    if find_programs().is_some() {
        return Ok(());
    }
    let recipe = RECIPES.iter().find(|recipe| is_there(recipe[0][0])).ok_or(HOW_TO_INSTALL)?;
    for step in *recipe {
        let mut words = step.to_vec();
        // Homebrew refuses to run as root; everything else has to.
        if words[0] != "brew" && !is_root() && is_there("sudo") {
            words.insert(0, "sudo");
        }
        eprintln!("xtask: PostgreSQL is missing; running `{}`", words.join(" "));
        let mut command = Command::new(words[0]);
        let status = command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive").status();
        if !status.map_err(|error| format!("{}: {error}", words[0]))?.success() {
            return Err(format!("`{}` failed. {HOW_TO_INSTALL}", words.join(" ")));
        }
    }
    find_programs().map(drop).ok_or_else(|| HOW_TO_INSTALL.to_owned())
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
