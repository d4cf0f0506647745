//! Lists while others write.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use convoke_domain::{ChatFilter, ChatQuery, Timestamp};
use convoke_store::NewChat;

use crate::{
    lists::{chats, list, query, sort},
    world::{Chance, End, World, at_once, second, tenant},
};

const WRITERS: u64 = 4;
const CHATS_OF_EACH: u64 = 150;

fn random_query(chance: &mut Chance) -> ChatQuery {
    let filter = ChatFilter {
        is_active: *chance.one_of(&[None, Some(true), Some(false)]),
        registered_from: *chance.one_of(&[None, Some(second(0)), Some(second(40))]),
        registered_to: *chance.one_of(&[None, Some(Timestamp::MAX), Some(second(100))]),
        ..ChatFilter::default()
    };
    let order = *chance.one_of(&["registeredAt,desc", "registeredAt", "title"]);
    query(filter, sort(&[order]), chance.below(6), 50)
}

/// Reads until there is nothing more to come; each answer must agree with itself. Returns the largest total.
async fn read(world: World, seed: u64, all_written: Arc<AtomicBool>) -> u64 {
    let acme = tenant("acme");
    let mut chance = Chance::new(seed);
    let mut largest = 0;
    loop {
        let was_last = all_written.load(Ordering::SeqCst);
        let query = random_query(&mut chance);
        let page = list(&world, &acme, &query).await;
        let expected = page.total.saturating_sub(query.offset()).min(50);
        let chats = chats(&page.documents);
        assert_eq!(chats.len() as u64, expected, "of {} in all: {query:?}", page.total);
        if let Some(wanted) = query.filter.is_active {
            assert!(chats.iter().all(|chat| chat.is_active == wanted), "{query:?}");
        }
        largest = largest.max(page.total);
        if was_last {
            return largest;
        }
    }
}

pub async fn totals_and_records_are_of_one_moment_while_others_write(world: &World) {
    let acme = tenant("acme");
    let all_written = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3).map(|seed| tokio::spawn(read(world.clone(), seed, all_written.clone()))).collect();
    at_once((0..WRITERS).map(|writer| {
        let (world, acme) = (world.clone(), acme.clone());
        async move {
            for number in 0..CHATS_OF_EACH {
                let at = second((number * WRITERS + writer) % 97);
                world.register_new(&acme, NewChat { at, ..world.new_chat(&format!("Chat {number}")) }).await;
                if number % 20 == 19 {
                    world.finish_all(second(200), |_| End::Made).await;
                }
                if number % 30 == 29 {
                    world.store.roll_up_counts().await.unwrap();
                }
            }
        }
    }))
    .await;
    all_written.store(true, Ordering::SeqCst);
    for reader in readers {
        let largest = reader.await.expect("every answer agrees with itself");
        assert!(largest > 0, "the reader saw chats");
    }
    let total = world.store.list_chats(&acme, &ChatQuery::default()).await.unwrap().total;
    assert_eq!(total, WRITERS * CHATS_OF_EACH);
}
