//! What happened in groups is on the record, however it came to be known.

use std::time::Duration;

use convoke_client::NewChat;
use convoke_domain::EndReason;

use super::messenger::{Messenger, is_in, participant, until};
use crate::support::{PATIENCE, Place};

#[tokio::test]
async fn an_hour_of_downtime_is_caught_up() {
    let telegram = Messenger::new();
    telegram.server.set_back(Duration::from_hours(1));
    let place = telegram.used_by(Place::new());
    let token = place.token();
    let service = place.start();
    let client = service.typed(&token);
    let chat = client.register_and_wait(&NewChat::new("Asleep"), PATIENCE).await.unwrap();
    let link = client.get_chat_invitation(chat.id, None).await.unwrap().invitation;
    service.stop();

    let group = telegram.group("Asleep");
    let (ada, bob) = (telegram.server.new_user("Ada", "", "ada"), telegram.server.new_user("Bob", "", "bob"));
    telegram.server.join(ada, &link).unwrap();
    telegram.server.join(bob, &link).unwrap();
    telegram.server.advance(Duration::from_mins(30));
    telegram.server.remove(group, ada, bob).unwrap();
    telegram.server.rename(group, ada, "Awake").unwrap();
    telegram.server.advance(Duration::from_mins(30));

    let service = place.start();
    let client = service.typed(&token);
    let known = |chat: &convoke_domain::Chat| {
        is_in(chat, "ada") && participant(chat, "bob").is_some() && !is_in(chat, "bob") && chat.title.len() == 2
    };
    let chat = until(&client, chat.id, "caught up", known).await;
    let stays = &participant(&chat, "bob").unwrap().participations;
    assert_eq!((stays.len(), stays[0].end_reason), (1, Some(EndReason::Removed)), "{chat:#?}");
    let ada = participant(&chat, "ada").unwrap();
    assert_eq!(stays[0].removed_by, Some(ada.id));
    assert_eq!(stays[0].left_at.unwrap(), stays[0].joined_at.plus(Duration::from_mins(30)));
    place.told(&["doctor"]);
    service.stop();
}

#[tokio::test]
async fn who_comes_silently_is_found_in_the_admin_log() {
    let telegram = Messenger::new();
    let place = telegram.used_by(Place::new());
    let service = place.start();
    let client = service.typed(&place.token());
    let chat = client.register_and_wait(&NewChat::new("Quiet"), PATIENCE).await.unwrap();
    let link = client.get_chat_invitation(chat.id, None).await.unwrap().invitation;
    let group = telegram.group("Quiet");
    telegram.server.silence(group, true);
    let ada = telegram.server.new_user("Ada", "", "ada");
    telegram.server.join(ada, &link).unwrap();
    until(&client, chat.id, "Ada in", |chat| is_in(chat, "ada")).await;
    telegram.server.leave(group, ada).unwrap();
    // The log is read each minute, and at once when something is told.
    telegram.server.rename(group, ada, "Loud").unwrap();
    until(&client, chat.id, "Ada out", |chat| !is_in(chat, "ada")).await;
    service.stop();
}

#[tokio::test]
async fn a_cut_connection_and_lost_updates_lose_nothing() {
    let telegram = Messenger::new();
    let place = telegram.used_by(Place::new());
    let service = place.start();
    let client = service.typed(&place.token());
    let chat = client.register_and_wait(&NewChat::new("Noisy"), PATIENCE).await.unwrap();
    let link = client.get_chat_invitation(chat.id, None).await.unwrap().invitation;
    for (number, trouble) in ["dropped", "doubled", "cut", "stopped"].into_iter().enumerate() {
        match trouble {
            "dropped" => telegram.server.drop_pushes(1),
            "doubled" => telegram.server.double_pushes(1),
            "cut" => telegram.server.cut_connections(),
            _ => telegram.server.stop(),
        }
        let name = format!("guest{number}");
        let guest = telegram.server.new_user("Guest", "", &name);
        telegram.server.join(guest, &link).unwrap();
        telegram.server.restart();
        let chat = until(&client, chat.id, &format!("{name} in ({trouble})"), |chat| is_in(chat, &name)).await;
        assert_eq!(participant(&chat, &name).unwrap().participations.len(), 1);
    }
    assert_eq!(telegram.server.key(&telegram.session).most_connections, 1);
    service.stop();
}
