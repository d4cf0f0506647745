//! What the log never holds, however verbose it is.

use std::{
    io::{self, Write},
    sync::{Mutex, Once, PoisonError},
};

use tracing::Level;
use tracing_subscriber::{
    Layer as _, filter::filter_fn, fmt, layer::SubscriberExt as _, registry, util::SubscriberInitExt as _,
};

/// What all tests of this process have logged since [`listen`].
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to keep everything that is logged, but for what the program lets nobody log: what grammers traces.
pub fn listen() {
    static ONCE: Once = Once::new();
    let is_discreet = filter_fn(|line| *line.level() < Level::TRACE || !line.target().starts_with("grammers"));
    let lines = fmt::layer().with_ansi(false).with_writer(|| Log).with_filter(is_discreet);
    ONCE.call_once(|| registry().with(lines).init());
}

/// What was logged.
pub fn log() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}
