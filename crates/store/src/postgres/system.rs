//! The service's own calls.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use convoke_domain::{ChatId, OperationId, Service, TenantId, Timestamp, TokenId};
use convoke_provider::{CreatedGroup, ProviderEvent};

use super::{
    PostgresStore,
    attempts::{Making, Save},
    counts, events, examine, migrations, operations, operator,
    pool::UPKEEP_DEADLINE,
    tokens, upkeep,
};
use crate::{
    Cancellation, Claim, ClaimedOperation, Connections, DoctorReport, Lease, NewToken, OpenOperations,
    OperationDetails, OperationFilter, Outcome, Progress, Retention, Retry, StoredToken, SystemRepository,
    error::{Result, StoreError},
};

/// How long an examination of everything may take.
const EXAMINE_DEADLINE: Duration = Duration::from_hours(6);

#[async_trait]
impl SystemRepository for PostgresStore {
    async fn ready(&self) -> Result<()> {
        let missing = self.reads.read(|shared| async move { migrations::missing(shared.queries()).await }).await?;
        match missing.first() {
            Some(missing) => Err(StoreError::Unavailable(format!("the schema lacks migration {missing}"))),
            None => Ok(()),
        }
    }

    async fn claim_operations(&self, claim: &Claim) -> Result<Vec<ClaimedOperation>> {
        let last = &self.turns.last_served();
        let claimed = self.write_once(|own| async move { operations::claim(&own, claim, last).await }).await?;
        self.turns.served(claim, &claimed);
        Ok(claimed)
    }

    async fn list_operations(&self, filter: &OperationFilter) -> Result<Vec<OperationDetails>> {
        Ok(self.pool.once(UPKEEP_DEADLINE, |own| async move { operator::list(&own, filter).await }).await?)
    }

    async fn find_operation_details(&self, id: OperationId) -> Result<Option<OperationDetails>> {
        Ok(self.pool.once(UPKEEP_DEADLINE, |own| async move { operator::find(&own, id).await }).await?)
    }

    async fn retry_operation(&self, tenant: &TenantId, id: OperationId, at: Timestamp) -> Result<Retry> {
        let environment = self.environment.as_ref();
        let retried = self.pool.transaction(UPKEEP_DEADLINE, |work| async move {
            let retried = operator::retry(&work, environment, tenant, id, at).await?;
            work.commit().await?;
            Ok(retried)
        });
        let (retry, chat) = retried.await?;
        if let Some(chat) = chat {
            self.herald.chat(chat);
            self.herald.operations();
        }
        Ok(retry)
    }

    async fn cancel_operation(&self, tenant: &TenantId, id: OperationId, at: Timestamp) -> Result<Cancellation> {
        let environment = self.environment.as_ref();
        let cancelled = self.pool.transaction(UPKEEP_DEADLINE, |work| async move {
            let cancelled = operator::cancel(&work, environment, tenant, id, at).await?;
            work.commit().await?;
            Ok(cancelled)
        });
        let (cancellation, chat) = cancelled.await?;
        if let Some(chat) = chat {
            self.herald.chat(chat);
        }
        Ok(cancellation)
    }

    async fn extend_leases(&self, leases: &[Lease], until: Timestamp) -> Result<Vec<OperationId>> {
        self.write_once(|own| async move { operations::extend(&own, leases, until).await }).await
    }

    async fn save_progress(
        &self,
        lease: &Lease,
        progress: Option<String>,
        group: Option<&CreatedGroup>,
        at: Timestamp,
    ) -> Result<bool> {
        self.attempts.save(Save { lease: lease.clone(), progress, group: group.cloned(), at }).await
    }

    async fn finish_attempt(&self, lease: &Lease, outcome: Outcome, at: Timestamp) -> Result<bool> {
        let is_moved = matches!(outcome, Outcome::Moved { .. });
        let chat = match outcome {
            Outcome::ChatMade { group, invitation } => {
                self.attempts.make(Making { lease: lease.clone(), group, invitation, at }).await?
            }
            outcome => operations::finish_alone(&self.pool, self.environment.as_ref(), lease, &outcome, at).await?,
        };
        if let Some(chat) = chat {
            self.herald.chat(chat);
            if is_moved {
                self.herald.operations();
            }
        }
        Ok(chat.is_some())
    }

