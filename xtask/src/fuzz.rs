//! The fuzz targets of `crates/fuzz`, under libFuzzer. It is built below target/fuzz with everything that the targets
//! reach, by the stable compiler: told to note which parts of the program are reached, which is all that libFuzzer asks
//! for. (What finds mistakes in the use of memory would need the nightly one; `unsafe` is forbidden here.)

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Failure, process::finish, repository};

/// The package around libFuzzer, which is no member of the workspace; its manifest says why.
const ENGINE: &str = "crates/fuzz/engine";
/// Where the inputs are that are tried by the tests too.
const CORPUS: &str = "crates/fuzz/corpus";
/// What makes the compiler note what is reached and what is compared.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Of what is found, inputs up to this many bytes are worth keeping in the repository.
const KEPT_BYTES: u32 = 512;

/// How it is run.
#[derive(clap::Args)]
pub struct Arguments {
    /// Which targets, named as the folders of crates/fuzz/corpus; without any, all of them.
    targets: Vec<String>,
    /// How often each target is tried.
    #[arg(long, default_value_t = 10_000_000)]
    runs: u64,
    /// Keeps what reached something new in crates/fuzz/corpus, as few and as short inputs as it takes.
    #[arg(long)]
    keep: bool,
}

/// Tries the targets; what breaks one is left in target/fuzz/found.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let known = targets()?;
    if let Some(unknown) = arguments.targets.iter().find(|target| !known.contains(target)) {
        return Err(format!("there is no target {unknown}; there are {}", known.join(", ")));
    }
    let chosen = if arguments.targets.is_empty() { &known } else { &arguments.targets };
    let folder = repository::metadata()?.target_directory.into_std_path_buf().join("fuzz");
    let engine = build(&folder)?;
    for target in chosen {
        eprintln!("xtask: fuzzing {target}, {} times", arguments.runs);
        let seeds = repository::root().join(CORPUS).join(target);
        let (corpus, found) = (made(&folder.join("corpus").join(target))?, made(&folder.join("found").join(target))?);
        // A new input goes to the first folder; the others are only read.
        let mut fuzzing = told(&engine, target, &found);
        fuzzing.arg(format!("-runs={}", arguments.runs)).args(["-timeout=10", "-print_final_stats=1"]);
        finish(fuzzing.arg(&corpus).arg(&seeds), &format!("fuzzing {target}"))?;
        if arguments.keep {
            let mut merging = told(&engine, target, &found);
            merging.args(["-merge=1".to_owned(), format!("-max_len={KEPT_BYTES}")]);
            finish(merging.arg(&seeds).arg(&corpus), &format!("keeping what was found of {target}"))?;
        }
    }
    Ok(())
}

/// The names of all targets: the test of `crates/fuzz` sees to it that each has its folder.
fn targets() -> Result<Vec<String>, Failure> {
    let folder = repository::root().join(CORPUS);
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// Builds the engine with all targets, and gives the program.
fn build(folder: &Path) -> Result<PathBuf, Failure> {
    let engine = repository::root().join(ENGINE);
    // The versions of the workspace, and whatever libFuzzer needs beside them.
    let lock = |path: PathBuf| path.join("Cargo.lock");
    fs::copy(lock(repository::root()), lock(engine.clone())).map_err(|error| format!("Cargo.lock: {error}"))?;
    let host = host()?;
    let mut build = repository::cargo();
    // With a target named, the flags are not those of what only takes part in the build.
    build.args(["build", "--release", "--target", &host, "--target-dir"]).arg(folder);
    build.arg("--manifest-path").arg(engine.join("Cargo.toml")).env("RUSTFLAGS", FLAGS);
    finish(&mut build, "the build")?;
    Ok(folder.join(host).join("release/convoke-fuzz-engine"))
}

/// The system that the compiler runs on, as it calls it.
fn host() -> Result<String, Failure> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not say what it runs on".to_owned())
}

/// The engine, told which target it is for and where to leave what breaks it.
fn told(engine: &Path, target: &str, found: &Path) -> Command {
    let mut command = Command::new(engine);
    command.env("CONVOKE_FUZZ_TARGET", target).arg(format!("-artifact_prefix={}/", found.display()));
    command
}

fn made(folder: &Path) -> Result<PathBuf, Failure> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder.to_owned())
}
