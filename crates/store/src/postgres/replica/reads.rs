//! Questions that a replica is asked first.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use convoke_domain::{ChatFilter, ChatId, ChatQuery, Operation, OperationId, PageSize, TenantId, WalkPosition};

use super::{Replica, standby::Standby};
use crate::{
    ChatDocument, ChatInvitation, ChatPage, ChatWalk, Freshness, PostgresStore, Reads,
    error::Result,
    measure,
    postgres::{
        SLOW_DEADLINE,
        deadline::{in_a_task, of_a_call},
        list,
        near_page::NearPage,
        read,
        together::Question as _,
    },
};

/// How long after its date a registration may be committed, and how far clocks are apart, at most.
const LATEST_COMMIT: Duration = Duration::from_secs(30);

/// Asks a replica, and the primary if that can't tell: also for what the replica does not know, for it may be new.
pub struct ReplicaFirst<'a> {
    pub primary: &'a PostgresStore,
    pub replica: &'a Arc<Replica>,
    pub freshness: Freshness,
}

/// The answer of the replica, or else that of the primary.
async fn or_else<T>(of_replica: Option<T>, of_primary: impl Future<Output = Result<T>>) -> Result<T> {
    if let Some(answer) = of_replica {
        measure::read_from("replica");
        return Ok(answer);
    }
    measure::read_from("primary");
    of_primary.await
}

#[async_trait]
impl Reads for ReplicaFirst<'_> {
    async fn find_chat(&self, tenant: &TenantId, id: ChatId) -> Result<Option<ChatDocument>> {
        let asked = self.replica.ask(self.freshness, |at| async move { read::chat(at.queries(), tenant, id).await });
        let found = asked.await.flatten();
        or_else(found.map(Some), self.primary.find_chat(tenant, id)).await
    }

    async fn find_invitation(&self, tenant: &TenantId, id: ChatId) -> Result<Option<ChatInvitation>> {
        let asked =
            self.replica.ask(self.freshness, |at| async move { read::invitation(at.queries(), tenant, id).await });
        let found = asked.await.flatten();
        or_else(found.map(Some), self.primary.find_invitation(tenant, id)).await
    }

    async fn list_chats(&self, tenant: &TenantId, query: &ChatQuery) -> Result<ChatPage> {
        let page = if let Some(page) = &NearPage::new(tenant, query) {
            self.replica.ask(self.freshness, |at| async move { page.read(at.queries()).await }).await
        } else {
            let turn = self.primary.slow_reads.turn(tenant, of_a_call()).await?;
            let (replica, freshness) = (self.replica.clone(), self.freshness);
            let (tenant, query) = (tenant.clone(), query.clone());
            in_a_task(async move {
                let _turn = turn;
                replica.ask_long(freshness, SLOW_DEADLINE, |work| list::page_of(work, &tenant, &query)).await
            })
            .await?
        };
        or_else(page, self.primary.list_chats(tenant, query)).await
    }

    async fn walk_chats(
        &self,
        tenant: &TenantId,
        filter: &ChatFilter,
        after: Option<WalkPosition>,
        size: PageSize,
    ) -> Result<ChatWalk> {
        // What a replica has not replayed yet would be passed over for good: it is asked where everything has been that is
        // to come.
        let is_settled = after.is_some_and(|after| {
            let behind = self.replica.history.max_lag() + LATEST_COMMIT;
            self.primary.environment.now().since(after.registered_at) > behind
        });
        let walk = |at: Arc<Standby>| async move { list::walk(at.queries(), tenant, filter, after, size).await };
        let walk = if is_settled { self.replica.ask(self.freshness, walk).await } else { None };
        or_else(walk, self.primary.walk_chats(tenant, filter, after, size)).await
    }

    async fn find_operation(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>> {
        let asked =
            self.replica.ask(self.freshness, |at| async move { read::operation(at.queries(), tenant, id).await });
        let found = asked.await.flatten();
        or_else(found.map(Some), self.primary.find_operation(tenant, id)).await
    }
}
