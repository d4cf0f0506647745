//! Promises kept under ill treatment. All of it is in `crates/torture`; here it is built, with the service beside it, and
//! told where everything lies.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Failure,
    install::{self, Recipe},
    postgres,
    process::finish,
    python,
    repository::{self, Profile, build},
    test,
};

/// Tests of the stores beside small models, with as many random sequences as a change can't wait for: their names here,
/// and in the suite.
const MODELS: &[(&str, &str)] = &[("lease-model", "leases_follow_a_small_model")];
const SEQUENCES: &str = "10000";

/// A program of others that is installed if it is missing.
struct Tool {
    program: &'static str,
    /// The torture that needs it, if the small edition does without; else it is always there.
    needed_by: Option<&'static str>,
    recipes: &'static [Recipe],
    how_to_install: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        program: "strace",
        needed_by: None,
        recipes: &[
            &[&["apt-get", "update"], &["apt-get", "install", "--yes", "--no-install-recommends", "strace"]],
            &[&["dnf", "install", "--assumeyes", "strace"]],
            &[&["apk", "add", "strace"]],
            &[&["pacman", "--sync", "--refresh", "--noconfirm", "strace"]],
        ],
        how_to_install: "strace is missing, which sees what is written when: `apt-get install strace` installs it",
    },
    Tool {
        program: "slowhttptest",
        needed_by: None,
        recipes: &[
            &[&["apt-get", "update"], &["apt-get", "install", "--yes", "--no-install-recommends", "slowhttptest"]],
            &[&["dnf", "install", "--assumeyes", "slowhttptest"]],
            &[&["apk", "add", "slowhttptest"]],
        ],
        how_to_install: "slowhttptest is missing, which is slow on purpose: `apt-get install slowhttptest` installs it",
    },
    Tool {
        program: "haproxy",
        needed_by: None,
        recipes: &[
            &[&["apt-get", "update"], &["apt-get", "install", "--yes", "--no-install-recommends", "haproxy"]],
            &[&["dnf", "install", "--assumeyes", "haproxy"]],
            &[&["apk", "add", "haproxy"]],
            &[&["pacman", "--sync", "--refresh", "--noconfirm", "haproxy"]],
            &[&["brew", "install", "haproxy"]],
        ],
        how_to_install: "HAProxy is missing, behind which replicas are restarted: `apt-get install haproxy` installs it",
    },
    Tool {
        program: "patroni",
        needed_by: Some("cluster"),
        recipes: &[&[
            &["apt-get", "update"],
            &["apt-get", "install", "--yes", "--no-install-recommends", "patroni", "python3-etcd", "etcd-server"],
        ]],
        how_to_install: "Patroni and etcd are missing: `apt-get install patroni python3-etcd etcd-server` installs them",
    },
];

/// The torture that is a program of others, and what is checked in for it.
const SCHEMATHESIS: &str = "schemathesis";
const REQUIREMENTS: &str = "crates/torture/schemathesis/requirements.txt";

/// The torture that needs the former release.
const UPGRADE: &str = "upgrade";

/// How it is run.
#[derive(clap::Args)]
pub struct Arguments {
    /// Which tortures; without any, all of them.
    names: Vec<String>,
    /// The edition of `.ci/run`: all of them in five minutes together, and nothing is built for release.
    #[arg(long)]
    small: bool,
    /// The seed of all chance.
    #[arg(long)]
    seed: Option<u64>,
    /// The program that is tortured; without it, that of this repository is built.
    #[arg(long)]
    program: Option<PathBuf>,
    /// The commit whose program stands for the former release; without it, the one before the newest migration.
    #[arg(long)]
    former: Option<String>,
    /// Only says which tortures there are.
    #[arg(long)]
    list: bool,
}

impl Arguments {
    /// Whether a torture that is not for the small edition is among those that are run.
    fn needs(&self, torture: &str) -> bool {
        self.names.iter().any(|name| name == torture) || (self.names.is_empty() && !self.small)
    }
}

