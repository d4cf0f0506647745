//! From what messengers tell to what is kept and shown: the steps that both databases share.

use std::time::Duration;

use convoke_domain::{Chat, ChatEvent, ChatEventKind, EventSource, ParticipantId, Record, Timestamp, UserProperties};
use convoke_provider::{CreatedGroup, ProviderEvent, ProviderEventKind, SeenPerson};

use crate::{
    counts::Counts,
    document::{Stay, changed_stays, render},
    error::Result,
    repository::NewChat,
};

/// Everybody an event speaks of.
pub fn people_of(event: &ProviderEvent) -> Vec<&SeenPerson> {
    match &event.kind {
        ProviderEventKind::Joined { person, invited_by: other }
        | ProviderEventKind::Removed { person, removed_by: other } => std::iter::once(person).chain(other).collect(),
        ProviderEventKind::Left { person } | ProviderEventKind::Seen { person } => vec![person],
        ProviderEventKind::Renamed { .. } | ProviderEventKind::Closed => Vec::new(),
    }
}

/// The event as it is kept, once everybody in it has an id.
pub fn chat_event(
    event: &ProviderEvent,
    recorded_at: Timestamp,
    id_of: impl Fn(&SeenPerson) -> ParticipantId,
) -> ChatEvent {
    let kind = match &event.kind {
        ProviderEventKind::Joined { person, invited_by } => ChatEventKind::Joined {
            person: id_of(person),
            // Who comes by themselves was brought in by nobody.
            invited_by: invited_by.as_ref().map(&id_of).filter(|by| *by != id_of(person)),
            properties: shown(&person.properties),
        },
        ProviderEventKind::Left { person } => ChatEventKind::Left { person: id_of(person) },
        ProviderEventKind::Removed { person, removed_by } => {
            ChatEventKind::Removed { person: id_of(person), removed_by: removed_by.as_ref().map(&id_of) }
        }
        ProviderEventKind::Renamed { title } => ChatEventKind::Renamed { title: printable(title) },
        ProviderEventKind::Seen { person } => {
            ChatEventKind::Seen { person: id_of(person), properties: shown(&person.properties) }
        }
        ProviderEventKind::Closed => ChatEventKind::Closed,
    };
    ChatEvent { key: event.key.clone(), source: event.source, at: event.at, recorded_at, kind }
}

/// The key of the event with which every record begins.
pub const REGISTERED_KEY: &str = "convoke:registered";

/// The event with which every record begins.
pub fn registered(chat: &NewChat) -> ChatEvent {
    let kind = ChatEventKind::Registered {
        service: chat.service,
        title: chat.title.as_str().to_owned(),
        created_by: chat.created_by.as_ref().map(|text| text.as_str().to_owned()),
        description: chat.description.as_ref().map(|text| text.as_str().to_owned()),
    };
    own_event(REGISTERED_KEY, chat.at, chat.at, kind)
}

/// The key of the event of a group that was made.
pub const GROUP_MADE_KEY: &str = "convoke:groupMade";

/// The event of a group that was made.
pub fn group_made(group: &CreatedGroup, owner: ParticipantId, recorded_at: Timestamp) -> ChatEvent {
    let kind = ChatEventKind::GroupMade { owner, properties: shown(&group.owner.properties) };
    own_event(GROUP_MADE_KEY, group.made_at, recorded_at, kind)
}

/// The event of a chat whose group could not be made, having been tried again so many times.
pub fn failed(retries: i64, at: Timestamp, recorded_at: Timestamp) -> ChatEvent {
    let key = if retries == 0 { "convoke:failed".to_owned() } else { format!("convoke:failed:{retries}") };
    own_event(&key, at, recorded_at, ChatEventKind::Failed)
}

/// What the keys of all events of trying again are like.
pub const RETRIED_KEYS: &str = "convoke:retried:%";

/// The event of a chat that had failed and is tried again for the `number`th time.
pub fn retried(number: i64, at: Timestamp, recorded_at: Timestamp) -> ChatEvent {
    own_event(&format!("convoke:retried:{number}"), at, recorded_at, ChatEventKind::Retried)
}

/// When something happened of which it is known that it came after all else, whatever other clocks say.
pub fn after(last_event_at: Timestamp, at: Timestamp) -> Timestamp {
    at.max(last_event_at.plus(Duration::from_millis(1)))
}

fn own_event(key: &str, at: Timestamp, recorded_at: Timestamp, kind: ChatEventKind) -> ChatEvent {
    ChatEvent { key: key.to_owned(), source: EventSource::Convoke, at, recorded_at, kind }
}

/// What is left of a text from outside without control characters, some of which no database keeps.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn shown(properties: &UserProperties) -> UserProperties {
    let field = |text: &Option<String>| text.as_deref().map(printable).filter(|text| !text.is_empty());
    UserProperties {
        firstname: field(&properties.firstname),
        lastname: field(&properties.lastname),
        username: field(&properties.username),
    }
}

/// What is to be written when a record has taken in new events.
#[derive(Debug)]
pub struct RecordChange {
    /// The record as it is now.
    pub record: Record,
    /// The new document, if it differs.
    pub document: Option<String>,
    /// Stays to be written.
    pub stays: Vec<Stay>,
    /// Stays to be deleted.
    pub gone: Vec<(ParticipantId, i32)>,
    /// What changes in the counts, if anything does.
    pub counts: Option<Counts>,
}

impl RecordChange {
    /// What differs between the record of `before` and `after`.
    pub fn between(before: &Chat, after: Record) -> Result<Self> {
        let differs = *before != after.chat;
        let (stays, gone) = if differs { changed_stays(before, &after.chat) } else { Default::default() };
        let counts = (before.is_active != after.chat.is_active)
            .then(|| Counts::change(Some(before.is_active), after.chat.is_active));
        Ok(Self { document: differs.then(|| render(&after.chat)).transpose()?, record: after, stays, gone, counts })
    }
}
