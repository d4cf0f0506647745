//! What is measured of the worker: how attempts and operations end, what events are told, and calls of messengers.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use convoke_domain::{Service, Timestamp};
use convoke_provider::{
    Checkpoint, CreateChat, CreatedGroup, EventBatch, Lane, Provider, ProviderError, ProviderEvent, Work as LaneWork,
};
use convoke_store::{ClaimedOperation, Outcome};
use metrics::{counter, histogram};

use crate::traces;

/// Makes figures known that stand still as long as nothing is wrong, so that the first change of theirs shows.
pub fn begin(services: impl Iterator<Item = Service>) {
    counter!("convoke_operations_leases_lost_total").increment(0);
    counter!("convoke_counts_rolled_up_total").increment(0);
    for service in services {
        counter!("convoke_provider_events_refused_total", "service" => service.as_str()).increment(0);
    }
}

/// An attempt has ended like this: with an outcome, or without one.
pub fn attempt_ended(operation: &ClaimedOperation, outcome: &'static str) {
    traces::attempt_ended(outcome);
    counter!("convoke_operations_attempts_total", "service" => operation.service.as_str(), "outcome" => outcome)
        .increment(1);
}

/// That was written down.
pub fn outcome_kept(operation: &ClaimedOperation, outcome: &Outcome, at: Timestamp) {
    let outcome = match outcome {
        Outcome::ChatMade { .. } | Outcome::ParticipantRemoved { .. } => "succeeded",
        Outcome::GivenUp(_) => "failed",
        Outcome::Postponed { .. } => return attempt_ended(operation, "postponed"),
        Outcome::Moved { .. } => return attempt_ended(operation, "moved"),
    };
    attempt_ended(operation, outcome);
    let labels =
        [("service", operation.service.as_str()), ("type", traces::kind(&operation.work)), ("outcome", outcome)];
    counter!("convoke_operations_ended_total", &labels).increment(1);
    histogram!("convoke_operations_duration_seconds", &labels).record(at.since(operation.created_at));
}

/// A lease was lost before its operation's attempt came to an end.
pub fn lease_lost() {
    counter!("convoke_operations_leases_lost_total").increment(1);
}

/// These events are recorded.
pub fn events_recorded(service: Service, events: &[ProviderEvent], at: Timestamp) {
    for event in events {
        let labels = [("service", service.as_str()), ("source", event.source.as_str())];
        counter!("convoke_provider_events_total", &labels).increment(1);
        histogram!("convoke_provider_event_delay_seconds", &labels).record(at.since(event.at));
    }
}

/// An event can't be recorded.
pub fn event_refused(service: Service) {
    counter!("convoke_provider_events_refused_total", "service" => service.as_str()).increment(1);
}

/// Changes of counts were rolled up.
pub fn counts_rolled_up(number: u64) {
    counter!("convoke_counts_rolled_up_total").increment(number);
}

/// A messenger whose calls are measured. Waiting for events is no call.
#[derive(Debug)]
pub struct Measured(pub Arc<dyn Provider>);

impl Measured {
    async fn measure<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let begun = Instant::now();
        let traced = traces::Call::begin(self.service(), call);
        let answer = answer.await;
        let outcome = match &answer {
            Ok(_) => "ok",
            Err(ProviderError::RetryAfter(_)) => "retry_after",
            Err(ProviderError::Unknown(_)) => "unknown",
            Err(ProviderError::Rejected(_)) => "rejected",
            Err(ProviderError::AccountUnusable(_)) => "account_unusable",
        };
        let labels = [("service", self.service().as_str()), ("call", call), ("outcome", outcome)];
        histogram!("convoke_provider_call_duration_seconds", &labels).record(begun.elapsed());
        if let Some(traced) = traced {
            traced.ended(outcome, answer.as_ref().is_err());
        }
        answer
    }
}

#[async_trait]
impl Provider for Measured {
    fn service(&self) -> Service {
        self.0.service()
    }

    fn lanes(&self) -> Vec<Lane> {
        self.0.lanes()
    }

    async fn lane_of(&self, work: LaneWork<'_>) -> Result<Option<String>, ProviderError> {
        self.0.lane_of(work).await
    }

    fn settle_time(&self) -> std::time::Duration {
        self.0.settle_time()
    }

    fn keeps_one_group(&self) -> bool {
        self.0.keeps_one_group()
    }

    async fn create_chat(&self, request: &CreateChat) -> Result<CreatedGroup, ProviderError> {
        self.measure("create_chat", self.0.create_chat(request)).await
    }

    async fn find_created(
        &self,
        request: &CreateChat,
        since: Timestamp,
    ) -> Result<Option<CreatedGroup>, ProviderError> {
        self.measure("find_created", self.0.find_created(request, since)).await
    }

    async fn invitation(&self, provider_chat_id: &str) -> Result<String, ProviderError> {
        self.measure("invitation", self.0.invitation(provider_chat_id)).await
    }

    async fn remove_participant(
        &self,
        provider_chat_id: &str,
        external_id: &str,
    ) -> Result<Vec<ProviderEvent>, ProviderError> {
        self.measure("remove_participant", self.0.remove_participant(provider_chat_id, external_id)).await
    }

    async fn next_events(&self) -> Result<EventBatch, ProviderError> {
        self.0.next_events().await
    }

    async fn acknowledge(&self, checkpoint: Checkpoint) -> Result<(), ProviderError> {
        self.0.acknowledge(checkpoint).await
    }
}
