//! The leases that this process holds, and the tasks that work under them.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use convoke_domain::OperationId;
use convoke_store::Lease;
use tokio::task::JoinHandle;

/// Every operation under way in this process.
#[derive(Default)]
pub struct Leases(Mutex<HashMap<OperationId, (Lease, JoinHandle<()>)>>);

impl Leases {
    /// Keeps a lease for as long as its task runs.
    pub fn keep(&self, lease: Lease, task: JoinHandle<()>) {
        // The task may have ended already, before it was kept: then there is nothing to keep.
        if !task.is_finished() {
            self.lock().insert(lease.operation_id, (lease, task));
        }
    }

    /// Forgets the lease of an operation whose attempt is over.
    pub fn forget(&self, id: OperationId) {
        self.lock().remove(&id);
    }

    /// The leases to be extended.
    pub fn all(&self) -> Vec<Lease> {
        let mut kept = self.lock();
        kept.retain(|_, (_, task)| !task.is_finished());
        kept.values().map(|(lease, _)| lease.clone()).collect()
    }

    /// Ends the work on an operation whose lease was lost.
    pub fn abort(&self, id: OperationId) {
        if let Some((_, task)) = self.lock().remove(&id) {
            task.abort();
        }
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
