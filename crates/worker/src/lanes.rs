//! The lanes of operations: those in which something may be claimed now, and the one that some work belongs to.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use convoke_provider::{Lane, Provider, ProviderError, Work};
use convoke_store::{ClaimedOperation, Outcome};

use crate::Inner;

/// Lanes in which this process is at an operation that is to end before the next one is begun.
#[derive(Default)]
pub struct BusyLanes(Mutex<HashSet<String>>);

impl BusyLanes {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lanes in which something may be claimed now.
pub fn idle(inner: &Inner) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = inner.providers.values().flat_map(|provider| provider.lanes()).collect();
    let busy = inner.busy_lanes.lock();
    lanes.retain(|lane| !busy.contains(&lane.name));
    lanes
}

/// Keeps a lane busy until it is dropped, however the attempt ends; then the next operation may be claimed.
pub struct Turn {
    inner: Arc<Inner>,
    lane: String,
}

impl Turn {
    /// Makes the lane busy.
    pub fn begin(inner: &Arc<Inner>, lane: &str) -> Self {
        inner.busy_lanes.lock().insert(lane.to_owned());
        Self { inner: Arc::clone(inner), lane: lane.to_owned() }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.inner.busy_lanes.lock().remove(&self.lane);
        self.inner.store.changes().operations.notify_one();
    }
}

/// Whether the operation is in its service's own lane.
pub fn is_in_services_own(operation: &ClaimedOperation) -> bool {
    operation.lane == operation.service.as_str()
}

/// The lane that the work belongs to, if it is another one. What came into an account's lane is done there.
pub async fn other_lane(
    provider: &dyn Provider,
    operation: &ClaimedOperation,
    work: Work<'_>,
) -> Result<Option<String>, ProviderError> {
    if !is_in_services_own(operation) {
        return Ok(None);
    }
    Ok(provider.lane_of(work).await?.filter(|lane| *lane != operation.lane))
}

/// The way into that lane.
pub fn moved(lane: String) -> Outcome {
    tracing::debug!(lane, "the operation belongs to another lane");
    Outcome::Moved { lane }
}
