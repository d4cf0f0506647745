//! Reading one thing.

use convoke_domain::{ChatId, Operation, OperationId, OperationStatus, OperationType, TenantId, Timestamp};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    events,
    failure::{Outcome, of_one},
    pipeline::Over,
    schema::{chats, operations},
    sql::Sql,
    together::Question,
};
use crate::{ChatDocument, ChatInvitation, DOCUMENT_VERSION, document, error::Result, rows};

pub async fn chat(mut queries: &AsyncPgConnection, tenant: &TenantId, id: ChatId) -> Outcome<Option<ChatDocument>> {
    let row: Option<ChatRow> = chats::table
        .find((tenant.as_str(), id.0))
        .select((chats::status, chats::version, chats::document, chats::document_version))
        .first(&mut queries)
        .await
        .optional()?;
    match row {
        Some(row) => Ok(Some(found(queries, tenant, id, row).await?)),
        None => Ok(None),
    }
}

/// A chat that somebody asks for.
#[derive(Debug)]
pub struct WantedChat {
    pub tenant: TenantId,
    pub id: ChatId,
}

impl Question for WantedChat {
    type Answer = Option<ChatDocument>;

    const OVER: Over = Over::LookUps;

    fn rows(&self) -> usize {
        1
    }

    fn goes_with(&self, _: &Self) -> bool {
        true
    }

    async fn read(&self, queries: &AsyncPgConnection) -> Outcome<Self::Answer> {
        chat(queries, &self.tenant, self.id).await
    }

    async fn read_all(mut queries: &AsyncPgConnection, wanted: &[&Self]) -> Outcome<Vec<Result<Self::Answer>>> {
        // One look-up for each, whatever the planner thinks of their number.
        const READ: &str = "select asked.place, kept.* \
        from unnest((select $1), (select $2)) with ordinality as asked (tenant_id, id, place) cross join lateral (select status, version, document, document_version from chats \
        where chats.tenant_id = asked.tenant_id and chats.id = asked.id limit 1) as kept";
        let rows: Vec<(i64, String, i64, String, i32)> = Sql::<(BigInt, Text, BigInt, Text, Integer)>::new(READ)
            .bind::<Array<Text>, _>(wanted.iter().map(|wanted| wanted.tenant.as_str()).collect::<Vec<_>>())
            .bind::<Array<SqlUuid>, _>(wanted.iter().map(|wanted| wanted.id.0).collect::<Vec<_>>())
            .load(&mut queries)
            .await?;
        let mut answers: Vec<Result<Self::Answer>> = wanted.iter().map(|_| Ok(None)).collect();
        for (place, status, version, document, form) in rows {
            let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
            let (Some(answer), Some(Self { tenant, id })) = (answers.get_mut(place), wanted.get(place)) else {
                continue;
            };
            let found = found(queries, tenant, *id, (status, version, document, form)).await;
            *answer = of_one(found.map(Some))?;
        }
        Ok(answers)
    }
}

/// A chat's row: status, version, document and its form.
type ChatRow = (String, i64, String, i32);

/// What a row says; a document of an older form is rendered anew.
async fn found(
    queries: &AsyncPgConnection,
    tenant: &TenantId,
    id: ChatId,
    (status, version, mut json, form): ChatRow,
) -> Outcome<ChatDocument> {
    if form != DOCUMENT_VERSION {
        json = document::render(&document::record(id, &events::all(queries, tenant, id).await?)?.chat)?;
    }
    Ok(ChatDocument { status: rows::status(&status)?, version, json })
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
pub struct OperationRow {
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
    pub fn into_operation(self) -> Result<Operation> {
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
