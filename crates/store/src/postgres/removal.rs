//! A request to remove somebody: looked at and, where it stands, turned into work, in one transaction.

use convoke_domain::{
    ChatEventKind, ChatId, ChatStatus, OperationId, OperationStatus, OperationType, ParticipantId, TenantId,
};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    deadline::of_a_call,
    events::{self, LockedChat},
    failure::{Failure, Outcome},
    keys,
    pool::Pool,
    schema::{chat_events, participations},
    sql::Sql,
};
use crate::{
    NewRemoval, Origin, Removal,
    error::{Result, StoreError},
    intake, rows,
};

pub async fn request(pool: &Pool, tenant: &TenantId, removal: &NewRemoval) -> Result<Removal> {
    pool.transaction(of_a_call(), |work| async move {
        let answer = decide(&work, tenant, removal).await?;
        if matches!(answer, Removal::Accepted(_)) {
            work.commit().await?;
        } else {
            work.roll_back().await?;
        }
        Ok(answer)
    })
    .await
}

async fn decide(queries: &AsyncPgConnection, tenant: &TenantId, removal: &NewRemoval) -> Outcome<Removal> {
    if let Some(key) = &removal.idempotency {
        // Taken first: whoever is at the same key waits here until the first one is through.
        let (chat, operation) = (removal.chat_id, removal.operation_id);
        if !keys::insert(queries, tenant, key, chat, operation, removal.at).await? {
            let kept = keys::find(queries, tenant, &[key]).await?.into_values().next();
            let gone = || Failure::from(StoreError::Unavailable("an idempotency key expired meanwhile".to_owned()));
            let kept = kept.ok_or_else(gone)?;
            return Ok(if kept.request_hash == key.request_hash {
                Removal::RepeatedKey(kept.operation_id)
            } else {
                Removal::KeyReused
            });
        }
    }
    // Locked, so that nobody comes or goes, and no second removal is asked for, until this one is decided.
    let Some(chat) = events::lock(queries, tenant, removal.chat_id).await? else { return Ok(Removal::NoSuchChat) };
    let Some(stays) = stays(queries, tenant, removal).await? else { return Ok(Removal::NoSuchParticipant) };
    if chat.status != ChatStatus::Active {
        return Ok(Removal::NotActive(chat.status));
    }
    if owner(queries, tenant, removal.chat_id).await? == Some(removal.participant_id) {
        return Ok(Removal::IsOwner);
    }
    let operation = if stays.is_in {
        if let Some(out_at) = stays.was_out_at {
            end_earlier(queries, tenant, removal, out_at).await?;
        }
        match under_way(queries, tenant, removal.chat_id, removal.participant_id).await? {
            Some(operation) => operation,
            None => insert(queries, &chat, removal, OperationStatus::Pending).await?,
        }
    } else {
        insert(queries, &chat, removal, OperationStatus::Succeeded).await?
    };
    if let Some(key) = &removal.idempotency
        && operation != removal.operation_id
    {
        keys::set_operation(queries, tenant, key, operation).await?;
    }
    Ok(Removal::Accepted(operation))
}

/// The newest stays of a person.
struct Stays {
    is_in: bool,
    /// When the one before the last ended.
    was_out_at: Option<i64>,
}

/// The person's newest stays in the chat; nothing if they never were in.
async fn stays(mut queries: &AsyncPgConnection, tenant: &TenantId, removal: &NewRemoval) -> Outcome<Option<Stays>> {
    let ends: Vec<Option<i64>> = participations::table
        .filter(participations::tenant_id.eq(tenant.as_str()))
        .filter(participations::chat_id.eq(removal.chat_id.0))
        .filter(participations::person_id.eq(removal.participant_id.0))
        .order(participations::ordinal.desc())
        .select(participations::left_at)
        .limit(2)
        .load(&mut queries)
        .await?;
    Ok(match ends[..] {
        [] => None,
        [last] => Some(Stays { is_in: last.is_none(), was_out_at: None }),
        [last, before, ..] => Some(Stays { is_in: last.is_none(), was_out_at: before }),
    })
}

