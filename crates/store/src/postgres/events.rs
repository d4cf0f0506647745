//! What happened, kept under its key, and the record brought up to date with it.

use std::collections::{BTreeSet, HashMap, HashSet};

use convoke_domain::{
    ChatEvent, ChatId, ChatStatus, EndReason, Environment, EventSource, ParticipantId, Record, Service, TenantId,
    Timestamp,
};
use convoke_provider::{ProviderEvent, SeenPerson};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{failure::Outcome, schema::chats, sql::Sql};
use crate::{
    DOCUMENT_VERSION,
    counts::Counts,
    document::{self, Stay},
    error::Result,
    intake::{self, RecordChange},
    rows,
};

/// A chat whose row is locked, so that nobody else changes its record.
pub struct LockedChat {
    pub tenant: TenantId,
    pub id: ChatId,
    pub service: Service,
    pub status: ChatStatus,
    pub provider_chat_id: Option<String>,
    last_event_at: Timestamp,
    document: String,
    document_version: i32,
}

/// What is read of it: service, status, the group's name, the last event's instant, the document and its form.
pub type LockedRow = (String, String, Option<String>, i64, String, i32);

impl LockedChat {
    pub fn new(tenant: &TenantId, id: ChatId, row: LockedRow) -> Result<Self> {
        let (service, status, provider_chat_id, last_event_at, document, document_version) = row;
        Ok(Self {
            tenant: tenant.clone(),
            id,
            service: rows::service(&service)?,
            status: rows::status(&status)?,
            provider_chat_id,
            last_event_at: Timestamp::from_millis(last_event_at),
            document,
            document_version,
        })
    }

    /// The record as it is kept; nothing if it is kept in an older form and has to be computed.
    pub fn record(&self) -> Result<Option<Record>> {
        if self.document_version != DOCUMENT_VERSION {
            return Ok(None);
        }
        Ok(Some(Record { chat: document::parse(&self.document)?, last_event_at: self.last_event_at }))
    }

    /// When what comes after all else that is known of it happened.
    pub fn next_instant(&self, at: Timestamp) -> Timestamp {
        intake::after(self.last_event_at, at)
    }
}

/// Locks a chat's row. Whoever locks an operation too does so after it.
pub async fn lock(mut queries: &AsyncPgConnection, tenant: &TenantId, id: ChatId) -> Outcome<Option<LockedChat>> {
    let row: Option<LockedRow> = chats::table
        .find((tenant.as_str(), id.0))
        .select((
            chats::service,
            chats::status,
            chats::provider_chat_id,
            chats::last_event_at,
            chats::document,
            chats::document_version,
        ))
        .for_no_key_update()
        .first(&mut queries)
        .await
        .optional()?;
    Ok(row.map(|row| LockedChat::new(tenant, id, row)).transpose()?)
}

/// The chat whose group has this name.
pub async fn chat_of_group(
    mut queries: &AsyncPgConnection,
    service: Service,
    provider_chat_id: &str,
) -> Outcome<Option<(TenantId, ChatId)>> {
    let row: Option<(String, Uuid)> = chats::table
        .filter(chats::service.eq(service.as_str()))
        .filter(chats::provider_chat_id.eq(provider_chat_id))
        .select((chats::tenant_id, chats::id))
        .first(&mut queries)
        .await
        .optional()?;
    Ok(row.map(|(tenant, id)| Ok::<_, crate::StoreError>((rows::tenant(&tenant)?, ChatId(id)))).transpose()?)
}

/// Keeps what a messenger tells of a chat's group and brings the chat's record up to date.
pub async fn take_in(
    queries: &AsyncPgConnection,
    environment: &dyn Environment,
    chat: LockedChat,
    events: &[ProviderEvent],
    recorded_at: Timestamp,
) -> Outcome<()> {
    let people: BTreeSet<&str> =
        events.iter().flat_map(intake::people_of).map(|person| person.external_id.as_str()).collect();
    let ids = people_ids(queries, environment, &chat.tenant, chat.service, &people).await?;
    let id_of = |person: &SeenPerson| ids[person.external_id.as_str()];
    let events: Vec<ChatEvent> = events.iter().map(|event| intake::chat_event(event, recorded_at, id_of)).collect();
    apply(queries, environment, chat, &events).await
}

