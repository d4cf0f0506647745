//! Walks through the chats, behind a cursor.

use convoke_domain::{ChatFilter, ChatId, PageSize, TenantId, WalkPosition};
use convoke_store::{ChatWalk, NewChat};

use crate::{
    lists::ids,
    world::{End, World, second, tenant},
};

async fn walk(
    world: &World,
    tenant: &TenantId,
    filter: &ChatFilter,
    after: Option<WalkPosition>,
    size: u32,
) -> ChatWalk {
    world.store.walk_chats(tenant, filter, after, PageSize::new(size).unwrap()).await.expect("the next chats")
}

/// Registers `number` chats, three at an instant; returns them in the order of a walk.
async fn register_triplets(world: &World, tenant: &TenantId, number: u64) -> Vec<(u64, ChatId)> {
    let mut chats = Vec::new();
    for number in 0..number {
        let chat = NewChat { at: second(number / 3), ..world.new_chat("walked") };
        chats.push((number / 3, chat.id));
        world.register_new(tenant, chat).await;
    }
    chats.sort();
    chats.reverse();
    chats
}

pub async fn a_walk_sees_each_chat_once_while_others_register(world: &World) {
    let acme = tenant("acme");
    let known = register_triplets(world, &acme, 100).await;
    let known: Vec<ChatId> = known.into_iter().map(|(_, id)| id).collect();
    let mut seen = Vec::new();
    let mut after = None;
    for round in 0.. {
        let next = walk(world, &acme, &ChatFilter::default(), after, 7).await;
        seen.extend(ids(&next.documents));
        // Newer ones, older ones, and at instants that were walked over or will be.
        for at in [second(1_000 + round), second(round), second(33 - round.min(33))] {
            world.register_new(&acme, NewChat { at, ..world.new_chat("meanwhile") }).await;
        }
        world.finish_all(second(2_000), |_| End::Made).await;
        let Some(position) = next.next else { break };
        // A client holds it as text.
        after = Some(position.to_string().parse().expect("the position that was written"));
    }
    let mut distinct = seen.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), seen.len(), "nothing is seen twice");
    seen.retain(|id| known.contains(id));
    assert_eq!(seen, known);
}

pub async fn a_walk_ends_on_a_full_page(world: &World) {
    let acme = tenant("acme");
    assert_eq!(walk(world, &acme, &ChatFilter::default(), None, 5).await, ChatWalk::default());
    register_triplets(world, &acme, 10).await;
    let first = walk(world, &acme, &ChatFilter::default(), None, 5).await;
    let second = walk(world, &acme, &ChatFilter::default(), first.next, 5).await;
    assert_eq!((ids(&first.documents).len(), ids(&second.documents).len()), (5, 5));
    assert!(first.next.is_some());
    assert_eq!(second.next, None);
    assert_eq!(walk(world, &tenant("other"), &ChatFilter::default(), None, 5).await, ChatWalk::default());
}

pub async fn a_walk_may_change_its_size_and_filter(world: &World) {
    let acme = tenant("acme");
    let known = register_triplets(world, &acme, 30).await;
    let active: Vec<ChatId> = known.iter().step_by(2).map(|(_, id)| *id).collect();
    world
        .finish_all(second(1_000), |claimed| if active.contains(&claimed.chat_id) { End::Made } else { End::GivenUp })
        .await;
    let ids_of = |places: std::ops::Range<usize>| known[places].iter().map(|(_, id)| *id).collect::<Vec<_>>();

    let first = walk(world, &acme, &ChatFilter::default(), None, 3).await;
    assert_eq!(ids(&first.documents), ids_of(0..3));
    let second_step = walk(world, &acme, &ChatFilter::default(), first.next, 6).await;
    assert_eq!(ids(&second_step.documents), ids_of(3..9));

    let only_active = ChatFilter { is_active: Some(true), ..ChatFilter::default() };
    let third = walk(world, &acme, &only_active, second_step.next, 4).await;
    assert_eq!(ids(&third.documents), active[5..9]);
    let named = ChatFilter { ids: ids_of(0..20), ..ChatFilter::default() };
    let fourth = walk(world, &acme, &named, third.next, 50).await;
    assert_eq!((ids(&fourth.documents), fourth.next), (ids_of(17..20), None));
    let dated =
        ChatFilter { registered_from: Some(second(2)), registered_to: Some(second(3)), ..ChatFilter::default() };
    let fifth = walk(world, &acme, &dated, third.next, 4).await;
    assert_eq!(ids(&fifth.documents), ids_of(18..22));
    let sixth = walk(world, &acme, &dated, fifth.next, 4).await;
    assert_eq!((ids(&sixth.documents), sixth.next), (ids_of(22..24), None));
}

pub async fn a_walk_goes_on_behind_any_position(world: &World) {
    let acme = tenant("acme");
    let known = register_triplets(world, &acme, 9).await;
    let behind = async |number: u64, id: ChatId| {
        let position = WalkPosition { registered_at: second(number), id };
        ids(&walk(world, &acme, &ChatFilter::default(), Some(position), 20).await.documents)
    };
    let ids_from = |place: usize| known[place..].iter().map(|(_, id)| *id).collect::<Vec<_>>();
    let smallest = ChatId("00000000-0000-0000-0000-000000000000".parse().unwrap());
    let largest = ChatId("ffffffff-ffff-ffff-ffff-ffffffffffff".parse().unwrap());
    assert_eq!(behind(2, largest).await, ids_from(0));
    assert_eq!(behind(2, known[1].1).await, ids_from(2));
    assert_eq!(behind(2, smallest).await, ids_from(3));
    assert_eq!(behind(1, largest).await, ids_from(3));
    assert_eq!(behind(100, smallest).await, ids_from(0));
    assert_eq!(behind(0, smallest).await, []);
}
