//! Between the feeds of accounts, which find out what happened, and the one who records it: one batch at a time, which
//! stays until it is acknowledged.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use convoke_provider::{
    AccountLease, AccountStorage, Checkpoint, EventBatch, FeedState, ProviderError, ProviderEvent, StorageError,
};
use tokio::sync::{mpsc, oneshot};

/// What happened, to be recorded.
pub struct Offer {
    /// Where it is kept that it was recorded.
    pub storage: Arc<dyn AccountStorage>,
    /// The right to keep it.
    pub lease: AccountLease,
    /// What happened, oldest first.
    pub events: Vec<ProviderEvent>,
    /// What is kept once it is recorded.
    pub state: FeedState,
    /// Told then: `false` if the lease was lost.
    pub taken_in: oneshot::Sender<bool>,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer").field("lease", &self.lease).field("events", &self.events).finish_non_exhaustive()
    }
}

/// What is offered, as the one who records it sees it.
#[derive(Debug)]
pub struct Offers {
    sender: mpsc::Sender<Offer>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Offer>>,
    told: Mutex<Option<(Checkpoint, Offer)>>,
    number: AtomicU64,
}

impl Offers {
    /// Nothing offered yet.
    pub fn new() -> Self {
        let (sender, waiting) = mpsc::channel(1);
        let waiting = tokio::sync::Mutex::new(waiting);
        Self { sender, waiting, told: Mutex::new(None), number: AtomicU64::new(0) }
    }

    /// Where an account's feed puts what it found out.
    pub fn sender(&self) -> mpsc::Sender<Offer> {
        self.sender.clone()
    }

    /// Waits for something that is not acknowledged. May be dropped at any point.
    pub async fn next(&self) -> EventBatch {
        let mut waiting = self.waiting.lock().await;
        if let Some(batch) = self.told_before() {
            return batch;
        }
        loop {
            let Some(offer) = waiting.recv().await else {
                // Never, as long as a sender is kept here.
                return std::future::pending().await;
            };
            if offer.taken_in.is_closed() {
                continue;
            }
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let checkpoint = Checkpoint(format!("{}:{number}", offer.lease.account.0));
            let batch = EventBatch { events: offer.events.clone(), checkpoint: checkpoint.clone() };
            *self.told() = Some((checkpoint, offer));
            return batch;
        }
    }

    /// What was told last, if it was not acknowledged and its feed goes on: the feed of an account that was given up
    /// goes on elsewhere, and tells it there.
    fn told_before(&self) -> Option<EventBatch> {
        let mut told = self.told();
        told.take_if(|(_, offer)| offer.taken_in.is_closed());
        let (checkpoint, offer) = told.as_ref()?;
        Some(EventBatch { events: offer.events.clone(), checkpoint: checkpoint.clone() })
    }

    /// Keeps that what was told last is recorded. Where the lease was lost meanwhile nothing is kept: whoever has it now
    /// tells it again.
    ///
    /// # Errors
    /// If the storage does not answer; then nothing was acknowledged.
    pub async fn acknowledge(&self, checkpoint: &Checkpoint) -> Result<(), ProviderError> {
        let (storage, lease, state) = match &*self.told() {
            Some((told, offer)) if told == checkpoint => {
                (offer.storage.clone(), offer.lease.clone(), offer.state.clone())
            }
            _ => return Ok(()),
        };
        let kept = storage.save_feed(&lease, state).await;
        let kept = kept.map_err(|error: StorageError| ProviderError::Unknown(error.to_string()))?;
        if let Some((_, offer)) = self.told().take_if(|(told, _)| told == checkpoint) {
            // A feed that has ended needs no answer.
            let _ = offer.taken_in.send(kept);
        }
        Ok(())
    }

    fn told(&self) -> MutexGuard<'_, Option<(Checkpoint, Offer)>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
