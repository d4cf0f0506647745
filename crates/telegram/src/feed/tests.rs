//! The feed of an account over the real wire protocol and a real database: what people do in Telegram reaches the record.

mod world;

use std::time::Duration;

use convoke_domain::{Chat, ChatStatus, EndReason, Environment, EventSource, Participation};
use convoke_provider::{Checkpoint, EventBatch, ProviderEvent, ProviderEventKind};
use convoke_telegram_test_server::Fault;

use self::world::{LOG, Person, Running, World, id, is_in, is_out, participant, stays};

const HOUR: Duration = Duration::from_hours(1);

/// The only stay of somebody.
fn only_stay(chat: &Chat, who: Person) -> &Participation {
    let [stay] = stays(chat, who) else { panic!("{} has one stay: {chat:#?}", who.username) };
    stay
}

#[tokio::test]
async fn every_way_in_and_out_is_told_by_both_sources_and_makes_one_stay() {
    let world = World::new().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    let (owner, ada, ben) = (world.owner, world.ada, world.ben);

    world.telegram.join(ada.id, &group.link).unwrap();
    let chat = world.until(&group, "who came by the link", |chat| is_in(chat, ada)).await;
    assert_eq!(only_stay(&chat, ada).invited_by, id(&chat, owner), "the link is the account's");
    let names = &participant(&chat, ada).expect("she is in").user_properties;
    assert_eq!((names.firstname.as_deref(), names.lastname.as_deref()), (Some("Ada"), Some("Lovelace")));

    world.telegram.add(group.id, ada.id, ben.id).unwrap();
    let chat = world.until(&group, "who was added", |chat| is_in(chat, ben)).await;
    assert_eq!(only_stay(&chat, ben).invited_by, id(&chat, ada));

    world.telegram.rename(group.id, ada.id, "Two").unwrap();
    world.until(&group, "another title", |chat| chat.current_title() == Some("Two")).await;

    world.telegram.leave(group.id, ada.id).unwrap();
    world.until(&group, "who left", |chat| is_out(chat, ada)).await;
    world.telegram.remove(group.id, owner.id, ben.id).unwrap();
    world.until(&group, "who was removed", |chat| is_out(chat, ben)).await;
    world.telegram.unban(group.id, owner.id, ben.id).unwrap();

    let carl = world.person("carl");
    let by_request = world.telegram.request_link(group.id, owner.id).unwrap();
    world.telegram.join(carl.id, &by_request).unwrap_err();
    world.telegram.approve(group.id, owner.id, carl.id).unwrap();
    world.until(&group, "who was let in", |chat| is_in(chat, carl)).await;

    world.until_log_is_read().await;
    let chat = world.chat(&group).await;
    let left = only_stay(&chat, ada);
    assert_eq!((left.end_reason, left.removed_by), (Some(EndReason::Left), None));
    let removed = only_stay(&chat, ben);
    assert_eq!((removed.end_reason, removed.removed_by), (Some(EndReason::Removed), id(&chat, owner)));
    let let_in = only_stay(&chat, carl);
    assert_eq!((let_in.is_active, let_in.invited_by), (true, id(&chat, owner)));
    assert_eq!(chat.title.iter().map(|title| title.value.as_str()).collect::<Vec<_>>(), ["One", "Two"]);
    for source in [EventSource::Stream, EventSource::Log] {
        assert_eq!(world.told_by(&group, source).len(), 6, "{source:?} tells all");
    }
    running.crash().await;
}

#[tokio::test]
async fn what_the_log_tells_before_the_stream_makes_one_stay_too() {
    let world = World::new().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.until(&group, "who came first", |chat| is_in(chat, world.ada)).await;
    world.telegram.drop_pushes(1);
    world.telegram.add(group.id, world.ada.id, world.ben.id).unwrap();
    world.until(&group, "who was added, by the log", |chat| is_in(chat, world.ben)).await;
    let by_stream = async || world.told_by(&group, EventSource::Stream).iter().any(|event| joined(event, world.ben));
    assert!(!by_stream().await, "the stream does not know that it missed something");
    // By the next message it does.
    world.telegram.rename(group.id, world.ada.id, "Two").unwrap();
    world.until_it_is("what was missed, by the stream", by_stream).await;
    let chat = world.until(&group, "another title", |chat| chat.current_title() == Some("Two")).await;
    assert_eq!(only_stay(&chat, world.ben).invited_by, id(&chat, world.ada));
    running.crash().await;
}

