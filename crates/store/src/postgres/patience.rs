//! What may take long is let through a little at a time, so that one tenant's does not take all connections.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use convoke_domain::TenantId;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{deadline::of_a_call, pool::late};
use crate::error::Result;

/// How many slow reads of a tenant run at once.
const AT_ONCE: usize = 2;

/// Who is reading slowly.
#[derive(Default)]
pub struct SlowReads(Mutex<HashMap<TenantId, Weak<Semaphore>>>);

impl SlowReads {
    /// Waits until this tenant may read slowly; for as long as what is returned is held.
    pub async fn turn(&self, tenant: &TenantId) -> Result<OwnedSemaphorePermit> {
        let places = self.places(tenant);
        let turn = timeout(of_a_call(), places.acquire_owned()).await;
        turn.map_err(|_| late())?.map_err(|_| late())
    }

    fn places(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = tenants.get(tenant).and_then(Weak::upgrade) {
            return places;
        }
        tenants.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(AT_ONCE));
        tenants.insert(tenant.clone(), Arc::downgrade(&places));
        places
    }
}
