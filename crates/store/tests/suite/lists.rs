//! Lists of few chats.

use convoke_domain::{
    Chat, ChatFilter, ChatId, ChatQuery, PageSize, Service, Sort, SortField, SortKey, TenantId, Timestamp,
};
use convoke_store::{ChatPage, NewChat};

use crate::{
    list_model::{Known, expected},
    world::{End, World, created_by, second, tenant},
};

/// An order, written as clients write it.
pub fn sort(keys: &[&str]) -> Sort {
    let keys: Vec<SortKey> = keys.iter().map(|key| key.parse().expect("a sort key")).collect();
    Sort::new(&keys).expect("an order")
}

pub fn query(filter: ChatFilter, sort: Sort, page: u64, size: u32) -> ChatQuery {
    ChatQuery { filter, sort, page: page.to_string().parse().unwrap(), size: PageSize::new(size).unwrap() }
}

pub async fn list(world: &World, tenant: &TenantId, query: &ChatQuery) -> ChatPage {
    world.store.list_chats(tenant, query).await.expect("a page")
}

/// The chats that a list shows.
pub fn chats(documents: &str) -> Vec<Chat> {
    serde_json::from_str(&format!("[{documents}]")).expect("the contract's JSON")
}

/// The ids that a list shows.
pub fn ids(documents: &str) -> Vec<ChatId> {
    chats(documents).iter().map(|chat| chat.id).collect()
}

async fn titles(world: &World, tenant: &TenantId, query: &ChatQuery) -> Vec<String> {
    let title = |chat: &Chat| chat.current_title().expect("a title").to_owned();
    chats(&list(world, tenant, query).await.documents).iter().map(title).collect()
}

async fn register_titles(world: &World, tenant: &TenantId, titles: &[&str]) {
    for title in titles {
        world.register_new(tenant, world.new_chat(title)).await;
    }
}

fn sorted_by(keys: &[&str]) -> ChatQuery {
    query(ChatFilter::default(), sort(keys), 0, 200)
}

/// Chats that share most of what they can be sorted by, some active, some failed.
async fn varied_chats(world: &World, tenant: &TenantId) -> Vec<Known> {
    let mut chats = Vec::new();
    for number in 0..36_u64 {
        let title = ["Alpha", "alpha", "Beta"][usize::try_from(number % 3).unwrap()];
        let chat = NewChat {
            created_by: [None, created_by("ana"), created_by("Zoe")][usize::try_from(number / 3 % 3).unwrap()].clone(),
            service: if number % 4 == 0 { Service::Telegram } else { Service::Sandbox },
            at: second(number / 5),
            ..world.new_chat(title)
        };
        chats.push(Known::new(&chat));
        world.register_new(tenant, chat).await;
    }
    let mut number = 0_u64;
    for (chat, outcome, at) in world
        .finish_all(second(100), |_| {
            number += 1;
            End::ALL[usize::try_from(number % 3).unwrap()]
        })
        .await
    {
        chats.iter_mut().find(|known| known.id == chat).unwrap().learn(outcome, at);
    }
    chats
}

pub async fn an_empty_tenant_has_an_empty_list(world: &World) {
    let acme = tenant("acme");
    for keys in [&[][..], &["title"], &["registeredAt"]] {
        for page in [0, 1] {
            let page = list(world, &acme, &query(ChatFilter::default(), sort(keys), page, 20)).await;
            assert_eq!(page, ChatPage::default());
        }
    }
}

pub async fn the_newest_comes_first_where_nothing_is_said(world: &World) {
    let acme = tenant("acme");
    register_titles(world, &acme, &["first", "second", "third"]).await;
    assert_eq!(titles(world, &acme, &ChatQuery::default()).await, ["third", "second", "first"]);
    // At one instant the id decides.
    let twins: Vec<NewChat> = (0..5).map(|_| NewChat { at: second(1), ..world.new_chat("twin") }).collect();
    let mut expected: Vec<ChatId> = twins.iter().map(|chat| chat.id).collect();
    expected.sort();
    expected.reverse();
    for twin in twins {
        world.register_new(&acme, twin).await;
    }
    let page = list(world, &acme, &ChatQuery { size: PageSize::new(5).unwrap(), ..ChatQuery::default() }).await;
    assert_eq!((page.total, ids(&page.documents)), (8, expected));
}

