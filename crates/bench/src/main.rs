//! Fills databases and measures the service beside its limits. `cargo xtask seed` and `cargo xtask bench` run it.

#![expect(clippy::cast_precision_loss, reason = "figures have three digits that mean something")]

mod bench;
mod ceiling;
mod figures;
mod http;
mod limit;
mod load;
mod paths;
mod plot;
mod report;
mod seed;
mod service;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use seed::{Form, TenantSeed};
use tokio::runtime::Runtime;

/// What went wrong, told to whoever runs this.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(name = "convoke-bench", about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fills an empty PostgreSQL database with realistic chats
    Seed(SeedArguments),
    /// Measures the service beside what limits it
    Bench(bench::BenchArguments),
    /// Answers everything with the bytes of a file: what is compared with
    #[command(hide = true)]
    Ceiling {
        #[arg(long)]
        address: String,
        #[arg(long)]
        file: PathBuf,
    },
    /// Walks a hot path, for its instructions to be counted
    #[command(hide = true)]
    Walk {
        path: paths::HotPath,
        #[arg(long)]
        times: usize,
    },
}

#[derive(clap::Args)]
struct SeedArguments {
    /// The database: `postgres://USER@HOST/DATABASE`
    #[arg(long, env = "CONVOKE__DATABASE__URL", hide_env_values = true)]
    database: String,
    /// How many chats in all
    #[arg(long, default_value_t = 100_000)]
    chats: u64,
    /// How many tenants they are spread over: seed-1, seed-2 and so on
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    tenants: u64,
    /// Short documents, no events and no stays: for very many
    #[arg(long)]
    thin: bool,
}

impl SeedArguments {
    async fn run(&self) -> Result<(), Failure> {
        let tenant = |place: u64| {
            let chats = self.chats / self.tenants + u64::from(place <= self.chats % self.tenants);
            Ok(TenantSeed { tenant: format!("seed-{place}").parse()?, chats })
        };
        let tenants = (1..=self.tenants).map(tenant).collect::<Result<Vec<_>, Failure>>()?;
        let form = if self.thin { Form::Thin } else { Form::Full };
        seed::seed(&self.database, &tenants, form).await
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Seed(arguments) => Runtime::new()?.block_on(arguments.run()),
        Command::Bench(arguments) => Runtime::new()?.block_on(bench::run(&arguments)),
        Command::Ceiling { address, file } => Runtime::new()?.block_on(ceiling::serve(&address, &file)),
        Command::Walk { path, times } => paths::walk(path, times),
    }
}

fn main() -> ExitCode {
    let outcome = run(Arguments::parse().command);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("convoke-bench: {failure}");
            // What a database says is in the cause.
            let causes = std::iter::successors(failure.source(), |cause| cause.source());
            causes.for_each(|cause| eprint!(": {cause}"));
            eprintln!();
            ExitCode::FAILURE
        }
    }
}
