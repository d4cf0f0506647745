//! Idempotency keys of registrations.

use std::collections::{HashMap, HashSet};

use convoke_domain::{ChatId, ChatQuery, ChatStatus};
use convoke_store::{AcceptedChat, IdempotencyKey, NewChat, Registration};

use crate::world::{World, at_once, key, tenant};

fn with_key(world: &World, name: &str, request: u8) -> NewChat {
    NewChat { idempotency: Some(key(name, request)), ..world.new_chat("Keyed") }
}

pub async fn a_repeated_key_is_answered_as_before(world: &World) {
    let acme = tenant("acme");
    let accepted = world.register_new(&acme, with_key(world, "k", 1)).await;
    let repeated = world.register(&acme, with_key(world, "k", 1)).await;
    assert_eq!(repeated, Registration::RepeatedKey(accepted.clone()));
    assert_eq!(world.claim_only().await.lease.operation_id, accepted.operation_id, "it is to be made once");
}

pub async fn a_repeated_key_shows_the_status_of_now(world: &World) {
    let acme = tenant("acme");
    let active = world.activate(&acme, with_key(world, "k", 1)).await;
    let now = AcceptedChat { chat_id: active.id, operation_id: active.operation, status: ChatStatus::Active };
    assert_eq!(world.register(&acme, with_key(world, "k", 1)).await, Registration::RepeatedKey(now));
}

pub async fn a_key_with_another_request_is_reused(world: &World) {
    let acme = tenant("acme");
    let accepted = world.register_new(&acme, with_key(world, "k", 1)).await;
    assert_eq!(world.register(&acme, with_key(world, "k", 2)).await, Registration::KeyReused);
    // Even if it asks for the same chat under the same id.
    let same_id = NewChat { id: accepted.chat_id, id_is_clients: true, ..with_key(world, "k", 2) };
    assert_eq!(world.register(&acme, same_id).await, Registration::KeyReused);
    let repeated = world.register(&acme, with_key(world, "k", 1)).await;
    assert_eq!(repeated, Registration::RepeatedKey(accepted), "the first answer is kept");
}

pub async fn a_key_is_one_for_each_route_and_tenant(world: &World) {
    let (acme, other) = (tenant("acme"), tenant("other"));
    world.register_new(&acme, with_key(world, "k", 1)).await;
    world.register_new(&acme, with_key(world, "K", 2)).await;
    world.register_new(&other, with_key(world, "k", 2)).await;
    let elsewhere = IdempotencyKey { route: "POST /elsewhere".to_owned(), ..key("k", 2) };
    world.register_new(&acme, NewChat { idempotency: Some(elsewhere), ..world.new_chat("Keyed") }).await;
}

pub async fn a_key_outlives_the_store(world: &mut World) {
    let acme = tenant("acme");
    let accepted = world.register_new(&acme, with_key(world, "k", 1)).await;
    world.reopen().await;
    assert_eq!(world.register(&acme, with_key(world, "k", 1)).await, Registration::RepeatedKey(accepted));
    assert_eq!(world.register(&acme, with_key(world, "k", 2)).await, Registration::KeyReused);
}

pub async fn a_key_that_came_with_a_repeated_id_is_kept(world: &World) {
    let acme = tenant("acme");
    let chat = NewChat { id_is_clients: true, ..world.new_chat("Mine") };
    let accepted = world.register_new(&acme, chat.clone()).await;
    let keyed = NewChat { idempotency: Some(key("k", 1)), ..chat };
    let first = world.register(&acme, world.again(&keyed)).await;
    assert_eq!(first, Registration::RepeatedId(accepted.clone()));
    assert_eq!(world.register(&acme, world.again(&keyed)).await, Registration::RepeatedKey(accepted));
    assert_eq!(world.register(&acme, with_key(world, "k", 2)).await, Registration::KeyReused);
}

pub async fn a_key_whose_request_was_refused_is_free(world: &World) {
    let acme = tenant("acme");
    let chat = NewChat { id_is_clients: true, ..world.new_chat("Mine") };
    world.register_new(&acme, chat.clone()).await;
    let refused = NewChat { id: chat.id, id_is_clients: true, ..with_key(world, "k", 1) };
    assert_eq!(world.register(&acme, refused).await, Registration::IdTaken);
    world.register_new(&acme, with_key(world, "k", 2)).await;
}

pub async fn of_many_requests_with_one_key_at_once_one_is_new(world: &World) {
    let acme = tenant("acme");
    let worlds = world.twice().await;
    let registrations = at_once((0..20).map(|number| {
        let (world, acme, chat) = (worlds[number % 2].clone(), acme.clone(), with_key(world, "k", 1));
        async move { world.register(&acme, chat).await }
    }))
    .await;
    let new: Vec<_> = registrations.iter().filter(|one| matches!(one, Registration::New(_))).collect();
    let [Registration::New(accepted)] = new[..] else { panic!("one is new: {registrations:?}") };
    let repeated = registrations.iter().filter(|one| **one == Registration::RepeatedKey(accepted.clone()));
    assert_eq!(repeated.count(), 19);
    assert_eq!(world.store.list_chats(&acme, &ChatQuery::default()).await.unwrap().total, 1);
}

pub async fn of_different_requests_with_one_key_at_once_one_is_new(world: &World) {
    let acme = tenant("acme");
    let worlds = world.twice().await;
    let registrations = at_once((0..20).map(|request| {
        let (world, acme) = (worlds[usize::from(request % 2)].clone(), acme.clone());
        let chat = with_key(&world, "k", request);
        async move { world.register(&acme, chat).await }
    }))
    .await;
    assert_eq!(registrations.iter().filter(|one| matches!(one, Registration::New(_))).count(), 1);
    assert_eq!(registrations.iter().filter(|one| **one == Registration::KeyReused).count(), 19);
}

pub async fn keys_that_are_taken_at_once_in_any_order_are_one_chat_each(world: &World) {
    const KEYS: usize = 150;
    let acme = tenant("acme");
    let worlds = world.twice().await;
    // One store gets them upwards, the other downwards.
    let registrations = at_once((0..2 * KEYS).map(|number| {
        let (upwards, place) = (number % 2 == 0, number / 2);
        let name = if upwards { place } else { KEYS - 1 - place }.to_string();
        let (world, acme) = (worlds[number % 2].clone(), acme.clone());
        let chat = with_key(&world, &name, 1);
        async move { (name, world.register(&acme, chat).await) }
    }))
    .await;
    let mut accepted: HashMap<String, (usize, HashSet<ChatId>)> = HashMap::new();
    for (name, registration) in registrations {
        let (new, chats) = accepted.entry(name).or_default();
        match registration {
            Registration::New(chat) => {
                *new += 1;
                chats.insert(chat.chat_id);
            }
            Registration::RepeatedKey(chat) => drop(chats.insert(chat.chat_id)),
            other => panic!("new or repeated, not {other:?}"),
        }
    }
    assert_eq!(accepted.len(), KEYS);
    for (name, (new, chats)) in accepted {
        assert_eq!((new, chats.len()), (1, 1), "{name}");
    }
}
