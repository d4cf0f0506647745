//! How much the process takes on: what the settings say about it, with what they leave to the machine.

use std::{num::NonZeroUsize, thread::available_parallelism};

use convoke_api::RateLimit;

use super::Settings;

/// How many reads one thread works on at once if nothing is said: enough to keep a database busy, and few enough for each
/// of them to be answered soon.
pub const READS_OF_A_THREAD: usize = 32;

/// How many files are left for everything that is no client: databases, the listener for operators, the program itself.
const OTHER_FILES: u64 = 512;

/// How many threads answer, and what clients they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Threads of the public listener.
    pub threads: NonZeroUsize,
    /// Connections in all.
    pub connections: NonZeroUsize,
    /// Whether each connection is one client's own, for no proxy is in front that others share it through.
    pub is_direct: bool,
}

impl Settings {
    /// How many threads answer, and how many clients they have at most, where so many `files` may be open.
    #[must_use]
    pub fn capacity(&self, files: Option<u64>) -> Capacity {
        let threads = self.server.workers.map(NonZeroUsize::from);
        let threads = threads.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
        // However few there are, somebody is to be answered.
        let files = files.map_or(u64::MAX, |files| files.saturating_sub(OTHER_FILES).max(files / 2));
        let connections = u64::from(self.limits.connections.get()).min(files);
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        let connections = NonZeroUsize::new(connections).unwrap_or(NonZeroUsize::MIN);
        Capacity { threads, connections, is_direct: self.server.trusted_proxies == 0 }
    }

    /// How many requests are taken on.
    #[must_use]
    pub fn taken_on(&self, threads: NonZeroUsize) -> convoke_api::Limits {
        let limits = &self.limits;
        let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        convoke_api::Limits {
            rate: limits.requests_per_second.map(|requests_per_second| RateLimit {
                requests_per_second,
                burst: limits.burst.unwrap_or(requests_per_second),
            }),
            reads: limits.concurrent_reads.map_or(READS_OF_A_THREAD * threads.get(), |reads| number(reads.get())),
            writes: number(limits.concurrent_writes.get()),
        }
    }
}
