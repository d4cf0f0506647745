//! Accounts of messengers: kept, and held under a lease with a fence.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use convoke_domain::{ChatId, Environment, Service, TenantId, Timestamp};
use convoke_provider::{
    Account, AccountCondition, AccountGroup, AccountId, AccountLease, AccountState, AccountStorage, FeedState,
    NewAccount, NewPlacement, Placement, StorageError,
};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Nullable, Text, Uuid as SqlUuid},
    upsert::excluded,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    PostgresStore,
    deadline::REQUEST_DEADLINE,
    failure::Outcome,
    groups, operations,
    pool::UPKEEP_DEADLINE,
    schema::{provider_accounts, provider_groups, provider_peers},
    sql::Sql,
};
use crate::{error::Result, rows};

#[derive(Queryable, Selectable)]
#[diesel(table_name = provider_accounts, check_for_backend(diesel::pg::Pg))]
struct AccountRow {
    id: Uuid,
    name: String,
    tenants: String,
    secret: Option<Vec<u8>>,
    external_id: Option<String>,
    condition: String,
    reason: Option<String>,
    cooldown_until: Option<i64>,
    lease_owner: Option<String>,
    lease_until: Option<i64>,
    feed: Option<String>,
    fed_at: Option<i64>,
}

impl AccountRow {
    fn into_account(self, groups: &HashMap<Uuid, u32>) -> Result<Account> {
        Ok(Account {
            id: AccountId(self.id),
            name: self.name,
            tenants: rows::tenants(&self.tenants)?,
            secret: self.secret,
            state: AccountState {
                external_id: self.external_id,
                condition: rows::condition(&self.condition, self.reason)?,
                cooldown_until: rows::timestamp(self.cooldown_until),
            },
            held: self.lease_owner.zip(rows::timestamp(self.lease_until)),
            feed: self.feed,
            fed_at: rows::timestamp(self.fed_at),
            groups: groups.get(&self.id).copied().unwrap_or_default(),
        })
    }
}

/// Every account of the service, by name.
async fn list(mut queries: &AsyncPgConnection, service: Service) -> Outcome<Vec<Account>> {
    let rows: Vec<AccountRow> = provider_accounts::table
        .filter(provider_accounts::service.eq(service.as_str()))
        .order(provider_accounts::name)
        .select(AccountRow::as_select())
        .load(&mut queries)
        .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let groups = groups::numbers_made(queries, &ids).await?;
    Ok(rows.into_iter().map(|row| row.into_account(&groups)).collect::<Result<_>>()?)
}

async fn save(
    mut queries: &AsyncPgConnection,
    environment: &dyn Environment,
    account: &NewAccount,
) -> Outcome<AccountId> {
    let (condition, reason) = rows::condition_columns(&AccountCondition::Usable);
    let id: Uuid = diesel::insert_into(provider_accounts::table)
        .values((
            provider_accounts::id.eq(environment.new_uuid()),
            provider_accounts::service.eq(account.service.as_str()),
            provider_accounts::name.eq(&account.name),
            provider_accounts::tenants.eq(rows::tenant_names(&account.tenants)),
            provider_accounts::secret.eq(&account.secret),
            provider_accounts::condition.eq(condition),
            provider_accounts::reason.eq(reason),
            provider_accounts::fence.eq(0),
        ))
        .on_conflict((provider_accounts::service, provider_accounts::name))
        .do_update()
        .set((
            provider_accounts::tenants.eq(excluded(provider_accounts::tenants)),
            provider_accounts::secret.eq(excluded(provider_accounts::secret)),
            provider_accounts::condition.eq(excluded(provider_accounts::condition)),
            provider_accounts::reason.eq(excluded(provider_accounts::reason)),
        ))
        .returning(provider_accounts::id)
        .get_result(&mut queries)
        .await?;
    operations::move_waiting(queries, account.service.as_str(), account.service, environment.now()).await?;
    Ok(AccountId(id))
}

