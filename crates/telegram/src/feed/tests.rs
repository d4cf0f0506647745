//! The feed of an account over the real wire protocol: what people do in Telegram reaches the record.

mod memory;
mod world;

use std::time::Duration;

use convoke_domain::{Chat, ChatStatus, EndReason, Environment, EventSource};
use convoke_provider::{Checkpoint, EventBatch, ProviderEvent, ProviderEventKind};
use convoke_telegram_test_server::{Fault, UserId};

use self::world::{LOG, Service, World, feed_text, is_in, participant, stays};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn every_way_in_and_out_is_told_by_both_sources_and_makes_one_stay() {
    let world = World::new();
    let service = world.start().await;
    let group = world.make(&service).await;
    let (owner, ada, ben) = (world.owner, world.ada, world.ben);

    world.telegram.join(ada, &group.link).unwrap();
    let chat = world.until(&group, "who came by the link", |chat| is_in(chat, ada)).await;
    assert_eq!(stays(&chat, ada)[0].invited_by, Some(participant(owner)), "the link is the account's");
    let ada_on_record = chat.participants.iter().find(|one| one.id == participant(ada)).unwrap();
    assert_eq!(ada_on_record.user_properties.lastname.as_deref(), Some("Lovelace"));

    world.telegram.add(group.id, ada, ben).unwrap();
    let chat = world.until(&group, "who was added", |chat| is_in(chat, ben)).await;
    assert_eq!(stays(&chat, ben)[0].invited_by, Some(participant(ada)));

    world.telegram.rename(group.id, ada, "Two").unwrap();
    world.until(&group, "another title", |chat| chat.current_title() == Some("Two")).await;

    world.telegram.leave(group.id, ada).unwrap();
    world.until(&group, "who left", |chat| !is_in(chat, ada)).await;
    world.telegram.remove(group.id, owner, ben).unwrap();
    world.until(&group, "who was removed", |chat| !is_in(chat, ben)).await;
    world.telegram.unban(group.id, owner, ben).unwrap();

    let carl = world.telegram.new_user("Carl", "", "");
    let by_request = world.telegram.request_link(group.id, owner).unwrap();
    world.telegram.join(carl, &by_request).unwrap_err();
    world.telegram.approve(group.id, owner, carl).unwrap();
    world.until(&group, "who was let in", |chat| stays(chat, carl).iter().any(|stay| stay.invited_by.is_some())).await;

    world.until_logs_are_read(&group).await;
    let chat = world.memory.chat(&group.name);
    let [left] = &stays(&chat, ada)[..] else { panic!("one stay: {chat:#?}") };
    assert_eq!((left.end_reason, left.removed_by), (Some(EndReason::Left), None));
    let [removed] = &stays(&chat, ben)[..] else { panic!("one stay: {chat:#?}") };
    assert_eq!((removed.end_reason, removed.removed_by), (Some(EndReason::Removed), Some(participant(owner))));
    let [let_in] = &stays(&chat, carl)[..] else { panic!("one stay: {chat:#?}") };
    assert_eq!((let_in.is_active, let_in.invited_by), (true, Some(participant(owner))));
    assert_eq!(chat.title.iter().map(|title| title.value.as_str()).collect::<Vec<_>>(), ["One", "Two"]);
    for source in [EventSource::Stream, EventSource::Log] {
        assert_eq!(world.memory.events_by(&group.name, source).len(), 6, "{source:?} tells all");
    }
    service.crash().await;
}

#[tokio::test]
async fn an_hour_of_downtime_is_caught_up_by_the_stream_alone() {
    let world = World::new();
    let service = world.start().await;
    let group = world.make(&service).await;
    world.telegram.join(world.ada, &group.link).unwrap();
    world.until(&group, "who came before", |chat| is_in(chat, world.ada)).await;
    service.crash().await;

    world.forget_logs();
    world.pass(HOUR / 2);
    world.telegram.join(world.ben, &group.link).unwrap();
    world.telegram.leave(group.id, world.ada).unwrap();
    world.telegram.rename(group.id, world.ben, "Two").unwrap();
    world.pass(HOUR / 2);
    let service = world.start().await;
    let is_caught_up =
        |chat: &Chat| is_in(chat, world.ben) && !is_in(chat, world.ada) && chat.current_title() == Some("Two");
    world.until(&group, "what happened meanwhile", is_caught_up).await;
    service.crash().await;
}

