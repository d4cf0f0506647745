//! The intake: what a provider tells is recorded, and acknowledged once it is.

use std::{sync::Arc, time::Duration};

use convoke_domain::Service;
use convoke_provider::{Provider, ProviderError, ProviderEvent};
use convoke_store::StoreError;

use crate::{Inner, measure};

/// How long to wait before a feed that failed is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Takes in what the provider tells. A batch that is interrupted is told again.
pub async fn take_in(inner: Arc<Inner>, provider: Arc<dyn Provider>) {
    loop {
        if let Err(error) = take_in_batch(&inner, provider.as_ref()).await {
            tracing::warn!(%error, service = %provider.service(), "events could not be taken in; they will be told again");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

async fn take_in_batch(inner: &Inner, provider: &dyn Provider) -> Result<(), FeedError> {
    let batch = provider.next_events().await?;
    record(inner, provider.service(), &batch.events).await?;
    provider.acknowledge(batch.checkpoint).await?;
    Ok(())
}

/// Records a batch. An event that the store can't take, however often it is told, must not keep back all others: it is
/// written to the log, whole.
async fn record(inner: &Inner, service: Service, events: &[ProviderEvent]) -> Result<(), StoreError> {
    match record_together(inner, service, events).await {
        Err(StoreError::Inconsistent(_)) => {}
        recorded => return recorded,
    }
    for event in events {
        match record_together(inner, service, std::slice::from_ref(event)).await {
            Err(StoreError::Inconsistent(reason)) => {
                tracing::error!(reason, ?event, "an event can't be recorded");
                measure::event_refused(service);
            }
            recorded => recorded?,
        }
    }
    Ok(())
}

async fn record_together(inner: &Inner, service: Service, events: &[ProviderEvent]) -> Result<(), StoreError> {
    inner.store.record_events(service, events, inner.environment.now()).await?;
    measure::events_recorded(service, events, inner.environment.now());
    Ok(())
}
