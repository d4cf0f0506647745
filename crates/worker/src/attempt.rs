//! One attempt at an operation: what is called, and what follows from how it went.

use std::{panic::AssertUnwindSafe, time::Duration};

use convoke_domain::{Chat, OperationError, OperationErrorCode};
use convoke_provider::{Provider, ProviderError, Work as LaneWork};
use convoke_store::{ClaimedOperation, Lease, Outcome, StoreError, Work};
use futures_util::FutureExt as _;
use opentelemetry::{context::FutureExt as _, trace::TraceContextExt as _};
use tracing::{Instrument as _, field::Empty};

use crate::{Inner, backoff, create_chat, lanes, measure, traces};

/// How long an operation waits for an account that can be used.
pub const NO_ACCOUNT: Duration = Duration::from_mins(1);

/// Why an attempt ended without an outcome of its own.
#[derive(Debug, thiserror::Error)]
pub enum Interruption {
    /// The provider did not do it.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The database did not keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else drives the operation now.
    #[error("the lease was lost")]
    LeaseLost,
}

/// Makes the attempt and writes down how it ended. What can't be written down is left to the lease's end.
pub async fn run(inner: &Inner, operation: ClaimedOperation) {
    let span = tracing::info_span!(
        "operation",
        id = %operation.lease.operation_id,
        chat = %operation.chat_id,
        request_id = Empty,
        trace_id = Empty
    );
    if let Some(request_id) = operation.origin.as_ref().and_then(|origin| origin.request_id.as_deref()) {
        span.record("request_id", request_id);
    }
    let attempt = make(inner, &operation).instrument(span.clone());
    if !inner.settings.traces {
        return attempt.await;
    }
    let traced = traces::attempt(&operation);
    span.record("trace_id", tracing::field::display(traced.span().span_context().trace_id()));
    attempt.with_context(traced).await;
}

async fn make(inner: &Inner, operation: &ClaimedOperation) {
    let attempt = AssertUnwindSafe(outcome(inner, operation)).catch_unwind().await;
    let interruption = match attempt {
        Ok(Ok(outcome)) => return finish(inner, operation, outcome).await,
        Ok(Err(interruption)) => interruption,
        Err(_) => ProviderError::Unknown("the attempt panicked".to_owned()).into(),
    };
    match interruption {
        Interruption::Provider(error) => {
            tracing::warn!(%error, attempts = operation.attempts, "the attempt did not succeed");
            let outcome = after(inner, operation, error);
            finish(inner, operation, outcome).await;
        }
        Interruption::Store(error) => {
            tracing::warn!(%error, "the attempt was interrupted");
            measure::attempt_ended(operation, "interrupted");
        }
        Interruption::LeaseLost => {
            tracing::info!("another worker drives the operation now");
            measure::attempt_ended(operation, "lease_lost");
            measure::lease_lost();
        }
    }
}

async fn outcome(inner: &Inner, operation: &ClaimedOperation) -> Result<Outcome, Interruption> {
    let Some(provider) = inner.providers.get(&operation.service) else {
        // Only lanes of known providers are claimed; should one be gone, the operation waits for its return.
        return Err(ProviderError::AccountUnusable("the provider is not configured".to_owned()).into());
    };
    match &operation.work {
        Work::CreateChat { title, description } => {
            create_chat::make(inner, provider.as_ref(), operation, title, description.as_deref()).await
        }
        Work::RemoveParticipant { provider_chat_id, external_id } => {
            remove(inner, provider.as_ref(), operation, provider_chat_id, external_id).await
        }
    }
}

