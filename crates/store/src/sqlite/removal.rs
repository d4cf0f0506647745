//! A request to remove somebody: looked at and, where it stands, turned into work, in one transaction.

use convoke_domain::{
    Chat, ChatEventKind, ChatId, ChatStatus, OperationId, OperationStatus, OperationType, ParticipantId, TenantId,
    Timestamp,
};
use diesel::{SqliteConnection, dsl::sql, prelude::*, sql_types::Bool};

use super::{
    id::Id,
    list,
    register::{NewOperation, find_answer, insert_operation, keep_answer},
    schema::{chat_events, operations},
};
use crate::{NewRemoval, Removal, document, error::Result, rows};

/// Removals that have not ended, in the very words of the partial index: SQLite does not use one for values that are bound.
const UNDER_WAY: &str = "kind = 'removeParticipant' and state not in ('succeeded', 'failed')";

pub fn request(connection: &mut SqliteConnection, tenant: &TenantId, removal: &NewRemoval) -> Result<Removal> {
    if let Some(key) = &removal.idempotency
        && let Some(kept) = find_answer(connection, tenant, key)?
    {
        let is_same = kept.request_hash == key.request_hash;
        return Ok(if is_same { Removal::RepeatedKey(kept.operation_id) } else { Removal::KeyReused });
    }
    let Some(found) = list::find(connection, tenant, removal.chat_id)? else { return Ok(Removal::NoSuchChat) };
    let chat = document::parse(&found.json)?;
    let Some(participant) = chat.participant(removal.participant_id) else { return Ok(Removal::NoSuchParticipant) };
    if chat.status != ChatStatus::Active {
        return Ok(Removal::NotActive(chat.status));
    }
    if owner(connection, tenant, &chat)? == Some(removal.participant_id) {
        return Ok(Removal::IsOwner);
    }
    // Whoever is out already needs no removal, even if one is under way.
    let is_in = participant.is_in();
    if is_in
        && let [.., before, _] = &participant.participations[..]
        && let Some(out_at) = before.left_at
    {
        end_earlier(connection, tenant, removal, out_at)?;
    }
    let under_way = if is_in { under_way(connection, tenant, removal.chat_id, removal.participant_id)? } else { None };
    if under_way.is_none() {
        let operation = NewOperation {
            id: removal.operation_id,
            chat_id: removal.chat_id,
            kind: OperationType::RemoveParticipant,
            person: Some(Id(removal.participant_id.0)),
            lane: chat.service.as_str(),
            status: if is_in { OperationStatus::Pending } else { OperationStatus::Succeeded },
            at: removal.at,
            origin: removal.origin.as_ref(),
        };
        insert_operation(connection, tenant, &operation)?;
    }
    let operation = under_way.unwrap_or(removal.operation_id);
    keep_answer(connection, tenant, removal.idempotency.as_ref(), removal.chat_id, operation, removal.at)?;
    Ok(Removal::Accepted(operation))
}

/// Ends what is under way to remove the person if it was asked for before they were out at that time: they are back, and
/// that is another stay. Whoever is at it has lost the lease.
fn end_earlier(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    removal: &NewRemoval,
    out_at: Timestamp,
) -> Result<()> {
    let earlier = operations::table
        .filter(operations::tenant_id.eq(tenant.as_str()))
        .filter(operations::chat_id.eq(Id(removal.chat_id.0)))
        .filter(operations::person_id.eq(Id(removal.participant_id.0)))
        .filter(operations::created_at.le(out_at.as_millis()))
        .filter(sql::<Bool>(UNDER_WAY));
    diesel::update(earlier)
        .set((
            operations::state.eq(OperationStatus::Succeeded.as_str()),
            operations::fence.eq(operations::fence + 1),
            operations::lease_owner.eq(None::<String>),
            operations::lease_until.eq(None::<i64>),
            operations::completed_at.eq(removal.at.as_millis()),
            operations::updated_at.eq(removal.at.as_millis()),
        ))
        .execute(connection)?;
    Ok(())
}

/// The account that made the group.
fn owner(connection: &mut SqliteConnection, tenant: &TenantId, chat: &Chat) -> Result<Option<ParticipantId>> {
    let body: Option<String> = chat_events::table
        .find((tenant.as_str(), Id(chat.id.0), crate::intake::GROUP_MADE_KEY))
        .select(chat_events::body)
        .get_result(connection)
        .optional()?;
    Ok(match body.map(|body| rows::json("event", &body)).transpose()? {
        Some(ChatEventKind::GroupMade { owner, .. }) => Some(owner),
        _ => None,
    })
}

/// The removal of this person from this chat that has not ended.
pub fn under_way(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    chat: ChatId,
    person: ParticipantId,
) -> Result<Option<OperationId>> {
    let id: Option<Id> = operations::table
        .filter(operations::tenant_id.eq(tenant.as_str()))
        .filter(operations::chat_id.eq(Id(chat.0)))
        .filter(operations::person_id.eq(Id(person.0)))
        .filter(sql::<Bool>(UNDER_WAY))
        .select(operations::id)
        .get_result(connection)
        .optional()?;
    Ok(id.map(|id| OperationId(id.0)))
}
