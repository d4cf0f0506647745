//! Lists of a crowded tenant, compared with what a plain vector gives.

use std::{cmp::Ordering, collections::HashMap, time::Duration};

use convoke_domain::{
    ChatFilter, ChatId, ChatQuery, Direction, PageSize, Service, Sort, SortField, SortKey, TenantId, Timestamp,
};
use convoke_store::NewChat;

use crate::{
    lists::{ids, list},
    world::{Chance, End, World, at_once, closed, created_by, group_of, second, tenant},
};

/// What lists are made from.
#[derive(Debug, Clone)]
pub struct Known {
    pub id: ChatId,
    registered_at: Timestamp,
    updated_at: Timestamp,
    title: String,
    created_by: Option<String>,
    service: Service,
    is_active: bool,
}

impl Known {
    pub fn new(chat: &NewChat) -> Self {
        Self {
            id: chat.id,
            registered_at: chat.at,
            updated_at: chat.at,
            title: chat.title.as_str().to_owned(),
            created_by: chat.created_by.as_ref().map(|text| text.as_str().to_owned()),
            service: chat.service,
            is_active: false,
        }
    }

    /// Takes in how the making of the chat ended.
    pub fn learn(&mut self, end: End, at: Timestamp) {
        self.is_active = end == End::Made;
        if end != End::PutOffForEver {
            self.updated_at = self.updated_at.max(at);
        }
    }

    fn compare(&self, other: &Self, key: SortKey) -> Ordering {
        let ascending = match key.field {
            SortField::RegisteredAt => self.registered_at.cmp(&other.registered_at),
            SortField::UpdatedAt => self.updated_at.cmp(&other.updated_at),
            SortField::Title => self.title.chars().cmp(other.title.chars()),
            SortField::CreatedBy => self.created_by.cmp(&other.created_by),
            SortField::Service => self.service.as_str().cmp(other.service.as_str()),
            SortField::IsActive => self.is_active.cmp(&other.is_active),
            SortField::Id => self.id.to_string().cmp(&other.id.to_string()),
        };
        match key.direction {
            Direction::Ascending => ascending,
            Direction::Descending => ascending.reverse(),
        }
    }

    fn matches(&self, filter: &ChatFilter) -> bool {
        filter.is_active.is_none_or(|wanted| wanted == self.is_active)
            && (filter.ids.is_empty() || filter.ids.contains(&self.id))
            && filter.registered_from.is_none_or(|from| self.registered_at >= from)
            && filter.registered_to.is_none_or(|to| self.registered_at <= to)
    }
}