#[tokio::test]
async fn an_hour_of_downtime_is_caught_up_by_the_stream_alone() {
    let world = World::without_logs().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.until(&group, "who came before", |chat| is_in(chat, world.ada)).await;
    running.crash().await;

    world.pass(HOUR / 2);
    world.telegram.join(world.ben.id, &group.link).unwrap();
    world.telegram.leave(group.id, world.ada.id).unwrap();
    world.telegram.rename(group.id, world.ben.id, "Two").unwrap();
    world.pass(HOUR / 2);
    let running = world.start().await;
    let is_caught_up =
        |chat: &Chat| is_in(chat, world.ben) && is_out(chat, world.ada) && chat.current_title() == Some("Two");
    world.until(&group, "what happened meanwhile", is_caught_up).await;
    running.crash().await;
}

#[tokio::test]
async fn downtime_right_after_the_first_start_is_caught_up() {
    let world = World::without_logs().await;
    let running = world.start().await;
    world.until_it_is("the first state", async || world.account().await.feed.is_some()).await;
    let group = world.make(&running).await;
    running.crash().await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.pass(HOUR);
    let running = world.start().await;
    world.until(&group, "who came meanwhile", |chat| is_in(chat, world.ada)).await;
    running.crash().await;
}

#[tokio::test]
async fn who_comes_silently_is_told_by_the_log() {
    let world = World::new().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    world.telegram.silence(group.id, true);
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.telegram.join(world.ben.id, &group.link).unwrap();
    world.telegram.leave(group.id, world.ben.id).unwrap();
    let chat = world.until(&group, "who came and went", |chat| is_out(chat, world.ben)).await;
    assert!(is_in(&chat, world.ada));
    assert_eq!(only_stay(&chat, world.ben).end_reason, Some(EndReason::Left));
    assert_eq!(world.told_by(&group, EventSource::Stream), [], "no message told it");
    running.crash().await;
}

#[tokio::test]
async fn a_long_log_is_read_whole() {
    let world = World::new().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    running.crash().await;
    world.telegram.silence(group.id, true);
    let people: Vec<Person> = (0..250).map(|number| world.person(format!("p{number}"))).collect();
    for person in &people {
        world.telegram.join(person.id, &group.link).unwrap();
    }
    let running = world.start().await;
    world.until(&group, "everybody", |chat| people.iter().all(|person| is_in(chat, *person))).await;
    world.until_log_is_read().await;
    assert_eq!(world.told_by(&group, EventSource::Log).len(), 250, "each of them once");
    running.crash().await;
}

#[tokio::test]
async fn lost_and_repeated_updates_make_no_difference() {
    let world = World::without_logs().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.until(&group, "who came first", |chat| is_in(chat, world.ada)).await;
    world.telegram.drop_pushes(1);
    world.telegram.join(world.ben.id, &group.link).unwrap();
    world.telegram.double_pushes(1);
    world.telegram.leave(group.id, world.ada.id).unwrap();
    let chat = world.until(&group, "who left", |chat| is_out(chat, world.ada)).await;
    assert!(is_in(&chat, world.ben), "the update that was lost was told before the one that came: {chat:#?}");
    let told = world.told_by(&group, EventSource::Stream);
    assert_eq!(told.len(), 3, "{told:#?}");
    running.crash().await;
}

#[tokio::test]
async fn a_broken_connection_is_made_again_and_nothing_is_lost() {
    let world = World::without_logs().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.until(&group, "who came first", |chat| is_in(chat, world.ada)).await;
    world.telegram.stop();
    world.telegram.join(world.ben.id, &group.link).unwrap();
    world.telegram.restart();
    world.until(&group, "who came meanwhile", |chat| is_in(chat, world.ben)).await;
    running.crash().await;
}

