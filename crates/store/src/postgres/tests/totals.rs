//! Totals and pages beside what counting finds, while registrations, activations and roll-ups go on.

use convoke_domain::{ChatFilter, Direction, Sort, SortField, SortKey};
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::*;
use crate::{counts::SPLIT_ABOVE, postgres::together::Question as _};

/// How many chats are on a page.
const SIZE: u64 = 20;

/// The total and the page of this query, as the service finds them and as counting and sorting do, in one snapshot.
async fn both(store: &PostgresStore, query: &ChatQuery) -> ((u64, String), (u64, String)) {
    const MATCHING: &str = "from chats where tenant_id = $1 and ($2 is null or is_active = $2) \
        and registered_at >= $3 and registered_at <= $4";
    let acme = &tenant("acme");
    let filter = &query.filter;
    let descending = query.sort.by_registration() == Some(Direction::Descending);
    let order = if descending { "registered_at desc, id desc" } else { "registered_at, id" };
    let (count, page) = (
        &format!("select count(*) {MATCHING}"),
        &format!("select document {MATCHING} order by {order} offset $5 limit $6"),
    );
    let found = store.pool.snapshot(MINUTE, |work| async move {
        let found = match &NearPage::new(acme, query) {
            Some(page) => {
                let found = page.read(&work).await?;
                for also_found in NearPage::read_all(&work, &[page, page]).await? {
                    assert_eq!(also_found.unwrap(), found, "read with others");
                }
                found
            }
            None => list::any_page(&work, acme, query).await?,
        };
        let from = filter.registered_from.unwrap_or(Timestamp::MIN).as_millis();
        let to = filter.registered_to.unwrap_or(Timestamp::MAX).as_millis();
        let counted: i64 = sql::Sql::<BigInt>::new(count)
            .bind::<Text, _>(acme.as_str())
            .bind::<Nullable<Bool>, _>(filter.is_active)
            .bind::<BigInt, _>(from)
            .bind::<BigInt, _>(to)
            .get_result(&mut &*work)
            .await?;
        let sorted: Vec<String> = sql::Sql::<Text>::new(page)
            .bind::<Text, _>(acme.as_str())
            .bind::<Nullable<Bool>, _>(filter.is_active)
            .bind::<BigInt, _>(from)
            .bind::<BigInt, _>(to)
            .bind::<BigInt, _>(i64::try_from(query.offset()).unwrap())
            .bind::<BigInt, _>(i64::from(query.size.get()))
            .load(&mut &*work)
            .await?;
        work.commit().await?;
        Ok(((found.total, found.documents), (u64::try_from(counted).unwrap(), sorted.join(","))))
    });
    found.await.unwrap()
}

/// Compares one query after the other until so many chats are there; returns how often.
async fn compare_until(store: Arc<PostgresStore>, day: Timestamp, number: u64) -> u64 {
    let seconds = |seconds| day.plus(Duration::from_secs(seconds));
    let froms = [None, Some(seconds(1)), Some(day.plus(Duration::from_millis(1_234))), Some(seconds(600))];
    let tos = [None, Some(seconds(2)), Some(day.plus(Duration::from_millis(700_123)))];
    for compared in 0.. {
        let place = usize::try_from(compared).unwrap();
        let direction = if place.is_multiple_of(2) { Direction::Descending } else { Direction::Ascending };
        let page = [0, 1, 60, 130, 400][place % 5];
        let query = ChatQuery {
            filter: ChatFilter {
                is_active: [None, Some(true), Some(false)][place % 3],
                ids: Vec::new(),
                registered_from: froms[place % 4],
                registered_to: tos[place / 2 % 3],
            },
            sort: Sort::new(&[SortKey { field: SortField::RegisteredAt, direction }]).unwrap(),
            page: page.to_string().parse().unwrap(),
            size: PageSize::new(u32::try_from(SIZE).unwrap()).unwrap(),
        };
        let (found, expected) = both(&store, &query).await;
        assert_eq!(found, expected, "{query:?}");
        if query.filter == ChatFilter::default() && found.0 == number {
            return compared;
        }
    }
    0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn totals_and_pages_are_exact_while_counts_are_rolled_up_and_split() {
    let (_database, environment, store) = new_store().await;
    let (store, acme) = (Arc::new(store), tenant("acme"));
    let number = u64::try_from(SPLIT_ABOVE).unwrap() * 5 / 2;
    let day = environment.now();
    let comparing = tokio::spawn(compare_until(store.clone(), day, number));
    let rolling = {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                store.roll_up_counts().await.unwrap();
                let total = store.list_chats(&tenant("acme"), &ChatQuery::default()).await.unwrap().total;
                if total == number {
                    return;
                }
            }
        })
    };
    let rivals = {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                store.roll_up_counts().await.unwrap();
                sleep(Duration::from_millis(7)).await;
            }
        })
    };
    let mut registering = Vec::new();
    for part in 0..10 {
        let (store, environment, acme) = (store.clone(), environment.clone(), acme.clone());
        registering.push(tokio::spawn(async move {
            let chats = (0..number / 10).map(|n| NewChat {
                // One day, most of it in one minute.
                at: day.plus(Duration::from_millis(if n % 10 == 0 { n * 1_000 } else { n % 3_000 + part })),
                ..new_chat(&environment, "x")
            });
            for some in chats.collect::<Vec<_>>().chunks(50) {
                let some = some.iter().map(|chat| store.register_chat(&acme, chat.clone()));
                for registered in futures_util::future::join_all(some).await {
                    registered.unwrap();
                }
                let claimed = store.claim_operations(&claim(&environment, 10)).await.unwrap();
                for operation in claimed {
                    let at = environment.now();
                    store.finish_attempt(&operation.lease, chat_made(operation.chat_id, at), at).await.unwrap();
                }
            }
        }));
    }
    for registering in registering {
        registering.await.unwrap();
    }
    rolling.await.unwrap();
    assert!(comparing.await.unwrap() > 0, "pages were compared while others wrote");
    rivals.await.unwrap();
    assert_eq!(store.examine().await.unwrap().findings, []);
    while store.roll_up_counts().await.unwrap() > 0 {}
    assert_eq!(store.examine().await.unwrap().findings, []);
    let levels = store.pool.snapshot(MINUTE, |work| async move {
        let finest = counts::kept(&work, "acme", crate::counts::Level::Second, i64::MIN, i64::MAX).await?;
        work.commit().await?;
        Ok(finest.len())
    });
    assert!(levels.await.unwrap() > 1, "a crowded minute is kept by seconds");
}
