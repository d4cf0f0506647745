//! The log: on standard error, for people on a terminal, as JSON lines otherwise.

mod json_line;

use std::{
    io::{self, IsTerminal},
    panic,
};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::settings::{AUDIT, Log, LogFormat};
use json_line::JsonLine;

/// Begins to log, panics included.
pub fn start(settings: &Log) {
    start_with(settings, settings.level.to_env_filter());
}

/// The same for a command whose output is what matters: only what went wrong, and what belongs into the audit log.
pub fn start_quietly(settings: &Log) {
    start_with(settings, EnvFilter::new(format!("warn,{AUDIT}")));
}

fn start_with(settings: &Log, filter: EnvFilter) {
    let terminal = io::stderr().is_terminal();
    let human = match settings.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let lines = fmt::layer::<Registry>().with_writer(io::stderr);
    let lines = if human {
        lines.with_ansi(terminal).boxed()
    } else {
        // The span is the request: its id is in every line.
        lines.with_ansi(false).fmt_fields(JsonLine).event_format(JsonLine).boxed()
    };
    tracing_subscriber::registry().with(lines.with_filter(filter.and(filter_fn(is_discreet)))).init();
    panic::set_hook(Box::new(log_panic));
}

/// Whether a line may be written, whatever is asked for: the library that speaks with Telegram traces whole updates, with
/// the names and phone numbers of people.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    *metadata.level() < Level::TRACE || !metadata.target().starts_with("grammers")
}

/// A panic ends a task or a request, not the process; it is told like any other error.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let words = panic.payload_as_str().unwrap_or("no words");
    tracing::error!(place, "panic: {words}");
}