#[tokio::test]
async fn a_stream_that_is_too_far_behind_is_made_up_for_by_the_log() {
    let world = World::new().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.until(&group, "who came first", |chat| is_in(chat, world.ada)).await;
    running.crash().await;
    world.telegram.too_long_after(3);
    for number in 0..5 {
        world.telegram.join(world.person(format!("p{number}")).id, &group.link).unwrap();
    }
    world.telegram.leave(group.id, world.ada.id).unwrap();
    let running = world.start().await;
    let everybody = |chat: &Chat| chat.participants.len() == 7 && is_out(chat, world.ada);
    let chat = world.until(&group, "everybody", everybody).await;
    only_stay(&chat, world.ada);
    assert!(world.told_by(&group, EventSource::Stream).len() < 7, "the stream did not tell all");
    // It goes on from there.
    world.telegram.join(world.ben.id, &group.link).unwrap();
    let by_stream = async || world.told_by(&group, EventSource::Stream).iter().any(|event| joined(event, world.ben));
    world.until_it_is("who came afterwards, by the stream", by_stream).await;
    running.crash().await;
}

#[tokio::test]
async fn a_group_that_is_gone_is_closed_after_a_second_look() {
    let world = World::new().await;
    let running = world.start().await;
    let (group, other) = (world.make(&running).await, world.make(&running).await);
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    world.telegram.delete(group.id).unwrap();
    let chat = world.until(&group, "the end", |chat| chat.status == ChatStatus::Closed).await;
    assert_eq!(only_stay(&chat, world.ada).end_reason, Some(EndReason::ChatClosed));
    assert!(world.telegram.calls_of("channels.getFullChannel") >= 1, "it was looked at again");
    world.telegram.join(world.ben.id, &other.link).unwrap();
    world.until(&other, "who came to another group", |chat| is_in(chat, world.ben)).await;
    running.crash().await;
}

#[tokio::test]
async fn a_group_that_was_gone_by_mistake_goes_on() {
    let world = World::new().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    world.telegram.script(LOG, 1, Fault::refuse(400, "CHANNEL_PRIVATE"));
    world.until_called("channels.getFullChannel", 1).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    let chat = world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    assert_eq!(chat.status, ChatStatus::Active);
    world.until_log_is_read().await;
    assert_eq!(world.told_by(&group, EventSource::Log).len(), 1, "its log is read again");
    assert_eq!(world.state(&group).await.missing_since, None);
    running.crash().await;
}

#[tokio::test]
async fn members_are_seen_by_the_daily_comparison_alone() {
    let world = World::new().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    running.crash().await;
    // Silent, and longer ago than the log goes back: only the list of members tells of it.
    world.telegram.silence(group.id, true);
    world.telegram.leave(group.id, world.ada.id).unwrap();
    world.telegram.join(world.ben.id, &group.link).unwrap();
    let came_at = world.telegram.now();
    let people: Vec<Person> = (0..250).map(|number| world.person(format!("p{number}"))).collect();
    for person in &people {
        world.telegram.join(person.id, &group.link).unwrap();
    }
    world.pass(72 * HOUR);
    let running = world.start().await;
    let everybody = |chat: &Chat| people.iter().chain([&world.ben]).all(|person| is_in(chat, *person));
    let chat = world.until(&group, "everybody", |chat| everybody(chat) && is_out(chat, world.ada)).await;
    let since = only_stay(&chat, world.ben).joined_at.as_millis() / 1000;
    assert!((since - i64::from(came_at)).abs() <= 1, "they came when the list says: {since}, not {came_at}");
    assert_eq!(only_stay(&chat, world.ada).end_reason, Some(EndReason::Left));
    let by_log = world.told_by(&group, EventSource::Log);
    assert!(by_log.iter().all(|event| joined(event, world.ada)), "the log forgot all but the first: {by_log:#?}");
    running.crash().await;
}

#[tokio::test]
async fn other_names_are_told_with_the_next_message() {
    let world = World::without_logs().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    world.telegram.set_names(world.ada.id, "Adele", "Lovelace", "ada");
    world.telegram.rename(group.id, world.ada.id, "Two").unwrap();
    let first_name = |chat: &Chat| participant(chat, world.ada)?.user_properties.firstname.clone();
    world.until(&group, "the new name", |chat| first_name(chat).as_deref() == Some("Adele")).await;
    running.crash().await;
}

