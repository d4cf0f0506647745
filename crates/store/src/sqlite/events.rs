//! What happened, kept under its key, and the record brought up to date with it.

use std::collections::HashMap;

use convoke_domain::{
    ChatEvent, ChatId, EndReason, Environment, EventSource, ParticipantId, Record, Service, TenantId, Timestamp,
};
use convoke_provider::ProviderEvent;
use diesel::{
    SqliteConnection,
    prelude::*,
    sql_types::{BigInt, Binary, Bool, Integer, Text},
};

use super::{
    id::Id,
    people,
    schema::{chat_events, chats, participations},
    sql::Sql,
    threads::Writing,
};
use crate::{
    DOCUMENT_VERSION,
    document::{self, Stay},
    error::Result,
    intake::{self, RecordChange},
    rows,
};

/// Keeps what happened in the group of this name and brings its chat's record up to date. Returns the chat;
/// nothing if the group is not ours.
pub fn take_in(
    writing: &mut Writing<'_>,
    environment: &dyn Environment,
    service: Service,
    provider_chat_id: &str,
    events: &[ProviderEvent],
    recorded_at: Timestamp,
) -> Result<Option<ChatId>> {
    let chat: Option<(String, Id)> = chats::table
        .filter(chats::service.eq(service.as_str()))
        .filter(chats::provider_chat_id.eq(provider_chat_id))
        .select((chats::tenant_id, chats::id))
        .get_result(writing.connection)
        .optional()?;
    let Some((tenant, chat)) = chat else { return Ok(None) };
    let (tenant, chat) = (rows::tenant(&tenant)?, ChatId(chat.0));
    let mut ids: HashMap<&str, ParticipantId> = HashMap::new();
    for person in events.iter().flat_map(intake::people_of) {
        if !ids.contains_key(person.external_id.as_str()) {
            let id = people::id_of(writing.connection, environment, &tenant, service, &person.external_id)?;
            ids.insert(&person.external_id, id);
        }
    }
    let events: Vec<ChatEvent> = events
        .iter()
        .map(|event| intake::chat_event(event, recorded_at, |person| ids[person.external_id.as_str()]))
        .collect();
    apply(writing, &tenant, chat, &events)?;
    Ok(Some(chat))
}

