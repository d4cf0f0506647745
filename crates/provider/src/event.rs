//! What a messenger tells, in its own names for chats and people.

use convoke_domain::{EventSource, Timestamp, UserProperties};
use serde::{Deserialize, Serialize};

/// Something that happened in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderEvent {
    /// The messenger's own name for the group.
    pub provider_chat_id: String,
    /// Names the event within its group; see `ChatEvent::key`.
    pub key: String,
    /// Which of the messenger's sources tells it.
    pub source: EventSource,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: ProviderEventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ProviderEventKind {
    /// Somebody came in, by the link alone or brought in by somebody.
    Joined {
        /// Who.
        person: SeenPerson,
        /// Who brought them in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invited_by: Option<SeenPerson>,
    },
    /// Somebody went.
    Left {
        /// Who.
        person: SeenPerson,
    },
    /// Somebody was removed.
    Removed {
        /// Who.
        person: SeenPerson,
        /// By whom.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        removed_by: Option<SeenPerson>,
    },
    /// The group got another title.
    Renamed {
        /// The title it has from then on.
        title: String,
    },
    /// Somebody was seen under these names.
    Seen {
        /// Who.
        person: SeenPerson,
    },
    /// The group is gone.
    Closed,
}

/// A person, as a messenger knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenPerson {
    /// The messenger's own, lasting name for the person.
    pub external_id: String,
    /// What they were called then; what is not known is left empty.
    #[serde(default)]
    pub properties: UserProperties,
}

/// What a feed tells at once.
#[derive(Debug)]
pub struct EventBatch {
    /// What happened, oldest first.
    pub events: Vec<ProviderEvent>,
    /// To be acknowledged once they are recorded.
    pub checkpoint: Checkpoint,
}

/// How far a feed has been taken in; only the provider that gave it knows how to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint(pub String);
