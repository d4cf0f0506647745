//! What may take long is let through a little at a time, so that it does not take all connections, and one tenant's not
//! all of what there is for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use convoke_domain::TenantId;
use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::error::{Result, StoreError};

/// How many slow reads of a tenant run at once.
const AT_ONCE: usize = 2;

/// How many more of them wait. Who waits holds what others need, too: a place among the requests that are at work.
const WAITING: usize = 8;

/// Who is reading slowly.
pub struct SlowReads {
    /// Where those of all tenants run.
    running: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, Weak<Places>>>,
}

/// The places of a tenant.
struct Places {
    /// Where they run.
    running: Arc<Semaphore>,
    /// Where they run or wait.
    all: Arc<Semaphore>,
}

/// The right to read slowly, for as long as it is held.
pub struct Turn {
    _places: Arc<Places>,
    _of_tenant: [OwnedSemaphorePermit; 2],
    _of_all: OwnedSemaphorePermit,
}

impl SlowReads {
    /// So many run at once at most, of all tenants.
    pub fn new(at_once: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(at_once)), tenants: Mutex::default() }
    }

    /// Waits until this tenant may read slowly, so long at most; not at all if too many of its reads wait already: then,
    /// [`StoreError::Busy`].
    pub async fn turn(&self, tenant: &TenantId, patience: Duration) -> Result<Turn> {
        let places = self.places(tenant);
        let in_line = Arc::clone(&places.all).try_acquire_owned().map_err(|_| StoreError::Busy)?;
        let run = async {
            let of_tenant = Arc::clone(&places.running).acquire_owned().await?;
            Ok::<_, AcquireError>((of_tenant, Arc::clone(&self.running).acquire_owned().await?))
        };
        let (of_tenant, of_all) =
            timeout(patience, run).await.map_err(|_| StoreError::Busy)?.map_err(|_| StoreError::Busy)?;
        Ok(Turn { _places: places, _of_tenant: [in_line, of_tenant], _of_all: of_all })
    }

    fn places(&self, tenant: &TenantId) -> Arc<Places> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = tenants.get(tenant).and_then(Weak::upgrade) {
            return places;
        }
        tenants.retain(|_, places| places.strong_count() > 0);
        let places = |number| Arc::new(Semaphore::new(number));
        let places = Arc::new(Places { running: places(AT_ONCE), all: places(AT_ONCE + WAITING) });
        tenants.insert(tenant.clone(), Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future::join_all};

    use super::*;

    #[tokio::test]
    async fn a_few_of_a_tenant_run_a_few_wait_and_the_others_are_refused_at_once() {
        const PATIENCE: Duration = Duration::from_mins(1);
        let (reads, acme, other) = (SlowReads::new(2 * AT_ONCE), "acme".parse().unwrap(), "other".parse().unwrap());
        let turn = |tenant| reads.turn(tenant, PATIENCE);
        let running = join_all((0..AT_ONCE).map(|_| turn(&acme))).await;
        assert!(running.iter().all(Result::is_ok));
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(turn(&acme))).collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        assert!(matches!(turn(&acme).now_or_never().unwrap(), Err(StoreError::Busy)));
        assert!(turn(&other).now_or_never().unwrap().is_ok(), "each tenant has places of its own");
        drop(running);
        let next = waiting.remove(0).await.unwrap();
        drop(waiting);
        assert!(join_all((1..AT_ONCE).map(|_| turn(&acme))).await.iter().all(Result::is_ok));
        drop(next);
        assert!(turn(&acme).now_or_never().unwrap().is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let (reads, acme, other) = (SlowReads::new(AT_ONCE), "acme".parse().unwrap(), "other".parse().unwrap());
        let running = join_all((0..AT_ONCE).map(|_| reads.turn(&acme, Duration::ZERO))).await;
        for tenant in [&acme, &other] {
            assert!(reads.turn(tenant, Duration::from_millis(1)).await.is_err());
        }
        drop(running);
        assert!(reads.turn(&other, Duration::ZERO).await.is_ok());
    }
}
