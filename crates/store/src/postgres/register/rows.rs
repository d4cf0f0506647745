//! What is written of registrations, and the one statement that writes it.

use std::collections::HashSet;

use convoke_domain::{ChatStatus, CreatedBy, Description, EventSource, OperationStatus, OperationType, TenantId};
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::super::{events, failure::Outcome, sql::Sql};
use crate::{AcceptedChat, DOCUMENT_VERSION, IdempotencyKey, NewChat, Origin, document, error::Result, intake};

/// Where every chat begins.
const STATUS: ChatStatus = ChatStatus::Provisioning;

/// What is written of a registration.
pub struct NewRow {
    pub tenant: TenantId,
    pub chat: NewChat,
    pub hash: [u8; 32],
    document: String,
    event_body: String,
    origin: Option<String>,
}

impl NewRow {
    pub fn new(tenant: &TenantId, chat: NewChat) -> Result<Self> {
        let event = intake::registered(&chat);
        let record = document::record(chat.id, std::slice::from_ref(&event))?;
        Ok(Self {
            tenant: tenant.clone(),
            hash: chat.registration_hash(),
            document: document::render(&record.chat)?,
            event_body: events::body(&event)?,
            origin: chat.origin.as_ref().map(Origin::write).transpose()?,
            chat,
        })
    }

    pub const fn accepted(&self) -> AcceptedChat {
        AcceptedChat { chat_id: self.chat.id, operation_id: self.chat.operation_id, status: STATUS }
    }

    /// By what rows are sorted, so that two processes that write the same keys never wait for each other in a circle.
    pub fn place(&self) -> (&str, Option<(&str, &str)>, Uuid) {
        let key = self.key().map(|key| (key.route.as_str(), key.key.as_str()));
        (self.tenant.as_str(), key, self.chat.id.0)
    }

    const fn key(&self) -> Option<&IdempotencyKey> {
        self.chat.idempotency.as_ref()
    }
}

/// What decides which rows are written.
pub enum Conflict {
    /// Those without a key, and those whose key is new. Keys are written too.
    Keys,
    /// Those whose id is new. Keys are the caller's affair.
    Ids,
}

/// One argument for each column in which rows differ; `accepted` says which of the rows are written, and everything follows
/// from it.
const INPUT: &str = "with input as (select * from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
    as input (tenant_id, id, service, title, description, created_by, registered_at, registration_hash, operation_id, \
    document, event_body, route, key, request_hash, origin)), ";
const ACCEPT_BY_KEY: &str = "keys as (insert into idempotency_keys \
    (tenant_id, route, key, request_hash, chat_id, operation_id, created_at) \
    select tenant_id, route, key, request_hash, id, operation_id, registered_at from input where key is not null \
    on conflict do nothing returning chat_id), \
    accepted as (select * from input where key is null or id in (select chat_id from keys)), \
    chat as (insert into chats (tenant_id, id, service, status, is_active, title, description, created_by, \
    registered_at, updated_at, last_event_at, version, registration_hash, operation_id, document, document_version) \
    select tenant_id, id, service, $16, false, title, description, created_by, registered_at, registered_at, \
    registered_at, 0, registration_hash, operation_id, document, $17 from accepted returning id), ";
const ACCEPT_BY_ID: &str = "chat as (insert into chats (tenant_id, id, service, status, is_active, title, \
    description, created_by, registered_at, updated_at, last_event_at, version, registration_hash, operation_id, \
    document, document_version) \
    select tenant_id, id, service, $16, false, title, description, created_by, registered_at, registered_at, \
    registered_at, 0, registration_hash, operation_id, document, $17 from input \
    on conflict (tenant_id, id) do nothing returning id), \
    accepted as (select * from input where id in (select id from chat)), ";
/// Counts are kept by the second at most, so that all that is registered within one is a single change of them. Its name is
/// that of an operation that makes one of the chats.
const OUTPUT: &str = "event as (insert into chat_events (tenant_id, chat_id, key, source, at, recorded_at, body) \
    select tenant_id, id, $18, $19, registered_at, registered_at, event_body from accepted), \
    operation as (insert into operations (tenant_id, id, chat_id, kind, lane, state, attempts, created_at, updated_at, \
    next_attempt_at, fence, origin) select tenant_id, operation_id, id, $20, service, $21, 0, registered_at, \
    registered_at, registered_at, 0, origin from accepted), \
    delta as (insert into chat_count_deltas (tenant_id, id, registered_at, active, inactive) \
    select tenant_id, (array_agg(operation_id))[1], second, 0, count(*) \
    from (select *, registered_at - mod(mod(registered_at, 1000) + 1000, 1000) as second from accepted) as by_second \
    group by tenant_id, second) \
    select id from chat";

/// Writes chats, each with its first event, its work and its change of the counts; the ids of those that were written.
pub async fn insert(mut queries: &AsyncPgConnection, rows: &[&NewRow], conflict: Conflict) -> Outcome<HashSet<Uuid>> {
    fn column<'a, T>(rows: &[&'a NewRow], of: impl Fn(&'a NewRow) -> T) -> Vec<T> {
        rows.iter().map(|row| of(row)).collect()
    }
    let accept = match conflict {
        Conflict::Keys => ACCEPT_BY_KEY,
        Conflict::Ids => ACCEPT_BY_ID,
    };
    let statement = Sql::<SqlUuid>::new(&[INPUT, accept, OUTPUT].concat())
        .bind::<Array<Text>, _>(column(rows, |row| row.tenant.as_str()))
        .bind::<Array<SqlUuid>, _>(column(rows, |row| row.chat.id.0))
        .bind::<Array<Text>, _>(column(rows, |row| row.chat.service.as_str()))
        .bind::<Array<Text>, _>(column(rows, |row| row.chat.title.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.chat.description.as_ref().map(Description::as_str)))
        .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.chat.created_by.as_ref().map(CreatedBy::as_str)))
        .bind::<Array<BigInt>, _>(column(rows, |row| row.chat.at.as_millis()))
        .bind::<Array<Binary>, _>(column(rows, |row| row.hash.as_slice()))
        .bind::<Array<SqlUuid>, _>(column(rows, |row| row.chat.operation_id.0))
        .bind::<Array<Text>, _>(column(rows, |row| row.document.as_str()))
        .bind::<Array<Text>, _>(column(rows, |row| row.event_body.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.key().map(|key| key.route.as_str())))
        .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.key().map(|key| key.key.as_str())))
        .bind::<Array<Nullable<Binary>>, _>(column(rows, |row| row.key().map(|key| key.request_hash.as_slice())))
        .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.origin.as_deref()))
        .bind::<Text, _>(STATUS.as_str())
        .bind::<Integer, _>(DOCUMENT_VERSION)
        .bind::<Text, _>(intake::REGISTERED_KEY)
        .bind::<Text, _>(EventSource::Convoke.as_str())
        .bind::<Text, _>(OperationType::CreateChat.as_str())
        .bind::<Text, _>(OperationStatus::Pending.as_str());
    let written: Vec<Uuid> = statement.load(&mut queries).await?;
    Ok(written.into_iter().collect())
}
