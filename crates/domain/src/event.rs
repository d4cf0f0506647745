//! What is learnt about a chat. Events are kept for ever; the record is computed from them (`record.rs`).

use serde::{Deserialize, Serialize};

use crate::{ParticipantId, Service, Timestamp, UserProperties};

/// Something that happened in a chat, as one source tells it.
///
/// ```
/// use convoke_domain::{ChatEvent, ChatEventKind, EventSource, Timestamp};
///
/// let closed = ChatEvent {
///     key: "log-0007".into(),
///     source: EventSource::Log,
///     at: Timestamp::from_millis(1_733_907_243_000),
///     recorded_at: Timestamp::from_millis(1_733_907_244_000),
///     kind: ChatEventKind::Closed,
/// };
/// assert!(closed.recorded_at > closed.at);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatEvent {
    /// Names the event within its chat: the same event told again has the same key. The keys of one source sort in the
    /// order in which that source saw things happen.
    pub key: String,
    /// Who tells it.
    pub source: EventSource,
    /// When it happened.
    pub at: Timestamp,
    /// When we learnt it.
    pub recorded_at: Timestamp,
    /// What happened.
    pub kind: ChatEventKind,
}

/// Where an event comes from, the most trusted first: at one and the same instant, that is their order.
///
/// ```
/// use convoke_domain::EventSource;
///
/// assert!(EventSource::Convoke < EventSource::MemberList);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventSource {
    /// Convoke itself: the registration, and what its own calls did.
    Convoke,
    /// The messenger's log of what was done in the group.
    Log,
    /// The messenger's stream of updates.
    Stream,
    /// A comparison with the messenger's list of members.
    MemberList,
}

impl EventSource {
    /// Its name where it is stored.
    ///
    /// ```
    /// use convoke_domain::EventSource;
    ///
    /// assert_eq!(EventSource::MemberList.as_str(), "memberList");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Convoke => "convoke",
            Self::Log => "log",
            Self::Stream => "stream",
            Self::MemberList => "memberList",
        }
    }

    /// The source of this name.
    ///
    /// ```
    /// use convoke_domain::EventSource;
    ///
    /// assert_eq!(EventSource::from_name("log"), Some(EventSource::Log));
    /// assert_eq!(EventSource::from_name("hearsay"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Convoke, Self::Log, Self::Stream, Self::MemberList].into_iter().find(|s| s.as_str() == name)
    }
}

/// What happened.
///
/// ```
/// use convoke_domain::ChatEventKind;
///
/// let kind: ChatEventKind = serde_json::from_str(r#"{"type": "renamed", "title": "Project"}"#)?;
/// assert_eq!(kind, ChatEventKind::Renamed { title: "Project".into() });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ChatEventKind {
    /// The chat was registered: where every record begins.
    Registered {
        /// The messenger it is to be made on.
        service: Service,
        /// The title asked for.
        title: String,
        /// Who had it registered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        created_by: Option<String>,
        /// What it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
    },
    /// Its group was made, and a link leads into it.
    GroupMade {
        /// The account that made it, and is in from the start.
        owner: ParticipantId,
        /// What that account is called.
        properties: UserProperties,
    },
    /// No group could be made.
    Failed,
    /// It is tried again to make one: the chat that had failed is provisioned once more.
    Retried,
    /// Somebody came in.
    Joined {
        /// Who.
        person: ParticipantId,
        /// Who brought them in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invited_by: Option<ParticipantId>,
        /// What they were called then.
        #[serde(default)]
        properties: UserProperties,
    },
    /// Somebody went.
    Left {
        /// Who.
        person: ParticipantId,
    },
    /// Somebody was removed.
    Removed {
        /// Who.
        person: ParticipantId,
        /// By whom.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        removed_by: Option<ParticipantId>,
    },
    /// The chat got another title.
    Renamed {
        /// The title it has from then on.
        title: String,
    },
    /// Somebody who has been in was seen under these names.
    Seen {
        /// Who.
        person: ParticipantId,
        /// What they were called then.
        properties: UserProperties,
    },
    /// The group is gone.
    Closed,
}

impl ChatEventKind {
    /// The place of a kind among events of one instant: the registration before all (even of another instant, see
    /// `ChatEvent::position`), the end after all.
    const fn rank(&self) -> u8 {
        match self {
            Self::Registered { .. } => 0,
            Self::GroupMade { .. } | Self::Joined { .. } | Self::Left { .. } | Self::Removed { .. } => 1,
            Self::Failed => 2,
            Self::Retried => 3,
            Self::Renamed { .. } => 4,
            Self::Seen { .. } => 5,
            Self::Closed => 6,
        }
    }
}

impl ChatEvent {
    /// The order in which events make the record: the registration first whatever other clocks say, then by instant,
    /// kind, source and key.
    ///
    /// ```
    /// use convoke_domain::{ChatEvent, ChatEventKind, EventSource, Timestamp};
    ///
    /// let at = |at, kind| ChatEvent {
    ///     key: "k".into(),
    ///     source: EventSource::Log,
    ///     at: Timestamp::from_millis(at),
    ///     recorded_at: Timestamp::from_millis(9),
    ///     kind,
    /// };
    /// let renamed = at(5, ChatEventKind::Renamed { title: "Project".into() });
    /// let closed = at(5, ChatEventKind::Closed);
    /// assert!(renamed.position() < closed.position());
    /// ```
    #[must_use]
    pub fn position(&self) -> impl Ord + '_ {
        let rank = self.kind.rank();
        (rank != 0, self.at, rank, self.source, self.key.as_str())
    }
}
