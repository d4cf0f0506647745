//! A chat whose group could not be made, and is tried again: however often.

use convoke_domain::{ChatId, TenantId, Timestamp};
use diesel::{SqliteConnection, dsl::count_star, prelude::*};

use super::{
    events,
    id::Id,
    schema::{chat_events, chats},
    threads::Writing,
};
use crate::{error::Result, intake};

/// The chat has failed.
pub fn fail(writing: &mut Writing<'_>, tenant: &TenantId, chat: ChatId, at: Timestamp) -> Result<()> {
    let connection = &mut *writing.connection;
    let (retries, happened_at) = (number(connection, tenant, chat)?, next_instant(connection, tenant, chat, at)?);
    events::apply(writing, tenant, chat, &[intake::failed(retries, happened_at, at)])
}

/// The chat, which had failed, is provisioned again.
pub fn retry(writing: &mut Writing<'_>, tenant: &TenantId, chat: ChatId, at: Timestamp) -> Result<()> {
    let connection = &mut *writing.connection;
    let (retries, happened_at) = (number(connection, tenant, chat)?, next_instant(connection, tenant, chat, at)?);
    events::apply(writing, tenant, chat, &[intake::retried(retries + 1, happened_at, at)])
}

/// How often it was tried again.
fn number(connection: &mut SqliteConnection, tenant: &TenantId, chat: ChatId) -> Result<i64> {
    let retried = chat_events::table
        .filter(chat_events::tenant_id.eq(tenant.as_str()))
        .filter(chat_events::chat_id.eq(Id(chat.0)))
        .filter(chat_events::key.like(intake::RETRIED_KEYS));
    Ok(retried.select(count_star()).get_result(connection)?)
}

/// When what comes after all else happened.
fn next_instant(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    chat: ChatId,
    at: Timestamp,
) -> Result<Timestamp> {
    let last: i64 =
        chats::table.find((tenant.as_str(), Id(chat.0))).select(chats::last_event_at).get_result(connection)?;
    Ok(intake::after(Timestamp::from_millis(last), at))
}
