//! Which account makes a chat's group, and the groups that accounts have made.

use convoke_domain::{ChatId, ChatStatus, OperationType, Service, TenantId, Timestamp};
use convoke_provider::{AccountGroup, AccountId, AccountLease, AccountState, NewPlacement, Placement};
use diesel::{SqliteConnection, dsl::count_star, prelude::*, upsert::excluded};

use super::{
    accounts,
    id::Id,
    operations,
    schema::{chats, participations, people, provider_accounts, provider_groups},
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

/// How many groups an account has made that are alive.
pub fn number_made(connection: &mut SqliteConnection, account: Id) -> Result<u32> {
    let made = alive!(provider_groups::account_id.eq(account)).filter(provider_groups::provider_chat_id.is_not_null());
    let number: i64 = made.select(count_star()).get_result(connection)?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Chooses an account and keeps the choice. The one writer sees to it that nobody else chooses meanwhile.
pub fn place(connection: &mut SqliteConnection, asked: &NewPlacement) -> Result<Placement> {
    let row = provider_groups::table.find((asked.tenant.as_str(), Id(asked.chat_id.0)));
    let before: Option<(Id, Option<String>)> = row
        .select((provider_groups::account_id, provider_groups::provider_chat_id))
        .get_result(connection)
        .optional()?;
    if let Some((account, Some(_))) = before
        && accounts::exists(connection, AccountId(account.0))?
    {
        return Ok(Placement::On(AccountId(account.0)));
    }
    let since = asked.now.minus(WINDOW).as_millis();
    let chosen = before.map(|(account, ..)| AccountId(account.0));
    let accounts = candidates(connection, asked, since)?;
    let waiting = operations::waiting_tenants(connection, asked.service.as_str(), OperationType::CreateChat)?;
    let placement = choose(asked, &accounts, chosen, &waiting);
    if let Placement::On(account) = placement {
        diesel::replace_into(provider_groups::table)
            .values((
                provider_groups::tenant_id.eq(asked.tenant.as_str()),
                provider_groups::chat_id.eq(Id(asked.chat_id.0)),
                provider_groups::account_id.eq(Id(account.0)),
                provider_groups::service.eq(asked.service.as_str()),
                provider_groups::placed_at.eq(asked.now.as_millis()),
            ))
            .execute(connection)?;
    }
    Ok(placement)
}

/// The accounts of the service, with what was placed on each for other chats.
fn candidates(connection: &mut SqliteConnection, asked: &NewPlacement, since: i64) -> Result<Vec<Candidate>> {
    type Row = (Id, String, String, String, Option<String>, Option<i64>);
    let rows: Vec<Row> = provider_accounts::table
        .filter(provider_accounts::service.eq(asked.service.as_str()))
        .select((
            provider_accounts::id,
            provider_accounts::name,
            provider_accounts::tenants,
            provider_accounts::condition,
            provider_accounts::reason,
            provider_accounts::cooldown_until,
        ))
        .load(connection)?;
    let is_own = |tenant: &str, chat: Id| tenant == asked.tenant.as_str() && chat.0 == asked.chat_id.0;
    let candidate = |(id, name, tenants, condition, reason, cooldown_until): Row| {
        let groups: Vec<(String, Id)> = alive!(provider_groups::account_id.eq(id))
            .select((provider_groups::tenant_id, provider_groups::chat_id))
            .load(connection)?;
        let groups = groups.iter().filter(|(tenant, chat)| !is_own(tenant, *chat)).count();
        let placements: Vec<(String, Id, i64)> = provider_groups::table
            .filter(provider_groups::account_id.eq(id))
            .filter(provider_groups::placed_at.gt(since))
            .select((provider_groups::tenant_id, provider_groups::chat_id, provider_groups::placed_at))
            .load(connection)?;
        let unmade: Vec<(String, Id, i64)> = alive!(provider_groups::account_id.eq(id))
            .filter(provider_groups::provider_chat_id.is_null())
            .filter(provider_groups::placed_at.le(since))
            .select((provider_groups::tenant_id, provider_groups::chat_id, provider_groups::placed_at))
            .load(connection)?;
        let placements = placements.into_iter().chain(unmade).filter(|(tenant, chat, _)| !is_own(tenant, *chat));
        Ok(Candidate {
            id: AccountId(id.0),
            name,
            tenants: rows::tenants(&tenants)?,
            state: AccountState {
                external_id: None,
                condition: rows::condition(&condition, reason)?,
                cooldown_until: rows::timestamp(cooldown_until),
            },
            groups: u32::try_from(groups).unwrap_or(u32::MAX),
            placements: placements
                .map(|(tenant, _, at)| {
                    Ok((rows::tenant(&tenant)?, counts_since(Timestamp::from_millis(at), asked.now)))
                })
                .collect::<Result<_>>()?,
        })
    };
    rows.into_iter().map(candidate).collect()
}

/// For how many chats each account was chosen, as far as that counts in its budget.
pub fn count_choices(
    connection: &mut SqliteConnection,
    service: Service,
    now: Timestamp,
) -> Result<Vec<(AccountId, u32)>> {
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
    let rows: Vec<(Id, i64)> = counts.load(connection)?;
    Ok(rows.into_iter().map(|(id, number)| (AccountId(id.0), u32::try_from(number).unwrap_or(u32::MAX))).collect())
}

pub fn find_placement(connection: &mut SqliteConnection, tenant: &TenantId, chat: ChatId) -> Result<Option<AccountId>> {
    let row = provider_groups::table
        .inner_join(provider_accounts::table.on(provider_accounts::id.eq(provider_groups::account_id)))
        .filter(provider_groups::tenant_id.eq(tenant.as_str()))
        .filter(provider_groups::chat_id.eq(Id(chat.0)))
        .select(provider_groups::account_id);
    Ok(row.get_result::<Id>(connection).optional()?.map(|id| AccountId(id.0)))
}

/// Keeps a group, if the lease holds.
pub fn save(
    connection: &mut SqliteConnection,
    lease: &AccountLease,
    group: &AccountGroup,
    now: Timestamp,
) -> Result<bool> {
    let Some(service) = accounts::service_of_held(connection, lease)? else { return Ok(false) };
    let known = provider_groups::table
        .find((group.tenant.as_str(), Id(group.chat_id.0)))
        .filter(provider_groups::provider_chat_id.eq(&group.provider_chat_id))
        .select(provider_groups::placed_at);
    let placed_at: Option<i64> = known.get_result(connection).optional()?;
    diesel::insert_into(provider_groups::table)
        .values((
            provider_groups::tenant_id.eq(group.tenant.as_str()),
            provider_groups::chat_id.eq(Id(group.chat_id.0)),
            provider_groups::account_id.eq(Id(lease.account.0)),
            provider_groups::service.eq(service),
            provider_groups::placed_at.eq(placed_at.unwrap_or(now.as_millis())),
            provider_groups::provider_chat_id.eq(&group.provider_chat_id),
            provider_groups::state.eq(&group.state),
        ))
        .on_conflict((provider_groups::tenant_id, provider_groups::chat_id))
        .do_update()
        .set((
            provider_groups::account_id.eq(excluded(provider_groups::account_id)),
            provider_groups::placed_at.eq(excluded(provider_groups::placed_at)),
            provider_groups::provider_chat_id.eq(excluded(provider_groups::provider_chat_id)),
            provider_groups::state.eq(excluded(provider_groups::state)),
        ))
        .execute(connection)?;
    Ok(true)
}

/// Replaces the states of groups of the account whose lease this is.
pub fn save_states(connection: &mut SqliteConnection, lease: &AccountLease, states: &[(String, String)]) -> Result<()> {
    let Some(service) = accounts::service_of_held(connection, lease)? else { return Ok(()) };
    for (name, state) in states {
        let group = provider_groups::table
            .filter(provider_groups::service.eq(&service))
            .filter(provider_groups::provider_chat_id.eq(name))
            .filter(provider_groups::account_id.eq(Id(lease.account.0)));
        diesel::update(group).set(provider_groups::state.eq(state)).execute(connection)?;
    }
    Ok(())
}

type GroupRow = (String, Id, String, String);

fn group((tenant, chat, provider_chat_id, state): GroupRow) -> Result<AccountGroup> {
    Ok(AccountGroup { tenant: rows::tenant(&tenant)?, chat_id: ChatId(chat.0), provider_chat_id, state })
}

pub fn list(connection: &mut SqliteConnection, account: AccountId) -> Result<Vec<AccountGroup>> {
    let rows: Vec<GroupRow> = alive!(provider_groups::account_id.eq(Id(account.0)))
        .filter(provider_groups::provider_chat_id.is_not_null())
        .filter(provider_groups::state.is_not_null())
        .order((provider_groups::tenant_id, provider_groups::chat_id))
        .select((
            provider_groups::tenant_id,
            provider_groups::chat_id,
            provider_groups::provider_chat_id.assume_not_null(),
            provider_groups::state.assume_not_null(),
        ))
        .load(connection)?;
    rows.into_iter().map(group).collect()
}

pub fn find_account(
    connection: &mut SqliteConnection,
    service: Service,
    name: &str,
) -> Result<Option<(AccountId, AccountGroup)>> {
    let row: Option<(Id, GroupRow)> = provider_groups::table
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
        .get_result(connection)
        .optional()?;
    row.map(|(account, row)| Ok((AccountId(account.0), group(row)?))).transpose()
}

/// Who is in the group of this name as far as the record knows.
pub fn members(connection: &mut SqliteConnection, service: Service, name: &str) -> Result<Vec<(String, Timestamp)>> {
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
        .load(connection)?;
    Ok(rows.into_iter().map(|(id, at)| (id, Timestamp::from_millis(at))).collect())
}
