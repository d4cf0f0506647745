//! What is cleared away, and what is brought up to date.

use std::time::Duration;

use convoke_domain::{Chat, ChatFilter, ChatQuery, OperationStatus, PageSize, Sort, Timestamp};
use convoke_store::{AcceptedChat, NewChat, NewRemoval, Outcome, Registration, Removal, Retention};

use crate::{
    lists::{list, query},
    world::{World, at_once, chat_made, group_of, joined, key, left, rejected, second, tenant},
};

const DAY: Duration = Duration::from_hours(24);

fn retention() -> Retention {
    Retention { operations: DAY, idempotency_keys: 2 * DAY }
}

fn just_before(at: Timestamp) -> Timestamp {
    at.minus(Duration::from_millis(1))
}

fn just_after(at: Timestamp) -> Timestamp {
    at.plus(Duration::from_millis(1))
}

async fn delete_expired(world: &World, now: Timestamp) -> u64 {
    world.store.delete_expired(now, &retention()).await.expect("an answer")
}

pub async fn operations_are_deleted_once_they_have_been_kept_long_enough(world: &World) {
    let acme = tenant("acme");
    let mut ended = Vec::new();
    for number in 0..2 {
        let accepted = world.register_new(&acme, world.new_chat("To be made")).await;
        let claimed = world.claim_only().await;
        let outcome = [chat_made(group_of(accepted.chat_id, second(0))), Outcome::GivenUp(rejected())][number].clone();
        let at = second(10 * number as u64);
        assert!(world.store.finish_attempt(&claimed.lease, outcome, at).await.unwrap());
        ended.push(accepted);
    }
    let waiting = world.register_new(&acme, world.new_chat("Waiting for long")).await;
    let documents = list(world, &acme, &ChatQuery::default()).await;

    assert_eq!(delete_expired(world, just_before(second(0).plus(DAY))).await, 0);
    assert_eq!(delete_expired(world, just_after(second(0).plus(DAY))).await, 1);
    assert_eq!(world.store.find_operation(&acme, ended[0].operation_id).await.unwrap(), None);
    assert_eq!(world.operation(&acme, ended[1].operation_id).await.status, OperationStatus::Failed);
    assert_eq!(delete_expired(world, second(0).plus(100 * DAY)).await, 1);
    assert_eq!(world.operation(&acme, waiting.operation_id).await.status, OperationStatus::Pending);
    assert_eq!(list(world, &acme, &ChatQuery::default()).await, documents);
}

pub async fn keys_are_deleted_once_they_have_been_kept_long_enough(world: &World) {
    let acme = tenant("acme");
    let with_key = |name: &str, at| NewChat { at, idempotency: Some(key(name, 1)), ..world.new_chat("Keyed") };
    let old = world.register_new(&acme, with_key("old", second(0))).await;
    let young = world.register_new(&acme, with_key("young", second(10))).await;
    let now = just_before(second(0).plus(2 * DAY));
    assert_eq!(delete_expired(world, now).await, 0);
    assert_eq!(world.register(&acme, with_key("old", now)).await, Registration::RepeatedKey(old.clone()));
    let now = just_after(second(0).plus(2 * DAY));
    assert_eq!(delete_expired(world, now).await, 1);
    assert_eq!(world.register(&acme, with_key("young", now)).await, Registration::RepeatedKey(young));
    let new = world.register_new(&acme, with_key("old", now)).await;
    assert_ne!(new.chat_id, old.chat_id);
}

pub async fn a_repeated_id_answers_when_its_operation_is_gone(world: &World) {
    let acme = tenant("acme");
    let chat = NewChat { id_is_clients: true, idempotency: Some(key("k", 1)), ..world.new_chat("Mine") };
    let active = world.activate(&acme, chat.clone()).await;
    let ana = world.join(&active, "ana", second(1)).await;
    let removal = NewRemoval { idempotency: Some(key("r", 1)), ..world.new_removal(active.id, ana) };
    world.remove(&acme, &removal).await;
    let claimed = world.claim_only().await;
    assert!(world.finish(&claimed.lease, Outcome::ParticipantRemoved { events: Vec::new() }).await);

    // The operations have expired, the keys have not.
    assert_eq!(delete_expired(world, second(0).plus(DAY)).await, 2);
    assert_eq!(world.store.find_operation(&acme, active.operation).await.unwrap(), None);
    let status = convoke_domain::ChatStatus::Active;
    let accepted = AcceptedChat { chat_id: active.id, operation_id: active.operation, status };
    assert_eq!(world.register(&acme, world.again(&chat)).await, Registration::RepeatedKey(accepted.clone()));
    let without_key = NewChat { idempotency: None, ..world.again(&chat) };
    assert_eq!(world.register(&acme, without_key).await, Registration::RepeatedId(accepted));
    assert_eq!(world.remove(&acme, &removal).await, Removal::RepeatedKey(removal.operation_id));
}