/// Runs tortures, and prints a table of what they found.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.list {
        print!("{}", list()?);
        return Ok(());
    }
    check_names(&arguments.names)?;
    let is_model = |name: &String| MODELS.iter().any(|(model, _)| model == name);
    let (models, names): (Vec<String>, Vec<String>) = arguments.names.iter().cloned().partition(is_model);
    for (model, behaviour) in MODELS {
        let is_wanted = models.iter().any(|name| name == model) || (arguments.names.is_empty() && !arguments.small);
        if is_wanted {
            eprintln!("torture {model}: {behaviour}, {SEQUENCES} random sequences on both databases");
            let words = ["-p", "convoke-store", "--test", "suite", behaviour].map(str::to_owned);
            test::run_with(&words, &[("CONVOKE_TEST_SEQUENCES", SEQUENCES)])?;
        }
    }
    if names.is_empty() && !models.is_empty() {
        return Ok(());
    }
    postgres::provide()?;
    for tool in TOOLS.iter().filter(|tool| tool.needed_by.is_none_or(|torture| arguments.needs(torture))) {
        install::provide(tool.program, || install::is_program(tool.program), tool.recipes, tool.how_to_install)?;
    }
    let profile = if arguments.small { Profile::Dev } else { Profile::Release };
    let torture = build("convoke-torture", profile)?;
    let program = match &arguments.program {
        Some(program) => program.clone(),
        None => build("convoke", profile)?,
    };
    let mut command = Command::new(torture);
    command.env("PATH", install::path());
    if names.is_empty() || names.iter().any(|name| name == SCHEMATHESIS) {
        command.arg("--schemathesis").arg(schemathesis()?);
    }
    command.arg("--program").arg(program).args(&names);
    if arguments.small {
        command.arg("--small");
    }
    if arguments.needs(UPGRADE) {
        command.arg("--former").arg(former(arguments.former.as_deref())?);
    }
    if let Some(seed) = arguments.seed {
        command.arg("--seed").arg(seed.to_string());
    }
    finish(&mut command, "the torture")
}

/// All tortures, a line each that begins with the name.
fn list() -> Result<String, Failure> {
    let output = Command::new(build("convoke-torture", Profile::Dev)?).arg("--list").output();
    let output = output.map_err(|error| format!("convoke-torture: {error}"))?;
    if !output.status.success() {
        return Err(format!("the list of tortures: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let mut list = String::from_utf8_lossy(&output.stdout).into_owned();
    for (name, behaviour) in MODELS {
        let _ = writeln!(list, "{name:<20} {SEQUENCES} random sequences: {behaviour}");
    }
    Ok(list)
}

/// Refuses a mistyped name before anything is installed, or built for release.
fn check_names(names: &[String]) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    let list = list()?;
    let known: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(format!("there is no torture {unknown}; there are {}", known.join(", "))),
        None => Ok(()),
    }
}

/// Schemathesis, installed below target/ if it is not there.
fn schemathesis() -> Result<PathBuf, Failure> {
    let folder = repository::metadata()?.target_directory.into_std_path_buf().join(SCHEMATHESIS);
    Ok(python::provide(Path::new(REQUIREMENTS), &folder)?.with_file_name(SCHEMATHESIS))
}

/// Builds the program of a former commit, in a folder of its own below target/; gives the program.
fn former(commit: Option<&str>) -> Result<PathBuf, Failure> {
    let commit = if let Some(commit) = commit {
        git(&["rev-parse", "--verify", &format!("{commit}^{{commit}}")])?
    } else {
        let newest = git(&["log", "-1", "--diff-filter=A", "--format=%H", "--", "migrations/postgres"])?;
        git(&["rev-parse", "--verify", &format!("{newest}^")])?
    };
    let target = repository::metadata()?.target_directory.into_std_path_buf().join("former");
    let sources = target.join(&commit);
    if !sources.exists() {
        git(&["worktree", "prune"])?;
        git(&["worktree", "add", "--quiet", "--detach", &sources.to_string_lossy(), &commit])?;
    }
    let mut command = repository::cargo();
    command.current_dir(&sources).args(["build", "--locked", "--release", "--package", "convoke"]);
    finish(command.arg("--target-dir").arg(target.join("build")), "the build of the former release")?;
    Ok(target.join("build/release/convoke"))
}

/// What git says.
fn git(words: &[&str]) -> Result<String, Failure> {
    let output = Command::new("git").current_dir(repository::root()).args(words).output();
    let output = output.map_err(|error| format!("git: {error}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(said(&output.stdout))
    } else {
        Err(format!("git {}: {}", words[0], said(&output.stderr)))
    }
}
