//! The whole way with Telegram, on each database.

use convoke_client::NewChat;
use convoke_domain::{ChatStatus, EndReason, OperationStatus};
use convoke_test_support::create_database;
use serde_json::json;

use super::messenger::{Messenger, is_in, participant, until};
use crate::support::{PATIENCE, Place, answer};

#[tokio::test]
async fn the_story_on_sqlite() {
    tell(Place::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_on_postgresql() {
    let database = create_database(None).await;
    tell(Place::on(database.url())).await;
}

async fn tell(place: Place) {
    let telegram = Messenger::new();
    let place = telegram.used_by(place);
    let service = place.start();
    let client = service.typed(&place.token());

    let new = NewChat::new("Kick-off").description("What we do first");
    let chat = client.register_and_wait(&new, PATIENCE).await.unwrap();
    assert_eq!((chat.status, chat.current_title()), (ChatStatus::Active, Some("Kick-off")));
    assert!(is_in(&chat, "convoke_owner"), "{chat:#?}");
    let link = client.get_chat_invitation(chat.id, None).await.unwrap().invitation;
    let group = telegram.group("Kick-off");
    let made = telegram.server.group(group);
    assert_eq!((made.about.as_str(), made.invites), ("What we do first", vec![link.clone()]));

    let ada = telegram.server.new_user("Ada", "Lovelace", "ada");
    telegram.server.join(ada, &link).unwrap();
    let seen = until(&client, chat.id, "Ada in", |chat| is_in(chat, "ada")).await;
    let seen_ada = participant(&seen, "ada").unwrap();
    let names = &seen_ada.user_properties;
    assert_eq!((names.firstname.as_deref(), names.lastname.as_deref()), (Some("Ada"), Some("Lovelace")));
    let bob = telegram.server.new_user("Bob", "", "bob");
    telegram.server.add(group, ada, bob).unwrap();
    let seen = until(&client, chat.id, "Bob in", |chat| is_in(chat, "bob")).await;
    assert_eq!(participant(&seen, "bob").unwrap().participations[0].invited_by, Some(seen_ada.id));

    let removal = client.remove_participant(chat.id, seen_ada.id).await.unwrap();
    let operation = client.wait_for_operation(removal.operation_id, PATIENCE).await.unwrap();
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:#?}");
    let after = until(&client, chat.id, "Ada out", |chat| !is_in(chat, "ada")).await;
    let stay = &participant(&after, "ada").unwrap().participations[0];
    let owner = participant(&after, "convoke_owner").unwrap().id;
    assert_eq!((stay.end_reason, stay.removed_by), (Some(EndReason::Removed), Some(owner)));
    assert_eq!(telegram.server.join(ada, &link).unwrap_err().name, "INVITE_HASH_EXPIRED");

    telegram.server.rename(group, bob, "Lift-off").unwrap();
    until(&client, chat.id, "renamed", |chat| chat.current_title() == Some("Lift-off")).await;
    telegram.server.leave(group, bob).unwrap();
    let left = until(&client, chat.id, "Bob out", |chat| !is_in(chat, "bob")).await;
    assert_eq!(participant(&left, "bob").unwrap().participations[0].end_reason, Some(EndReason::Left));

    telegram.server.delete(group).unwrap();
    let closed = until(&client, chat.id, "closed", |chat| chat.status == ChatStatus::Closed).await;
    assert_eq!(closed.title.len(), 2);
    let open = closed.participants.iter().filter(|participant| participant.is_in()).count();
    assert_eq!(open, 0, "{closed:#?}");
    place.told(&["doctor"]);
    service.stop();
}

#[tokio::test]
async fn a_title_beyond_telegrams_limit_is_refused_and_nothing_is_made() {
    let telegram = Messenger::new();
    let place = telegram.used_by(Place::new());
    let service = place.start();
    let api = service.api(&place.token());
    // 127 and one that counts twice.
    let title = format!("{}😀", "a".repeat(127));
    let (status, problem) = answer(api.post("/chats").json(&json!({"title": title, "service": "telegram"}))).await;
    assert_eq!((status, &problem["errors"][0]["code"]), (400, &json!("tooLong")), "{problem}");
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("128") && detail.to_lowercase().contains("telegram"), "{detail}");
    service.stop();
    assert!(telegram.server.groups().is_empty());
}
