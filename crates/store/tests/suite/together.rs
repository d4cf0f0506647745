//! What is done at the same time is done together, and everybody gets their own right answer.

use std::time::Duration;

use convoke_domain::{Chat, ChatFilter, ChatStatus, Sort};
use convoke_store::NewChat;

use crate::{
    lists::{list, query, sort},
    world::{World, at_once, chat_made, group_of, second, tenant},
};

pub async fn chats_asked_for_at_once_are_each_the_right_one(world: &World) {
    let tenants = ["acme", "globex"].map(tenant);
    let mut known = Vec::new();
    for number in 0..40 {
        let title = format!("Chat {number}");
        let accepted = world.register_new(&tenants[number % 2], world.new_chat(&title)).await;
        known.push((accepted.chat_id, title));
    }
    let unknown = world.new_chat("Never registered").id;
    at_once((0..600).map(|number| {
        let world = world.clone();
        let place = number * 7 % known.len();
        let (id, title) = known[place].clone();
        let (own, other) = (tenants[place % 2].clone(), tenants[1 - place % 2].clone());
        async move {
            match number % 5 {
                0 => assert_eq!(world.store.find_chat(&other, id).await.unwrap(), None),
                1 => assert_eq!(world.store.find_chat(&own, unknown).await.unwrap(), None),
                // Whoever goes away meanwhile takes nobody's answer along.
                2 => drop(tokio::time::timeout(Duration::ZERO, world.store.find_chat(&own, id)).await),
                _ => {
                    let found = world.store.find_chat(&own, id).await.unwrap().expect("it is there");
                    let chat: Chat = serde_json::from_str(&found.json).unwrap();
                    assert_eq!((chat.id, chat.current_title()), (id, Some(title.as_str())));
                }
            }
        }
    }))
    .await;
}

pub async fn pages_asked_for_at_once_are_each_the_right_one(world: &World) {
    let tenants = ["acme", "globex", "initech"].map(tenant);
    for number in 0..60 {
        let chat = NewChat { at: second(number / 4), ..world.new_chat(&format!("Chat {number}")) };
        // The last one has none at all.
        world.register_new(&tenants[usize::from(number % 3 == 0)], chat).await;
    }
    for operation in world.claim(25, second(20)).await {
        world.finish(&operation.lease, chat_made(group_of(operation.chat_id, second(20)))).await;
    }
    let mut known = Vec::new();
    for number in 0..90 {
        let filter = ChatFilter { is_active: [None, Some(true), Some(false)][number % 3], ..ChatFilter::default() };
        let order = if number % 2 == 0 { Sort::default() } else { sort(&["registeredAt"]) };
        // Mostly first pages, as it is elsewhere.
        let asked = query(filter, order, [0, 0, 1, 3][number % 4], [20, 7][number / 2 % 2]);
        let tenant = tenants[number / 3 % 3].clone();
        known.push((list(world, &tenant, &asked).await, tenant, asked));
    }
    at_once((0..900).map(|number| {
        let world = world.clone();
        let (page, tenant, asked) = known[number * 7 % known.len()].clone();
        async move {
            // Whoever goes away meanwhile takes nobody's answer along.
            if number % 5 == 0 {
                return drop(tokio::time::timeout(Duration::ZERO, world.store.list_chats(&tenant, &asked)).await);
            }
            assert_eq!(list(&world, &tenant, &asked).await, page, "{tenant:?} {asked:?}");
        }
    }))
    .await;
}

pub async fn attempts_that_end_at_once_are_each_what_they_are(world: &World) {
    const OPERATIONS: usize = 30;
    /// The place of one that has lost its lease, and of two that claim the same group.
    const LOST: usize = 7;
    const RIVALS: [usize; 2] = [11, 12];
    let acme = tenant("acme");
    for number in 0..OPERATIONS {
        let chat = NewChat { at: second(0), ..world.new_chat(&format!("Chat {number}")) };
        world.register_new(&acme, chat).await;
    }
    let mut claimed = world.claim(100, second(1)).await;
    assert_eq!(claimed.len(), OPERATIONS);
    claimed[LOST].lease.fence -= 1;
    let mut groups: Vec<_> = claimed.iter().map(|operation| group_of(operation.chat_id, second(2))).collect();
    groups[RIVALS[0]] = groups[RIVALS[1]].clone();

    let saved = at_once(claimed.iter().zip(&groups).map(|(operation, group)| {
        let (store, lease, group) = (world.store.clone(), operation.lease.clone(), group.clone());
        async move { store.save_progress(&lease, Some("{}".to_owned()), Some(&group), second(3)).await }
    }))
    .await;
    let refused: Vec<usize> = (0..OPERATIONS).filter(|place| saved[*place].is_err()).collect();
    assert!(refused.len() == 1 && RIVALS.contains(&refused[0]), "one of two rivals is refused: {refused:?}");
    for (place, saved) in saved.iter().enumerate().filter(|(place, _)| *place != refused[0]) {
        assert_eq!(*saved.as_ref().unwrap(), place != LOST, "operation {place}");
    }

    "another".clone_into(&mut groups[refused[0]].provider_chat_id);
    let finished = at_once(claimed.iter().zip(groups).map(|(operation, group)| {
        let (world, lease) = (world.clone(), operation.lease.clone());
        async move { world.finish(&lease, chat_made(group)).await }
    }))
    .await;
    for (place, operation) in claimed.iter().enumerate() {
        assert_eq!(finished[place], place != LOST, "operation {place}");
        let status = world.chat(&acme, operation.chat_id).await.status;
        let expected = if place == LOST { ChatStatus::Provisioning } else { ChatStatus::Active };
        assert_eq!(status, expected, "operation {place}");
    }
}
