//! The finished JSON of a chat, and what else is derived from its events.

use convoke_domain::{Chat, ChatEvent, ChatId, EndReason, ParticipantId, Participation, Record, Timestamp};

use crate::error::{Result, StoreError};

/// The form of the documents that this release writes. Older ones are rendered anew when they are read.
pub const DOCUMENT_VERSION: i32 = 1;

/// Renders the contract's "chat detail".
pub fn render(chat: &Chat) -> Result<String> {
    serde_json::to_string(chat).map_err(|error| StoreError::Inconsistent(format!("chat {}: {error}", chat.id)))
}

/// Reads a document that was rendered in the form of this release.
pub fn parse(json: &str) -> Result<Chat> {
    serde_json::from_str(json).map_err(|error| StoreError::Inconsistent(format!("a document: {error}")))
}

/// Computes a chat's record from all its events.
pub fn record(id: ChatId, events: &[ChatEvent]) -> Result<Record> {
    Record::from_events(id, events).map_err(|error| StoreError::Inconsistent(format!("chat {id}: {error}")))
}

/// A row of `participations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stay {
    /// Whose.
    pub person: ParticipantId,
    /// Which stay of that person in that chat, from 0.
    pub ordinal: i32,
    /// When it began.
    pub joined_at: Timestamp,
    /// When it ended.
    pub left_at: Option<Timestamp>,
    /// Who brought the person in.
    pub invited_by: Option<ParticipantId>,
    /// How it ended.
    pub end_reason: Option<EndReason>,
    /// Who ended it.
    pub removed_by: Option<ParticipantId>,
}

impl Stay {
    fn new(person: ParticipantId, ordinal: usize, stay: &Participation) -> Self {
        Self {
            person,
            ordinal: i32::try_from(ordinal).unwrap_or(i32::MAX),
            joined_at: stay.joined_at,
            left_at: stay.left_at,
            invited_by: stay.invited_by,
            end_reason: stay.end_reason,
            removed_by: stay.removed_by,
        }
    }
}

/// Every stay that a record tells of, by person and ordinal.
pub fn stays(chat: &Chat) -> Vec<Stay> {
    let of_person = |participant: &convoke_domain::Participant| {
        let id = participant.id;
        participant.participations.iter().enumerate().map(move |(n, stay)| Stay::new(id, n, stay)).collect::<Vec<_>>()
    };
    chat.participants.iter().flat_map(of_person).collect()
}

/// What of the stays differs between two records of one chat: rows to be written, and keys of rows to be deleted.
pub fn changed_stays(before: &Chat, after: &Chat) -> (Vec<Stay>, Vec<(ParticipantId, i32)>) {
    let (before, after) = (stays(before), stays(after));
    let known: std::collections::HashMap<_, _> =
        before.iter().map(|stay| ((stay.person, stay.ordinal), stay)).collect();
    let kept: std::collections::HashSet<_> = after.iter().map(|stay| (stay.person, stay.ordinal)).collect();
    let gone = before.iter().map(|stay| (stay.person, stay.ordinal)).filter(|key| !kept.contains(key)).collect();
    let new = after.into_iter().filter(|stay| known.get(&(stay.person, stay.ordinal)) != Some(&stay)).collect();
    (new, gone)
}
