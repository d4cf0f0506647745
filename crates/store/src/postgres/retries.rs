//! A chat whose group could not be made, and is tried again: however often.

use convoke_domain::{Environment, Timestamp};
use diesel::{dsl::count_star, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{
    events::{self, LockedChat},
    failure::Outcome,
    schema::chat_events,
};
use crate::intake;

/// The chat has failed.
pub async fn fail(
    queries: &AsyncPgConnection,
    environment: &dyn Environment,
    chat: LockedChat,
    at: Timestamp,
) -> Outcome<()> {
    let event = intake::failed(number(queries, &chat).await?, chat.next_instant(at), at);
    events::apply(queries, environment, chat, &[event]).await
}

/// The chat, which had failed, is provisioned again.
pub async fn retry(
    queries: &AsyncPgConnection,
    environment: &dyn Environment,
    chat: LockedChat,
    at: Timestamp,
) -> Outcome<()> {
    let event = intake::retried(number(queries, &chat).await? + 1, chat.next_instant(at), at);
    events::apply(queries, environment, chat, &[event]).await
}

/// How often it was tried again.
async fn number(mut queries: &AsyncPgConnection, chat: &LockedChat) -> Outcome<i64> {
    let retried = chat_events::table
        .filter(chat_events::tenant_id.eq(chat.tenant.as_str()))
        .filter(chat_events::chat_id.eq(chat.id.0))
        .filter(chat_events::key.like(intake::RETRIED_KEYS));
    Ok(retried.select(count_star()).first(&mut queries).await?)
}