/// Ends what is under way to remove the person if it was asked for before they were out at that time: they are back, and
/// that is another stay. Whoever is at it has lost the lease.
async fn end_earlier(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    removal: &NewRemoval,
    out_at: i64,
) -> Outcome<()> {
    const END: &str = "update operations set state = 'succeeded', fence = fence + 1, lease_owner = null, \
        lease_until = null, completed_at = $5, updated_at = $5 \
        where tenant_id = $1 and chat_id = $2 and person_id = $3 and created_at <= $4 \
        and kind = 'removeParticipant' and state not in ('succeeded', 'failed')";
    Sql::<()>::new(END)
        .bind::<Text, _>(tenant.as_str())
        .bind::<SqlUuid, _>(removal.chat_id.0)
        .bind::<SqlUuid, _>(removal.participant_id.0)
        .bind::<BigInt, _>(out_at)
        .bind::<BigInt, _>(removal.at.as_millis())
        .execute(&mut queries)
        .await?;
    Ok(())
}

/// The account that made the group.
async fn owner(mut queries: &AsyncPgConnection, tenant: &TenantId, chat: ChatId) -> Outcome<Option<ParticipantId>> {
    let body: Option<String> = chat_events::table
        .find((tenant.as_str(), chat.0, intake::GROUP_MADE_KEY))
        .select(chat_events::body)
        .first(&mut queries)
        .await
        .optional()?;
    Ok(match body.map(|body| rows::json("event", &body)).transpose()? {
        Some(ChatEventKind::GroupMade { owner, .. }) => Some(owner),
        _ => None,
    })
}

/// The removal of this person from this chat that has not ended.
pub async fn under_way(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    chat: ChatId,
    person: ParticipantId,
) -> Outcome<Option<OperationId>> {
    // The condition of the index operations_one_removal, as it stands there: bound values would not lead to it.
    const FIND: &str = "select id from operations where tenant_id = $1 and chat_id = $2 and person_id = $3 \
        and kind = 'removeParticipant' and state not in ('succeeded', 'failed')";
    let find = Sql::<SqlUuid>::new(FIND)
        .bind::<Text, _>(tenant.as_str())
        .bind::<SqlUuid, _>(chat.0)
        .bind::<SqlUuid, _>(person.0);
    let id: Option<Uuid> = find.get_result(&mut queries).await.optional()?;
    Ok(id.map(OperationId))
}

async fn insert(
    mut queries: &AsyncPgConnection,
    chat: &LockedChat,
    removal: &NewRemoval,
    status: OperationStatus,
) -> Outcome<OperationId> {
    const INSERT: &str = "insert into operations (tenant_id, id, chat_id, kind, person_id, lane, state, attempts, \
        created_at, updated_at, next_attempt_at, completed_at, fence, origin) \
        values ($1, $2, $3, $4, $5, $6, $7, 0, $8, $8, $8, $9, 0, $10)";
    let at = removal.at.as_millis();
    Sql::<()>::new(INSERT)
        .bind::<Text, _>(chat.tenant.as_str())
        .bind::<SqlUuid, _>(removal.operation_id.0)
        .bind::<SqlUuid, _>(removal.chat_id.0)
        .bind::<Text, _>(OperationType::RemoveParticipant.as_str())
        .bind::<SqlUuid, _>(removal.participant_id.0)
        .bind::<Text, _>(chat.service.as_str())
        .bind::<Text, _>(status.as_str())
        .bind::<BigInt, _>(at)
        .bind::<Nullable<BigInt>, _>((status == OperationStatus::Succeeded).then_some(at))
        .bind::<Nullable<Text>, _>(removal.origin.as_ref().map(Origin::write).transpose()?)
        .execute(&mut queries)
        .await?;
    Ok(removal.operation_id)
}
