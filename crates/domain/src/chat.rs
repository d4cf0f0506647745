//! The record of a chat: what the contract shows of it.

use serde::{Deserialize, Serialize};

use crate::{ChatId, ParticipantId, Service, Timestamp};

/// The form of title that there is so far.
///
/// ```
/// use convoke_domain::{TITLE_CONTENT_TYPE, TitleEntry, Timestamp};
///
/// let entry = TitleEntry {
///     value: "Kick-off".into(),
///     content_type: TITLE_CONTENT_TYPE.into(),
///     captured_at: Timestamp::from_millis(0),
/// };
/// assert_eq!(entry.content_type, "text/plain");
/// ```
pub const TITLE_CONTENT_TYPE: &str = "text/plain";

/// What the OpenAPI document says of [`Chat`]. Here and below, the document's words are given apart: the examples are
/// for readers of Rust.
#[cfg(feature = "openapi")]
const CHAT_IN_OPENAPI: &str =
    "A chat, with everything that its record holds. Serialised, it is the contract's \"chat detail\".

Reading is tolerant: members that are not known are passed over, and the two that the reference page does not have
(`status`, `updatedAt`) are derived from those it has.";

/// A chat, with everything that its record holds. Serialised, it is the contract's "chat detail".
///
/// Reading is tolerant: members that are not known are passed over, and the two that the reference page does not have
/// (`status`, `updatedAt`) are derived from those it has.
///
/// ```
/// use convoke_domain::{Chat, ChatStatus};
///
/// let chat: Chat = serde_json::from_str(r#"{
///     "id": "9a983789-1709-4543-aa31-a02867680017",
///     "isActive": true,
///     "service": "telegram",
///     "registeredAt": "2024-12-11T08:54:03.000Z",
///     "title": [{"value": "Kick-off", "contentType": "text/plain", "capturedAt": "2024-12-11T08:54:03.000Z"}],
///     "participants": [],
///     "addedLater": "passed over"
/// }"#)?;
/// assert_eq!(chat.status, ChatStatus::Active);
/// assert_eq!(chat.current_title(), Some("Kick-off"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = CHAT_IN_OPENAPI))]
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

/// Where a chat stands: `provisioning` → `active` → `closed`, or `provisioning` → `failed`; whoever runs the service may
/// have it tried again, then it is `provisioning` once more.
///
/// ```
/// use convoke_domain::ChatStatus;
///
/// assert_eq!(serde_json::to_value(ChatStatus::Provisioning)?, "provisioning");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(
        description = "Where a chat stands: `provisioning` → `active` → `closed`, or `provisioning` → `failed`; whoever \
            runs the service may have it tried again, then it is `provisioning` once more."
    )
)]
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
    ///
    /// ```
    /// use convoke_domain::ChatStatus;
    ///
    /// assert_eq!(ChatStatus::Active.as_str(), "active");
    /// ```
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
    ///
    /// ```
    /// use convoke_domain::ChatStatus;
    ///
    /// assert_eq!(ChatStatus::from_name("closed"), Some(ChatStatus::Closed));
    /// assert_eq!(ChatStatus::from_name("Closed"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Provisioning, Self::Active, Self::Closed, Self::Failed].into_iter().find(|s| s.as_str() == name)
    }
}

/// A title that a chat has had.
///
/// ```
/// use convoke_domain::TitleEntry;
///
/// let entry: TitleEntry = serde_json::from_str(
///     r#"{"value": "Kick-off", "contentType": "text/plain", "capturedAt": "2024-12-11T08:54:03.000Z"}"#,
/// )?;
/// assert_eq!(entry.captured_at.to_string(), "2024-12-11T08:54:03.000Z");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = "A title that a chat has had."))]
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
///
/// ```
/// use convoke_domain::Participant;
///
/// let ada: Participant = serde_json::from_str(r#"{
///     "id": "5a9b042b-36ca-4aab-ba50-7ceda030d33f",
///     "userProperties": {"firstname": "Ada"},
///     "participations": [{"isActive": true, "joinedAt": "2024-12-11T08:54:12.000Z"}]
/// }"#)?;
/// assert_eq!(ada.user_properties.firstname.as_deref(), Some("Ada"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = "A person who is or was in a chat."))]
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
    ///
    /// ```
    /// use convoke_domain::Participant;
    ///
    /// # let ada: Participant = serde_json::from_str(r#"{
    /// #     "id": "5a9b042b-36ca-4aab-ba50-7ceda030d33f",
    /// #     "participations": [
    /// #         {"isActive": false, "joinedAt": "2024-12-11T09:00:00.000Z", "leftAt": "2024-12-11T10:00:00.000Z"}
    /// #     ]
    /// # }"#)?;
    /// // Ada's one stay is over.
    /// assert!(!ada.is_in());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn is_in(&self) -> bool {
        self.participations.last().is_some_and(|stay| stay.is_active)
    }

    /// The stay that the person was in the chat by at this instant.
    ///
    /// ```
    /// use convoke_domain::{Participant, Timestamp};
    ///
    /// # let ada: Participant = serde_json::from_str(r#"{
    /// #     "id": "5a9b042b-36ca-4aab-ba50-7ceda030d33f",
    /// #     "participations": [
    /// #         {"isActive": false, "joinedAt": "2024-12-11T09:00:00.000Z", "leftAt": "2024-12-11T10:00:00.000Z"}
    /// #     ]
    /// # }"#)?;
    /// let at = |text: &str| text.parse::<Timestamp>().expect("an instant");
    /// // Ada's one stay lasted from nine to ten.
    /// assert_eq!(ada.stay_at(at("2024-12-11T09:30:00Z")), ada.participations.first());
    /// assert_eq!(ada.stay_at(at("2024-12-11T10:00:00Z")), None);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn stay_at(&self, at: Timestamp) -> Option<&Participation> {
        // Of two stays at most the later begins where the other ends, and it is the one that goes on from there.
        self.participations.iter().rfind(|stay| stay.covers(at))
    }
}

