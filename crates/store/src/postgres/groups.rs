//! Which account makes a chat's group, and the groups that accounts have made.

use std::collections::HashMap;

use convoke_domain::{ChatId, ChatStatus, OperationType, Service, TenantId, Timestamp};
use convoke_provider::{AccountGroup, AccountId, AccountLease, AccountState, NewPlacement, Placement};
use diesel::{
    dsl::count_star,
    prelude::*,
    sql_types::{BigInt, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    accounts::on_held,
    failure::Outcome,
    operations,
    schema::{chats, participations, people, provider_accounts, provider_groups},
    sql::Sql,
};
use crate::{
    error::Result,
    placement::{Candidate, WINDOW, choose, counts_since},
    rows,
};

/// The states of chats that still need their groups.
const ALIVE: [&str; 2] = [ChatStatus::Provisioning.as_str(), ChatStatus::Active.as_str()];

/// Groups of accounts, and those they were chosen for, whose chats are neither closed nor failed.
macro_rules! alive {
    ($of_accounts:expr) => {
        provider_groups::table
            .inner_join(
                chats::table
                    .on(chats::tenant_id.eq(provider_groups::tenant_id).and(chats::id.eq(provider_groups::chat_id))),
            )
            .filter($of_accounts)
            .filter(chats::status.eq_any(ALIVE))
    };
}

/// How many groups each of these accounts has made that are alive.
pub async fn numbers_made(mut queries: &AsyncPgConnection, accounts: &[Uuid]) -> Outcome<HashMap<Uuid, u32>> {
    let made =
        alive!(provider_groups::account_id.eq_any(accounts)).filter(provider_groups::provider_chat_id.is_not_null());
    let numbers: Vec<(Uuid, i64)> = made
        .group_by(provider_groups::account_id)
        .select((provider_groups::account_id, count_star()))
        .load(&mut queries)
        .await?;
    Ok(numbers.into_iter().map(|(account, number)| (account, u32::try_from(number).unwrap_or(u32::MAX))).collect())
}

/// Chooses an account and keeps the choice, within a transaction that the caller ends. The locks on the accounts see to it
/// that nobody else chooses meanwhile.
pub async fn place(mut queries: &AsyncPgConnection, asked: &NewPlacement) -> Outcome<Placement> {
    const KEEP: &str = "insert into provider_groups (tenant_id, chat_id, account_id, service, placed_at) \
        values ($1, $2, $3, $4, $5) on conflict (tenant_id, chat_id) do update set account_id = excluded.account_id, \
        placed_at = excluded.placed_at, provider_chat_id = null, state = null";
    let accounts = lock_accounts(queries, asked.service).await?;
    let before: Option<(Uuid, Option<String>)> = provider_groups::table
        .find((asked.tenant.as_str(), asked.chat_id.0))
        .select((provider_groups::account_id, provider_groups::provider_chat_id))
        .first(&mut queries)
        .await
        .optional()?;
    if let Some((account, Some(_))) = before
        && accounts.iter().any(|(id, ..)| *id == account)
    {
        return Ok(Placement::On(AccountId(account)));
    }
    let since = asked.now.minus(WINDOW).as_millis();
    let chosen = before.map(|(account, ..)| AccountId(account));
    let accounts = candidates(queries, asked, accounts, since).await?;
    let waiting = operations::waiting_tenants(queries, asked.service.as_str(), OperationType::CreateChat).await?;
    let placement = choose(asked, &accounts, chosen, &waiting);
    if let Placement::On(account) = placement {
        Sql::<()>::new(KEEP)
            .bind::<Text, _>(asked.tenant.as_str())
            .bind::<SqlUuid, _>(asked.chat_id.0)
            .bind::<SqlUuid, _>(account.0)
            .bind::<Text, _>(asked.service.as_str())
            .bind::<BigInt, _>(asked.now.as_millis())
            .execute(&mut queries)
            .await?;
    }
    Ok(placement)
}

/// An account: its id, name, tenants, condition, why, and until when it takes no calls.
type LockedAccount = (Uuid, String, String, String, Option<String>, Option<i64>);

async fn lock_accounts(mut queries: &AsyncPgConnection, service: Service) -> Outcome<Vec<LockedAccount>> {
    let accounts = provider_accounts::table
        .filter(provider_accounts::service.eq(service.as_str()))
        .order(provider_accounts::id)
        .select((
            provider_accounts::id,
            provider_accounts::name,
            provider_accounts::tenants,
            provider_accounts::condition,
            provider_accounts::reason,
            provider_accounts::cooldown_until,
        ))
        .for_no_key_update();
    Ok(accounts.load(&mut queries).await?)
}

/// The accounts, with what was placed on each for other chats.
async fn candidates(
    mut queries: &AsyncPgConnection,
    asked: &NewPlacement,
    accounts: Vec<LockedAccount>,
    since: i64,
) -> Outcome<Vec<Candidate>> {
    let ids: Vec<Uuid> = accounts.iter().map(|(id, ..)| *id).collect();
    let is_other =
        || provider_groups::tenant_id.ne(asked.tenant.as_str()).or(provider_groups::chat_id.ne(asked.chat_id.0));
    let groups: Vec<(Uuid, i64)> = alive!(provider_groups::account_id.eq_any(&ids))
        .filter(is_other())
        .group_by(provider_groups::account_id)
        .select((provider_groups::account_id, count_star()))
        .load(&mut queries)
        .await?;
    let groups: HashMap<Uuid, i64> = groups.into_iter().collect();
    let mut rows: Vec<(Uuid, String, i64)> = provider_groups::table
        .filter(provider_groups::account_id.eq_any(&ids))
        .filter(provider_groups::placed_at.gt(since))
        .filter(is_other())
        .select((provider_groups::account_id, provider_groups::tenant_id, provider_groups::placed_at))
        .load(&mut queries)
        .await?;
    let unmade = alive!(provider_groups::account_id.eq_any(&ids))
        .filter(provider_groups::provider_chat_id.is_null())
        .filter(provider_groups::placed_at.le(since))
        .filter(is_other())
        .select((provider_groups::account_id, provider_groups::tenant_id, provider_groups::placed_at));
    rows.extend(unmade.load::<(Uuid, String, i64)>(&mut queries).await?);
    let mut placements: HashMap<Uuid, Vec<(TenantId, Timestamp)>> = HashMap::new();
    for (account, tenant, at) in rows {
        let since = counts_since(Timestamp::from_millis(at), asked.now);
        placements.entry(account).or_default().push((rows::tenant(&tenant)?, since));
    }
    let candidate = |(id, name, tenants, condition, reason, cooldown_until): LockedAccount| {
        Ok(Candidate {
            id: AccountId(id),
            name,
            tenants: rows::tenants(&tenants)?,
            state: AccountState {
                external_id: None,
                condition: rows::condition(&condition, reason)?,
                cooldown_until: rows::timestamp(cooldown_until),
            },
            groups: groups.get(&id).map_or(0, |number| u32::try_from(*number).unwrap_or(u32::MAX)),
            placements: placements.remove(&id).unwrap_or_default(),
        })
    };
    Ok(accounts.into_iter().map(candidate).collect::<Result<_>>()?)
}

/// For how many chats each account was chosen, as far as that counts in its budget.
pub async fn count_choices(
    mut queries: &AsyncPgConnection,
    service: Service,
    now: Timestamp,
) -> Outcome<Vec<(AccountId, u32)>> {
    let counts = provider_groups::table
        .inner_join(provider_accounts::table.on(provider_accounts::id.eq(provider_groups::account_id)))
        .inner_join(
            chats::table
                .on(chats::tenant_id.eq(provider_groups::tenant_id).and(chats::id.eq(provider_groups::chat_id))),
        )
        .filter(provider_accounts::service.eq(service.as_str()))
        .filter(
            provider_groups::placed_at
                .gt(now.minus(WINDOW).as_millis())
                // What is not made yet goes on counting.
                .or(provider_groups::provider_chat_id.is_null().and(chats::status.eq_any(ALIVE))),
        )
        .group_by(provider_groups::account_id)
        .select((provider_groups::account_id, count_star()));
    let rows: Vec<(Uuid, i64)> = counts.load(&mut queries).await?;
    Ok(rows.into_iter().map(|(id, number)| (AccountId(id), u32::try_from(number).unwrap_or(u32::MAX))).collect())
}

pub async fn find_placement(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    chat: ChatId,
) -> Outcome<Option<AccountId>> {
    let row = provider_groups::table
        .inner_join(provider_accounts::table.on(provider_accounts::id.eq(provider_groups::account_id)))
        .filter(provider_groups::tenant_id.eq(tenant.as_str()))
        .filter(provider_groups::chat_id.eq(chat.0))
        .select(provider_groups::account_id);
    Ok(row.first(&mut queries).await.optional()?.map(AccountId))
}

/// Keeps a group, if the lease holds; nobody takes the account meanwhile.
pub async fn save(
    mut queries: &AsyncPgConnection,
    lease: &AccountLease,
    group: &AccountGroup,
    now: Timestamp,
) -> Outcome<bool> {
    const SAVE: &str = "with held as (select id, service from provider_accounts where HELD for share) \
        insert into provider_groups (tenant_id, chat_id, account_id, service, placed_at, provider_chat_id, state) \
        select $3, $4, held.id, held.service, $5, $6, $7 from held \
        on conflict (tenant_id, chat_id) do update set account_id = excluded.account_id, \
        placed_at = case when provider_groups.provider_chat_id = excluded.provider_chat_id \
        then provider_groups.placed_at else excluded.placed_at end, \
        provider_chat_id = excluded.provider_chat_id, state = excluded.state";
    let save = on_held::<()>(lease, SAVE)
        .bind::<Text, _>(group.tenant.as_str())
        .bind::<SqlUuid, _>(group.chat_id.0)
        .bind::<BigInt, _>(now.as_millis())
        .bind::<Text, _>(group.provider_chat_id.as_str())
        .bind::<Text, _>(group.state.as_str());
    Ok(save.execute(&mut queries).await? == 1)
}

type GroupRow = (String, Uuid, String, String);

fn group((tenant, chat, provider_chat_id, state): GroupRow) -> Result<AccountGroup> {
    Ok(AccountGroup { tenant: rows::tenant(&tenant)?, chat_id: ChatId(chat), provider_chat_id, state })
}

pub async fn list(mut queries: &AsyncPgConnection, account: AccountId) -> Outcome<Vec<AccountGroup>> {
    let rows: Vec<GroupRow> = alive!(provider_groups::account_id.eq(account.0))
        .filter(provider_groups::provider_chat_id.is_not_null())
        .filter(provider_groups::state.is_not_null())
        .order((provider_groups::tenant_id, provider_groups::chat_id))
        .select((
            provider_groups::tenant_id,
            provider_groups::chat_id,
            provider_groups::provider_chat_id.assume_not_null(),
            provider_groups::state.assume_not_null(),
        ))
        .load(&mut queries)
        .await?;
    Ok(rows.into_iter().map(group).collect::<Result<_>>()?)
}

pub async fn find_account(
    mut queries: &AsyncPgConnection,
    service: Service,
    name: &str,
) -> Outcome<Option<(AccountId, AccountGroup)>> {
    let row: Option<(Uuid, GroupRow)> = provider_groups::table
        .inner_join(provider_accounts::table.on(provider_accounts::id.eq(provider_groups::account_id)))
        .filter(provider_groups::service.eq(service.as_str()))
        .filter(provider_groups::provider_chat_id.eq(name))
        .filter(provider_groups::state.is_not_null())
        .select((
            provider_groups::account_id,
            (
                provider_groups::tenant_id,
                provider_groups::chat_id,
                provider_groups::provider_chat_id.assume_not_null(),
                provider_groups::state.assume_not_null(),
            ),
        ))
        .first(&mut queries)
        .await
        .optional()?;
    let Some((account, row)) = row else { return Ok(None) };
    Ok(Some((AccountId(account), group(row)?)))
}

/// Who is in the group of this name as far as the record knows.
pub async fn members(
    mut queries: &AsyncPgConnection,
    service: Service,
    name: &str,
) -> Outcome<Vec<(String, Timestamp)>> {
    let rows: Vec<(String, i64)> = chats::table
        .inner_join(
            participations::table
                .on(participations::tenant_id.eq(chats::tenant_id).and(participations::chat_id.eq(chats::id))),
        )
        .inner_join(
            people::table.on(people::tenant_id.eq(chats::tenant_id).and(people::id.eq(participations::person_id))),
        )
        .filter(chats::service.eq(service.as_str()))
        .filter(chats::provider_chat_id.eq(name))
        .filter(participations::left_at.is_null())
        .order((participations::joined_at, people::external_id))
        .select((people::external_id, participations::joined_at))
        .load(&mut queries)
        .await?;
    Ok(rows.into_iter().map(|(id, at)| (id, Timestamp::from_millis(at))).collect())
}