#[tokio::test]
async fn downtime_right_after_the_first_start_is_caught_up() {
    let world = World::new();
    let service = world.start().await;
    world.wait_for("the first state", || world.memory.fed_at(), String::new).await;
    let group = world.make(&service).await;
    service.crash().await;
    assert!(feed_text(&world.memory).await.is_some());
    world.telegram.join(world.ada, &group.link).unwrap();
    world.pass(HOUR);
    let service = world.start().await;
    world.until(&group, "who came meanwhile", |chat| is_in(chat, world.ada)).await;
    service.crash().await;
}

#[tokio::test]
async fn who_comes_silently_is_told_by_the_log() {
    let world = World::new();
    let service = world.start().await;
    let group = world.make(&service).await;
    world.telegram.silence(group.id, true);
    world.telegram.join(world.ada, &group.link).unwrap();
    world.telegram.join(world.ben, &group.link).unwrap();
    world.telegram.leave(group.id, world.ben).unwrap();
    let chat =
        world.until(&group, "who came and went", |chat| stays(chat, world.ben).iter().any(|s| !s.is_active)).await;
    assert!(is_in(&chat, world.ada));
    assert_eq!(stays(&chat, world.ben)[0].end_reason, Some(EndReason::Left));
    assert_eq!(world.memory.events_by(&group.name, EventSource::Stream), [], "no message told it");
    service.crash().await;
}

#[tokio::test]
async fn a_long_log_is_read_whole() {
    let world = World::new();
    let service = world.start().await;
    let group = world.make(&service).await;
    service.crash().await;
    world.telegram.silence(group.id, true);
    let people: Vec<UserId> = (0..250).map(|number| world.telegram.new_user(&format!("P{number}"), "", "")).collect();
    for person in &people {
        world.telegram.join(*person, &group.link).unwrap();
    }
    let service = world.start().await;
    let everybody = |chat: &Chat| people.iter().all(|person| is_in(chat, *person));
    world.until(&group, "everybody", everybody).await;
    world.until_logs_are_read(&group).await;
    assert_eq!(world.memory.events_by(&group.name, EventSource::Log).len(), 250, "each of them once");
    service.crash().await;
}

#[tokio::test]
async fn lost_and_repeated_updates_make_no_difference() {
    let world = World::without_logs();
    let service = world.start().await;
    let group = world.make(&service).await;
    world.telegram.join(world.ada, &group.link).unwrap();
    world.until(&group, "who came first", |chat| is_in(chat, world.ada)).await;
    world.telegram.drop_pushes(1);
    world.telegram.join(world.ben, &group.link).unwrap();
    world.telegram.double_pushes(1);
    world.telegram.leave(group.id, world.ada).unwrap();
    let chat = world.until(&group, "who left", |chat| !is_in(chat, world.ada)).await;
    assert!(is_in(&chat, world.ben), "the update that was lost was told before the one that came: {chat:#?}");
    let told = world.memory.events_by(&group.name, EventSource::Stream);
    assert_eq!(told.len(), 3, "{told:#?}");
    service.crash().await;
}

#[tokio::test]
async fn a_broken_connection_is_made_again_and_nothing_is_lost() {
    let world = World::without_logs();
    let service = world.start().await;
    let group = world.make(&service).await;
    world.telegram.join(world.ada, &group.link).unwrap();
    world.until(&group, "who came first", |chat| is_in(chat, world.ada)).await;
    world.telegram.stop();
    world.telegram.join(world.ben, &group.link).unwrap();
    world.telegram.restart();
    world.until(&group, "who came meanwhile", |chat| is_in(chat, world.ben)).await;
    service.crash().await;
}

#[tokio::test]
async fn a_stream_that_is_too_far_behind_is_made_up_for_by_the_log() {
    let world = World::new();
    let service = world.start().await;
    let group = world.make(&service).await;
    world.telegram.join(world.ada, &group.link).unwrap();
    world.until(&group, "who came first", |chat| is_in(chat, world.ada)).await;
    service.crash().await;
    world.telegram.too_long_after(3);
    for person in (0..5).map(|number| world.telegram.new_user(&format!("P{number}"), "", "")) {
        world.telegram.join(person, &group.link).unwrap();
    }
    world.telegram.leave(group.id, world.ada).unwrap();
    let service = world.start().await;
    let chat = world.until(&group, "everybody", |chat| chat.participants.len() == 7 && !is_in(chat, world.ada)).await;
    assert_eq!(stays(&chat, world.ada).len(), 1);
    assert!(world.memory.events_by(&group.name, EventSource::Stream).len() < 7, "the stream did not tell all");
    // It goes on from there.
    world.telegram.join(world.ben, &group.link).unwrap();
    let by_stream = || {
        let told = world.memory.events_by(&group.name, EventSource::Stream);
        told.iter().any(|event| joined(event, world.ben)).then_some(())
    };
    world.wait_for("who came afterwards, by the stream", by_stream, String::new).await;
    service.crash().await;
}