/// What a messenger calls a person.
///
/// ```
/// use convoke_domain::UserProperties;
///
/// let ada = UserProperties { firstname: Some("Ada".into()), ..UserProperties::default() };
/// assert_eq!(serde_json::to_string(&ada)?, r#"{"firstname":"Ada"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = "What a messenger calls a person."))]
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
    ///
    /// ```
    /// use convoke_domain::UserProperties;
    ///
    /// let mut known = UserProperties { firstname: Some("Ada".into()), ..UserProperties::default() };
    /// let seen = UserProperties { username: Some("ada".into()), ..UserProperties::default() };
    /// assert!(known.learn(&seen));
    /// assert_eq!(known.firstname.as_deref(), Some("Ada"));
    /// assert!(!known.learn(&seen));
    /// ```
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
///
/// ```
/// use convoke_domain::{EndReason, Participation};
///
/// let stay: Participation = serde_json::from_str(r#"{
///     "isActive": false,
///     "joinedAt": "2024-12-11T09:00:00.000Z",
///     "leftAt": "2024-12-11T10:00:00.000Z",
///     "endReason": "left"
/// }"#)?;
/// assert_eq!(stay.end_reason, Some(EndReason::Left));
/// assert_eq!(stay.left_at.map(|left_at| left_at.since(stay.joined_at).as_secs()), Some(3600));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = "One stay of a person in a chat."))]
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

impl Participation {
    /// Whether the person was in at this instant: from that of joining on, up to but without that of leaving.
    ///
    /// ```
    /// use convoke_domain::{Participation, Timestamp};
    ///
    /// let stay: Participation = serde_json::from_str(
    ///     r#"{"isActive": false, "joinedAt": "2024-12-11T09:00:00.000Z", "leftAt": "2024-12-11T10:00:00.000Z"}"#,
    /// )?;
    /// let at = |text: &str| text.parse::<Timestamp>().expect("an instant");
    /// assert!(stay.covers(at("2024-12-11T09:00:00Z")));
    /// assert!(!stay.covers(at("2024-12-11T10:00:00Z")));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn covers(&self, at: Timestamp) -> bool {
        self.joined_at <= at && self.left_at.is_none_or(|left_at| at < left_at)
    }
}

