//! The whole way: a chat is registered, somebody is invited, joins, is seen, is removed; on each database.

use std::time::{Duration, Instant};

use convoke_client::{Client, ListChats, NewChat, Tagged};
use convoke_domain::{Chat, ChatFilter, ChatId, ChatStatus, EndReason, OperationStatus, OperationType, Participant};
use convoke_test_support::create_database;

use crate::support::{self, PATIENCE, Place, answer};

#[tokio::test]
async fn the_story_on_sqlite() {
    tell(&Place::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_on_postgresql() {
    let database = create_database(None).await;
    tell(&Place::on(database.url())).await;
}

async fn tell(place: &Place) {
    let service = place.start();
    let (client, http) = (service.typed(&place.token()), support::client());

    let chat = client.register_and_wait(&NewChat::new("Kick-off").created_by("ann"), PATIENCE).await.unwrap();
    assert_eq!((chat.status, chat.current_title()), (ChatStatus::Active, Some("Kick-off")));
    let link = client.get_chat_invitation(chat.id, Some(PATIENCE)).await.unwrap().invitation;
    assert!(link.starts_with(&format!("http://{}/sandbox/", place.public)), "{link}");

    let (status, page) = answer(http.get(&link)).await;
    assert!(status == 200 && page.as_str().unwrap().contains("Kick-off"), "{page}");
    let form = [("username", "grace"), ("firstname", "Grace")];
    let (status, _) = answer(http.post(format!("{link}/join")).form(&form)).await;
    assert_eq!(status, 303);

    let Tagged { value: seen, tag, .. } = until_in(&client, chat.id, "grace").await;
    let grace = participant(&seen, "grace").unwrap();
    assert!(grace.is_in());
    let tag = tag.unwrap();
    assert_eq!(client.get_chat_if_changed(chat.id, &tag).await.unwrap(), None);

    let removal = client.remove_participant(chat.id, grace.id).await.unwrap();
    let operation = client.wait_for_operation(removal.operation_id, PATIENCE).await.unwrap();
    assert_eq!((operation.kind, operation.status), (OperationType::RemoveParticipant, OperationStatus::Succeeded));
    let after = client.get_chat_if_changed(chat.id, &tag).await.unwrap().expect("it has changed").value;
    let stay = &participant(&after, "grace").unwrap().participations[0];
    assert_eq!((stay.is_active, stay.end_reason), (false, Some(EndReason::Removed)));

    let active = ChatFilter { is_active: Some(true), ..ChatFilter::default() };
    let list = client.list_chats(&ListChats { filter: active, ..ListChats::default() }).await.unwrap();
    assert_eq!((list.metadata.total_records, list.records), (Some(1), vec![after]));
    place.told(&["doctor"]);
    service.stop();
}

/// The record once this person is in.
async fn until_in(client: &Client, id: ChatId, username: &str) -> Tagged<Chat> {
    let begun = Instant::now();
    loop {
        let chat = client.get_chat(id).await.unwrap();
        if participant(&chat.value, username).is_some() {
            return chat;
        }
        assert!(begun.elapsed() < PATIENCE, "{username} does not come: {chat:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn participant<'a>(chat: &'a Chat, username: &str) -> Option<&'a Participant> {
    chat.participants.iter().find(|participant| participant.user_properties.username.as_deref() == Some(username))
}

#[tokio::test(flavor = "multi_thread")]
async fn api_and_worker_may_be_two_processes() {
    let database = create_database(None).await;
    let (front, back) = (Place::on(database.url()), Place::on(database.url()));
    let api_process = front.spawn(&["serve", "--role", "api"]);
    api_process.until_ready();
    let api = api_process.api(&front.token());
    let id = api.register("Far apart").await;
    let (_, chat) = answer(api.get(&format!("/chats/{id}"))).await;
    assert_eq!(chat["status"], "provisioning", "nobody works yet");

    let worker = back.spawn(&["serve", "--role", "worker"]);
    worker.until_ready();
    assert!(std::net::TcpStream::connect(&back.public).is_err(), "a worker has no public listener");
    api.until(&format!("/chats/{id}"), |chat| chat["status"] == "active").await;
    // Each process tells what it did itself.
    let ended = "convoke_operations_ended_total{service=\"sandbox\",type=\"createChat\",outcome=\"succeeded\"} 1";
    for (place, has_ended_it) in [(&back, true), (&front, false)] {
        let (_, metrics) = answer(support::client().get(format!("http://{}/metrics", place.admin))).await;
        assert_eq!(metrics.as_str().unwrap().lines().any(|line| line == ended), has_ended_it, "{metrics}");
    }
    worker.stop();
    api_process.stop();
}
