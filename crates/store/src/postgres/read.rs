//! Reading one thing.

use convoke_domain::{ChatId, Operation, OperationId, OperationStatus, OperationType, TenantId, Timestamp};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    events,
    failure::Outcome,
    schema::{chats, operations},
};
use crate::{ChatDocument, ChatInvitation, DOCUMENT_VERSION, document, error::Result, rows};

pub async fn chat(mut queries: &AsyncPgConnection, tenant: &TenantId, id: ChatId) -> Outcome<Option<ChatDocument>> {
    let row: Option<(String, i64, String, i32)> = chats::table
        .find((tenant.as_str(), id.0))
        .select((chats::status, chats::version, chats::document, chats::document_version))
        .first(&mut queries)
        .await
        .optional()?;
    let Some((status, version, mut json, form)) = row else { return Ok(None) };
    if form != DOCUMENT_VERSION {
        json = document::render(&document::record(id, &events::all(queries, tenant, id).await?)?.chat)?;
    }
    Ok(Some(ChatDocument { status: rows::status(&status)?, version, json }))
}

pub async fn invitation(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    id: ChatId,
) -> Outcome<Option<ChatInvitation>> {
    let row: Option<(String, String, Option<String>)> = chats::table
        .find((tenant.as_str(), id.0))
        .select((chats::service, chats::status, chats::invitation))
        .first(&mut queries)
        .await
        .optional()?;
    let Some((service, status, link)) = row else { return Ok(None) };
    Ok(Some(ChatInvitation { service: rows::service(&service)?, status: rows::status(&status)?, link }))
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = operations, check_for_backend(diesel::pg::Pg))]
struct OperationRow {
    id: Uuid,
    chat_id: Uuid,
    kind: String,
    state: String,
    attempts: i32,
    created_at: i64,
    updated_at: i64,
    next_attempt_at: i64,
    completed_at: Option<i64>,
    error: Option<String>,
}

pub async fn operation(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    id: OperationId,
) -> Outcome<Option<Operation>> {
    let row = operations::table.find((tenant.as_str(), id.0)).select(OperationRow::as_select());
    let row = row.first(&mut queries).await.optional()?;
    Ok(row.map(OperationRow::into_operation).transpose()?)
}

impl OperationRow {
    fn into_operation(self) -> Result<Operation> {
        let status = OperationStatus::from_name(&self.state).ok_or_else(|| rows::inconsistent("state", &self.state))?;
        let waits = matches!(status, OperationStatus::Pending | OperationStatus::WaitingForProvider);
        Ok(Operation {
            id: OperationId(self.id),
            kind: OperationType::from_name(&self.kind).ok_or_else(|| rows::inconsistent("kind", &self.kind))?,
            status,
            chat_id: ChatId(self.chat_id),
            attempts: self.attempts.unsigned_abs(),
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
            next_attempt_at: waits.then(|| Timestamp::from_millis(self.next_attempt_at)),
            completed_at: rows::timestamp(self.completed_at),
            error: self.error.map(|error| rows::json("error", &error)).transpose()?,
        })
    }
}