#[tokio::test]
async fn other_names_are_told_with_the_list_of_members() {
    let world = World::new().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    world.telegram.set_names(world.ada.id, "Adele", "Lovelace", "ada");
    world.pass(25 * HOUR);
    let first_name = |chat: &Chat| participant(chat, world.ada)?.user_properties.firstname.clone();
    world.until(&group, "the new name", |chat| first_name(chat).as_deref() == Some("Adele")).await;
    running.crash().await;
}

#[tokio::test]
async fn a_server_without_admin_logs_does_not_stop_the_stream() {
    let world = World::without_logs().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    world.until_called(LOG, 1).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    running.crash().await;
}

#[tokio::test]
async fn a_server_that_knows_no_differences_is_read_by_its_logs() {
    let world = World::new().await;
    for method in ["updates.getState", "updates.getDifference", "updates.getChannelDifference"] {
        world.telegram.script(method, u32::MAX, Fault::refuse(400, "INPUT_METHOD_INVALID"));
    }
    let running = world.start().await;
    let group = world.make(&running).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    running.crash().await;
    world.telegram.join(world.ben.id, &group.link).unwrap();
    let running = world.start().await;
    world.until(&group, "who came meanwhile", |chat| is_in(chat, world.ben)).await;
    world.telegram.rename(group.id, world.ben.id, "Two").unwrap();
    world.until(&group, "another title", |chat| chat.current_title() == Some("Two")).await;
    let by_stream = async || {
        let told = world.told_by(&group, EventSource::Stream);
        told.iter().any(|event| matches!(event.kind, ProviderEventKind::Renamed { .. }))
    };
    world.until_it_is("what is told by itself", by_stream).await;
    running.crash().await;
}

#[tokio::test]
async fn a_group_that_is_gone_is_noticed_by_its_log_alone_on_a_server_without_descriptions() {
    let world = World::new().await;
    world.telegram.script("channels.getFullChannel", u32::MAX, Fault::refuse(400, "INPUT_METHOD_INVALID"));
    let running = world.start().await;
    let group = world.make(&running).await;
    world.telegram.drop_pushes(u32::MAX);
    world.telegram.delete(group.id).unwrap();
    world.until(&group, "the end", |chat| chat.status == ChatStatus::Closed).await;
    running.crash().await;
}

#[tokio::test]
async fn a_reading_waits_for_as_long_as_telegram_says_while_the_stream_goes_on() {
    let world = World::new().await;
    world.telegram.script(LOG, 1, Fault::refuse(420, "FLOOD_WAIT_3600"));
    let running = world.start().await;
    let group = world.make(&running).await;
    world.until_called(LOG, 1).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    assert_eq!(world.telegram.calls_of(LOG), 1, "it waits");
    assert!(running.connection.state().await.cooldown_until > Some(world.environment.now()), "and so do others");
    world.pass(HOUR);
    world.until_log_is_read().await;
    assert_eq!(world.told_by(&group, EventSource::Log).len(), 1);
    running.crash().await;
}

#[tokio::test]
async fn what_was_not_acknowledged_is_told_again_here_and_after_a_crash() {
    let world = World::new().await;
    let running = world.start_telling().await;
    let group = world.make(&running).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    let told = told_join(&world, &running, world.ada).await;
    let again = running.feed.next().await;
    assert_eq!((&again.events, &again.checkpoint), (&told.events, &told.checkpoint));
    // Recorded, but it was never kept how far that was.
    world.record(&told.events).await;
    running.crash().await;

    let running = world.start_telling().await;
    let mut missing = told.events;
    while !missing.is_empty() {
        let batch = next(&running).await;
        missing.retain(|event| !batch.events.contains(event));
        take_in(&world, &running, batch).await;
    }
    running.crash().await;
    let running = world.start().await;
    world.until_log_is_read().await;
    only_stay(&world.chat(&group).await, world.ada);
    running.crash().await;
}

