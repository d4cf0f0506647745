//! Accounts of messengers: kept, and held under a lease with a fence.

use async_trait::async_trait;
use convoke_domain::{ChatId, Environment, Service, TenantId, Timestamp};
use convoke_provider::{
    Account, AccountCondition, AccountGroup, AccountId, AccountLease, AccountState, AccountStorage, FeedState,
    NewAccount, NewPlacement, Placement, StorageError,
};
use diesel::{SqliteConnection, prelude::*, upsert::excluded};

use super::{
    SqliteStore, groups,
    id::Id,
    operations,
    schema::{provider_accounts, provider_groups, provider_peers},
};
use crate::{error::Result, rows};

#[derive(Queryable, Selectable)]
#[diesel(table_name = provider_accounts)]
struct AccountRow {
    id: Id,
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
    fn into_account(self, groups: u32) -> Result<Account> {
        Ok(Account {
            id: AccountId(self.id.0),
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
            groups,
        })
    }
}

/// Every account of the service, by name.
pub fn list(connection: &mut SqliteConnection, service: Service) -> Result<Vec<Account>> {
    let rows: Vec<AccountRow> = provider_accounts::table
        .filter(provider_accounts::service.eq(service.as_str()))
        .order(provider_accounts::name)
        .select(AccountRow::as_select())
        .load(connection)?;
    let account = |row: AccountRow| {
        let groups = groups::number_made(connection, row.id)?;
        row.into_account(groups)
    };
    rows.into_iter().map(account).collect()
}