pub async fn much_that_has_expired_is_deleted_bit_by_bit(world: &World) {
    let acme = tenant("acme");
    let new = |number: u32| NewChat { idempotency: Some(key(&number.to_string(), 1)), ..world.new_chat("Keyed") };
    crate::world::at_once((0..700).map(|number| {
        let (world, acme, chat) = (world.clone(), acme.clone(), new(number));
        async move { world.register_new(&acme, chat).await }
    }))
    .await;
    world.finish_all(second(0), |_| crate::world::End::GivenUp).await;
    let mut deleted = 0;
    loop {
        match delete_expired(world, second(0).plus(100 * DAY)).await {
            0 => break,
            some => deleted += some,
        }
    }
    assert_eq!(deleted, 1_400);
    assert_eq!(list(world, &acme, &ChatQuery::default()).await.total, 700);
}

/// Three chats, the documents of which are made to look like those of an older release.
async fn outdated(world: &World) -> (Vec<crate::world::ActiveChat>, Vec<Chat>) {
    let acme = tenant("acme");
    let mut chats = Vec::new();
    let mut records = Vec::new();
    for title in ["One", "Two", "Three"] {
        let chat = world.active_chat(&acme, title).await;
        world.record(&[joined(&chat.group, second(1), "ana")]).await;
        records.push(world.chat(&acme, chat.id).await);
        chats.push(chat);
    }
    world.execute("update chats set document = '{}', document_version = 0").await;
    (chats, records)
}

pub async fn outdated_documents_are_rendered_when_they_are_read(world: &World) {
    let acme = tenant("acme");
    let (_, mut records) = outdated(world).await;
    for record in &records {
        assert_eq!(world.chat(&acme, record.id).await, *record);
    }
    records.reverse();
    let expected: Vec<String> = records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    let page = list(world, &acme, &ChatQuery::default()).await;
    assert_eq!((page.total, page.documents), (3, expected.join(",")));
    // One among others that are as they should be, in pages that are asked for at once.
    let of_two = format!("update chats set document = '{}', document_version = 1 where title = 'Two'", expected[1]);
    world.execute(&of_two).await;
    let one_by_one = (0..3).map(|number| query(ChatFilter::default(), Sort::default(), number, 1));
    let pages = one_by_one.chain([ChatQuery::default(), ChatQuery::default()]).map(|query| {
        let (world, acme) = (world.clone(), acme.clone());
        async move { list(&world, &acme, &query).await.documents }
    });
    let all = expected.join(",");
    assert_eq!(at_once(pages).await, [&*expected[0], &expected[1], &expected[2], &all, &all]);
    let walk = world.store.walk_chats(&acme, &ChatFilter::default(), None, PageSize::default()).await.unwrap();
    assert_eq!(walk.documents, all);
    assert_eq!(world.number("select count(*) as number from chats where document_version = 0").await, 2);
}

pub async fn outdated_documents_take_events_and_removals(world: &World) {
    let acme = tenant("acme");
    let (chats, records) = outdated(world).await;
    // One that is newer than all others, and one that falls into its place.
    world.record(&[left(&chats[0].group, second(2), "ana")]).await;
    world.record(&[joined(&chats[1].group, second(0), "ben")]).await;
    let (first, second_chat) = (world.chat(&acme, chats[0].id).await, world.chat(&acme, chats[1].id).await);
    assert_eq!(first.participants.iter().map(convoke_domain::Participant::is_in).collect::<Vec<_>>(), [true, false]);
    assert_eq!(second_chat.participants.len(), 3);
    assert_eq!(second_chat.participants[2], records[1].participants[1]);
    assert_eq!(world.number("select count(*) as number from chats where document_version = 0").await, 1);

    let removal = world.new_removal(chats[2].id, records[2].participants[1].id);
    assert_eq!(world.remove(&acme, &removal).await, Removal::Accepted(removal.operation_id));
    let of_the_owner = world.new_removal(chats[2].id, chats[2].owner);
    assert_eq!(world.remove(&acme, &of_the_owner).await, Removal::IsOwner);
}

pub async fn outdated_documents_are_rewritten(world: &World) {
    let acme = tenant("acme");
    let (_, records) = outdated(world).await;
    let mut before = Vec::new();
    for record in &records {
        before.push(world.document(&acme, record.id).await);
    }
    assert_eq!(world.store.rewrite_outdated_documents().await.unwrap(), 3);
    assert_eq!(world.store.rewrite_outdated_documents().await.unwrap(), 0);
    assert_eq!(world.number("select count(*) as number from chats where document_version = 0").await, 0);
    assert_eq!(world.number("select count(*) as number from chats where document = '{}'").await, 0);
    for before in before {
        let id = serde_json::from_str::<Chat>(&before.json).unwrap().id;
        let after = world.document(&acme, id).await;
        assert_eq!((after.json, after.status), (before.json, before.status));
        assert!(after.version >= before.version);
    }
}
