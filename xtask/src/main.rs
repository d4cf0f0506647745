//! What is run beside the service: all tests, and the checks that keep the repository true. `cargo xtask help` lists
//! them.

mod arrows;
mod bench;
mod breaking;
mod browser;
mod clients;
mod deploy;
mod domain;
mod fuzz;
mod install;
mod instructions;
mod licences;
mod links;
mod lints;
mod migrations;
mod node;
mod openapi;
mod openapi_lint;
mod postgres;
mod process;
mod python;
mod repository;
mod supply_chain;
mod test;
mod torture;
mod unfinished;
mod unused;

use std::{process::ExitCode, time::Instant};

use clap::{Parser, Subcommand, ValueEnum};

/// What a check or a command can't do without, in one line.
type Failure = String;

/// What a check found wrong, a line each.
type Mistakes = Vec<String>;

/// Tests, checks and generated files of Convoke.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs every test, on SQLite and on a throw-away PostgreSQL (which it installs if it is missing).
    Test {
        /// Passed on to `cargo test`; `-p PACKAGE` takes the place of `--workspace`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measures the service beside its limits and writes docs/performance.md; `--quick` takes less than five minutes.
    Bench {
        /// Passed on; `-- --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Fills an empty PostgreSQL database with realistic chats: `--database URL --chats N --tenants T`, `--thin`.
    Seed {
        /// Passed on; `-- --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Tries the pages in headless Chromium (which it installs if it is missing); screenshots are in target/screenshots.
    Browser {
        /// Also makes the pictures of README.md anew.
        #[arg(long)]
        pictures: bool,
    },
    /// Checks what the compiler doesn't.
    Check {
        /// What to check.
        what: Check,
    },
    /// Looks at the licences, sources and versions of what the program is made of (deny.toml), by cargo-deny.
    Deny {
        /// What to look at instead: advisories, bans, licenses, sources.
        checks: Vec<String>,
    },
    /// Makes clients in Python and TypeScript from openapi/openapi.json, below target/, and uses them.
    Clients,
    /// Looks at the Dockerfile and at all that is in deploy/, without a cluster or an engine.
    Deploy {
        /// Makes the picture of the dashboard anew instead, which takes five minutes.
        #[arg(long)]
        picture: bool,
    },
    /// Gives whatever libFuzzer thinks of to everything that reads what others wrote (crates/fuzz).
    Fuzz(fuzz::Arguments),
    /// Tries the service with an OpenID Connect issuer of others (oidc-provider, from npm); logs in with Swagger UI.
    Oidc,
    /// Holds the migrations to the rules of migrations/README.md, with squawk (which it installs below target/).
    Migrations,
    /// Writes openapi/openapi.json, as the service serves it.
    Openapi,
    /// Counts the instructions of the hot paths with valgrind, and records them in crates/bench/instructions.txt.
    Instructions,
    /// Asks linters about openapi/openapi.json; they are Node.js packages, installed below target/.
    OpenapiLint,
    /// Lists what the program is made of, as CycloneDX, in target/convoke.cdx.json.
    Sbom,
    /// Keeps the service's promises under ill treatment: `cargo xtask torture kill9-sqlite --small`; `--list` names all.
    Torture(torture::Arguments),
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    /// Everything below.
    All,
    /// The crates depend on each other as docs/architecture.md draws it.
    Arrows,
    /// The domain crate compiles without an operating system.
    Bare,
    /// openapi/openapi.json breaks no client of the last released one.
    Breaking,
    /// Everything public in the domain crate has an example and a test.
    Domain,
    /// No hot path takes 5 % more or fewer instructions than crates/bench/instructions.txt says, counted by valgrind.
    Instructions,
    /// Every dependency may be used under a licence that we accept.
    Licences,
    /// Every path that a Markdown file names exists.
    Links,
    /// Every crate is held to the workspace's lints, which forbid `unsafe`.
    Lints,
    /// openapi/openapi.json is what the service serves.
    Openapi,
    /// No test is ignored, nothing is left to be done.
    Unfinished,
    /// Every dependency is used.
    Unused,
}

impl Check {
    fn run(self) -> Result<Mistakes, Failure> {
        match self {
            Self::All => {
                let mut mistakes = Vec::new();
                for check in Self::value_variants().iter().filter(|check| **check != Self::All) {
                    mistakes.extend(check.report()?);
                }
                Ok(mistakes)
            }
            Self::Arrows => arrows::check(),
            Self::Bare => domain::check_bare(),
            Self::Breaking => breaking::check(),
            Self::Domain => domain::check(),
            Self::Instructions => instructions::check(),
            Self::Licences => licences::check(),
            Self::Links => links::check(),
            Self::Lints => lints::check(),
            Self::Openapi => openapi::check(),
            Self::Unfinished => unfinished::check(),
            Self::Unused => unused::check(),
        }
    }

    /// Why it can't be done here, if that is nobody's mistake.
    fn skipped(self) -> Result<Option<String>, Failure> {
        match self {
            Self::Bare => Ok(domain::bare_skipped()),
            Self::Instructions => instructions::skipped(),
            _ => Ok(None),
        }
    }

    /// Runs it and says how it went.
    fn report(self) -> Result<Mistakes, Failure> {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let begun = Instant::now();
        if let Some(why) = self.skipped()? {
            eprintln!("check {name}: skipped: {why}");
            return Ok(Mistakes::new());
        }
        let mistakes = self.run().map_err(|failure| format!("{name}: {failure}"))?;
        if self != Self::All {
            for mistake in &mistakes {
                eprintln!("{name}: {mistake}");
            }
            let verdict = if mistakes.is_empty() { "ok" } else { "FAILED" };
            eprintln!("check {name}: {verdict} ({:.1} s)", begun.elapsed().as_secs_f32());
        }
        Ok(mistakes)
    }
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test { arguments } => test::run(&arguments),
        Command::Bench { arguments } => bench::bench(&arguments),
        Command::Seed { arguments } => bench::seed(&arguments),
        Command::Browser { pictures } => browser::run(pictures),
        Command::Check { what } => what.report().and_then(|mistakes| match mistakes.len() {
            0 => Ok(()),
            1 => Err("1 mistake".to_owned()),
            number => Err(format!("{number} mistakes")),
        }),
        Command::Deny { checks } => supply_chain::deny(&checks),
        Command::Clients => clients::run(),
        Command::Deploy { picture: false } => deploy::run(),
        Command::Deploy { picture: true } => deploy::draw(),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Instructions => instructions::record(),
        Command::Oidc => browser::log_in(),
        Command::Migrations => migrations::run(),
        Command::Openapi => openapi::write(),
        Command::OpenapiLint => openapi_lint::run(),
        Command::Sbom => supply_chain::sbom(),
        Command::Torture(arguments) => torture::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
