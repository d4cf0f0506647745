//! How many instructions the hot paths take, counted by valgrind: nearly the same on a busy machine and on an idle one,
//! so that a change that makes one of them dearer is seen before it is released.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Command};

use crate::{
    Failure, bench,
    install::{self, Recipe},
    repository,
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
# Instructions of each hot path, counted by `cargo xtask instructions --record`; more than 5 % away from here fails
# `cargo xtask instructions`. A change that is meant is recorded again, with the commit that makes it.
";
const PATHS: [&str; 4] = ["detail", "join", "list", "register"];
/// The start of the process is in both counts, and not in their difference.
const FEW: u64 = 50;
const MANY: u64 = 250;
/// How far a count may be from the recorded one, in percent.
const TOLERANCE: u64 = 5;

/// Counts, and compares with what is recorded, or records it.
pub fn run(record: bool) -> Result<(), Failure> {
    install::provide("valgrind", || install::is_program("valgrind"), VALGRIND, HOW_TO_INSTALL)?;
    let program = bench::build_program()?;
    let mut counted = BTreeMap::new();
    for path in PATHS {
        let count = (count(&program, path, MANY)? - count(&program, path, FEW)?) / (MANY - FEW);
        eprintln!("instructions: {path} {count}");
        counted.insert(path.to_owned(), count);
    }
    if record {
        let mut text = HEAD.to_owned();
        counted.iter().for_each(|(path, count)| drop(writeln!(text, "{path} {count}")));
        return fs::write(repository::root().join(RECORDED), text).map_err(|error| format!("{RECORDED}: {error}"));
    }
    let mistakes = mistakes(&recorded(&repository::read(Path::new(RECORDED))?), &counted);
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes.join("; ")) }
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

fn recorded(text: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let (path, count) = line.split_once(' ')?;
        Some((path.to_owned(), count.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// What has changed by more than it may, either way: a path that takes less is recorded too, or the gain is lost unseen.
fn mistakes(recorded: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) -> Vec<String> {
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
        let before = recorded("# a comment\ndetail 1000\nlist 1000\nregister 1000\n");
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
