//! The answer: who was in, and what the chat was called. All it takes is a [`Chat`]; what happened when is the domain's
//! to know.

use convoke_domain::{Chat, ChatId, Participant, ParticipantId, Participation, Timestamp, UserProperties};
use serde::Serialize;

/// Who was in a chat at an instant.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    chat: ChatId,
    at: Timestamp,
    /// None before the chat was registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    /// In the order of first joining.
    present: Vec<Presence>,
}

/// Somebody who was in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Presence {
    #[serde(flatten)]
    person: Person,
    since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    invited_by: Option<Person>,
}

#[derive(Debug, Serialize)]
struct Person {
    id: ParticipantId,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl<'a> Report<'a> {
    /// Looks it up in the record of the chat.
    pub fn of(chat: &'a Chat, at: Timestamp) -> Self {
        let present = chat.present_at(at).map(|(participant, stay)| presence(chat, participant, stay)).collect();
        Self { chat: chat.id, at, title: chat.title_at(at), present }
    }
}

fn presence(chat: &Chat, participant: &Participant, stay: &Participation) -> Presence {
    Presence {
        person: person(chat, participant.id),
        since: stay.joined_at,
        invited_by: stay.invited_by.map(|id| person(chat, id)),
    }
}

/// Whoever invited somebody need not have been in the chat: then only the id is known.
fn person(chat: &Chat, id: ParticipantId) -> Person {
    Person { id, name: chat.participant(id).and_then(|participant| name(&participant.user_properties)) }
}

/// The name that people know somebody by, else the handle.
fn name(properties: &UserProperties) -> Option<String> {
    let names: Vec<&str> =
        [&properties.firstname, &properties.lastname].into_iter().flatten().map(String::as_str).collect();
    if names.is_empty() { properties.username.clone() } else { Some(names.join(" ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ADA: &str = "5a9b042b-36ca-4aab-ba50-7ceda030d33f";
    const GRACE: &str = "ba2cc0a8-841c-49d3-9c30-418e955f06ff";
    const STRANGER: &str = "0d5a3f5e-19b6-4a27-b3a4-4a3f6f1c2b7d";

    /// Ada is in from nine to ten and again from eleven, Grace from half past nine, brought in by Ada.
    fn chat() -> Value {
        json!({
            "id": "9a983789-1709-4543-aa31-a02867680017",
            "isActive": true,
            "service": "sandbox",
            "registeredAt": "2024-12-11T08:00:00.000Z",
            "title": [
                {"value": "Kick-off", "contentType": "text/plain", "capturedAt": "2024-12-11T08:00:00.000Z"},
                {"value": "Project", "contentType": "text/plain", "capturedAt": "2024-12-11T10:30:00.000Z"}
            ],
            "participants": [
                {
                    "id": ADA,
                    "userProperties": {"firstname": "Ada", "lastname": "Lovelace"},
                    "participations": [
                        {"isActive": false, "joinedAt": "2024-12-11T09:00:00.000Z", "leftAt": "2024-12-11T10:00:00.000Z"},
                        {"isActive": true, "joinedAt": "2024-12-11T11:00:00.000Z", "invitedBy": STRANGER}
                    ]
                },
                {
                    "id": GRACE,
                    "userProperties": {"username": "grace"},
                    "participations": [{"isActive": true, "joinedAt": "2024-12-11T09:30:00.000Z", "invitedBy": ADA}]
                }
            ]
        })
    }

    fn report(chat: Value, at: &str) -> Value {
        let chat: Chat = serde_json::from_value(chat).unwrap();
        serde_json::to_value(Report::of(&chat, at.parse().unwrap())).unwrap()
    }

    #[test]
    fn it_tells_who_was_in_since_when_by_whom_and_the_title_then() {
        let ada = json!({"id": ADA, "name": "Ada Lovelace", "since": "2024-12-11T09:00:00.000Z"});
        let grace = json!({
            "id": GRACE, "name": "grace", "since": "2024-12-11T09:30:00.000Z",
            "invitedBy": {"id": ADA, "name": "Ada Lovelace"}
        });
        let at_nine_forty = report(chat(), "2024-12-11T09:40:00Z");
        assert_eq!(at_nine_forty["title"], "Kick-off");
        assert_eq!(at_nine_forty["present"], json!([ada, grace]));
        let while_ada_was_out = report(chat(), "2024-12-11T10:45:00Z");
        assert_eq!(while_ada_was_out["title"], "Project");
        assert_eq!(while_ada_was_out["present"], json!([grace]));
    }

    #[test]
    fn of_who_was_never_in_the_id_is_told() {
        let later = report(chat(), "2024-12-11T12:00:00Z");
        assert_eq!(later["present"][0]["since"], "2024-12-11T11:00:00.000Z");
        assert_eq!(later["present"][0]["invitedBy"], json!({"id": STRANGER}));
    }

    #[test]
    fn before_the_registration_there_was_nothing() {
        let before = report(chat(), "2024-12-10T00:00:00Z");
        let nothing = json!({
            "chat": "9a983789-1709-4543-aa31-a02867680017", "at": "2024-12-10T00:00:00.000Z", "present": []
        });
        assert_eq!(before, nothing);
    }

    #[test]
    fn members_that_a_later_convoke_adds_change_nothing() {
        let mut newer = chat();
        newer["addedLater"] = json!({"deep": [1, 2]});
        newer["title"][0]["language"] = "en".into();
        newer["participants"][0]["userProperties"]["pronouns"] = "she".into();
        newer["participants"][1]["participations"][0]["mood"] = "good".into();
        let at = "2024-12-11T09:40:00Z";
        assert_eq!(report(newer, at), report(chat(), at));
    }
}
