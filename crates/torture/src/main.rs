//! The promises, kept by real processes, real databases and real sockets under ill treatment. `cargo xtask torture` builds
//! what is needed and runs it; docs/torture.md tells what each torture proves.

#![expect(clippy::cast_precision_loss, reason = "figures have three digits that mean something")]

mod api;
mod backup;
mod cluster;
mod database;
mod haproxy;
mod idempotency;
mod kill9;
mod lost_answer;
mod mixed_load;
mod neighbour;
mod open_loop;
mod operations;
mod outcome;
mod overload;
mod postgres_away;
mod proof;
mod proxy;
mod rolling_restarts;
mod schemathesis;
mod setting;
mod slow_connections;
mod stage;
mod start_together;
mod strace;
mod sync_before_answer;
mod upgrade;
mod visitors;
mod watch;
mod writers;

use std::{future::Future, path::PathBuf, pin::Pin, process::ExitCode, time::Instant};

use clap::Parser;
use outcome::{Outcome, table};
use setting::Setting;
use tokio::runtime::Runtime;

/// What kept a torture from coming to its end; a promise that was broken is a line of its [`Outcome`].
type Failure = Box<dyn std::error::Error + Send + Sync>;

type Run = for<'a> fn(&'a Setting) -> Pin<Box<dyn Future<Output = Result<Outcome, Failure>> + 'a>>;

/// A torture, by the name that it is called by.
struct Torture {
    name: &'static str,
    about: &'static str,
    run: Run,
}

/// All of them, in the order in which they are run.
const TORTURES: &[Torture] = &[
    Torture {
        name: "kill9-sqlite",
        about: "kill -9 at random moments under 16 writers, on SQLite",
        run: |setting| Box::pin(kill9::on_sqlite(setting)),
    },
    Torture {
        name: "kill9-postgres",
        about: "kill -9 at random moments under 16 writers, on PostgreSQL",
        run: |setting| Box::pin(kill9::on_postgres(setting)),
    },
    Torture {
        name: "sync-before-answer",
        about: "on SQLite the log is on disk before a 202 leaves, as strace sees it",
        run: |setting| Box::pin(sync_before_answer::run(setting)),
    },
    Torture {
        name: "postgres-away",
        about: "PostgreSQL crashes, is away, and falls silent, under 16 writers",
        run: |setting| Box::pin(postgres_away::run(setting)),
    },
    Torture {
        name: "lost-answer",
        about: "PostgreSQL commits, and its answer is lost",
        run: |setting| Box::pin(lost_answer::run(setting)),
    },
    Torture {
        name: "operations",
        about: "three workers, one of which is killed or frozen every second",
        run: |setting| Box::pin(operations::run(setting)),
    },
    Torture {
        name: "idempotency",
        about: "20 times the same at once, and again after kill -9 between commit and answer",
        run: |setting| Box::pin(idempotency::run(setting)),
    },
    Torture {
        name: "start-together",
        about: "six processes start at once on an empty PostgreSQL database: it is migrated once",
        run: |setting| Box::pin(start_together::run(setting)),
    },
    Torture {
        name: "cluster",
        about: "a PostgreSQL of three nodes under Patroni: crashes, dead nodes and switch-overs lose nothing",
        run: |setting| Box::pin(cluster::run(setting)),
    },
    Torture {
        name: "backup",
        about: "backups of a database that 16 writers write to are restored",
        run: |setting| Box::pin(backup::run(setting)),
    },
    Torture {
        name: "schemathesis",
        about: "whatever the OpenAPI document allows or forbids is asked: the answers are those that it names",
        run: |setting| Box::pin(schemathesis::run(setting)),
    },
    Torture {
        name: "rolling-restarts",
        about: "replicas behind HAProxy are told to stop, one after the other, under load: nobody notices",
        run: |setting| Box::pin(rolling_restarts::run(setting)),
    },
    Torture {
        name: "upgrade",
        about: "the former release beside this one, on the schema of this one",
        run: |setting| Box::pin(upgrade::run(setting)),
    },
    Torture {
        name: "overload",
        about: "two and five times the requests that can be answered: as many as can be are, the rest is refused quickly",
        run: |setting| Box::pin(overload::run(setting)),
    },
    Torture {
        name: "neighbour",
        about: "one tenant asks for far too much: another hardly notices",
        run: |setting| Box::pin(neighbour::run(setting)),
    },
    Torture {
        name: "slow-connections",
        about: "thousands of slow heads, bodies and readers: others are answered as ever",
        run: |setting| Box::pin(slow_connections::run(setting)),
    },
];

/// Those that the small edition leaves out unless they are named: what they need is not everywhere, and takes its time.
const NAMED_OR_FULL: [&str; 2] = ["cluster", "upgrade"];

#[derive(Parser)]
#[command(name = "convoke-torture", about)]
struct Arguments {
    /// Which tortures; without any, all of them
    names: Vec<String>,
    /// The edition of `.ci/run`: all of them in five minutes together
    #[arg(long)]
    small: bool,
    /// The seed of all chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The program that is tortured
    #[arg(long, default_value = "target/release/convoke")]
    program: PathBuf,
    /// Where Schemathesis is
    #[arg(long)]
    schemathesis: Option<PathBuf>,
    /// The former release, where one is there
    #[arg(long)]
    former: Option<PathBuf>,
    /// Only says which tortures there are
    #[arg(long)]
    list: bool,
}

fn chosen(names: &[String], small: bool) -> Result<Vec<&'static Torture>, Failure> {
    if names.is_empty() {
        return Ok(TORTURES.iter().filter(|torture| !small || !NAMED_OR_FULL.contains(&torture.name)).collect());
    }
    let find = |name: &String| {
        let found = TORTURES.iter().find(|torture| torture.name == name);
        found.ok_or_else(|| format!("there is no torture {name}; --list says which there are").into())
    };
    names.iter().map(find).collect()
}

fn run(arguments: &Arguments) -> Result<bool, Failure> {
    if arguments.list {
        for torture in TORTURES {
            println!("{:<20} {}", torture.name, torture.about);
        }
        return Ok(true);
    }
    let program = arguments.program.canonicalize()?;
    let former = arguments.former.as_ref().map(|former| former.canonicalize()).transpose()?;
    let schemathesis = arguments.schemathesis.clone();
    let setting = Setting { small: arguments.small, program, former, seed: arguments.seed, schemathesis };
    let runtime = Runtime::new()?;
    let mut told = Vec::new();
    for torture in chosen(&arguments.names, arguments.small)? {
        eprintln!("torture {}: {}", torture.name, torture.about);
        let begun = Instant::now();
        let outcome = runtime.block_on((torture.run)(&setting)).unwrap_or_else(|failure| Outcome::failed(&*failure));
        let verdict = if outcome.is_kept() { "ok" } else { "FAILED" };
        eprintln!("torture {}: {verdict} ({:.1} s)", torture.name, begun.elapsed().as_secs_f32());
        told.push((torture.name, outcome));
    }
    print!("{}", table(&told));
    Ok(told.iter().all(|(_, outcome)| outcome.is_kept()))
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("convoke-torture: {failure}");
            ExitCode::FAILURE
        }
    }
}
