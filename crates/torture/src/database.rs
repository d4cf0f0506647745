//! Databases that keep what they promise to keep: a torture is about what is on disk.

use convoke_test_support::{Cluster, ClusterOptions};
use tokio_postgres::{Client, NoTls};

use crate::Failure;

/// A PostgreSQL as it is run in earnest: what is committed is on disk.
pub fn postgres() -> Result<Cluster, Failure> {
    Ok(Cluster::start(&ClusterOptions { durable: true, ..ClusterOptions::default() })?)
}

/// A client of the database itself, beside the service.
pub async fn connect(url: &str) -> Result<Client, Failure> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // Its end is seen by whoever asks the client.
    tokio::spawn(connection);
    Ok(client)
}