/// How a stay ended.
///
/// ```
/// use convoke_domain::EndReason;
///
/// assert_eq!(serde_json::to_value(EndReason::ChatClosed)?, "chatClosed");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = "How a stay ended."))]
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
    ///
    /// ```
    /// use convoke_domain::EndReason;
    ///
    /// assert_eq!(EndReason::Removed.as_str(), "removed");
    /// ```
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
    ///
    /// ```
    /// use convoke_domain::Chat;
    ///
    /// # let chat: Chat = serde_json::from_str(r#"{
    /// #     "id": "9a983789-1709-4543-aa31-a02867680017", "isActive": true, "service": "sandbox",
    /// #     "registeredAt": "2024-12-11T08:00:00.000Z",
    /// #     "title": [
    /// #         {"value": "Kick-off", "contentType": "text/plain", "capturedAt": "2024-12-11T08:00:00.000Z"},
    /// #         {"value": "Project", "contentType": "text/plain", "capturedAt": "2024-12-11T12:00:00.000Z"}
    /// #     ],
    /// #     "participants": [{
    /// #         "id": "5a9b042b-36ca-4aab-ba50-7ceda030d33f",
    /// #         "userProperties": {"firstname": "Ada"},
    /// #         "participations": [
    /// #             {"isActive": false, "joinedAt": "2024-12-11T09:00:00.000Z", "leftAt": "2024-12-11T10:00:00.000Z"}
    /// #         ]
    /// #     }]
    /// # }"#)?;
    /// // It was renamed once.
    /// assert_eq!(chat.title[0].value, "Kick-off");
    /// assert_eq!(chat.current_title(), Some("Project"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn current_title(&self) -> Option<&str> {
        self.title.last().map(|entry| entry.value.as_str())
    }

    /// The participant of this id.
    ///
    /// ```
    /// use convoke_domain::{Chat, ParticipantId};
    ///
    /// # let chat: Chat = serde_json::from_str(r#"{
    /// #     "id": "9a983789-1709-4543-aa31-a02867680017", "isActive": true, "service": "sandbox",
    /// #     "registeredAt": "2024-12-11T08:00:00.000Z",
    /// #     "title": [
    /// #         {"value": "Kick-off", "contentType": "text/plain", "capturedAt": "2024-12-11T08:00:00.000Z"},
    /// #         {"value": "Project", "contentType": "text/plain", "capturedAt": "2024-12-11T12:00:00.000Z"}
    /// #     ],
    /// #     "participants": [{
    /// #         "id": "5a9b042b-36ca-4aab-ba50-7ceda030d33f",
    /// #         "userProperties": {"firstname": "Ada"},
    /// #         "participations": [
    /// #             {"isActive": false, "joinedAt": "2024-12-11T09:00:00.000Z", "leftAt": "2024-12-11T10:00:00.000Z"}
    /// #         ]
    /// #     }]
    /// # }"#)?;
    /// let id: ParticipantId = "5a9b042b-36ca-4aab-ba50-7ceda030d33f".parse()?;
    /// let ada = chat.participant(id).expect("Ada has been in");
    /// assert_eq!(ada.user_properties.firstname.as_deref(), Some("Ada"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn participant(&self, id: ParticipantId) -> Option<&Participant> {
        self.participants.iter().find(|participant| participant.id == id)
    }

    /// Who was in at this instant, in the order of first joining, each with the stay that covers it. Whoever leaves at
    /// an instant is out at it.
    ///
    /// ```
    /// use convoke_domain::{Chat, Timestamp};
    ///
    /// # let chat: Chat = serde_json::from_str(r#"{
    /// #     "id": "9a983789-1709-4543-aa31-a02867680017", "isActive": true, "service": "sandbox",
    /// #     "registeredAt": "2024-12-11T08:00:00.000Z",
    /// #     "title": [
    /// #         {"value": "Kick-off", "contentType": "text/plain", "capturedAt": "2024-12-11T08:00:00.000Z"},
    /// #         {"value": "Project", "contentType": "text/plain", "capturedAt": "2024-12-11T12:00:00.000Z"}
    /// #     ],
    /// #     "participants": [{
    /// #         "id": "5a9b042b-36ca-4aab-ba50-7ceda030d33f",
    /// #         "userProperties": {"firstname": "Ada"},
    /// #         "participations": [
    /// #             {"isActive": false, "joinedAt": "2024-12-11T09:00:00.000Z", "leftAt": "2024-12-11T10:00:00.000Z"}
    /// #         ]
    /// #     }]
    /// # }"#)?;
    /// let at: Timestamp = "2024-12-11T09:30:00Z".parse()?;
    /// for (participant, stay) in chat.present_at(at) {
    ///     assert_eq!(participant.user_properties.firstname.as_deref(), Some("Ada"));
    ///     assert_eq!(stay.joined_at.to_string(), "2024-12-11T09:00:00.000Z");
    /// }
    /// assert_eq!(chat.present_at(at).count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn present_at(&self, at: Timestamp) -> impl Iterator<Item = (&Participant, &Participation)> {
        self.participants.iter().filter_map(move |participant| Some((participant, participant.stay_at(at)?)))
    }

    /// The title at this instant; none before the first was captured, at the registration.
    ///
    /// ```
    /// use convoke_domain::{Chat, Timestamp};
    ///
    /// # let chat: Chat = serde_json::from_str(r#"{
    /// #     "id": "9a983789-1709-4543-aa31-a02867680017", "isActive": true, "service": "sandbox",
    /// #     "registeredAt": "2024-12-11T08:00:00.000Z",
    /// #     "title": [
    /// #         {"value": "Kick-off", "contentType": "text/plain", "capturedAt": "2024-12-11T08:00:00.000Z"},
    /// #         {"value": "Project", "contentType": "text/plain", "capturedAt": "2024-12-11T12:00:00.000Z"}
    /// #     ],
    /// #     "participants": [{
    /// #         "id": "5a9b042b-36ca-4aab-ba50-7ceda030d33f",
    /// #         "userProperties": {"firstname": "Ada"},
    /// #         "participations": [
    /// #             {"isActive": false, "joinedAt": "2024-12-11T09:00:00.000Z", "leftAt": "2024-12-11T10:00:00.000Z"}
    /// #         ]
    /// #     }]
    /// # }"#)?;
    /// let title = |at: &str| chat.title_at(at.parse::<Timestamp>().expect("an instant"));
    /// assert_eq!(title("2024-12-11T11:59:59Z"), Some("Kick-off"));
    /// assert_eq!(title("2024-12-11T12:00:00Z"), Some("Project"));
    /// assert_eq!(title("2024-12-10T00:00:00Z"), None);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn title_at(&self, at: Timestamp) -> Option<&str> {
        // Looked for from the end: the registration's title comes first even where another clock was behind.
        self.title.iter().rfind(|entry| entry.captured_at <= at).map(|entry| entry.value.as_str())
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
