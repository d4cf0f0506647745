//! A registration: the chat, its first event and the work that makes its group, in one transaction.

use convoke_domain::{
    ChatId, ChatStatus, CreatedBy, Description, OperationId, OperationStatus, OperationType, TenantId, Timestamp,
};
use diesel::{SqliteConnection, prelude::*};

use super::{
    events,
    id::Id,
    schema::{chats, idempotency_keys, operations},
    threads::Writing,
};
use crate::{
    AcceptedChat, DOCUMENT_VERSION, IdempotencyKey, NewChat, Origin, Registration,
    counts::Counts,
    document,
    error::{Result, StoreError},
    intake, rows,
};

/// What was answered under a key before.
pub struct KeptAnswer {
    pub request_hash: Vec<u8>,
    pub chat_id: ChatId,
    pub operation_id: OperationId,
}

pub fn register(writing: &mut Writing<'_>, tenant: &TenantId, chat: &NewChat) -> Result<Registration> {
    let connection = &mut *writing.connection;
    if let Some(key) = &chat.idempotency
        && let Some(kept) = find_answer(connection, tenant, key)?
    {
        if kept.request_hash != key.request_hash {
            return Ok(Registration::KeyReused);
        }
        let accepted = accepted(connection, tenant, kept.chat_id)?;
        return accepted.map(Registration::RepeatedKey).ok_or_else(|| missing(kept.chat_id));
    }
    let hash = chat.registration_hash();
    if chat.id_is_clients
        && let Some(known) = registration_hash(connection, tenant, chat.id)?
    {
        if known != hash {
            return Ok(Registration::IdTaken);
        }
        let accepted = accepted(connection, tenant, chat.id)?.ok_or_else(|| missing(chat.id))?;
        keep_answer(connection, tenant, chat.idempotency.as_ref(), chat.id, accepted.operation_id, chat.at)?;
        return Ok(Registration::RepeatedId(accepted));
    }
    insert(writing, tenant, chat, hash)?;
    keep_answer(writing.connection, tenant, chat.idempotency.as_ref(), chat.id, chat.operation_id, chat.at)?;
    Ok(Registration::New(AcceptedChat {
        chat_id: chat.id,
        operation_id: chat.operation_id,
        status: ChatStatus::Provisioning,
    }))
}

fn insert(writing: &mut Writing<'_>, tenant: &TenantId, chat: &NewChat, hash: [u8; 32]) -> Result<()> {
    let connection = &mut *writing.connection;
    let event = intake::registered(chat);
    let record = document::record(chat.id, std::slice::from_ref(&event))?;
    let at = chat.at.as_millis();
    diesel::insert_into(chats::table)
        .values((
            chats::tenant_id.eq(tenant.as_str()),
            chats::id.eq(Id(chat.id.0)),
            chats::service.eq(chat.service.as_str()),
            chats::status.eq(record.chat.status.as_str()),
            chats::is_active.eq(record.chat.is_active),
            chats::title.eq(chat.title.as_str()),
            chats::description.eq(chat.description.as_ref().map(Description::as_str)),
            chats::created_by.eq(chat.created_by.as_ref().map(CreatedBy::as_str)),
            (
                chats::registered_at.eq(at),
                chats::updated_at.eq(record.chat.updated_at.as_millis()),
                chats::last_event_at.eq(record.last_event_at.as_millis()),
                chats::version.eq(0),
                chats::registration_hash.eq(hash.as_slice()),
                chats::operation_id.eq(Id(chat.operation_id.0)),
                chats::document.eq(document::render(&record.chat)?),
                chats::document_version.eq(DOCUMENT_VERSION),
            ),
        ))
        .execute(connection)?;
    events::insert(connection, tenant, chat.id, &event)?;
    insert_operation(
        connection,
        tenant,
        &NewOperation {
            id: chat.operation_id,
            chat_id: chat.id,
            kind: OperationType::CreateChat,
            person: None,
            lane: chat.service.as_str(),
            status: OperationStatus::Pending,
            at: chat.at,
            origin: chat.origin.as_ref(),
        },
    )?;
    writing.counts.add(tenant, at, Counts::change(None, record.chat.is_active));
    Ok(())
}