    async fn sweep_expired_leases(&self, now: Timestamp) -> Result<u64> {
        let swept = self.write_once(|own| async move { operations::sweep(&own, now).await }).await?;
        if swept > 0 {
            self.herald.operations();
        }
        Ok(swept)
    }

    async fn release_leases(&self, owner: &str, now: Timestamp) -> Result<u64> {
        let released = self.write_once(|own| async move { operations::release(&own, owner, now).await }).await?;
        if released > 0 {
            self.herald.operations();
        }
        Ok(released)
    }

    async fn record_events(&self, service: Service, events: &[ProviderEvent], recorded_at: Timestamp) -> Result<()> {
        let mut by_group: BTreeMap<&str, Vec<ProviderEvent>> = BTreeMap::new();
        for event in events {
            by_group.entry(event.provider_chat_id.as_str()).or_default().push(event.clone());
        }
        for (group, events) in by_group {
            let events = events.as_slice();
            let found = self
                .reads
                .look_up(|shared| async move { events::chat_of_group(shared.queries(), service, group).await });
            // Not one of ours.
            let Some((tenant, chat)) = found.await? else { continue };
            self.take_in(&tenant, chat, events, recorded_at).await?;
            self.herald.chat(chat);
        }
        Ok(())
    }

    async fn roll_up_counts(&self) -> Result<u64> {
        let rolled_up = self.pool.transaction(UPKEEP_DEADLINE, |work| async move {
            let number = counts::roll_up(&work).await?;
            work.commit().await?;
            Ok(number)
        });
        rolled_up.await
    }

    async fn delete_expired(&self, now: Timestamp, retention: &Retention) -> Result<u64> {
        let deleted =
            self.pool.once(UPKEEP_DEADLINE, |own| async move { upkeep::delete_expired(&own, now, retention).await });
        Ok(deleted.await?)
    }

    async fn rewrite_outdated_documents(&self) -> Result<u64> {
        let rewritten = self.pool.transaction(UPKEEP_DEADLINE, |work| async move {
            let number = upkeep::rewrite_outdated(&work).await?;
            work.commit().await?;
            Ok(number)
        });
        rewritten.await
    }

    async fn refresh_statistics(&self) -> Result<()> {
        Ok(self.pool.once(UPKEEP_DEADLINE, |own| async move { upkeep::refresh_statistics(&own).await }).await?)
    }

    async fn examine_telling(&self, progress: Arc<dyn Progress>) -> Result<DoctorReport> {
        let progress = &*progress;
        let examined = self.pool.snapshot(EXAMINE_DEADLINE, |work| async move {
            let report = examine::examine(&work, progress).await?;
            work.commit().await?;
            Ok(report)
        });
        examined.await
    }

    async fn create_token(&self, token: &NewToken) -> Result<()> {
        self.write_once(|own| async move { tokens::create(&own, token).await }).await
    }

    async fn find_token(&self, prefix: &str) -> Result<Option<StoredToken>> {
        self.reads.look_up(|shared| async move { tokens::find(shared.queries(), prefix).await }).await
    }

    async fn count_open_operations(&self) -> Result<Vec<OpenOperations>> {
        self.write_once(|own| async move { operations::count_open(&own).await }).await
    }

    fn connections(&self) -> Option<Connections> {
        Some(self.pool.connections())
    }

    async fn list_tokens(&self) -> Result<Vec<StoredToken>> {
        self.write_once(|own| async move { tokens::list(&own).await }).await
    }

    async fn revoke_token(&self, id: TokenId, at: Timestamp) -> Result<bool> {
        self.write_once(|own| async move { tokens::revoke(&own, id, at).await }).await
    }
}

impl PostgresStore {
    async fn take_in(
        &self,
        tenant: &TenantId,
        chat: ChatId,
        events: &[ProviderEvent],
        recorded_at: Timestamp,
    ) -> Result<()> {
        let environment = self.environment.as_ref();
        let taken_in = self.pool.transaction(UPKEEP_DEADLINE, |work| async move {
            if let Some(chat) = events::lock(&work, tenant, chat).await? {
                events::take_in(&work, environment, chat, events, recorded_at).await?;
            }
            work.commit().await
        });
        taken_in.await
    }
}
