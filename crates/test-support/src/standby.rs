//! A standby that lags as far as a test wants it to.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::Client;

use crate::Cluster;

/// How often is looked whether something is so, 50 ms apart.
const LOOKS: usize = 1_200;

/// Waits until the standby has replayed all that the primary has written by now.
///
/// # Panics
/// If one of them does not answer, or if it takes longer than a minute.
pub async fn catch_up(primary: &Cluster, standby: &Cluster) {
    let written = connect(primary).await.query_one("select pg_current_wal_flush_lsn()::text", &[]).await;
    let written: String = written.expect("a primary").get(0);
    until(standby, &format!("select pg_last_wal_replay_lsn() >= '{written}'")).await;
}

/// Has the standby replay nothing any more; returns once that is so.
///
/// # Panics
/// As [`catch_up`].
pub async fn pause_replay(standby: &Cluster) {
    connect(standby).await.batch_execute("select pg_wal_replay_pause()").await.expect("a standby");
    until(standby, "select pg_get_wal_replay_pause_state() = 'paused'").await;
}

/// Has the standby go on.
///
/// # Panics
/// If it does not answer.
pub async fn resume_replay(standby: &Cluster) {
    connect(standby).await.batch_execute("select pg_wal_replay_resume()").await.expect("a standby");
}

async fn until(cluster: &Cluster, is_so: &str) {
    let client = connect(cluster).await;
    for _ in 0..LOOKS {
        if client.query_one(is_so, &[]).await.expect("an answer").get(0) {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("not so within a minute: {is_so}");
}

async fn connect(cluster: &Cluster) -> Client {
    crate::connect(&cluster.url()).await.expect("a running cluster")
}