pub async fn titles_sort_by_code_point(world: &World) {
    let acme = tenant("acme");
    // UTF-16 has the last two the other way round; collations of languages have nearly all of them elsewhere.
    let ordered = ["-", "10", "9", "Z", "Z a", "Za", "_", "a", "aB", "ab", "z", "é", "ß", "д", "\u{ff5e}", "😀"];
    let mut sorted = ordered;
    sorted.sort_unstable();
    let shuffled = [7, 2, 15, 0, 11, 4, 9, 13, 1, 6, 3, 14, 8, 5, 10, 12].map(|place: usize| ordered[place]);
    register_titles(world, &acme, &shuffled).await;
    assert_eq!(titles(world, &acme, &sorted_by(&["title"])).await, sorted);
    sorted.reverse();
    assert_eq!(titles(world, &acme, &sorted_by(&["title,desc"])).await, sorted);
}

pub async fn absent_creators_come_before_present_ones(world: &World) {
    let acme = tenant("acme");
    for (title, creator) in [("b", "b"), ("absent", ""), ("Z", "Z"), ("a", "a")] {
        world.register_new(&acme, NewChat { created_by: created_by(creator), ..world.new_chat(title) }).await;
    }
    assert_eq!(titles(world, &acme, &sorted_by(&["createdBy"])).await, ["absent", "Z", "a", "b"]);
    assert_eq!(titles(world, &acme, &sorted_by(&["createdBy,desc"])).await, ["b", "a", "Z", "absent"]);
}

pub async fn every_field_sorts_both_ways_with_the_id_as_tie_breaker(world: &World) {
    let acme = tenant("acme");
    let chats = varied_chats(world, &acme).await;
    for field in SortField::ALL {
        for direction in ["asc", "desc"] {
            let key = format!("{},{direction}", field.as_str());
            let query = sorted_by(&[&key]);
            let page = list(world, &acme, &query).await;
            assert_eq!((page.total, ids(&page.documents)), expected(&chats, &query), "{key}");
        }
    }
}

pub async fn combined_orders_hold(world: &World) {
    let acme = tenant("acme");
    let chats = varied_chats(world, &acme).await;
    let orders: [&[&str]; 6] = [
        &["title", "createdBy,desc"],
        &["isActive,desc", "registeredAt"],
        &["createdBy", "service", "title,desc", "updatedAt"],
        &["registeredAt", "id,desc"],
        &["registeredAt,desc", "title"],
        &["service,desc", "id"],
    ];
    for order in orders {
        for page in 0..4 {
            let query = query(ChatFilter::default(), sort(order), page, 10);
            let page = list(world, &acme, &query).await;
            assert_eq!((page.total, ids(&page.documents)), expected(&chats, &query), "{query:?}");
        }
    }
}

pub async fn filters_hold_alone_and_together(world: &World) {
    let acme = tenant("acme");
    let chats = varied_chats(world, &acme).await;
    let some_ids: Vec<ChatId> = chats.iter().step_by(3).map(|chat| chat.id).collect();
    let mut seen = 0;
    for is_active in [None, Some(true), Some(false)] {
        for ids_wanted in [&[][..], &some_ids[..1], &some_ids] {
            for registered_from in [None, Some(second(2))] {
                for registered_to in [None, Some(second(4))] {
                    let filter = ChatFilter { is_active, ids: ids_wanted.to_vec(), registered_from, registered_to };
                    for order in ["registeredAt,desc", "registeredAt", "title"] {
                        let query = query(filter.clone(), sort(&[order]), 0, 200);
                        let page = list(world, &acme, &query).await;
                        assert_eq!((page.total, ids(&page.documents)), expected(&chats, &query), "{query:?}");
                        seen += page.total;
                    }
                }
            }
        }
    }
    assert!(seen > 300, "the filters let something through");
}