/// Removing somebody again who is out already does nothing. But if an earlier attempt may have removed them, they may have
/// come back since, as they are free to: then the stay that was to end has ended.
async fn remove(
    inner: &Inner,
    provider: &dyn Provider,
    operation: &ClaimedOperation,
    group: &str,
    person: &str,
) -> Result<Outcome, Interruption> {
    if let Some(lane) = lanes::other_lane(provider, operation, LaneWork::In(group)).await? {
        return Ok(lanes::moved(lane));
    }
    if operation.attempts > 1 && is_back(inner, operation).await? {
        tracing::info!("whoever was to be removed was out, and is back");
        return Ok(Outcome::ParticipantRemoved { events: Vec::new() });
    }
    let events = provider.remove_participant(group, person).await?;
    Ok(Outcome::ParticipantRemoved { events })
}

/// Whether whoever is to be removed was out since that was asked for, and is in again, as far as the record knows by now.
async fn is_back(inner: &Inner, operation: &ClaimedOperation) -> Result<bool, StoreError> {
    let Lease { tenant, operation_id, .. } = &operation.lease;
    let details = inner.store.find_operation_details(*operation_id).await?;
    let document = inner.store.find_chat(tenant, operation.chat_id).await?;
    let (Some(person), Some(document)) = (details.and_then(|details| details.person), document) else {
        return Ok(false);
    };
    let chat: Chat = serde_json::from_str(&document.json)
        .map_err(|error| StoreError::Inconsistent(format!("document of chat {}: {error}", operation.chat_id)))?;
    // Not by when the present stay began: the messenger's clock may be ahead of ours.
    Ok(chat.participant(person).is_some_and(|participant| match &participant.participations[..] {
        [.., before, last] => last.is_active && before.left_at >= Some(operation.created_at),
        _ => false,
    }))
}

/// What follows when the provider did not do it.
fn after(inner: &Inner, operation: &ClaimedOperation, error: ProviderError) -> Outcome {
    let now = inner.environment.now();
    let given_up = |code, detail| Outcome::GivenUp(OperationError { code, detail });
    match error {
        ProviderError::RetryAfter(wait) => Outcome::Postponed { until: now.plus(wait), counts: false },
        ProviderError::AccountUnusable(_) => Outcome::Postponed { until: now.plus(NO_ACCOUNT), counts: false },
        ProviderError::Rejected(reason) => {
            given_up(OperationErrorCode::ProviderRejected, format!("The provider refused: {reason}."))
        }
        ProviderError::Unknown(_) if operation.attempts >= inner.settings.max_attempts => {
            let detail = format!("Given up after {} attempts, the last one without an answer.", operation.attempts);
            given_up(OperationErrorCode::AttemptsExhausted, detail)
        }
        ProviderError::Unknown(_) => {
            let wait = backoff::wait_after(operation.attempts, inner.environment.as_ref());
            Outcome::Postponed { until: now.plus(wait), counts: true }
        }
    }
}

/// Writes the end of the attempt down; a few times, for a short absence of the database should not cost a whole lease.
async fn finish(inner: &Inner, operation: &ClaimedOperation, outcome: Outcome) {
    // Extended meanwhile, it would be taken for lost whenever it has just ended in order. Should the tries outlast what is
    // left of the lease, the fence keeps the last ones from harm.
    inner.leases.forget(&operation.lease);
    for pause in [100, 400, 1_600, 0] {
        let now = inner.environment.now();
        match inner.store.finish_attempt(&operation.lease, outcome.clone(), now).await {
            Ok(true) => {
                measure::outcome_kept(operation, &outcome, now);
                return tracing::debug!(outcome = outcome_name(&outcome), "the attempt ended");
            }
            // Either another worker has it, or an earlier try was written down and only its answer was lost.
            Ok(false) => {
                measure::attempt_ended(operation, "lease_lost");
                return tracing::info!("the lease was not held any more at the end of the attempt");
            }
            Err(error) => tracing::warn!(%error, "the end of the attempt could not be written down"),
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::ChatMade { .. } => "chat made",
        Outcome::ParticipantRemoved { .. } => "participant removed",
        Outcome::Postponed { .. } => "postponed",
        Outcome::Moved { .. } => "moved",
        Outcome::GivenUp(_) => "given up",
    }
}