pub fn save(
    connection: &mut SqliteConnection,
    environment: &dyn Environment,
    account: &NewAccount,
) -> Result<AccountId> {
    let (condition, reason) = rows::condition_columns(&AccountCondition::Usable);
    let id: Id = diesel::insert_into(provider_accounts::table)
        .values((
            provider_accounts::id.eq(Id(environment.new_uuid())),
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
        .get_result(connection)?;
    operations::move_waiting(connection, account.service.as_str(), account.service, environment.now())?;
    Ok(AccountId(id.0))
}

fn delete(connection: &mut SqliteConnection, service: Service, name: &str, now: Timestamp) -> Result<bool> {
    let named = provider_accounts::table
        .filter(provider_accounts::service.eq(service.as_str()))
        .filter(provider_accounts::name.eq(name));
    let id: Option<Id> = named.select(provider_accounts::id).get_result(connection).optional()?;
    let Some(id) = id else { return Ok(false) };
    // What was kept of others goes with it.
    diesel::delete(provider_accounts::table.find(id)).execute(connection)?;
    let unmade = provider_groups::table
        .filter(provider_groups::account_id.eq(id))
        .filter(provider_groups::provider_chat_id.is_null());
    diesel::delete(unmade).execute(connection)?;
    let lane = AccountId(id.0).lane(service);
    operations::move_running(connection, &lane, service)?;
    operations::move_waiting(connection, &lane, service, now)?;
    Ok(true)
}

/// Whether an account is kept.
pub fn exists(connection: &mut SqliteConnection, id: AccountId) -> Result<bool> {
    let found = provider_accounts::table.find(Id(id.0)).select(provider_accounts::id);
    Ok(found.get_result::<Id>(connection).optional()?.is_some())
}

pub fn lease(
    connection: &mut SqliteConnection,
    id: AccountId,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<AccountLease>> {
    let free = provider_accounts::table.find(Id(id.0)).filter(
        provider_accounts::lease_until
            .is_null()
            .or(provider_accounts::lease_until.assume_not_null().le(now.as_millis())),
    );
    let fence: Option<i64> = diesel::update(free)
        .set((
            provider_accounts::lease_owner.eq(owner),
            provider_accounts::lease_until.eq(until.as_millis()),
            provider_accounts::fence.eq(provider_accounts::fence + 1),
        ))
        .returning(provider_accounts::fence)
        .get_result(connection)
        .optional()?;
    Ok(fence.map(|fence| AccountLease { account: id, fence }))
}

/// The row, for as long as the lease holds.
macro_rules! held {
    ($lease:expr) => {
        provider_accounts::table
            .filter(provider_accounts::id.eq(Id($lease.account.0)))
            .filter(provider_accounts::fence.eq($lease.fence))
            .filter(provider_accounts::lease_owner.is_not_null())
    };
}

/// The service of an account, if the lease holds.
pub fn service_of_held(connection: &mut SqliteConnection, lease: &AccountLease) -> Result<Option<String>> {
    Ok(held!(lease).select(provider_accounts::service).get_result(connection).optional()?)
}

pub fn extend(connection: &mut SqliteConnection, lease: &AccountLease, until: Timestamp) -> Result<bool> {
    let extend = diesel::update(held!(lease)).set(provider_accounts::lease_until.eq(until.as_millis()));
    Ok(extend.execute(connection)? == 1)
}

fn release(connection: &mut SqliteConnection, lease: &AccountLease) -> Result<()> {
    let release = diesel::update(held!(lease))
        .set((provider_accounts::lease_owner.eq(None::<String>), provider_accounts::lease_until.eq(None::<i64>)));
    release.execute(connection)?;
    Ok(())
}

/// Gives back all leases there are.
pub fn release_all(connection: &mut SqliteConnection) -> Result<()> {
    let release = diesel::update(provider_accounts::table)
        .set((provider_accounts::lease_owner.eq(None::<String>), provider_accounts::lease_until.eq(None::<i64>)));
    release.execute(connection)?;
    Ok(())
}

pub fn save_state(connection: &mut SqliteConnection, lease: &AccountLease, state: &AccountState) -> Result<bool> {
    let (condition, reason) = rows::condition_columns(&state.condition);
    let save = diesel::update(held!(lease)).set((
        provider_accounts::external_id.eq(&state.external_id),
        provider_accounts::condition.eq(condition),
        provider_accounts::reason.eq(reason),
        provider_accounts::cooldown_until.eq(state.cooldown_until.map(Timestamp::as_millis)),
    ));
    Ok(save.execute(connection)? == 1)
}

fn save_user(connection: &mut SqliteConnection, id: AccountId, external_id: &str) -> Result<()> {
    let unknown = provider_accounts::table.find(Id(id.0)).filter(provider_accounts::external_id.is_null());
    diesel::update(unknown).set(provider_accounts::external_id.eq(external_id)).execute(connection)?;
    Ok(())
}

pub fn save_feed(connection: &mut SqliteConnection, lease: &AccountLease, feed: &FeedState) -> Result<bool> {
    let fed_at = provider_accounts::fed_at.eq(feed.at.as_millis());
    let saved = match &feed.feed {
        Some(text) => {
            diesel::update(held!(lease)).set((fed_at, provider_accounts::feed.eq(text))).execute(connection)?
        }
        None => diesel::update(held!(lease)).set(fed_at).execute(connection)?,
    };
    if saved == 1 {
        groups::save_states(connection, lease, &feed.groups)?;
    }
    Ok(saved == 1)
}

pub fn save_peers(connection: &mut SqliteConnection, account: AccountId, peers: &[(String, String)]) -> Result<()> {
    if !exists(connection, account)? {
        return Ok(());
    }
    for (name, state) in peers {
        diesel::replace_into(provider_peers::table)
            .values((
                provider_peers::account_id.eq(Id(account.0)),
                provider_peers::name.eq(name),
                provider_peers::state.eq(state),
            ))
            .execute(connection)?;
    }
    Ok(())
}

pub fn find_peer(connection: &mut SqliteConnection, account: AccountId, name: &str) -> Result<Option<String>> {
    let peer = provider_peers::table.find((Id(account.0), name)).select(provider_peers::state);
    Ok(peer.get_result(connection).optional()?)
}

#[async_trait]
impl AccountStorage for SqliteStore {
    async fn list_accounts(&self, service: Service) -> Result<Vec<Account>, StorageError> {
        Ok(self.threads.read(move |connection| list(connection, service)).await?)
    }

    async fn save_account(&self, account: NewAccount) -> Result<AccountId, StorageError> {
        let environment = self.environment.clone();
        let id = self.threads.write(move |connection| save(connection, environment.as_ref(), &account)).await?;
        self.changes.operations.notify_one();
        Ok(id)
    }

    async fn delete_account(&self, service: Service, name: &str) -> Result<bool, StorageError> {
        let (name, now) = (name.to_owned(), self.environment.now());
        let is_deleted = self.threads.write(move |connection| delete(connection, service, &name, now)).await?;
        self.changes.operations.notify_one();
        Ok(is_deleted)
    }

    async fn lease_account(
        &self,
        id: AccountId,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<AccountLease>, StorageError> {
        let owner = owner.to_owned();
        Ok(self.threads.write(move |connection| lease(connection, id, &owner, now, until)).await?)
    }

    async fn extend_account(&self, lease: &AccountLease, until: Timestamp) -> Result<bool, StorageError> {
        let lease = lease.clone();
        Ok(self.threads.write(move |connection| extend(connection, &lease, until)).await?)
    }

    async fn release_account(&self, lease: &AccountLease) -> Result<(), StorageError> {
        let lease = lease.clone();
        Ok(self.threads.write(move |connection| release(connection, &lease)).await?)
    }

    async fn save_account_state(&self, lease: &AccountLease, state: AccountState) -> Result<bool, StorageError> {
        let lease = lease.clone();
        Ok(self.threads.write(move |connection| save_state(connection, &lease, &state)).await?)
    }

    async fn save_account_user(&self, id: AccountId, external_id: &str) -> Result<(), StorageError> {
        let external_id = external_id.to_owned();
        Ok(self.threads.write(move |connection| save_user(connection, id, &external_id)).await?)
    }

    async fn save_feed(&self, lease: &AccountLease, feed: FeedState) -> Result<bool, StorageError> {
        let lease = lease.clone();
        Ok(self.threads.write(move |connection| save_feed(connection, &lease, &feed)).await?)
    }

    async fn place_chat(&self, placement: &NewPlacement) -> Result<Placement, StorageError> {
        let asked = placement.clone();
        Ok(self.threads.write(move |connection| groups::place(connection, &asked)).await?)
    }

    async fn count_choices(&self, service: Service, now: Timestamp) -> Result<Vec<(AccountId, u32)>, StorageError> {
        Ok(self.threads.read(move |connection| groups::count_choices(connection, service, now)).await?)
    }

    async fn find_placement(&self, tenant: &TenantId, chat: ChatId) -> Result<Option<AccountId>, StorageError> {
        let tenant = tenant.clone();
        Ok(self.threads.read(move |connection| groups::find_placement(connection, &tenant, chat)).await?)
    }

    async fn save_account_group(&self, lease: &AccountLease, group: AccountGroup) -> Result<bool, StorageError> {
        let (lease, now) = (lease.clone(), self.environment.now());
        Ok(self.threads.write(move |connection| groups::save(connection, &lease, &group, now)).await?)
    }

    async fn list_groups(&self, account: AccountId) -> Result<Vec<AccountGroup>, StorageError> {
        Ok(self.threads.read(move |connection| groups::list(connection, account)).await?)
    }

    async fn find_group_account(
        &self,
        service: Service,
        provider_chat_id: &str,
    ) -> Result<Option<(AccountId, AccountGroup)>, StorageError> {
        let name = provider_chat_id.to_owned();
        Ok(self.threads.read(move |connection| groups::find_account(connection, service, &name)).await?)
    }

    async fn members_on_record(
        &self,
        service: Service,
        provider_chat_id: &str,
    ) -> Result<Vec<(String, Timestamp)>, StorageError> {
        let name = provider_chat_id.to_owned();
        Ok(self.threads.read(move |connection| groups::members(connection, service, &name)).await?)
    }

    async fn save_peers(&self, account: AccountId, peers: Vec<(String, String)>) -> Result<(), StorageError> {
        Ok(self.threads.write(move |connection| save_peers(connection, account, &peers)).await?)
    }

    async fn find_peer(&self, account: AccountId, name: &str) -> Result<Option<String>, StorageError> {
        let name = name.to_owned();
        Ok(self.threads.read(move |connection| find_peer(connection, account, &name)).await?)
    }
}
