//! Convoke, the program: command line, settings, start and stop. The only crate that knows all the others.

mod audit;
mod command_line;
mod commands;
mod environment;
mod failure;
mod logging;
mod progress;
mod secrets;
mod serve;
mod table;
mod terminal;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;
use convoke::settings::{self, Layers, Settings};

use command_line::{Command, CommandLine, ConfigCommand};
use failure::Failure;

/// How long the end of the process waits for what still runs in the background; by then nothing that matters does.
const LAST_WAIT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    match run(CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command_line: CommandLine) -> Result<(), Failure> {
    let role = command_line.role()?;
    let command = command_line.command.unwrap_or_default();
    // What is the same whatever is configured.
    match command {
        Command::Openapi => return commands::print(&convoke_api::openapi_json()),
        Command::Metrics => return commands::print(&convoke_api::metrics_reference()),
        Command::Completions { shell } => return commands::print_completions(shell),
        Command::Man { folder } => return commands::write_manual(&folder),
        Command::Config(ConfigCommand::Reference) => return commands::print(&settings::reference()),
        Command::Config(ConfigCommand::Schema) => return commands::print(&settings::schema()),
        Command::Config(ConfigCommand::Example) => return commands::print(&settings::example()),
        _ => {}
    }
    let layers = Layers::read(command_line.config.as_deref(), std::env::vars_os(), &command_line.set)?;
    let settings = layers.settings()?;
    match command {
        Command::Serve(_) => {
            logging::start(&settings.log);
            in_runtime(serve::serve(&layers, &settings, role))
        }
        Command::Config(ConfigCommand::Check) => in_runtime(commands::check_config(&layers, &settings)),
        Command::Config(ConfigCommand::Print { json }) => commands::print_config(&layers, &settings, json),
        Command::Healthcheck { live } => commands::check_health(&settings, live),
        other => {
            logging::start_quietly(&settings.log);
            in_runtime(run_on_store(other, &layers, &settings))
        }
    }
}

/// What needs the database, and no more.
async fn run_on_store(command: Command, layers: &Layers, settings: &Settings) -> Result<(), Failure> {
    match command {
        Command::Migrate => commands::migrate(layers, settings).await,
        Command::Token(command) => commands::token(layers, settings, command).await,
        Command::Operations(command) => commands::operations(layers, settings, command).await,
        Command::Backup { file, replace } => commands::back_up(settings, &file, replace).await,
        Command::Doctor { json } => commands::examine(layers, settings, json).await,
        Command::Telegram(command) => commands::telegram(layers, settings, command).await,
        Command::Serve(_)
        | Command::Openapi
        | Command::Metrics
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Config(_)
        | Command::Healthcheck { .. } => Ok(()),
    }
}

/// Migrations of PostgreSQL block a thread of the runtime, so it has several.
fn in_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("the runtime can't be started: {error}")))?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WAIT);
    outcome
}
