//! The record of a chat: what the contract shows of it.

use serde::{Deserialize, Serialize};

use crate::{ChatId, ParticipantId, Service, Timestamp};

/// The form of title that there is so far.
pub const TITLE_CONTENT_TYPE: &str = "text/plain";

/// A chat, with everything that its record holds. Serialised, it is the contract's "chat detail".
///
/// Reading is tolerant: members that are not known are passed over, and the two that the reference page does not have
/// (`status`, `updatedAt`) are derived from those it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", from = "ChatAsRead")]
pub struct Chat {
    /// The chat.
    pub id: ChatId,
    /// Whether people can be in it now: `status` is `active`.
    pub is_active: bool,
    /// Where it stands in its life.
    pub status: ChatStatus,
    /// The messenger it is on.
    pub service: Service,
    /// When its registration was accepted.
    pub registered_at: Timestamp,
    /// When its record last changed.
    pub updated_at: Timestamp,
    /// Who had it registered, in the client's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Every title that it has had, oldest first.
    pub title: Vec<TitleEntry>,
    /// Everybody who has ever been in, in the order of their first joining.
    pub participants: Vec<Participant>,
}

/// Where a chat stands: `provisioning` → `active` → `closed`, or `provisioning` → `failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum ChatStatus {
    /// Registered; its group is being made.
    Provisioning,
    /// There is a group, and a link that leads into it.
    Active,
    /// The group is gone.
    Closed,
    /// No group could be made.
    Failed,
}

impl ChatStatus {
    /// Its name in the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Closed => "closed",
            Self::Failed => "failed",
        }
    }

    /// The status of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Provisioning, Self::Active, Self::Closed, Self::Failed].into_iter().find(|s| s.as_str() == name)
    }
}

/// A title that a chat has had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TitleEntry {
    /// The title.
    pub value: String,
    /// Always `text/plain`.
    pub content_type: String,
    /// Since when it was the title.
    pub captured_at: Timestamp,
}

/// A person who is or was in a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// The person: the same in every chat of the tenant.
    pub id: ParticipantId,
    /// What the person was called when last seen in this chat.
    #[serde(default)]
    pub user_properties: UserProperties,
    /// Every stay, oldest first; no two overlap.
    pub participations: Vec<Participation>,
}

impl Participant {
    /// Whether the person is in now.
    #[must_use]
    pub fn is_in(&self) -> bool {
        self.participations.last().is_some_and(|stay| stay.is_active)
    }
}

/// What a messenger calls a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserProperties {
    /// First name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firstname: Option<String>,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
    /// The handle by which others find the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

impl UserProperties {
    /// Takes over what `seen` tells; what it leaves empty stays as it was. Returns whether anything changed.
    pub fn learn(&mut self, seen: &Self) -> bool {
        let mut changed = false;
        let fields = [
            (&mut self.firstname, &seen.firstname),
            (&mut self.lastname, &seen.lastname),
            (&mut self.username, &seen.username),
        ];
        for (known, seen) in fields {
            if seen.is_some() && known != seen {
                known.clone_from(seen);
                changed = true;
            }
        }
        changed
    }
}

/// One stay of a person in a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Participation {
    /// Whether it goes on.
    pub is_active: bool,
    /// When it began.
    pub joined_at: Timestamp,
    /// Who brought the person in; absent if they came by the link alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invited_by: Option<ParticipantId>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_at: Option<Timestamp>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
    /// Who ended it, if it was somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_by: Option<ParticipantId>,
}

/// How a stay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum EndReason {
    /// The person went.
    Left,
    /// Somebody else removed the person.
    Removed,
    /// The chat came to its end.
    ChatClosed,
}

impl EndReason {
    /// Its name in the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Removed => "removed",
            Self::ChatClosed => "chatClosed",
        }
    }
}

impl Chat {
    /// The title it has now.
    #[must_use]
    pub fn current_title(&self) -> Option<&str> {
        self.title.last().map(|entry| entry.value.as_str())
    }

    /// The participant of this id.
    #[must_use]
    pub fn participant(&self, id: ParticipantId) -> Option<&Participant> {
        self.participants.iter().find(|participant| participant.id == id)
    }
}

/// What is read: with the additions to the reference page optional.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChatAsRead {
    id: ChatId,
    is_active: bool,
    status: Option<ChatStatus>,
    service: Service,
    registered_at: Timestamp,
    updated_at: Option<Timestamp>,
    created_by: Option<String>,
    description: Option<String>,
    title: Vec<TitleEntry>,
    participants: Vec<Participant>,
}

impl From<ChatAsRead> for Chat {
    fn from(read: ChatAsRead) -> Self {
        let derived = if read.is_active { ChatStatus::Active } else { ChatStatus::Closed };
        let status = read.status.unwrap_or(derived);
        Self {
            id: read.id,
            is_active: status == ChatStatus::Active,
            status,
            service: read.service,
            registered_at: read.registered_at,
            updated_at: read.updated_at.unwrap_or(read.registered_at),
            created_by: read.created_by,
            description: read.description,
            title: read.title,
            participants: read.participants,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE_EXAMPLE: &str = include_str!("../tests/data/chat_detail.json");

    #[test]
    fn the_reference_pages_detail_round_trips() {
        let page: serde_json::Value = serde_json::from_str(PAGE_EXAMPLE).unwrap();
        let chat: Chat = serde_json::from_str(PAGE_EXAMPLE).unwrap();
        assert_eq!(chat.status, ChatStatus::Active);
        assert_eq!(chat.current_title(), Some("Chat día 11 XXII"));
        let mut written = serde_json::to_value(&chat).unwrap();
        // The only additions: what the page does not have.
        let written_object = written.as_object_mut().unwrap();
        assert_eq!(written_object.remove("status").unwrap(), "active");
        assert_eq!(written_object.remove("updatedAt").unwrap(), page["registeredAt"]);
        assert_eq!(written, page);
    }

    #[test]
    fn the_reference_pages_list_is_read_with_times_without_a_zone() {
        let list: serde_json::Value = serde_json::from_str(include_str!("../tests/data/chat_list.json")).unwrap();
        let records: Vec<Chat> = serde_json::from_value(list["records"].clone()).unwrap();
        assert_eq!(records.len(), 2);
        for (chat, page) in records.iter().zip(list["records"].as_array().unwrap()) {
            let mut written = serde_json::to_value(chat).unwrap();
            assert_eq!(written["registeredAt"], format!("{}.000Z", page["registeredAt"].as_str().unwrap()));
            written["registeredAt"] = page["registeredAt"].clone();
            for (member, value) in page.as_object().unwrap() {
                assert_eq!(&written[member], value, "{member}");
            }
            assert_eq!(serde_json::from_value::<Chat>(serde_json::to_value(chat).unwrap()).unwrap(), *chat);
        }
    }

    #[test]
    fn unknown_members_are_passed_over_when_read() {
        let mut page: serde_json::Value = serde_json::from_str(PAGE_EXAMPLE).unwrap();
        page["addedLater"] = 1.into();
        page["participants"][0]["addedLater"] = "x".into();
        assert_eq!(serde_json::from_value::<Chat>(page).unwrap(), serde_json::from_str::<Chat>(PAGE_EXAMPLE).unwrap());
    }
}