/// Keeps those of the events that are new and brings the record up to date with them.
pub fn apply(writing: &mut Writing<'_>, tenant: &TenantId, chat: ChatId, events: &[ChatEvent]) -> Result<()> {
    let connection = &mut *writing.connection;
    let mut new = Vec::new();
    for event in events {
        if insert(connection, tenant, chat, event)? {
            new.push(event.clone());
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let before = record(connection, tenant, chat, &new)?;
    let known = before.chat.clone();
    let after = match before.extended(&new) {
        Ok(extended) => extended,
        Err(_) => document::record(chat, &all(connection, tenant, chat)?)?,
    };
    write(writing, tenant, &RecordChange::between(&known, after)?)
}

/// The record as it is without `new`, which is kept already.
fn record(connection: &mut SqliteConnection, tenant: &TenantId, chat: ChatId, new: &[ChatEvent]) -> Result<Record> {
    let (document, version, last_event_at): (String, i32, i64) = chats::table
        .find((tenant.as_str(), Id(chat.0)))
        .select((chats::document, chats::document_version, chats::last_event_at))
        .get_result(connection)?;
    if version == DOCUMENT_VERSION {
        return Ok(Record { chat: document::parse(&document)?, last_event_at: Timestamp::from_millis(last_event_at) });
    }
    let mut events = all(connection, tenant, chat)?;
    events.retain(|event| new.iter().all(|new| new.key != event.key));
    document::record(chat, &events)
}

fn write(writing: &mut Writing<'_>, tenant: &TenantId, change: &RecordChange) -> Result<()> {
    let connection = &mut *writing.connection;
    let chat = &change.record.chat;
    let last_event_at = change.record.last_event_at.as_millis();
    let Some(document) = &change.document else {
        Sql::<()>::new("update chats set last_event_at = ?3 where tenant_id = ?1 and id = ?2")
            .bind::<Text, _>(tenant.as_str())
            .bind::<Binary, _>(Id(chat.id.0))
            .bind::<BigInt, _>(last_event_at)
            .execute(connection)?;
        return Ok(());
    };
    let write = Sql::<()>::new(
        "update chats set status = ?3, is_active = ?4, title = ?5, updated_at = ?6, last_event_at = ?7, \
        version = version + 1, document = ?8, document_version = ?9 where tenant_id = ?1 and id = ?2",
    );
    write
        .bind::<Text, _>(tenant.as_str())
        .bind::<Binary, _>(Id(chat.id.0))
        .bind::<Text, _>(chat.status.as_str())
        .bind::<Bool, _>(chat.is_active)
        .bind::<Text, _>(chat.current_title().unwrap_or_default())
        .bind::<BigInt, _>(chat.updated_at.as_millis())
        .bind::<BigInt, _>(last_event_at)
        .bind::<Text, _>(document)
        .bind::<Integer, _>(DOCUMENT_VERSION)
        .execute(connection)?;
    for (person, ordinal) in &change.gone {
        let key = (tenant.as_str(), Id(chat.id.0), Id(person.0), *ordinal);
        diesel::delete(participations::table.find(key)).execute(connection)?;
    }
    for stay in &change.stays {
        write_stay(connection, tenant, chat.id, stay)?;
    }
    if let Some(counts) = change.counts {
        writing.counts.add(tenant, chat.registered_at.as_millis(), counts);
    }
    Ok(())
}

fn write_stay(connection: &mut SqliteConnection, tenant: &TenantId, chat: ChatId, stay: &Stay) -> Result<()> {
    diesel::replace_into(participations::table)
        .values((
            participations::tenant_id.eq(tenant.as_str()),
            participations::chat_id.eq(Id(chat.0)),
            participations::person_id.eq(Id(stay.person.0)),
            participations::ordinal.eq(stay.ordinal),
            participations::joined_at.eq(stay.joined_at.as_millis()),
            participations::left_at.eq(stay.left_at.map(Timestamp::as_millis)),
            participations::invited_by.eq(stay.invited_by.map(|id| Id(id.0))),
            participations::end_reason.eq(stay.end_reason.map(EndReason::as_str)),
            participations::removed_by.eq(stay.removed_by.map(|id| Id(id.0))),
        ))
        .execute(connection)?;
    Ok(())
}

/// Keeps an event; `false` if one of its key is kept already.
pub fn insert(connection: &mut SqliteConnection, tenant: &TenantId, chat: ChatId, event: &ChatEvent) -> Result<bool> {
    let body = serde_json::to_string(&event.kind).map_err(|error| rows::inconsistent("event", &error.to_string()))?;
    let inserted = diesel::insert_or_ignore_into(chat_events::table)
        .values((
            chat_events::tenant_id.eq(tenant.as_str()),
            chat_events::chat_id.eq(Id(chat.0)),
            chat_events::key.eq(&event.key),
            chat_events::source.eq(event.source.as_str()),
            chat_events::at.eq(event.at.as_millis()),
            chat_events::recorded_at.eq(event.recorded_at.as_millis()),
            chat_events::body.eq(body),
        ))
        .execute(connection)?;
    Ok(inserted == 1)
}

/// All events of a chat.
pub fn all(connection: &mut SqliteConnection, tenant: &TenantId, chat: ChatId) -> Result<Vec<ChatEvent>> {
    let kept: Vec<(String, String, i64, i64, String)> = chat_events::table
        .filter(chat_events::tenant_id.eq(tenant.as_str()))
        .filter(chat_events::chat_id.eq(Id(chat.0)))
        .select((chat_events::key, chat_events::source, chat_events::at, chat_events::recorded_at, chat_events::body))
        .load(connection)?;
    let event = |(key, source, at, recorded_at, body): (String, String, i64, i64, String)| {
        Ok(ChatEvent {
            source: EventSource::from_name(&source).ok_or_else(|| rows::inconsistent("source", &source))?,
            kind: rows::json("event", &body)?,
            at: Timestamp::from_millis(at),
            recorded_at: Timestamp::from_millis(recorded_at),
            key,
        })
    };
    kept.into_iter().map(event).collect()
}