/// The ids of people, given at the first call. Sorted, so that two callers never wait for each other in a circle.
pub async fn people_ids(
    mut queries: &AsyncPgConnection,
    environment: &dyn Environment,
    tenant: &TenantId,
    service: Service,
    external_ids: &BTreeSet<&str>,
) -> Outcome<HashMap<String, ParticipantId>> {
    const FIND: &str = "select external_id, id from people \
        where tenant_id = $1 and service = $2 and external_id = any((select $3)::text[])";
    const ADD: &str = "insert into people (tenant_id, id, service, external_id) \
        select $1, person.id, $2, person.external_id from unnest($3, $4) as person (external_id, id) \
        on conflict do nothing";
    let find = |wanted: Vec<String>| {
        Sql::<(Text, SqlUuid)>::new(FIND)
            .bind::<Text, _>(tenant.as_str().to_owned())
            .bind::<Text, _>(service.as_str())
            .bind::<Array<Text>, _>(wanted)
    };
    let mut ids = HashMap::new();
    let mut wanted: Vec<String> = external_ids.iter().map(|id| (*id).to_owned()).collect();
    // Most are known; the others are added, by us or by somebody else at the same time, and known then.
    for is_last in [false, true] {
        if wanted.is_empty() {
            break;
        }
        let found: Vec<(String, Uuid)> = find(wanted.clone()).load(&mut queries).await?;
        ids.extend(found.into_iter().map(|(external, id)| (external, ParticipantId(id))));
        wanted.retain(|external| !ids.contains_key(external));
        if is_last || wanted.is_empty() {
            break;
        }
        let new: Vec<Uuid> = wanted.iter().map(|_| environment.new_uuid()).collect();
        Sql::<()>::new(ADD)
            .bind::<Text, _>(tenant.as_str())
            .bind::<Text, _>(service.as_str())
            .bind::<Array<Text>, _>(wanted.clone())
            .bind::<Array<SqlUuid>, _>(new)
            .execute(&mut queries)
            .await?;
    }
    match wanted.as_slice() {
        [missing, ..] => Err(rows::inconsistent("person", missing).into()),
        [] => Ok(ids),
    }
}

/// Keeps those of the events that are new and brings the record up to date with them.
pub async fn apply(
    queries: &AsyncPgConnection,
    environment: &dyn Environment,
    chat: LockedChat,
    events: &[ChatEvent],
) -> Outcome<()> {
    let mut added = insert(queries, &chat.tenant, chat.id, events).await?;
    // Each key once, as it was kept: the first.
    let new: Vec<ChatEvent> = events.iter().filter(|event| added.remove(&event.key)).cloned().collect();
    if new.is_empty() {
        return Ok(());
    }
    let before = record(queries, &chat, &new).await?;
    let known = before.chat.clone();
    let after = match before.extended(&new) {
        Ok(extended) => extended,
        Err(_) => document::record(chat.id, &all(queries, &chat.tenant, chat.id).await?)?,
    };
    write(queries, environment, &chat.tenant, &RecordChange::between(&known, after)?).await
}

