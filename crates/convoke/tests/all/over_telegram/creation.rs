//! One registration, one group, whatever happens in between.

use std::collections::BTreeSet;
use std::time::Duration;

use convoke_client::{Client, NewChat};
use convoke_domain::{ChatId, ChatStatus, OperationStatus};
use convoke_telegram_test_server::{Call, Fault, UserId};
use convoke_test_support::create_database;

use super::messenger::{Messenger, until, until_called};
use crate::support::{PATIENCE, Place};

/// Faults of which the outcome is unknown to who called.
const LOSSES: [fn() -> Fault; 3] = [|| Fault::LoseAnswer, || Fault::CutAfter, || Fault::CutBefore];

const STEPS: [&str; 4] =
    ["channels.createChannel", "channels.getFullChannel", "messages.exportChatInvite", "messages.editChatAbout"];

async fn register(client: &Client, titles: impl Iterator<Item = String>) -> Vec<ChatId> {
    let mut chats = Vec::new();
    for title in titles {
        chats.push(client.register_chat(&NewChat::new(title)).await.unwrap().chat_id());
    }
    chats
}

/// Every chat is active, and has one group and one invitation of its own.
async fn assert_one_group_each(client: &Client, telegram: &Messenger, chats: &[ChatId]) {
    let mut invitations = BTreeSet::new();
    for id in chats {
        until(client, *id, "active", |chat| chat.status == ChatStatus::Active).await;
        invitations.insert(client.get_chat_invitation(*id, None).await.unwrap().invitation);
    }
    let groups = telegram.server.groups();
    assert_eq!((groups.len(), invitations.len()), (chats.len(), chats.len()));
    let of_groups: BTreeSet<String> = groups.into_iter().flat_map(|group| group.invites).collect();
    assert_eq!(of_groups, invitations);
    // The mark by which a group is found is taken away, even if it was not at the first try.
    let is_marked = |about: &str| about.contains("[ref:");
    let begun = std::time::Instant::now();
    while telegram.server.groups().iter().any(|group| is_marked(&group.about)) {
        assert!(begun.elapsed() < PATIENCE, "{:#?}", telegram.server.groups());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn two_hundred_creations_survive_lost_answers_cuts_and_kills() {
    let telegram = Messenger::new();
    let place = telegram.used_by(Place::new());
    let mut service = place.start();
    let token = place.token();
    let chats = register(&service.typed(&token), (0..200).map(|number| format!("Chat {number}"))).await;
    let methods = [&STEPS[..], &["messages.getDialogs"]].concat();
    let mut chance: u64 = 7;
    for round in 1..=12 {
        // Chance that is the same every time (Knuth's constants).
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (method, loss) = ((chance >> 33) as usize % methods.len(), (chance >> 45) as usize % LOSSES.len());
        telegram.server.script(methods[method], 1, LOSSES[loss]());
        until_called(&telegram.server, "messages.exportChatInvite", 15 * round).await;
        if round % 3 == 0 {
            service.kill();
            service = place.start();
        }
    }
    assert_one_group_each(&service.typed(&token), &telegram, &chats).await;
    service.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn creations_on_postgresql_survive_lost_answers_and_cuts() {
    let database = create_database(None).await;
    let telegram = Messenger::new();
    let place = telegram.used_by(Place::on(database.url()));
    let service = place.start();
    let client = service.typed(&place.token());
    // The last step is retried after a minute, behind everybody's back.
    for method in &STEPS[..3] {
        for loss in LOSSES {
            telegram.server.script(method, 1, loss());
        }
    }
    let chats = register(&client, (0..20).map(|number| format!("Chat {number}"))).await;
    assert_one_group_each(&client, &telegram, &chats).await;
    service.stop();
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_one_group() {
    let telegram = Messenger::new();
    let place = telegram.used_by(Place::new());
    let mut service = place.start();
    let token = place.token();
    let mut chats = Vec::new();
    for method in STEPS {
        // Before the step is carried out, and after.
        for fault in [Fault::Silent, Fault::LoseAnswer] {
            let called = telegram.server.calls_of(method);
            telegram.server.script(method, 1, fault);
            chats.extend(register(&service.typed(&token), [format!("Chat {}", chats.len())].into_iter()).await);
            until_called(&telegram.server, method, called + 1).await;
            service.kill();
            service = place.start();
            let newest = chats.last().copied().unwrap();
            until(&service.typed(&token), newest, "active", |chat| chat.status == ChatStatus::Active).await;
        }
    }
    assert_one_group_each(&service.typed(&token), &telegram, &chats).await;
    service.stop();
}

#[tokio::test]
async fn while_one_account_waits_the_other_goes_on() {
    let telegram = Messenger::new();
    let second = telegram.server.new_user("Second", "", "second_owner");
    let place = telegram.used_by(Place::new());
    let imported = place.run_with_input(&["telegram", "import", "--name", "second"], &telegram.server.session(second));
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    telegram.server.script_for(telegram.owner, "channels.createChannel", 1, Fault::refuse(420, "FLOOD_WAIT_3600"));
    let service = place.start();
    let client = service.typed(&place.token());
    // What was for the first goes to the second with it, although that gets more groups then.
    let chats = register(&client, (0..6).map(|number| format!("Chat {number}"))).await;
    assert_one_group_each(&client, &telegram, &chats).await;
    assert!(telegram.server.groups().iter().all(|group| group.creator == second));
    let asked = |user| telegram.server.calls().iter().filter(|call| is_creation_by(call, user)).count();
    assert_eq!((asked(telegram.owner), asked(second)), (1, chats.len()));
    service.stop();
}

fn is_creation_by(call: &Call, user: UserId) -> bool {
    call.method == "channels.createChannel" && call.user == Some(user)
}

#[tokio::test]
async fn a_flood_wait_is_kept_to_the_second_and_counts_as_no_attempt() {
    let telegram = Messenger::new();
    let place = telegram.used_by(Place::new());
    let service = place.start();
    let client = service.typed(&place.token());
    telegram.server.script("channels.createChannel", 1, Fault::refuse(420, "FLOOD_WAIT_14229"));
    let wait = Duration::from_secs(14_229);
    let registration = client.register_chat(&NewChat::new("Later")).await.unwrap();
    let convoke_client::Registration::Accepted(accepted) = registration else { panic!("nothing was waited for") };
    until_called(&telegram.server, "channels.createChannel", 1).await;
    let begun = std::time::Instant::now();
    let operation = loop {
        let operation = client.get_operation(accepted.operation_id).await.unwrap();
        if operation.status == OperationStatus::WaitingForProvider {
            break operation;
        }
        assert!(begun.elapsed() < PATIENCE, "{operation:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let next = operation.next_attempt_at.unwrap();
    assert_eq!(operation.attempts, 0, "{operation:#?}");
    // Counted from the answer, which came after it was accepted and before that was noted.
    assert!(next >= operation.created_at.plus(wait) && next <= operation.updated_at.plus(wait), "{operation:#?}");
    service.stop();
    assert_eq!(telegram.server.calls_of("channels.createChannel"), 1);
}