/// The total and the page that a query is to be answered with.
pub fn expected(chats: &[Known], query: &ChatQuery) -> (u64, Vec<ChatId>) {
    let mut matching: Vec<&Known> = chats.iter().filter(|chat| chat.matches(&query.filter)).collect();
    let order = |a: &Known, b: &Known| {
        query.sort.keys().iter().fold(Ordering::Equal, |so_far, key| so_far.then_with(|| a.compare(b, *key)))
    };
    matching.sort_by(|a, b| order(a, b));
    let total = matching.len() as u64;
    let offset = usize::try_from(query.offset().min(total)).unwrap();
    let size = usize::try_from(query.size.get()).unwrap();
    (total, matching.into_iter().skip(offset).take(size).map(|chat| chat.id).collect())
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The second in which most chats are registered: at the end of its minute, hour and day, where spans meet.
fn crowded_second() -> Timestamp {
    "2025-03-01T23:59:59Z".parse().unwrap()
}

/// An instant that is the more crowded the nearer it is to the crowded second.
fn crowded_instant(chance: &mut Chance) -> Timestamp {
    let (within, before) = match chance.below(100) {
        0..83 => (1_000, 0),
        83..88 => (3 * MINUTE * 1_000, MINUTE),
        88..92 => (3 * HOUR * 1_000, HOUR),
        92..96 => (3 * DAY * 1_000, DAY),
        _ => (400 * DAY * 1_000, 200 * DAY),
    };
    let start = crowded_second().minus(Duration::from_secs(before));
    start.plus(Duration::from_millis(chance.below(within)))
}

fn crowded_chat(world: &World, chance: &mut Chance) -> NewChat {
    let title = format!("{}{}", chance.one_of(&["a", "Z", "é", "😀", "chat "]), chance.below(300));
    NewChat {
        at: crowded_instant(chance),
        service: if chance.once_in(10) { Service::Telegram } else { Service::Sandbox },
        created_by: created_by(["", "ana", "Zoe", "örjan"][chance.place(4)]),
        ..world.new_chat(&title)
    }
}

async fn register_crowd(world: &World, tenant: &TenantId, chats: &mut Vec<Known>, number: usize, chance: &mut Chance) {
    let new: Vec<NewChat> = (0..number).map(|_| crowded_chat(world, chance)).collect();
    chats.extend(new.iter().map(Known::new));
    for some in new.chunks(500) {
        at_once(some.iter().cloned().map(|chat| {
            let (world, tenant) = (world.clone(), tenant.clone());
            async move { world.register_new(&tenant, chat).await }
        }))
        .await;
    }
}

/// Makes groups for most of the chats that wait.
async fn make_groups(world: &World, chats: &mut [Known], chance: &mut Chance) {
    let ended = world.finish_all(crowded_second().plus(Duration::from_secs(1_000 * DAY)), |_| match chance.below(10) {
        0..6 => End::Made,
        6..8 => End::GivenUp,
        _ => End::PutOffForEver,
    });
    let ended: HashMap<ChatId, (End, Timestamp)> =
        ended.await.into_iter().map(|(id, end, at)| (id, (end, at))).collect();
    for chat in chats {
        if let Some((end, at)) = ended.get(&chat.id) {
            chat.learn(*end, *at);
        }
    }
}

/// Ends some of the chats that are active.
async fn close_some(world: &World, chats: &mut [Known], chance: &mut Chance) {
    let mut events = Vec::new();
    let now = second(500 * DAY);
    for chat in chats.iter_mut().filter(|chat| chat.is_active) {
        if chance.once_in(9) {
            events.push(closed(&group_of(chat.id, now).provider_chat_id, now));
            (chat.is_active, chat.updated_at) = (false, now);
        }
    }
    assert!(events.len() > 100);
    world.store.record_events(Service::Sandbox, &events, now).await.unwrap();
}

fn random_bound(chats: &[Known], chance: &mut Chance) -> Option<Timestamp> {
    let near = |at: Timestamp, chance: &mut Chance| at.plus(Duration::from_millis(chance.below(3))).as_millis() - 1;
    let on_a_span = |span: i64, at: i64| at - at.rem_euclid(span);
    let at = chance.one_of(chats).registered_at;
    let millis = match chance.below(6) {
        0..2 => return None,
        2 => near(at, chance),
        3 => on_a_span(*chance.one_of(&[1_000, 60_000, 3_600_000, 86_400_000]), at.as_millis()),
        4 => on_a_span(*chance.one_of(&[1_000, 60_000, 3_600_000, 86_400_000]), at.as_millis()) - 1,
        _ => near(crowded_instant(chance), chance),
    };
    Some(Timestamp::from_millis(millis))
}

fn random_sort(chance: &mut Chance) -> Sort {
    let direction = |chance: &mut Chance| *chance.one_of(&[Direction::Ascending, Direction::Descending]);
    // Mostly the order in which pages are found by spans.
    if !chance.once_in(3) {
        return Sort::new(&[SortKey { field: SortField::RegisteredAt, direction: direction(chance) }]).unwrap();
    }
    let mut keys: Vec<SortKey> = Vec::new();
    for _ in 0..=chance.below(3) {
        let field = *chance.one_of(&SortField::ALL);
        if keys.iter().all(|key| key.field != field) {
            keys.push(SortKey { field, direction: direction(chance) });
        }
    }
    Sort::new(&keys).unwrap()
}

fn random_query(chats: &[Known], chance: &mut Chance) -> ChatQuery {
    let ids = if chance.once_in(12) {
        (0..=chance.below(199)).map(|_| chance.one_of(chats).id).collect()
    } else {
        Vec::new()
    };
    let filter = ChatFilter {
        is_active: *chance.one_of(&[None, None, Some(true), Some(false)]),
        ids,
        registered_from: random_bound(chats, chance),
        registered_to: random_bound(chats, chance),
    };
    let size = *chance.one_of(&[1, 3, 20, 77, 200]);
    let (matching, _) = expected(chats, &ChatQuery { filter: filter.clone(), ..ChatQuery::default() });
    let pages = matching.div_ceil(u64::from(size));
    let page = match chance.below(8) {
        0 => 0,
        1 => pages.saturating_sub(1),
        2 => pages,
        _ => chance.below(pages + 1),
    };
    ChatQuery {
        filter,
        sort: random_sort(chance),
        page: page.to_string().parse().unwrap(),
        size: PageSize::new(size).unwrap(),
    }
}

async fn compare(world: &World, tenant: &TenantId, chats: &[Known], queries: usize, chance: &mut Chance) {
    let mut shown = 0;
    for _ in 0..queries {
        let query = random_query(chats, chance);
        let page = list(world, tenant, &query).await;
        assert_eq!((page.total, ids(&page.documents)), expected(chats, &query), "{query:?}");
        shown += page.documents.len();
    }
    assert!(shown > 5 * queries, "most pages show something");
}

pub async fn any_page_of_a_crowded_tenant_is_the_one_a_plain_vector_gives(world: &World) {
    let (acme, other) = (tenant("acme"), tenant("other"));
    let mut chance = Chance::new(11);
    let (mut chats, mut others) = (Vec::new(), Vec::new());
    register_crowd(world, &acme, &mut chats, 6_300, &mut chance).await;
    let crowd = chats.iter().filter(|chat| chat.registered_at.since(crowded_second()) < Duration::from_secs(1));
    assert!(crowd.filter(|chat| chat.registered_at >= crowded_second()).count() > 5_000, "spans are split");
    register_crowd(world, &other, &mut others, 30, &mut chance).await;
    compare(world, &acme, &chats, 100, &mut chance).await;

    make_groups(world, &mut chats, &mut chance).await;
    compare(world, &acme, &chats, 100, &mut chance).await;
    while world.store.roll_up_counts().await.unwrap() > 0 {}
    compare(world, &acme, &chats, 150, &mut chance).await;

    close_some(world, &mut chats, &mut chance).await;
    register_crowd(world, &acme, &mut chats, 200, &mut chance).await;
    compare(world, &acme, &chats, 100, &mut chance).await;
}
