//! Databases that keep what they promise to keep: a torture is about what is on disk.

pub use convoke_test_support::connect;
use convoke_test_support::{Cluster, ClusterOptions};

use crate::Failure;

/// A PostgreSQL as it is run in earnest: what is committed is on disk.
pub fn postgres() -> Result<Cluster, Failure> {
    Ok(Cluster::start(&ClusterOptions { durable: true, ..ClusterOptions::default() })?)
}