/// Deletes an account, and with it what was kept of others. The account before the operations, as everywhere.
async fn delete(mut queries: &AsyncPgConnection, service: Service, name: &str, now: Timestamp) -> Outcome<bool> {
    let named = provider_accounts::table
        .filter(provider_accounts::service.eq(service.as_str()))
        .filter(provider_accounts::name.eq(name));
    let deleted = diesel::delete(named).returning(provider_accounts::id);
    let Some(id) = deleted.get_result::<Uuid>(&mut queries).await.optional()? else { return Ok(false) };
    let unmade = provider_groups::table
        .filter(provider_groups::account_id.eq(id))
        .filter(provider_groups::provider_chat_id.is_null());
    diesel::delete(unmade).execute(&mut queries).await?;
    let lane = AccountId(id).lane(service);
    operations::move_running(queries, &lane, service).await?;
    operations::move_waiting(queries, &lane, service, now).await?;
    Ok(true)
}

/// Whether an account is kept; then it is until the transaction's end.
pub async fn keep(mut queries: &AsyncPgConnection, id: AccountId) -> Outcome<bool> {
    let kept = provider_accounts::table.find(id.0).select(provider_accounts::id).for_key_share();
    Ok(kept.first::<Uuid>(&mut queries).await.optional()?.is_some())
}

