//! How many instructions the hot paths take, counted by valgrind: nearly the same on a busy machine and on an idle one,
//! so that a change that makes one of them dearer is seen before it is released.
//!
//! Counted is what the compiler makes for tests: that costs no build of its own, and what is done once more than before
//! shows there too.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Command, thread};

use crate::{
    Failure, Mistakes,
    install::{self, Recipe},
    repository::{self, Profile},
};

const VALGRIND: &[Recipe] = &[
    &[&["apt-get", "update"], &["apt-get", "install", "--yes", "--no-install-recommends", "valgrind"]],
    &[&["dnf", "install", "--assumeyes", "valgrind"]],
    &[&["apk", "add", "valgrind"]],
    &[&["pacman", "--sync", "--refresh", "--noconfirm", "valgrind"]],
];
const HOW_TO_INSTALL: &str = "valgrind is missing: `apt-get install valgrind` installs it";

/// What was counted last.
const RECORDED: &str = "crates/bench/instructions.txt";
const HEAD: &str = "\
# Instructions of each hot path, counted by `cargo xtask instructions`; more than 5 % away from here fails
# `cargo xtask check instructions`. A change that is meant is recorded again, in the commit that makes it.
";
/// Before the name of the compiler whose code was counted: another one makes other code of the same source.
const COMPILER: &str = "# Compiler: ";
const PROGRAM: &str = "convoke-bench";
const PATHS: [&str; 4] = ["detail", "join", "list", "register"];
/// The start of the process is in both counts, and not in their difference.
const FEW: u64 = 100;
const MANY: u64 = 1_100;
/// How far a count may be from the recorded one, in percent.
const TOLERANCE: u64 = 5;

type Counts = BTreeMap<String, u64>;

/// Compares with what is recorded.
pub fn check() -> Result<Mistakes, Failure> {
    Ok(mistakes(&read(&repository::read(Path::new(RECORDED))?), &count_all()?))
}

/// Why nothing can be compared, where that is nobody's mistake.
pub fn skipped() -> Result<Option<String>, Failure> {
    let recorded = repository::read(Path::new(RECORDED))?;
    let (then, now) = (recorded.lines().find_map(|line| line.strip_prefix(COMPILER)).unwrap_or_default(), compiler()?);
    let why = || format!("recorded with {then}, and this is {now}; `cargo xtask instructions` records anew");
    Ok((then != now).then(why))
}

/// Records what is counted now.
pub fn record() -> Result<(), Failure> {
    let mut text = format!("{HEAD}{COMPILER}{}\n", compiler()?);
    for (path, count) in count_all()? {
        let _ = writeln!(text, "{path} {count}");
    }
    fs::write(repository::root().join(RECORDED), text).map_err(|error| format!("{RECORDED}: {error}"))
}

fn count_all() -> Result<Counts, Failure> {
    install::provide("valgrind", || install::is_program("valgrind"), VALGRIND, HOW_TO_INSTALL)?;
    let program = repository::build(PROGRAM, Profile::Dev)?;
    let count_one = |path: &str| {
        let count = count(&program, path, MANY)?.saturating_sub(count(&program, path, FEW)?) / (MANY - FEW);
        eprintln!("instructions: {path} {count}");
        Ok((path.to_owned(), count))
    };
    // At the same time: it is instructions that are counted, not seconds.
    thread::scope(|scope| {
        let counting = PATHS.map(|path| scope.spawn(move || count_one(path)));
        counting.into_iter().map(|one| one.join().map_err(|_| "the counting has panicked")?).collect()
    })
}

/// The compiler, by its version and the kind of machine it makes code for.
fn compiler() -> Result<String, Failure> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let of = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    Ok(format!("rustc {} for {}", of("release:"), of("host:")))
}

fn count(program: &Path, path: &str, times: u64) -> Result<u64, Failure> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command.args(["walk", path, "--times", &times.to_string()]);
    let output = command.output().map_err(|error| format!("valgrind: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.filter(|_| output.status.success()).ok_or_else(|| format!("valgrind counts nothing: {told}"))
}

fn read(text: &str) -> Counts {
    let line = |line: &str| {
        let (path, count) = line.split_once(' ')?;
        Some((path.to_owned(), count.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// What has changed by more than it may, either way: a path that takes less is recorded too, or the gain is lost unseen.
fn mistakes(recorded: &Counts, counted: &Counts) -> Mistakes {
    let mistake = |(path, now): (&String, &u64)| match recorded.get(path) {
        None => Some(format!("{path} takes {now} instructions, and none are recorded")),
        Some(before) if now.abs_diff(*before) * 100 > before * TOLERANCE => {
            Some(format!("{path} takes {now} instructions instead of {before}"))
        }
        Some(_) => None,
    };
    counted.iter().filter_map(mistake).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_percent_are_let_through_and_more_are_not() {
        let before = read("# a comment\n# Compiler: rustc 1\ndetail 1000\nlist 1000\nregister 1000\n");
        let now = [("detail", 1_050), ("join", 7), ("list", 1_051), ("register", 949)];
        let now = now.map(|(path, count)| (path.to_owned(), count)).into();
        assert_eq!(
            mistakes(&before, &now),
            [
                "join takes 7 instructions, and none are recorded",
                "list takes 1051 instructions instead of 1000",
                "register takes 949 instructions instead of 1000",
            ]
        );
    }
}
