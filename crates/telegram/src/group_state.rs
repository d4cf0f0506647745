//! What the connector keeps of each of its groups.

use convoke_domain::Timestamp;
use convoke_provider::StorageError;
use serde::{Deserialize, Serialize};

/// What the connector keeps of a group, as a text that storage does not read. A member that is not known is passed over,
/// so that an older release reads what a newer one wrote.
///
/// Whoever makes the group writes the first state; from then on the feed replaces it, and only
/// [`Self::about_is_clean`] is set by the maker. Where the two cross, one of them does something twice that can be done
/// twice: a log is read again, a clean description is set again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupState {
    /// What Telegram wants to see beside the group's id, for this account alone.
    pub access_hash: i64,
    /// When the group was made, by Telegram's clock.
    pub made_at: Timestamp,
    /// Whether the description is rid of the mark by which a lost group is found.
    #[serde(default)]
    pub about_is_clean: bool,
    /// What the description is to be then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How far the group's updates have been taken in: its own counter (pts); unknown if none came yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pts: Option<i32>,
    /// The newest entry of the admin log that has been taken in; 0: none yet.
    #[serde(default)]
    pub log_cursor: i64,
    /// When the admin log was last read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_read_at: Option<Timestamp>,
    /// When the list of members was last compared with the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members_read_at: Option<Timestamp>,
    /// Since when Telegram says that there is no such group for us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
}

impl GroupState {
    /// A group that was just made.
    pub const fn new(access_hash: i64, made_at: Timestamp) -> Self {
        Self {
            access_hash,
            made_at,
            about_is_clean: false,
            description: None,
            pts: None,
            log_cursor: 0,
            log_read_at: None,
            members_read_at: None,
            missing_since: None,
        }
    }

    /// Takes over what the maker of the group kept meanwhile.
    pub fn heed_maker(&mut self, kept: &Self) {
        if kept.about_is_clean {
            (self.about_is_clean, self.description) = (true, None);
        }
    }

    /// Reads what [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// If it is something else.
    pub fn from_text(text: &str) -> Result<Self, StorageError> {
        serde_json::from_str(text).map_err(|error| StorageError(error.into()))
    }

    /// The text that is kept.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("plain members become JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written() {
        let state = GroupState {
            about_is_clean: true,
            pts: Some(17),
            log_cursor: i64::MAX,
            log_read_at: Some(Timestamp::from_millis(1)),
            members_read_at: Some(Timestamp::from_millis(2)),
            missing_since: Some(Timestamp::from_millis(3)),
            ..GroupState::new(i64::MIN, Timestamp::from_millis(1_733_907_243_000))
        };
        assert_eq!(GroupState::from_text(&state.to_text()).unwrap(), state);
    }

    #[test]
    fn older_and_newer_releases_read_it() {
        let text = r#"{"accessHash":-5,"madeAt":"2024-12-11T08:54:03.000Z"}"#;
        let made_at = Timestamp::from_millis(1_733_907_243_000);
        assert_eq!(GroupState::from_text(text).unwrap(), GroupState::new(-5, made_at));
        let newer = r#"{"accessHash":-5,"madeAt":"2024-12-11T08:54:03.000Z","addedLater":{"a":1}}"#;
        assert_eq!(GroupState::from_text(newer).unwrap(), GroupState::new(-5, made_at));
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in ["", "{}", "7", r#"{"accessHash":"5","madeAt":"2024-12-11T08:54:03.000Z"}"#] {
            assert!(GroupState::from_text(text).is_err(), "{text}");
        }
    }
}