/// Work to be kept.
pub struct NewOperation<'a> {
    pub id: OperationId,
    pub chat_id: ChatId,
    pub kind: OperationType,
    pub person: Option<Id>,
    pub lane: &'a str,
    pub status: OperationStatus,
    pub at: Timestamp,
    pub origin: Option<&'a Origin>,
}

pub fn insert_operation(connection: &mut SqliteConnection, tenant: &TenantId, new: &NewOperation<'_>) -> Result<()> {
    let at = new.at.as_millis();
    diesel::insert_into(operations::table)
        .values((
            operations::tenant_id.eq(tenant.as_str()),
            operations::id.eq(Id(new.id.0)),
            operations::chat_id.eq(Id(new.chat_id.0)),
            operations::kind.eq(new.kind.as_str()),
            operations::person_id.eq(new.person),
            operations::lane.eq(new.lane),
            operations::state.eq(new.status.as_str()),
            operations::attempts.eq(0),
            operations::created_at.eq(at),
            operations::updated_at.eq(at),
            operations::next_attempt_at.eq(at),
            operations::completed_at.eq((new.status == OperationStatus::Succeeded).then_some(at)),
            operations::fence.eq(0),
            operations::origin.eq(new.origin.map(Origin::write).transpose()?),
        ))
        .execute(connection)?;
    Ok(())
}

/// A chat as a repeated registration is answered with it.
fn accepted(connection: &mut SqliteConnection, tenant: &TenantId, id: ChatId) -> Result<Option<AcceptedChat>> {
    let row: Option<(Id, String)> = chats::table
        .find((tenant.as_str(), Id(id.0)))
        .select((chats::operation_id, chats::status))
        .get_result(connection)
        .optional()?;
    row.map(|(operation, status)| {
        let status = rows::status(&status)?;
        Ok(AcceptedChat { chat_id: id, operation_id: OperationId(operation.0), status })
    })
    .transpose()
}

fn registration_hash(connection: &mut SqliteConnection, tenant: &TenantId, id: ChatId) -> Result<Option<Vec<u8>>> {
    let chat = chats::table.find((tenant.as_str(), Id(id.0)));
    Ok(chat.select(chats::registration_hash).get_result(connection).optional()?)
}

fn missing(id: ChatId) -> StoreError {
    StoreError::Inconsistent(format!("chat {id} has an answer kept, but is not there"))
}

pub fn find_answer(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    key: &IdempotencyKey,
) -> Result<Option<KeptAnswer>> {
    let row: Option<(Vec<u8>, Id, Id)> = idempotency_keys::table
        .find((tenant.as_str(), &key.route, &key.key))
        .select((idempotency_keys::request_hash, idempotency_keys::chat_id, idempotency_keys::operation_id))
        .get_result(connection)
        .optional()?;
    Ok(row.map(|(request_hash, chat, operation)| KeptAnswer {
        request_hash,
        chat_id: ChatId(chat.0),
        operation_id: OperationId(operation.0),
    }))
}

pub fn keep_answer(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    key: Option<&IdempotencyKey>,
    chat: ChatId,
    operation: OperationId,
    at: Timestamp,
) -> Result<()> {
    let Some(key) = key else { return Ok(()) };
    diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::tenant_id.eq(tenant.as_str()),
            idempotency_keys::route.eq(&key.route),
            idempotency_keys::key.eq(&key.key),
            idempotency_keys::request_hash.eq(key.request_hash.as_slice()),
            idempotency_keys::chat_id.eq(Id(chat.0)),
            idempotency_keys::operation_id.eq(Id(operation.0)),
            idempotency_keys::created_at.eq(at.as_millis()),
        ))
        .execute(connection)?;
    Ok(())
}
