//! Operations in an operator's hands.

use convoke_domain::{
    ChatId, Environment, OperationId, OperationStatus, OperationType, ParticipantId, TenantId, Timestamp,
};
use convoke_provider::AccountId;
use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{BigInt, Bool, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{accounts, events, failure::Outcome, read::OperationRow, removal, retries, schema::operations, sql::Sql};
use crate::{Cancellation, OperationDetails, OperationFilter, Retry, error::Result, lanes, operator, rows};

/// An operation, whose it is, whom it removes, its lane, who drives it until when, and its progress.
type Row = (String, OperationRow, Option<Uuid>, String, Option<String>, Option<i64>, Option<String>);

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
        person: person.map(ParticipantId),
        lane,
        lease: owner.zip(rows::timestamp(until)),
    })
}

pub async fn list(mut queries: &AsyncPgConnection, filter: &OperationFilter) -> Outcome<Vec<OperationDetails>> {
    let mut query = operations::table.select(columns!()).limit(filter.limit.into()).into_boxed();
    if let Some(tenant) = &filter.tenant {
        query = query.filter(operations::tenant_id.eq(tenant.as_str()));
    }
    // In the words of the partial indexes.
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
    let rows: Vec<Row> = query.load(&mut queries).await?;
    Ok(rows.into_iter().map(details).collect::<Result<_>>()?)
}

/// The operation of this id: looked for from tenant to tenant, along the key.
pub async fn find(mut queries: &AsyncPgConnection, id: OperationId) -> Outcome<Option<OperationDetails>> {
    const OWNER: &str = "with recursive known (tenant_id) as ( \
            (select tenant_id from operations order by tenant_id limit 1) \
            union all \
            select (select operations.tenant_id from operations where operations.tenant_id > known.tenant_id \
                order by operations.tenant_id limit 1) \
            from known where known.tenant_id is not null \
        ) select operations.tenant_id from known \
        join operations on operations.tenant_id = known.tenant_id and operations.id = $1";
    let owners: Vec<String> = Sql::<Text>::new(OWNER).bind::<SqlUuid, _>(id.0).load(&mut queries).await?;
    match owners.as_slice() {
        [tenant, ..] => find_of(queries, tenant, id).await,
        [] => Ok(None),
    }
}

async fn find_of(mut queries: &AsyncPgConnection, tenant: &str, id: OperationId) -> Outcome<Option<OperationDetails>> {
    let row = operations::table.find((tenant, id.0)).select(columns!());
    let row: Option<Row> = row.first(&mut queries).await.optional()?;
    Ok(row.map(details).transpose()?)
}

/// Has a failed operation tried again, within a transaction that the caller ends; returns its chat too.
pub async fn retry(
    mut queries: &AsyncPgConnection,
    environment: &dyn Environment,
    tenant: &TenantId,
    id: OperationId,
    at: Timestamp,
) -> Outcome<(Retry, Option<ChatId>)> {
    const RETRY: &str = "update operations set state = 'pending', lane = $3, attempts = 0, fence = fence + 1, \
        next_attempt_at = $4, completed_at = null, error = null, updated_at = $4 \
        where tenant_id = $1 and id = $2 and state = 'failed'";
    let Some(found) = find_of(queries, tenant.as_str(), id).await? else { return Ok((Retry::NotFound, None)) };
    // The chat before the operation, as everywhere; so nobody tries again, or asks for the same removal, meanwhile.
    let Some(chat) = events::lock(queries, tenant, found.operation.chat_id).await? else {
        return Ok((Retry::NotFound, None));
    };
    let Some(found) = find_of(queries, tenant.as_str(), id).await? else { return Ok((Retry::NotFound, None)) };
    let (kind, chat_id) = (found.operation.kind, chat.id);
    if found.operation.status != OperationStatus::Failed {
        return Ok((Retry::NotFailed(found.operation.status), None));
    }
    if let Some(hindrance) = operator::hindrance(kind, chat.status) {
        return Ok((hindrance, None));
    }
    if let Some(person) = found.person
        && let Some(other) = removal::under_way(queries, tenant, chat_id, person).await?
    {
        return Ok((Retry::UnderWay(other), None));
    }
    let is_gone = match AccountId::of_lane(&found.lane) {
        Some(account) => !accounts::keep(queries, account).await?,
        None => false,
    };
    let lane = if is_gone { lanes::services_own(&found.lane) } else { &found.lane };
    let retried = Sql::<()>::new(RETRY)
        .bind::<Text, _>(tenant.as_str())
        .bind::<SqlUuid, _>(id.0)
        .bind::<Text, _>(lane)
        .bind::<BigInt, _>(at.as_millis());
    if retried.execute(&mut queries).await? == 0 {
        // It had been kept long enough, and was deleted meanwhile.
        return Ok((Retry::NotFound, None));
    }
    if kind == OperationType::CreateChat {
        retries::retry(queries, environment, chat, at).await?;
    }
    Ok((Retry::Accepted, Some(chat_id)))
}

/// Cancels an operation of which nothing was begun, within a transaction that the caller ends; returns its chat too.
pub async fn cancel(
    mut queries: &AsyncPgConnection,
    environment: &dyn Environment,
    tenant: &TenantId,
    id: OperationId,
    at: Timestamp,
) -> Outcome<(Cancellation, Option<ChatId>)> {
    let cancel = format!(
        "update operations set state = 'failed', fence = fence + 1, completed_at = $3, error = $4, updated_at = $3 \
        where tenant_id = $1 and id = $2 and {}",
        operator::CANCELLABLE
    );
    let Some(found) = find_of(queries, tenant.as_str(), id).await? else {
        return Ok((Cancellation::NotFound, None));
    };
    // The chat before the operation, as everywhere.
    let Some(chat) = events::lock(queries, tenant, found.operation.chat_id).await? else {
        return Ok((Cancellation::NotFound, None));
    };
    let chat_id = chat.id;
    let error = serde_json::to_string(&operator::cancelled());
    let error = error.map_err(|error| rows::inconsistent("error", &error.to_string()))?;
    let cancelled = Sql::<()>::new(&cancel)
        .bind::<Text, _>(tenant.as_str())
        .bind::<SqlUuid, _>(id.0)
        .bind::<BigInt, _>(at.as_millis())
        .bind::<Text, _>(error);
    if cancelled.execute(&mut queries).await? == 0 {
        return Ok((operator::not_cancelled(find_of(queries, tenant.as_str(), id).await?), None));
    }
    if found.operation.kind == OperationType::CreateChat {
        retries::fail(queries, environment, chat, at).await?;
    }
    Ok((Cancellation::Cancelled, Some(chat_id)))
}