/// Adds events; the keys of those that were not there.
async fn insert(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    chat: ChatId,
    events: &[ChatEvent],
) -> Outcome<HashSet<String>> {
    const INSERT: &str = "insert into chat_events (tenant_id, chat_id, key, source, at, recorded_at, body) \
        select $1, $2, event.* from unnest($3, $4, $5, $6, $7) as event on conflict do nothing returning key";
    let bodies: Vec<String> = events.iter().map(body).collect::<Result<_>>()?;
    let statement = Sql::<Text>::new(INSERT)
        .bind::<Text, _>(tenant.as_str())
        .bind::<SqlUuid, _>(chat.0)
        .bind::<Array<Text>, _>(events.iter().map(|event| event.key.as_str()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(events.iter().map(|event| event.source.as_str()).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(events.iter().map(|event| event.at.as_millis()).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(events.iter().map(|event| event.recorded_at.as_millis()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(bodies);
    let added: Vec<String> = statement.load(&mut queries).await?;
    Ok(added.into_iter().collect())
}

/// What happened, as it is kept.
pub fn body(event: &ChatEvent) -> Result<String> {
    serde_json::to_string(&event.kind).map_err(|error| rows::inconsistent("event", &error.to_string()))
}

/// The record as it is without `new`, which is kept already.
async fn record(queries: &AsyncPgConnection, chat: &LockedChat, new: &[ChatEvent]) -> Outcome<Record> {
    if let Some(kept) = chat.record()? {
        return Ok(kept);
    }
    let mut events = all(queries, &chat.tenant, chat.id).await?;
    let new: HashSet<&str> = new.iter().map(|event| event.key.as_str()).collect();
    events.retain(|event| !new.contains(event.key.as_str()));
    Ok(document::record(chat.id, &events)?)
}

/// All events of a chat.
pub async fn all(queries: &AsyncPgConnection, tenant: &TenantId, chat: ChatId) -> Outcome<Vec<ChatEvent>> {
    Ok(of_chats(queries, tenant.as_str(), &[chat.0]).await?.remove(&chat.0).unwrap_or_default())
}

/// All events of each of these chats.
pub async fn of_chats(
    mut queries: &AsyncPgConnection,
    tenant: &str,
    chats: &[Uuid],
) -> Outcome<HashMap<Uuid, Vec<ChatEvent>>> {
    const READ: &str = "select chat_id, key, source, at, recorded_at, body from chat_events \
        where tenant_id = $1 and chat_id = any((select $2)::uuid[])";
    type Row = (Uuid, String, String, i64, i64, String);
    let kept: Vec<Row> = Sql::<(SqlUuid, Text, Text, BigInt, BigInt, Text)>::new(READ)
        .bind::<Text, _>(tenant)
        .bind::<Array<SqlUuid>, _>(chats)
        .load(&mut queries)
        .await?;
    let mut events: HashMap<Uuid, Vec<ChatEvent>> = HashMap::new();
    for (chat, key, source, at, recorded_at, body) in kept {
        events.entry(chat).or_default().push(ChatEvent {
            source: EventSource::from_name(&source).ok_or_else(|| rows::inconsistent("source", &source))?,
            kind: rows::json("event", &body)?,
            at: Timestamp::from_millis(at),
            recorded_at: Timestamp::from_millis(recorded_at),
            key,
        });
    }
    Ok(events)
}

async fn write(
    mut queries: &AsyncPgConnection,
    environment: &dyn Environment,
    tenant: &TenantId,
    change: &RecordChange,
) -> Outcome<()> {
    const TOUCH: &str = "update chats set last_event_at = $3 where tenant_id = $1 and id = $2";
    const REPLACE: &str = "update chats set last_event_at = $3, status = $4, is_active = $5, title = $6, \
        updated_at = $7, document = $8, document_version = $9, version = version + 1 \
        where tenant_id = $1 and id = $2";
    let chat = &change.record.chat;
    let on_row = |text| {
        Sql::<()>::new(text)
            .bind::<Text, _>(tenant.as_str())
            .bind::<SqlUuid, _>(chat.id.0)
            .bind::<BigInt, _>(change.record.last_event_at.as_millis())
    };
    let Some(document) = &change.document else {
        on_row(TOUCH).execute(&mut queries).await?;
        return Ok(());
    };
    on_row(REPLACE)
        .bind::<Text, _>(chat.status.as_str())
        .bind::<Bool, _>(chat.is_active)
        .bind::<Text, _>(chat.current_title().unwrap_or_default())
        .bind::<BigInt, _>(chat.updated_at.as_millis())
        .bind::<Text, _>(document.as_str())
        .bind::<Integer, _>(DOCUMENT_VERSION)
        .execute(&mut queries)
        .await?;
    delete_stays(queries, tenant, chat.id, &change.gone).await?;
    write_stays(queries, tenant, chat.id, &change.stays).await?;
    match change.counts {
        Some(counts) => insert_delta(queries, environment, tenant, chat.registered_at, counts).await,
        None => Ok(()),
    }
}

async fn delete_stays(
    mut queries: &AsyncPgConnection,
    tenant: &TenantId,
    chat: ChatId,
    gone: &[(ParticipantId, i32)],
) -> Outcome<()> {
    const DELETE: &str = "delete from participations using unnest((select $3), (select $4)) as gone (person_id, ordinal) \
        where tenant_id = $1 and chat_id = $2 \
        and participations.person_id = gone.person_id and participations.ordinal = gone.ordinal";
    if gone.is_empty() {
        return Ok(());
    }
    let (people, ordinals): (Vec<Uuid>, Vec<i32>) = gone.iter().map(|(person, ordinal)| (person.0, *ordinal)).unzip();
    Sql::<()>::new(DELETE)
        .bind::<Text, _>(tenant.as_str())
        .bind::<SqlUuid, _>(chat.0)
        .bind::<Array<SqlUuid>, _>(people)
        .bind::<Array<Integer>, _>(ordinals)
        .execute(&mut queries)
        .await?;
    Ok(())
}

async fn write_stays(mut queries: &AsyncPgConnection, tenant: &TenantId, chat: ChatId, stays: &[Stay]) -> Outcome<()> {
    const WRITE: &str = "insert into participations \
        (tenant_id, chat_id, person_id, ordinal, joined_at, left_at, invited_by, end_reason, removed_by) \
        select $1, $2, stay.* from unnest($3, $4, $5, $6, $7, $8, $9) as stay \
        on conflict (tenant_id, chat_id, person_id, ordinal) do update set joined_at = excluded.joined_at, \
        left_at = excluded.left_at, invited_by = excluded.invited_by, end_reason = excluded.end_reason, \
        removed_by = excluded.removed_by";
    fn column<T>(stays: &[Stay], of: impl Fn(&Stay) -> T) -> Vec<T> {
        stays.iter().map(of).collect()
    }
    if stays.is_empty() {
        return Ok(());
    }
    Sql::<()>::new(WRITE)
        .bind::<Text, _>(tenant.as_str())
        .bind::<SqlUuid, _>(chat.0)
        .bind::<Array<SqlUuid>, _>(column(stays, |stay| stay.person.0))
        .bind::<Array<Integer>, _>(column(stays, |stay| stay.ordinal))
        .bind::<Array<BigInt>, _>(column(stays, |stay| stay.joined_at.as_millis()))
        .bind::<Array<Nullable<BigInt>>, _>(column(stays, |stay| stay.left_at.map(Timestamp::as_millis)))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(stays, |stay| stay.invited_by.map(|id| id.0)))
        .bind::<Array<Nullable<Text>>, _>(column(stays, |stay| stay.end_reason.map(EndReason::as_str)))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(stays, |stay| stay.removed_by.map(|id| id.0)))
        .execute(&mut queries)
        .await?;
    Ok(())
}

/// Leaves a change of the counts, to be rolled up later: no two writers wait for one row.
async fn insert_delta(
    mut queries: &AsyncPgConnection,
    environment: &dyn Environment,
    tenant: &TenantId,
    registered_at: Timestamp,
    counts: Counts,
) -> Outcome<()> {
    const INSERT: &str = "insert into chat_count_deltas (tenant_id, id, registered_at, active, inactive) \
        values ($1, $2, $3, $4, $5)";
    Sql::<()>::new(INSERT)
        .bind::<Text, _>(tenant.as_str())
        .bind::<SqlUuid, _>(environment.new_uuid())
        .bind::<BigInt, _>(registered_at.as_millis())
        .bind::<BigInt, _>(counts.active)
        .bind::<BigInt, _>(counts.inactive)
        .execute(&mut queries)
        .await?;
    Ok(())
}