#[tokio::test]
async fn what_is_kept_of_one_group_never_runs_ahead_of_what_is_recorded_of_another() {
    let world = World::without_logs().await;
    let running = world.start_telling().await;
    let (group, other) = (world.make(&running).await, world.make(&running).await);
    world.telegram.join(world.ada.id, &group.link).unwrap();
    let first = told_join(&world, &running, world.ada).await;
    // While that is recorded, somebody comes, and then the other group is gone, which is kept at once.
    world.telegram.join(world.ben.id, &group.link).unwrap();
    world.telegram.delete(other.id).unwrap();
    take_in(&world, &running, first).await;
    told_join(&world, &running, world.ben).await;
    running.crash().await;
    let running = world.start().await;
    world.until(&group, "who came", |chat| is_in(chat, world.ben)).await;
    world.until(&other, "the end", |chat| chat.status == ChatStatus::Closed).await;
    running.crash().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_not_told_again() {
    let world = World::new().await;
    let running = world.start().await;
    let group = world.make(&running).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    world.until_log_is_read().await;
    let known: Vec<ProviderEvent> =
        [EventSource::Stream, EventSource::Log].map(|source| world.told_by(&group, source)).concat();
    assert_eq!(known.len(), 2);
    running.crash().await;
    let running = world.start_telling().await;
    world.until_log_is_read().await;
    world.telegram.leave(group.id, world.ada.id).unwrap();
    let batch = running.feed.next().await;
    assert!(!batch.events.is_empty() && batch.events.iter().all(|event| !known.contains(event)), "{batch:#?}");
    running.crash().await;
}

#[tokio::test]
async fn who_lost_the_lease_acknowledges_nothing() {
    let world = World::new().await;
    let running = world.start_telling().await;
    let group = world.make(&running).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    let told = told_join(&world, &running, world.ada).await;
    let kept = (world.account().await.feed, world.state(&group).await);
    // Somebody else takes the account.
    world.lease().await;
    running.feed.acknowledge(&told.checkpoint).await.unwrap();
    assert_eq!((world.account().await.feed, world.state(&group).await), kept);
    running.crash().await;
    let running = world.start().await;
    world.until(&group, "who came", |chat| is_in(chat, world.ada)).await;
    running.crash().await;
}

#[tokio::test]
async fn another_checkpoint_acknowledges_nothing() {
    let world = World::new().await;
    let running = world.start_telling().await;
    let group = world.make(&running).await;
    world.telegram.join(world.ada.id, &group.link).unwrap();
    let told = told_join(&world, &running, world.ada).await;
    running.feed.acknowledge(&Checkpoint("another".to_owned())).await.unwrap();
    assert_eq!(running.feed.next().await.checkpoint, told.checkpoint, "it is still to be acknowledged");
    running.crash().await;
}

#[tokio::test]
async fn a_quiet_feed_says_that_it_is_taken_in() {
    let world = World::new().await;
    let running = world.start().await;
    world.until_it_is("the first state", async || world.account().await.fed_at.is_some()).await;
    let first = world.account().await.fed_at.expect("it was kept");
    world.pass(Duration::from_mins(2));
    let is_later = |account: convoke_provider::Account| account.fed_at >= Some(first.plus(Duration::from_mins(1)));
    world.until_it_is("a heartbeat", async || is_later(world.account().await)).await;
    running.crash().await;
}

fn joined(event: &ProviderEvent, who: Person) -> bool {
    let id = who.id.0.to_string();
    matches!(&event.kind, ProviderEventKind::Joined { person, .. } if person.external_id == id)
}

/// The first batch that tells that somebody came; those before are recorded and acknowledged.
async fn told_join(world: &World, running: &Running, who: Person) -> EventBatch {
    loop {
        let batch = next(running).await;
        if batch.events.iter().any(|event| joined(event, who)) {
            return batch;
        }
        take_in(world, running, batch).await;
    }
}

async fn next(running: &Running) -> EventBatch {
    tokio::time::timeout(Duration::from_secs(20), running.feed.next()).await.expect("something is told")
}

async fn take_in(world: &World, running: &Running, batch: EventBatch) {
    world.record(&batch.events).await;
    running.feed.acknowledge(&batch.checkpoint).await.expect("the database answers");
}