pub async fn dates_are_inclusive_to_the_millisecond(world: &World) {
    let acme = tenant("acme");
    let at = |millis: i64| Timestamp::from_millis(1_733_907_243_123 + millis);
    for (millis, title) in [(0, "a"), (1, "b"), (2, "c")] {
        world.register_new(&acme, NewChat { at: at(millis), ..world.new_chat(title) }).await;
    }
    let between = |from: Option<i64>, to: Option<i64>| ChatFilter {
        registered_from: from.map(at),
        registered_to: to.map(at),
        ..ChatFilter::default()
    };
    let cases: [(Option<i64>, Option<i64>, &[&str]); 8] = [
        (Some(1), Some(1), &["b"]),
        (Some(1), None, &["b", "c"]),
        (None, Some(1), &["a", "b"]),
        (Some(0), Some(2), &["a", "b", "c"]),
        (Some(3), None, &[]),
        (None, Some(-1), &[]),
        (Some(2), Some(1), &[]),
        (Some(-1), Some(0), &["a"]),
    ];
    for (from, to, expected) in cases {
        for order in ["registeredAt", "title"] {
            let query = query(between(from, to), sort(&[order]), 0, 20);
            assert_eq!(list(world, &acme, &query).await.total, expected.len() as u64, "{from:?} {to:?} {order}");
            assert_eq!(titles(world, &acme, &query).await, expected, "{from:?} {to:?} {order}");
        }
    }
    let all = ChatFilter {
        registered_from: Some(Timestamp::MIN),
        registered_to: Some(Timestamp::MAX),
        ..ChatFilter::default()
    };
    assert_eq!(list(world, &acme, &query(all, Sort::default(), 0, 2)).await.total, 3);
}

pub async fn ids_that_are_not_there_match_nothing(world: &World) {
    let (acme, other) = (tenant("acme"), tenant("other"));
    let ours = world.register_new(&acme, world.new_chat("ours")).await.chat_id;
    let theirs = world.register_new(&other, world.new_chat("theirs")).await.chat_id;
    let mut wanted = vec![theirs, ours, ours];
    wanted.extend((3..ChatFilter::MAX_IDS).map(|_| world.new_chat("unknown").id));
    let of = |ids: Vec<ChatId>| query(ChatFilter { ids, ..ChatFilter::default() }, Sort::default(), 0, 20);
    let page = list(world, &acme, &of(wanted)).await;
    assert_eq!((page.total, ids(&page.documents)), (1, vec![ours]));
    assert_eq!(list(world, &acme, &of(vec![theirs])).await, ChatPage::default());
}

pub async fn pages_are_cut_where_they_should_be(world: &World) {
    let acme = tenant("acme");
    let numbers: Vec<String> = (0..25).map(|number| format!("{number:02}")).collect();
    register_titles(world, &acme, &numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let long_ago = ChatFilter { registered_from: Some(Timestamp::MIN), ..ChatFilter::default() };
    for filter in [ChatFilter::default(), long_ago] {
        for order in ["registeredAt", "title"] {
            for (page, expected) in [
                (0, &numbers[..10]),
                (1, &numbers[10..20]),
                (2, &numbers[20..]),
                (3, &[]),
                (200, &[]),
                (2_147_483_647, &[]),
            ] {
                let query = query(filter.clone(), sort(&[order]), page, 10);
                assert_eq!(titles(world, &acme, &query).await, expected, "{query:?}");
                assert_eq!(list(world, &acme, &query).await.total, 25, "{query:?}");
            }
            let exact = query(filter.clone(), sort(&[order]), 4, 5);
            assert_eq!(titles(world, &acme, &exact).await, numbers[20..], "the last page is full");
        }
    }
    let last = query(ChatFilter::default(), Sort::default(), 24, 1);
    assert_eq!(titles(world, &acme, &last).await, ["00"]);
}

pub async fn a_list_shows_the_documents_of_the_details(world: &World) {
    let acme = tenant("acme");
    let mut expected = Vec::new();
    for title in ["one", "two \"quoted\"", "three\u{2028}"] {
        let chat = world.active_chat(&acme, title).await;
        expected.insert(0, world.document(&acme, chat.id).await.json);
    }
    let expected = expected.join(",");
    assert_eq!(list(world, &acme, &ChatQuery::default()).await.documents, expected);
    let walk = world.store.walk_chats(&acme, &ChatFilter::default(), None, PageSize::default()).await.unwrap();
    assert_eq!(walk.documents, expected);
}

pub async fn a_list_holds_one_tenants_chats(world: &World) {
    let (acme, other) = (tenant("acme"), tenant("other"));
    register_titles(world, &acme, &["a", "b", "c"]).await;
    register_titles(world, &other, &["x"]).await;
    for order in ["registeredAt", "title"] {
        let query = sorted_by(&[order]);
        assert_eq!(titles(world, &acme, &query).await, ["a", "b", "c"]);
        assert_eq!(titles(world, &other, &query).await, ["x"]);
        assert_eq!(list(world, &acme, &query).await.total, 3);
        assert_eq!(list(world, &other, &query).await.total, 1);
        assert_eq!(list(world, &tenant("nobody"), &query).await, ChatPage::default());
    }
}