#[tokio::test]
async fn a_group_that_is_gone_is_closed_after_a_second_look() {
    let world = World::new();
    let service = world.start().await;
    let (group, other) = (world.make(&service).await, world.make(&service).await);
    world.telegram.join(world.ada, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    world.telegram.delete(group.id).unwrap();
    let chat = world.until(&group, "the end", |chat| chat.status == ChatStatus::Closed).await;
    assert_eq!(stays(&chat, world.ada)[0].end_reason, Some(EndReason::ChatClosed));
    assert!(world.telegram.calls_of("channels.getFullChannel") >= 1, "it was looked at again");
    world.telegram.join(world.ben, &other.link).unwrap();
    world.until(&other, "who came to another group", |chat| is_in(chat, world.ben)).await;
    service.crash().await;
}

#[tokio::test]
async fn a_group_that_was_gone_by_mistake_goes_on() {
    let mut world = World::new();
    world.settings.missing_time = Duration::from_millis(300);
    let service = world.start().await;
    let group = world.make(&service).await;
    world.telegram.script(LOG, 1, Fault::refuse(400, "CHANNEL_PRIVATE"));
    let looked = || (world.telegram.calls_of("channels.getFullChannel") > 0).then_some(());
    world.wait_for("a second look", looked, String::new).await;
    world.telegram.join(world.ada, &group.link).unwrap();
    let chat = world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    assert_eq!(chat.status, ChatStatus::Active);
    world.until_logs_are_read(&group).await;
    assert_eq!(world.memory.events_by(&group.name, EventSource::Log).len(), 1, "its log is read again");
    service.crash().await;
}

#[tokio::test]
async fn members_are_seen_by_the_daily_comparison_alone() {
    let world = World::new();
    let service = world.start().await;
    let group = world.make(&service).await;
    world.telegram.join(world.ada, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    world.telegram.silence(group.id, true);
    // Longer than the log goes back: what happens now is told by the list alone.
    service.crash().await;
    world.telegram.leave(group.id, world.ada).unwrap();
    world.telegram.join(world.ben, &group.link).unwrap();
    let came_at = world.telegram.now();
    let people: Vec<UserId> = (0..250).map(|number| world.telegram.new_user(&format!("P{number}"), "", "")).collect();
    for person in &people {
        world.telegram.join(*person, &group.link).unwrap();
    }
    world.pass(72 * HOUR);
    let service = world.start().await;
    let everybody = |chat: &Chat| people.iter().chain([&world.ben]).all(|person| is_in(chat, *person));
    let chat = world.until(&group, "everybody", |chat| everybody(chat) && !is_in(chat, world.ada)).await;
    let since = stays(&chat, world.ben)[0].joined_at.as_millis() / 1000;
    assert!((since - i64::from(came_at)).abs() <= 1, "by the list they came when they came: {since}, not {came_at}");
    assert_eq!(stays(&chat, world.ada)[0].end_reason, Some(EndReason::Left));
    assert_eq!(stays(&chat, world.ada).len(), 1);
    let by_log = world.memory.events_by(&group.name, EventSource::Log);
    assert!(by_log.iter().all(|event| joined(event, world.ada)), "the log forgot all but the first: {by_log:#?}");
    service.crash().await;
}

#[tokio::test]
async fn other_names_are_told_with_the_next_message() {
    let world = World::without_logs();
    let service = world.start().await;
    let group = world.make(&service).await;
    world.telegram.join(world.ada, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    world.telegram.set_names(world.ada, "Adele", "Lovelace", "ada");
    world.telegram.rename(group.id, world.ada, "Two").unwrap();
    let first_name = |chat: &Chat| {
        let person = chat.participants.iter().find(|one| one.id == participant(world.ada));
        person.and_then(|person| person.user_properties.firstname.clone())
    };
    world.until(&group, "the new name", |chat| first_name(chat).as_deref() == Some("Adele")).await;
    service.crash().await;
}

#[tokio::test]
async fn a_server_without_admin_logs_does_not_stop_the_stream() {
    let world = World::without_logs();
    let service = world.start().await;
    let group = world.make(&service).await;
    let asked = || (world.telegram.calls_of(LOG) > 0).then_some(());
    world.wait_for("a reading", asked, String::new).await;
    world.telegram.join(world.ada, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    service.crash().await;
}

#[tokio::test]
async fn a_reading_waits_for_as_long_as_telegram_says_while_the_stream_goes_on() {
    let world = World::new();
    world.telegram.script(LOG, 1, Fault::refuse(420, "FLOOD_WAIT_3600"));
    let service = world.start().await;
    let group = world.make(&service).await;
    let asked = || (world.telegram.calls_of(LOG) > 0).then_some(());
    world.wait_for("a reading", asked, String::new).await;
    world.telegram.join(world.ada, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    assert_eq!(world.telegram.calls_of(LOG), 1, "it waits");
    assert!(service.connection.state().await.cooldown_until > Some(world.environment.now()), "and so do others");
    world.pass(HOUR);
    world.until_logs_are_read(&group).await;
    service.crash().await;
}

#[tokio::test]
async fn what_was_not_acknowledged_is_told_again_here_and_after_a_crash() {
    let world = World::new();
    let service = world.start_telling().await;
    let group = world.make(&service).await;
    world.telegram.join(world.ada, &group.link).unwrap();
    let told = told_join(&service, world.ada).await;
    let again = service.feed.next().await;
    assert_eq!((&again.events, &again.checkpoint), (&told.events, &told.checkpoint));
    // Recorded, but the checkpoint was never kept.
    world.memory.record(&told.events);
    service.crash().await;

    let service = world.start_telling().await;
    let once_more = told_join(&service, world.ada).await;
    for event in &told.events {
        assert!(once_more.events.contains(event), "{event:?} is told as it was, not {:?}", once_more.events);
    }
    service.crash().await;
    let service = world.start().await;
    world.until_logs_are_read(&group).await;
    assert_eq!(stays(&world.memory.chat(&group.name), world.ada).len(), 1);
    service.crash().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_not_told_again() {
    let world = World::new();
    let service = world.start().await;
    let group = world.make(&service).await;
    world.telegram.join(world.ada, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    world.until_logs_are_read(&group).await;
    let known = world.memory.events(&group.name);
    service.crash().await;
    let service = world.start_telling().await;
    world.until_logs_are_read(&group).await;
    world.telegram.leave(group.id, world.ada).unwrap();
    let batch = service.feed.next().await;
    assert!(!batch.events.is_empty() && batch.events.iter().all(|event| !known.contains(event)), "{batch:#?}");
    service.crash().await;
}

#[tokio::test]
async fn who_lost_the_lease_acknowledges_nothing() {
    let world = World::new();
    let service = world.start_telling().await;
    let group = world.make(&service).await;
    world.telegram.join(world.ada, &group.link).unwrap();
    let told = told_join(&service, world.ada).await;
    let kept = (feed_text(&world.memory).await, world.memory.state(&group.name));
    // Somebody else takes the account.
    world.memory.lease();
    service.feed.acknowledge(&told.checkpoint).await.unwrap();
    assert_eq!((feed_text(&world.memory).await, world.memory.state(&group.name)), kept);
    service.crash().await;
    let service = world.start().await;
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    service.crash().await;
}

#[tokio::test]
async fn another_checkpoint_acknowledges_nothing() {
    let world = World::new();
    let service = world.start_telling().await;
    let group = world.make(&service).await;
    world.telegram.join(world.ada, &group.link).unwrap();
    let told = told_join(&service, world.ada).await;
    service.feed.acknowledge(&Checkpoint("another".to_owned())).await.unwrap();
    assert_eq!(service.feed.next().await.checkpoint, told.checkpoint, "it is still to be acknowledged");
    service.crash().await;
}

#[tokio::test]
async fn a_quiet_feed_says_that_it_is_taken_in() {
    let world = World::new();
    let service = world.start().await;
    let first = world.wait_for("the first state", || world.memory.fed_at(), String::new).await;
    world.pass(Duration::from_mins(2));
    let later = || world.memory.fed_at().filter(|at| at.since(first) >= Duration::from_mins(1));
    world.wait_for("a heartbeat", later, String::new).await;
    service.crash().await;
}

fn joined(event: &ProviderEvent, who: UserId) -> bool {
    let id = who.0.to_string();
    matches!(&event.kind, ProviderEventKind::Joined { person, .. } if person.external_id == id)
}

/// The first batch that tells that somebody came; those before are acknowledged.
async fn told_join(service: &Service, who: UserId) -> EventBatch {
    loop {
        let batch = tokio::time::timeout(Duration::from_secs(20), service.feed.next()).await.expect("it is told");
        if batch.events.iter().any(|event| joined(event, who)) {
            return batch;
        }
        service.feed.acknowledge(&batch.checkpoint).await.expect("memory answers");
    }
}
