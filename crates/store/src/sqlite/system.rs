//! The service's own calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use convoke_domain::{ChatId, OperationId, Service, TenantId, Timestamp, TokenId};
use convoke_provider::{CreatedGroup, ProviderEvent};
use diesel::{SqliteConnection, prelude::*};
use diesel_migrations::MigrationHarness;

use super::{
    SqliteStore, events, examine,
    id::Id,
    known_migrations, operations, operator,
    schema::{chats, idempotency_keys, operations as operations_table},
    threads::Writing,
    tokens,
};
use crate::{
    Cancellation, Claim, ClaimedOperation, Connections, DOCUMENT_VERSION, DoctorReport, Lease, NewToken,
    OpenOperations, OperationDetails, OperationFilter, Outcome, Progress, Retention, Retry, StoredToken,
    SystemRepository, document,
    error::{Result, StoreError},
    rows,
};

/// How many rows one call of an upkeep touches at most, so that no write waits long for it.
const BATCH: i64 = 500;

#[async_trait]
impl SystemRepository for SqliteStore {
    async fn ready(&self) -> Result<()> {
        let applied = |connection: &mut SqliteConnection| {
            let applied =
                connection.applied_migrations().map_err(|error| StoreError::Unavailable(error.to_string()))?;
            Ok(applied.into_iter().map(|version| version.to_string()).collect::<BTreeSet<_>>())
        };
        let applied = self.threads.read(applied).await?;
        match known_migrations()?.into_iter().find(|known| !applied.contains(known)) {
            Some(missing) => Err(StoreError::Unavailable(format!("the schema lacks migration {missing}"))),
            None => Ok(()),
        }
    }

    async fn claim_operations(&self, claim: &Claim) -> Result<Vec<ClaimedOperation>> {
        let last = self.turns.last_served();
        let wanted = claim.clone();
        let claimed = self.threads.write(move |connection| operations::claim(connection, &wanted, &last)).await?;
        self.turns.served(claim, &claimed);
        Ok(claimed)
    }

    async fn list_operations(&self, filter: &OperationFilter) -> Result<Vec<OperationDetails>> {
        let filter = filter.clone();
        self.threads.read_at_leisure(move |connection| operator::list(connection, &filter)).await
    }

    async fn find_operation_details(&self, id: OperationId) -> Result<Option<OperationDetails>> {
        self.threads.read_at_leisure(move |connection| operator::find(connection, id)).await
    }

    async fn retry_operation(&self, tenant: &TenantId, id: OperationId, at: Timestamp) -> Result<Retry> {
        let tenant = tenant.clone();
        let (retry, chat) =
            self.threads.write_counted(move |writing| operator::retry(writing, &tenant, id, at)).await?;
        if let Some(chat) = chat {
            self.changes.chat_changed(chat);
            self.changes.operations.notify_one();
        }
        Ok(retry)
    }

    async fn cancel_operation(&self, tenant: &TenantId, id: OperationId, at: Timestamp) -> Result<Cancellation> {
        let tenant = tenant.clone();
        let (cancellation, chat) =
            self.threads.write_counted(move |writing| operator::cancel(writing, &tenant, id, at)).await?;
        if let Some(chat) = chat {
            self.changes.chat_changed(chat);
        }
        Ok(cancellation)
    }

    async fn extend_leases(&self, leases: &[Lease], until: Timestamp) -> Result<Vec<OperationId>> {
        let leases = leases.to_vec();
        self.threads.write(move |connection| operations::extend(connection, &leases, until)).await
    }

    async fn save_progress(
        &self,
        lease: &Lease,
        progress: Option<String>,
        group: Option<&CreatedGroup>,
        at: Timestamp,
    ) -> Result<bool> {
        let (lease, group) = (lease.clone(), group.cloned());
        let save = move |connection: &mut SqliteConnection| {
            operations::save_progress(connection, &lease, progress.as_deref(), group.as_ref(), at)
        };
        self.threads.write(save).await
    }

    async fn finish_attempt(&self, lease: &Lease, outcome: Outcome, at: Timestamp) -> Result<bool> {
        let (lease, environment) = (lease.clone(), self.environment.clone());
        let is_moved = matches!(outcome, Outcome::Moved { .. });
        let finish =
            move |writing: &mut Writing<'_>| operations::finish(writing, environment.as_ref(), &lease, &outcome, at);
        let chat = self.threads.write_counted(finish).await?;
        if let Some(chat) = chat {
            self.changes.chat_changed(chat);
            if is_moved {
                self.changes.operations.notify_one();
            }
        }
        Ok(chat.is_some())
    }

    async fn sweep_expired_leases(&self, now: Timestamp) -> Result<u64> {
        self.threads.write(move |connection| operations::sweep(connection, now)).await
    }

