//! What is done again and again: leases extended and swept, counts rolled up, statistics refreshed, what has expired
//! deleted.

use std::{sync::Arc, time::Duration};

use convoke_store::StoreError;
use tokio::time::sleep;

use crate::{Inner, measure};

/// How often counts are rolled up where there is little to do.
const ROLL_UP: Duration = Duration::from_secs(1);

/// The pause while there is much to do, so that others get their turn.
const BUSY: Duration = Duration::from_millis(100);

/// How often is looked whether the database's statistics are of a much smaller one: in a second a new one takes in
/// thousands of chats.
const STATISTICS: Duration = Duration::from_secs(1);

/// How often is looked for what has expired.
const CLEAN_UP: Duration = Duration::from_mins(1);

/// Extends the leases of what is under way, and ends the work on what was lost.
pub async fn heartbeats(inner: Arc<Inner>) {
    loop {
        sleep(inner.settings.heartbeat).await;
        let leases = inner.leases.all();
        if leases.is_empty() {
            continue;
        }
        match inner.store.extend_leases(&leases, inner.environment.now().plus(inner.settings.lease)).await {
            Ok(lost) => {
                for lease in leases.iter().filter(|lease| lost.contains(&lease.operation_id)) {
                    // Or the work has come to its end meanwhile.
                    if inner.leases.abort(lease) {
                        tracing::warn!(operation = %lease.operation_id, "the lease was lost; its work is ended");
                        measure::lease_lost();
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "leases could not be extended"),
        }
    }
}

/// Makes operations claimable again whose worker is gone.
pub async fn sweeps(inner: Arc<Inner>) {
    loop {
        match inner.store.sweep_expired_leases(inner.environment.now()).await {
            Ok(0) => {}
            Ok(swept) => {
                tracing::warn!(swept, "operations whose worker is gone are tried again");
                inner.store.changes().operations.notify_one();
            }
            Err(error) => tracing::warn!(%error, "expired leases could not be swept"),
        }
        sleep(inner.settings.sweep).await;
    }
}

/// Rolls up the counts.
pub async fn counts(inner: Arc<Inner>) {
    let once = || async {
        let number = inner.store.roll_up_counts().await?;
        measure::counts_rolled_up(number);
        Ok(number)
    };
    repeat(ROLL_UP, "counts could not be rolled up", once).await;
}

/// Has the database keep up with how its rows are spread.
pub async fn statistics(inner: Arc<Inner>) {
    let once = || async { inner.store.refresh_statistics().await.map(|()| 0) };
    repeat(STATISTICS, "statistics could not be refreshed", once).await;
}

/// Deletes what has been kept long enough, and renders documents of an older form anew.
pub async fn clean_up(inner: Arc<Inner>) {
    let once = || async {
        let rewritten = inner.store.rewrite_outdated_documents().await?;
        let deleted = inner.store.delete_expired(inner.environment.now(), &inner.settings.retention).await?;
        Ok(rewritten + deleted)
    };
    repeat(CLEAN_UP, "the clean-up did not succeed", once).await;
}

/// Does `once` again and again: soon while it finds something to do, else a while later.
async fn repeat<F>(every: Duration, failure: &str, once: impl Fn() -> F)
where
    F: Future<Output = Result<u64, StoreError>>,
{
    loop {
        match once().await {
            Ok(done) if done > 0 => sleep(BUSY).await,
            Ok(_) => sleep(every).await,
            Err(error) => {
                tracing::warn!(%error, "{failure}");
                sleep(every).await;
            }
        }
    }
}
