//! Idempotency keys, and the answers that were given under them.

use std::collections::HashMap;

use convoke_domain::{ChatId, OperationId, TenantId, Timestamp};
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{failure::Outcome, sql::Sql};
use crate::IdempotencyKey;

/// What was answered under a key.
pub struct KeptAnswer {
    pub request_hash: Vec<u8>,
    pub chat_id: ChatId,
    pub operation_id: OperationId,
    /// Where the chat stands now.
    pub chat_status: Option<String>,
}

/// The answers kept under these keys, by route and key.
pub async fn find(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    keys: &[&IdempotencyKey],
) -> Outcome<HashMap<(String, String), KeptAnswer>> {
    const FIND: &str = "select kept.route, kept.key, kept.request_hash, kept.chat_id, kept.operation_id, chats.status \
        from unnest((select $2), (select $3)) as wanted (route, key) \
        join idempotency_keys as kept on kept.tenant_id = $1 and kept.route = wanted.route and kept.key = wanted.key \
        left join chats on chats.tenant_id = $1 and chats.id = kept.chat_id";
    type Row = (String, String, Vec<u8>, Uuid, Uuid, Option<String>);
    let rows: Vec<Row> = Sql::<(Text, Text, Binary, SqlUuid, SqlUuid, Nullable<Text>)>::new(FIND)
        .bind::<Text, _>(tenant.as_str())
        .bind::<Array<Text>, _>(keys.iter().map(|key| key.route.as_str()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(keys.iter().map(|key| key.key.as_str()).collect::<Vec<_>>())
        .load(&mut queries)
        .await?;
    let answer = |(route, key, request_hash, chat_id, operation_id, chat_status)| {
        let (chat_id, operation_id) = (ChatId(chat_id), OperationId(operation_id));
        ((route, key), KeptAnswer { request_hash, chat_id, operation_id, chat_status })
    };
    Ok(rows.into_iter().map(answer).collect())
}

/// Keeps an answer; `false` if one is kept under this key already. Waits for whoever is about to keep one.
pub async fn insert(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    key: &IdempotencyKey,
    chat: ChatId,
    operation: OperationId,
    at: Timestamp,
) -> Outcome<bool> {
    const INSERT: &str = "insert into idempotency_keys \
        (tenant_id, route, key, request_hash, chat_id, operation_id, created_at) values ($1, $2, $3, $4, $5, $6, $7) \
        on conflict do nothing";
    let inserted = Sql::<()>::new(INSERT)
        .bind::<Text, _>(tenant.as_str())
        .bind::<Text, _>(key.route.as_str())
        .bind::<Text, _>(key.key.as_str())
        .bind::<Binary, _>(key.request_hash.as_slice())
        .bind::<SqlUuid, _>(chat.0)
        .bind::<SqlUuid, _>(operation.0)
        .bind::<BigInt, _>(at.as_millis())
        .execute(&mut queries)
        .await?;
    Ok(inserted == 1)
}

/// Has a key that was just inserted answer with another operation.
pub async fn set_operation(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    key: &IdempotencyKey,
    operation: OperationId,
) -> Outcome<()> {
    const SET: &str = "update idempotency_keys set operation_id = $4 where tenant_id = $1 and route = $2 and key = $3";
    Sql::<()>::new(SET)
        .bind::<Text, _>(tenant.as_str())
        .bind::<Text, _>(key.route.as_str())
        .bind::<Text, _>(key.key.as_str())
        .bind::<SqlUuid, _>(operation.0)
        .execute(&mut queries)
        .await?;
    Ok(())
}