async fn lease(
    mut queries: &AsyncPgConnection,
    id: AccountId,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Outcome<Option<AccountLease>> {
    let is_free = provider_accounts::lease_until
        .is_null()
        .or(provider_accounts::lease_until.assume_not_null().le(now.as_millis()));
    let fence: Option<i64> = diesel::update(provider_accounts::table.find(id.0).filter(is_free))
        .set((
            provider_accounts::lease_owner.eq(owner),
            provider_accounts::lease_until.eq(until.as_millis()),
            provider_accounts::fence.eq(provider_accounts::fence + 1),
        ))
        .returning(provider_accounts::fence)
        .get_result(&mut queries)
        .await
        .optional()?;
    Ok(fence.map(|fence| AccountLease { account: id, fence }))
}

/// The row, for as long as the lease holds.
pub const HELD: &str = "provider_accounts.id = $1 and provider_accounts.fence = $2 \
    and provider_accounts.lease_owner is not null";

pub fn on_held<'a, ST>(lease: &AccountLease, text: &str) -> Sql<'a, ST> {
    Sql::new(&text.replace("HELD", HELD)).bind::<SqlUuid, _>(lease.account.0).bind::<BigInt, _>(lease.fence)
}

async fn extend(mut queries: &AsyncPgConnection, lease: &AccountLease, until: Timestamp) -> Outcome<bool> {
    const EXTEND: &str = "update provider_accounts set lease_until = $3 where HELD";
    let extend = on_held::<()>(lease, EXTEND).bind::<BigInt, _>(until.as_millis());
    Ok(extend.execute(&mut queries).await? == 1)
}

async fn release(mut queries: &AsyncPgConnection, lease: &AccountLease) -> Outcome<()> {
    const RELEASE: &str = "update provider_accounts set lease_owner = null, lease_until = null where HELD";
    on_held::<()>(lease, RELEASE).execute(&mut queries).await?;
    Ok(())
}

async fn save_state(mut queries: &AsyncPgConnection, lease: &AccountLease, state: &AccountState) -> Outcome<bool> {
    const SAVE: &str = "update provider_accounts set external_id = $3, condition = $4, reason = $5, \
        cooldown_until = $6 where HELD";
    let (condition, reason) = rows::condition_columns(&state.condition);
    let save = on_held::<()>(lease, SAVE)
        .bind::<Nullable<Text>, _>(state.external_id.as_deref())
        .bind::<Text, _>(condition)
        .bind::<Nullable<Text>, _>(reason)
        .bind::<Nullable<BigInt>, _>(state.cooldown_until.map(Timestamp::as_millis));
    Ok(save.execute(&mut queries).await? == 1)
}

async fn save_user(mut queries: &AsyncPgConnection, id: AccountId, external_id: &str) -> Outcome<()> {
    let unknown = provider_accounts::table.find(id.0).filter(provider_accounts::external_id.is_null());
    let save = diesel::update(unknown).set(provider_accounts::external_id.eq(external_id));
    save.execute(&mut queries).await?;
    Ok(())
}

/// What is kept of several under their names; of one that is named twice what comes last. Sorted, so that two callers
/// never wait for each other in a circle.
fn by_name(named: &[(String, String)]) -> (Vec<&str>, Vec<&str>) {
    let sorted: BTreeMap<&str, &str> = named.iter().map(|(name, state)| (name.as_str(), state.as_str())).collect();
    sorted.into_iter().unzip()
}

async fn save_feed(mut queries: &AsyncPgConnection, lease: &AccountLease, feed: &FeedState) -> Outcome<bool> {
    const SAVE: &str = "with held as ( \
            update provider_accounts set feed = coalesce($3, feed), fed_at = $4 where HELD returning id, service), \
        groups as ( \
            update provider_groups set state = changed.state \
            from held cross join unnest($5, $6) as changed (name, state) \
            where provider_groups.service = held.service and provider_groups.provider_chat_id = changed.name \
            and provider_groups.account_id = held.id) \
        select count(*) from held";
    let (names, states) = by_name(&feed.groups);
    let saved: i64 = on_held::<BigInt>(lease, SAVE)
        .bind::<Nullable<Text>, _>(feed.feed.as_deref())
        .bind::<BigInt, _>(feed.at.as_millis())
        .bind::<Array<Text>, _>(names)
        .bind::<Array<Text>, _>(states)
        .get_result(&mut queries)
        .await?;
    Ok(saved == 1)
}

async fn save_peers(mut queries: &AsyncPgConnection, account: AccountId, peers: &[(String, String)]) -> Outcome<()> {
    const SAVE: &str = "insert into provider_peers (account_id, name, state) \
        select provider_accounts.id, peer.name, peer.state \
        from provider_accounts cross join unnest($2, $3) as peer (name, state) where provider_accounts.id = $1 \
        on conflict (account_id, name) do update set state = excluded.state";
    let (names, states) = by_name(peers);
    Sql::<()>::new(SAVE)
        .bind::<SqlUuid, _>(account.0)
        .bind::<Array<Text>, _>(names)
        .bind::<Array<Text>, _>(states)
        .execute(&mut queries)
        .await?;
    Ok(())
}

async fn find_peer(mut queries: &AsyncPgConnection, account: AccountId, name: &str) -> Outcome<Option<String>> {
    let peer = provider_peers::table.find((account.0, name)).select(provider_peers::state);
    Ok(peer.first(&mut queries).await.optional()?)
}

#[async_trait]
impl AccountStorage for PostgresStore {
    async fn list_accounts(&self, service: Service) -> Result<Vec<Account>, StorageError> {
        Ok(self.reads.read(|shared| async move { list(shared.queries(), service).await }).await?)
    }

    async fn save_account(&self, account: NewAccount) -> Result<AccountId, StorageError> {
        let (account, environment) = (&account, self.environment.as_ref());
        let saved = self.pool.transaction(UPKEEP_DEADLINE, |work| async move {
            let id = save(&work, environment, account).await?;
            work.commit().await?;
            Ok(id)
        });
        let id = saved.await?;
        self.herald.operations();
        Ok(id)
    }

    async fn delete_account(&self, service: Service, name: &str) -> Result<bool, StorageError> {
        let now = self.environment.now();
        let deleted = self.pool.transaction(UPKEEP_DEADLINE, |work| async move {
            let is_deleted = delete(&work, service, name, now).await?;
            work.commit().await?;
            Ok(is_deleted)
        });
        let is_deleted = deleted.await?;
        self.herald.operations();
        Ok(is_deleted)
    }

    async fn lease_account(
        &self,
        id: AccountId,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<AccountLease>, StorageError> {
        Ok(self.write_once(|own| async move { lease(&own, id, owner, now, until).await }).await?)
    }

    async fn extend_account(&self, lease: &AccountLease, until: Timestamp) -> Result<bool, StorageError> {
        Ok(self.write_once(|own| async move { extend(&own, lease, until).await }).await?)
    }

    async fn release_account(&self, lease: &AccountLease) -> Result<(), StorageError> {
        Ok(self.write_once(|own| async move { release(&own, lease).await }).await?)
    }

    async fn save_account_state(&self, lease: &AccountLease, state: AccountState) -> Result<bool, StorageError> {
        let state = &state;
        Ok(self.write_once(|own| async move { save_state(&own, lease, state).await }).await?)
    }

    async fn save_account_user(&self, id: AccountId, external_id: &str) -> Result<(), StorageError> {
        Ok(self.write_once(|own| async move { save_user(&own, id, external_id).await }).await?)
    }

    async fn save_feed(&self, lease: &AccountLease, feed: FeedState) -> Result<bool, StorageError> {
        let feed = &feed;
        Ok(self.write_once(|own| async move { save_feed(&own, lease, feed).await }).await?)
    }

    async fn place_chat(&self, placement: &NewPlacement) -> Result<Placement, StorageError> {
        let placed = self.pool.transaction(REQUEST_DEADLINE, |work| async move {
            let placed = groups::place(&work, placement).await?;
            work.commit().await?;
            Ok(placed)
        });
        Ok(placed.await?)
    }

    async fn count_choices(&self, service: Service, now: Timestamp) -> Result<Vec<(AccountId, u32)>, StorageError> {
        Ok(self.write_once(|own| async move { groups::count_choices(&own, service, now).await }).await?)
    }

    async fn find_placement(&self, tenant: &TenantId, chat: ChatId) -> Result<Option<AccountId>, StorageError> {
        let found =
            self.reads.read(|shared| async move { groups::find_placement(shared.queries(), tenant, chat).await });
        Ok(found.await?)
    }

    async fn save_account_group(&self, lease: &AccountLease, group: AccountGroup) -> Result<bool, StorageError> {
        let (group, now) = (&group, self.environment.now());
        Ok(self.write_once(|own| async move { groups::save(&own, lease, group, now).await }).await?)
    }

    async fn list_groups(&self, account: AccountId) -> Result<Vec<AccountGroup>, StorageError> {
        Ok(self.reads.read(|shared| async move { groups::list(shared.queries(), account).await }).await?)
    }

    async fn find_group_account(
        &self,
        service: Service,
        provider_chat_id: &str,
    ) -> Result<Option<(AccountId, AccountGroup)>, StorageError> {
        let found = self
            .reads
            .read(|shared| async move { groups::find_account(shared.queries(), service, provider_chat_id).await });
        Ok(found.await?)
    }

    async fn members_on_record(
        &self,
        service: Service,
        provider_chat_id: &str,
    ) -> Result<Vec<(String, Timestamp)>, StorageError> {
        let members =
            self.reads.read(|shared| async move { groups::members(shared.queries(), service, provider_chat_id).await });
        Ok(members.await?)
    }

    async fn save_peers(&self, account: AccountId, peers: Vec<(String, String)>) -> Result<(), StorageError> {
        let peers = peers.as_slice();
        Ok(self.write_once(|own| async move { save_peers(&own, account, peers).await }).await?)
    }

    async fn find_peer(&self, account: AccountId, name: &str) -> Result<Option<String>, StorageError> {
        Ok(self.reads.read(|shared| async move { find_peer(shared.queries(), account, name).await }).await?)
    }
}
