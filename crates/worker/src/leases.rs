//! The leases that this process holds, and the tasks that work under them.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use convoke_domain::OperationId;
use convoke_store::Lease;
use tokio::task::JoinHandle;

use crate::measure;

/// Every operation under way in this process.
#[derive(Default)]
pub struct Leases(Mutex<HashMap<OperationId, (Lease, JoinHandle<()>)>>);

impl Leases {
    /// Begins the work under a lease, which is kept while it goes on, or until it is forgotten. Work under an earlier lease of
    /// the operation is ended: that one was lost, if only to this process.
    pub fn keep(&self, lease: Lease, begin: impl FnOnce() -> JoinHandle<()>) {
        // Held meanwhile: what is done at once is not forgotten before it is kept.
        let mut kept = self.lock();
        let operation = lease.operation_id;
        if let Some((_, earlier)) = kept.insert(operation, (lease, begin()))
            && !earlier.is_finished()
        {
            earlier.abort();
            tracing::warn!(%operation, "the lease was lost; its work is ended");
            measure::lease_lost();
        }
    }

    /// Forgets a lease.
    pub fn forget(&self, lease: &Lease) {
        drop(self.take(lease));
    }

    /// The leases to be extended.
    pub fn all(&self) -> Vec<Lease> {
        let mut kept = self.lock();
        kept.retain(|_, (_, task)| !task.is_finished());
        kept.values().map(|(lease, _)| lease.clone()).collect()
    }

    /// Ends the work under a lease; whether there was any.
    pub fn abort(&self, lease: &Lease) -> bool {
        self.take(lease).inspect(JoinHandle::abort).is_some()
    }

    fn take(&self, lease: &Lease) -> Option<JoinHandle<()>> {
        let mut kept = self.lock();
        // The operation may have been claimed again since, by this process too.
        kept.get(&lease.operation_id).filter(|(later, _)| later == lease)?;
        kept.remove(&lease.operation_id).map(|(_, task)| task)
    }

    /// Ends all work.
    pub fn abort_all(&self) {
        for (_, (_, task)) in self.lock().drain() {
            task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OperationId, (Lease, JoinHandle<()>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn lease(fence: i64) -> Lease {
        let operation_id = OperationId("0198a2f4-0000-7000-8000-000000000000".parse().unwrap());
        Lease { tenant: "acme".parse().unwrap(), operation_id, fence }
    }

    #[tokio::test]
    async fn what_becomes_of_a_lease_is_nothing_to_a_later_one_of_the_same_operation() {
        let leases = Leases::default();
        leases.keep(lease(1), || tokio::spawn(pending()));
        leases.keep(lease(2), || tokio::spawn(pending()));
        leases.forget(&lease(1));
        assert!(!leases.abort(&lease(1)));
        assert_eq!(leases.all(), [lease(2)]);
        assert!(leases.abort(&lease(2)));
        assert_eq!(leases.all(), []);
    }

    #[tokio::test]
    async fn whoever_claims_an_operation_again_ends_the_work_that_is_at_it() {
        let leases = Leases::default();
        let work = tokio::spawn(pending());
        let earlier = work.abort_handle();
        leases.keep(lease(1), || work);
        leases.keep(lease(2), || tokio::spawn(pending()));
        tokio::task::yield_now().await;
        assert!(earlier.is_finished());
        assert_eq!(leases.all(), [lease(2)]);
    }

    #[tokio::test]
    async fn what_is_done_needs_no_lease() {
        let leases = Leases::default();
        leases.keep(lease(1), || tokio::spawn(async {}));
        tokio::task::yield_now().await;
        assert_eq!(leases.all(), []);
    }
}
