//! Programs of others that tests need, installed if they are missing, by the system's own package manager.

use std::{env, ffi::OsString, fs, path::Path, process::Command};

use crate::Failure;

/// How a system installs something: the commands, in order. The first word of the first one tells the system.
pub type Recipe = &'static [&'static [&'static str]];

/// Sees to it that something is there; says what it does, and `how` somebody can do it where it can't.
pub fn provide(name: &str, is_there: impl Fn() -> bool, recipes: &[Recipe], how: &str) -> Result<(), Failure> {
    if is_there() {
        return Ok(());
    }
    let recipe = recipes.iter().find(|recipe| is_program(recipe[0][0])).ok_or(how)?;
    for step in *recipe {
        run_as_root(step, name).map_err(|failure| format!("{failure}. {how}"))?;
    }
    if is_there() { Ok(()) } else { Err(how.to_owned()) }
}

/// Runs a step of a recipe, and says so.
pub fn run_as_root(step: &[&str], name: &str) -> Result<(), Failure> {
    let mut words = step.to_vec();
    // Homebrew refuses to run as root, and what rustup installs is its user's own; everything else has to.
    if !["brew", "rustup"].contains(&words[0]) && !is_root() && is_program("sudo") {
        words.insert(0, "sudo");
    }
    eprintln!("xtask: {name} is missing; running `{}`", words.join(" "));
    let mut command = Command::new(words[0]);
    let status = command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive").status();
    let succeeded = status.map_err(|error| format!("{}: {error}", words[0]))?.success();
    if succeeded { Ok(()) } else { Err(format!("`{}` failed", words.join(" "))) }
}

/// Whether this is what was noted to be in the folder.
pub fn is_noted(folder: &Path, wanted: &str) -> bool {
    fs::read_to_string(folder.join("installed")).is_ok_and(|installed| installed == wanted)
}

/// Notes what was put into the folder, so that it is not put there again.
pub fn note(folder: &Path, what: &str) -> Result<(), Failure> {
    fs::write(folder.join("installed"), what).map_err(|error| format!("{}: {error}", folder.display()))
}

/// Whether there is a program of this name.
pub fn is_program(program: &str) -> bool {
    env::split_paths(&path()).any(|folder| folder.join(program).is_file())
}

/// Where programs are looked for: also where Debian keeps HAProxy, which is not on the PATH of everybody.
pub fn path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin");
    path
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