    async fn release_leases(&self, owner: &str, now: Timestamp) -> Result<u64> {
        let owner = owner.to_owned();
        self.threads.write(move |connection| operations::release(connection, Some(&owner), now)).await
    }

    async fn record_events(&self, service: Service, events: &[ProviderEvent], recorded_at: Timestamp) -> Result<()> {
        let mut by_group: BTreeMap<String, Vec<ProviderEvent>> = BTreeMap::new();
        for event in events {
            by_group.entry(event.provider_chat_id.clone()).or_default().push(event.clone());
        }
        for (group, events) in by_group {
            let environment = self.environment.clone();
            let take_in = move |writing: &mut Writing<'_>| {
                events::take_in(writing, environment.as_ref(), service, &group, &events, recorded_at)
            };
            if let Some(chat) = self.threads.write_counted(take_in).await? {
                self.changes.chat_changed(chat);
            }
        }
        Ok(())
    }

    async fn roll_up_counts(&self) -> Result<u64> {
        // The one writer keeps the counts up to date itself.
        Ok(0)
    }

    async fn delete_expired(&self, now: Timestamp, retention: &Retention) -> Result<u64> {
        let ended_before = now.minus(retention.operations).as_millis();
        let asked_before = now.minus(retention.idempotency_keys).as_millis();
        let delete = move |connection: &mut SqliteConnection| {
            let ended: Vec<(String, Id)> = operations_table::table
                .filter(operations_table::completed_at.lt(ended_before))
                .select((operations_table::tenant_id, operations_table::id))
                .limit(BATCH)
                .load(connection)?;
            let mut deleted = 0;
            for (tenant, id) in ended {
                deleted += diesel::delete(operations_table::table.find((tenant, id))).execute(connection)?;
            }
            let old: Vec<(String, String, String)> = idempotency_keys::table
                .filter(idempotency_keys::created_at.lt(asked_before))
                .select((idempotency_keys::tenant_id, idempotency_keys::route, idempotency_keys::key))
                .limit(BATCH)
                .load(connection)?;
            for key in old {
                deleted += diesel::delete(idempotency_keys::table.find(key)).execute(connection)?;
            }
            Ok(deleted as u64)
        };
        self.threads.write(delete).await
    }

    async fn rewrite_outdated_documents(&self) -> Result<u64> {
        let rewrite = |connection: &mut SqliteConnection| {
            let outdated: Vec<(String, Id)> = chats::table
                .filter(chats::document_version.lt(DOCUMENT_VERSION))
                .select((chats::tenant_id, chats::id))
                .limit(BATCH)
                .load(connection)?;
            let rewritten = outdated.len() as u64;
            for (tenant, id) in outdated {
                let chat = ChatId(id.0);
                let record = document::record(chat, &events::all(connection, &rows::tenant(&tenant)?, chat)?)?;
                diesel::update(chats::table.find((&tenant, id)))
                    .set((
                        chats::document.eq(document::render(&record.chat)?),
                        chats::document_version.eq(DOCUMENT_VERSION),
                        chats::version.eq(chats::version + 1),
                    ))
                    .execute(connection)?;
            }
            Ok(rewritten)
        };
        self.threads.write(rewrite).await
    }

    async fn refresh_statistics(&self) -> Result<()> {
        // Statements are planned without any, the same whatever is in the tables.
        Ok(())
    }

    async fn examine_telling(&self, progress: Arc<dyn Progress>) -> Result<DoctorReport> {
        self.threads.read_at_leisure(move |connection| examine::examine(connection, &*progress)).await
    }

    async fn create_token(&self, token: &NewToken) -> Result<()> {
        let token = token.clone();
        self.threads.write(move |connection| tokens::create(connection, &token)).await
    }

    async fn find_token(&self, prefix: &str) -> Result<Option<StoredToken>> {
        if let Some(found) = self.threads.look_up(|connection| tokens::find(connection, prefix)) {
            return Ok(found);
        }
        let prefix = prefix.to_owned();
        self.threads.read(move |connection| tokens::find(connection, &prefix)).await
    }

    async fn count_open_operations(&self) -> Result<Vec<OpenOperations>> {
        self.threads.read(operations::count_open).await
    }

    fn connections(&self) -> Option<Connections> {
        // Each thread has one of its own.
        None
    }

    async fn list_tokens(&self) -> Result<Vec<StoredToken>> {
        self.threads.read(tokens::list).await
    }

    async fn revoke_token(&self, id: TokenId, at: Timestamp) -> Result<bool> {
        self.threads.write(move |connection| tokens::revoke(connection, id, at)).await
    }
}
