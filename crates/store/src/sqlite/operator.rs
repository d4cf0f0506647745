//! Operations in an operator's hands.

use convoke_domain::{ChatId, OperationId, OperationStatus, OperationType, ParticipantId, TenantId, Timestamp};
use convoke_provider::AccountId;
use diesel::{SqliteConnection, dsl::sql, prelude::*, sql_types::Bool};

use super::{
    accounts,
    id::Id,
    operations::OperationRow,
    removal, retries,
    schema::{chats, operations},
    threads::Writing,
};
use crate::{Cancellation, OperationDetails, OperationFilter, Retry, error::Result, lanes, operator, rows};

/// An operation, whose it is, whom it removes, its lane, who drives it until when, and its progress.
type Row = (String, OperationRow, Option<Id>, String, Option<String>, Option<i64>, Option<String>);

/// What [`Row`] is read from.
macro_rules! columns {
    () => {
        (
            operations::tenant_id,
            OperationRow::as_select(),
            operations::person_id,
            operations::lane,
            operations::lease_owner,
            operations::lease_until,
            operations::progress,
        )
    };
}

fn details((tenant, row, person, lane, owner, until, progress): Row) -> Result<OperationDetails> {
    let operation = row.into_operation()?;
    Ok(OperationDetails {
        tenant: rows::tenant(&tenant)?,
        has_begun: operator::has_begun(&operation, progress.as_deref()),
        operation,
        person: person.map(|id| ParticipantId(id.0)),
        lane,
        lease: owner.zip(rows::timestamp(until)),
    })
}

pub fn list(connection: &mut SqliteConnection, filter: &OperationFilter) -> Result<Vec<OperationDetails>> {
    let mut query = operations::table.select(columns!()).limit(filter.limit.into()).into_boxed();
    if let Some(tenant) = &filter.tenant {
        query = query.filter(operations::tenant_id.eq(tenant.as_str()));
    }
    // In the very words of the partial indexes, which SQLite does not use for values that are bound.
    query = match filter.status {
        None => query.filter(sql::<Bool>(operator::OPEN)).order((operations::created_at, operations::id)),
        Some(status @ (OperationStatus::Succeeded | OperationStatus::Failed)) => query
            .filter(operations::state.eq(status.as_str()))
            .filter(operations::completed_at.is_not_null())
            .order((operations::completed_at.desc(), operations::id)),
        Some(status) => query
            .filter(sql::<Bool>(&format!("state = '{}'", status.as_str())))
            .order((operations::created_at, operations::id)),
    };
    query.load::<Row>(connection)?.into_iter().map(details).collect()
}

/// The operation of this id: looked for from tenant to tenant, along the key.
pub fn find(connection: &mut SqliteConnection, id: OperationId) -> Result<Option<OperationDetails>> {
    let mut position = String::new();
    loop {
        let tenant: Option<String> = operations::table
            .filter(operations::tenant_id.gt(&position))
            .order(operations::tenant_id)
            .select(operations::tenant_id)
            .first(connection)
            .optional()?;
        let Some(tenant) = tenant else { return Ok(None) };
        let found = find_of(connection, &tenant, id)?;
        if found.is_some() {
            return Ok(found);
        }
        position = tenant;
    }
}

fn find_of(connection: &mut SqliteConnection, tenant: &str, id: OperationId) -> Result<Option<OperationDetails>> {
    let row = operations::table.find((tenant, Id(id.0))).select(columns!()).get_result::<Row>(connection);
    row.optional()?.map(details).transpose()
}

/// Has a failed operation tried again; returns its chat too.
pub fn retry(
    writing: &mut Writing<'_>,
    tenant: &TenantId,
    id: OperationId,
    at: Timestamp,
) -> Result<(Retry, Option<ChatId>)> {
    let connection = &mut *writing.connection;
    let Some(found) = find_of(connection, tenant.as_str(), id)? else { return Ok((Retry::NotFound, None)) };
    let (operation, chat) = (&found.operation, found.operation.chat_id);
    if operation.status != OperationStatus::Failed {
        return Ok((Retry::NotFailed(operation.status), None));
    }
    let status: String =
        chats::table.find((tenant.as_str(), Id(chat.0))).select(chats::status).get_result(connection)?;
    if let Some(hindrance) = operator::hindrance(operation.kind, rows::status(&status)?) {
        return Ok((hindrance, None));
    }
    if let Some(person) = found.person
        && let Some(other) = removal::under_way(connection, tenant, chat, person)?
    {
        return Ok((Retry::UnderWay(other), None));
    }
    let is_gone = match AccountId::of_lane(&found.lane) {
        Some(account) => !accounts::exists(connection, account)?,
        None => false,
    };
    let lane = if is_gone { lanes::services_own(&found.lane) } else { &found.lane };
    diesel::update(operations::table.find((tenant.as_str(), Id(id.0))))
        .set((
            operations::state.eq(OperationStatus::Pending.as_str()),
            operations::lane.eq(lane),
            operations::attempts.eq(0),
            operations::fence.eq(operations::fence + 1),
            operations::next_attempt_at.eq(at.as_millis()),
            operations::completed_at.eq(None::<i64>),
            operations::error.eq(None::<String>),
            operations::updated_at.eq(at.as_millis()),
        ))
        .execute(connection)?;
    if operation.kind == OperationType::CreateChat {
        retries::retry(writing, tenant, chat, at)?;
    }
    Ok((Retry::Accepted, Some(chat)))
}

/// Cancels an operation of which nothing was begun; returns its chat too.
pub fn cancel(
    writing: &mut Writing<'_>,
    tenant: &TenantId,
    id: OperationId,
    at: Timestamp,
) -> Result<(Cancellation, Option<ChatId>)> {
    let connection = &mut *writing.connection;
    let error = serde_json::to_string(&operator::cancelled());
    let error = error.map_err(|error| rows::inconsistent("error", &error.to_string()))?;
    let cancellable = operations::table.find((tenant.as_str(), Id(id.0))).filter(sql::<Bool>(operator::CANCELLABLE));
    let cancelled: Option<(Id, String)> = diesel::update(cancellable)
        .set((
            operations::state.eq(OperationStatus::Failed.as_str()),
            operations::fence.eq(operations::fence + 1),
            operations::completed_at.eq(at.as_millis()),
            operations::error.eq(error),
            operations::updated_at.eq(at.as_millis()),
        ))
        .returning((operations::chat_id, operations::kind))
        .get_result(connection)
        .optional()?;
    let Some((chat, kind)) = cancelled else {
        return Ok((operator::not_cancelled(find_of(connection, tenant.as_str(), id)?), None));
    };
    if kind == OperationType::CreateChat.as_str() {
        retries::fail(writing, tenant, ChatId(chat.0), at)?;
    }
    Ok((Cancellation::Cancelled, Some(ChatId(chat.0))))
}
