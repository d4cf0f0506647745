//! What is measured of the database: every call, from what was asked to its answer, and what shares a commit.
//!
//! By the kind of call, not by each of them: one that waits for the writer or for a connection waits whatever it asks.

use std::time::{Duration, Instant};

use metrics::{Histogram, counter, gauge, histogram};

use crate::StoreError;

/// How long calls take; what becomes of them is in `error_type`.
const DURATION: &str = "db_client_operation_duration_seconds";

/// Measures calls of one kind.
#[derive(Clone)]
pub struct Calls {
    name: &'static str,
    succeeded: Histogram,
}

impl Calls {
    /// Of this kind. Whoever is to hear of them listens already.
    pub fn new(name: &'static str) -> Self {
        Self { name, succeeded: histogram!(DURATION, "db_operation_name" => name) }
    }

    /// A call begins. One that never ends is not told.
    pub fn begin(&self) -> Call<'_> {
        Call { of: self, begun: Instant::now() }
    }
}

/// A call under way.
#[must_use]
pub struct Call<'a> {
    of: &'a Calls,
    begun: Instant,
}

impl Call<'_> {
    /// It has ended: tells how long it took.
    pub fn end<T, E: ErrorType>(self, outcome: Result<T, E>) -> Result<T, E> {
        let duration = self.begun.elapsed();
        match &outcome {
            Ok(_) => self.of.succeeded.record(duration),
            Err(error) => {
                let labels = [("db_operation_name", self.of.name), ("error_type", error.error_type())];
                histogram!(DURATION, &labels).record(duration);
            }
        }
        outcome
    }
}

/// An error that has one word for its kind.
pub trait ErrorType {
    /// The word.
    fn error_type(&self) -> &'static str;
}

impl ErrorType for StoreError {
    fn error_type(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Busy => "busy",
            Self::Open(_) => "open",
            Self::Inconsistent(_) => "inconsistent",
        }
    }
}

/// How many writes share a commit.
pub fn batches() -> Histogram {
    histogram!("convoke_database_batch_size")
}

/// Counts calls that waited in vain for a connection. It is told from the beginning, so that the first one shows.
pub fn waited_in_vain(times: u64) {
    counter!("db_client_connection_timeouts_total").increment(times);
}

/// Of what may be read from a replica, by whom it was answered.
const READS: &str = "convoke_database_reads_total";

/// Tells of replicas from the beginning, also if there are none.
pub fn replicas() {
    for source in ["primary", "replica"] {
        counter!(READS, "source" => source).increment(0);
    }
    replica_lag(Duration::ZERO);
}

/// Counts a read that a replica may have answered.
pub fn read_from(source: &'static str) {
    counter!(READS, "source" => source).increment(1);
}

/// Tells how old what replicas answer may be.
pub fn replica_lag(lag: Duration) {
    gauge!("convoke_database_replica_lag_seconds").set(lag);
}
