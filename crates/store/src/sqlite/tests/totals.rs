//! Totals and pages beside what counting finds, while registrations and activations go on.

use std::{path::Path, sync::atomic::AtomicBool, sync::atomic::Ordering};

use convoke_domain::{Direction, SortField, SortKey};
use diesel::sql_types::{BigInt, Bool, Nullable};

use super::*;
use crate::{Migrate, Reads as _, Repository as _, SystemRepository as _, counts::SPLIT_ABOVE, sqlite::SqliteStore};

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct DocumentRow {
    #[diesel(sql_type = Text)]
    document: String,
}

/// The total and the page of this query, as the service finds them and as counting and sorting do, in one transaction.
async fn both(store: &SqliteStore, query: &ChatQuery) -> ((u64, String), (u64, String)) {
    const MATCHING: &str = "from chats where tenant_id = 'acme' and (?1 is null or is_active = ?1) \
        and registered_at >= ?2 and registered_at <= ?3";
    let query = query.clone();
    let read = move |connection: &mut SqliteConnection| {
        let filter = &query.filter;
        let from = filter.registered_from.unwrap_or(Timestamp::MIN).as_millis();
        let to = filter.registered_to.unwrap_or(Timestamp::MAX).as_millis();
        let descending = query.sort.by_registration() == Some(Direction::Descending);
        let order = if descending { "registered_at desc, id desc" } else { "registered_at, id" };
        let found = list::page(connection, &"acme".parse().unwrap(), &query)?;
        let counted: CountRow = diesel::sql_query(format!("select count(*) as number {MATCHING}"))
            .bind::<Nullable<Bool>, _>(filter.is_active)
            .bind::<BigInt, _>(from)
            .bind::<BigInt, _>(to)
            .get_result(connection)?;
        let page = format!("select document {MATCHING} order by {order} limit ?4 offset ?5");
        let sorted: Vec<DocumentRow> = diesel::sql_query(page)
            .bind::<Nullable<Bool>, _>(filter.is_active)
            .bind::<BigInt, _>(from)
            .bind::<BigInt, _>(to)
            .bind::<BigInt, _>(i64::from(query.size.get()))
            .bind::<BigInt, _>(i64::try_from(query.offset()).unwrap())
            .load(connection)?;
        let sorted = sorted.into_iter().map(|row| row.document).collect::<Vec<_>>().join(",");
        Ok(((found.total, found.documents), (u64::try_from(counted.number).unwrap(), sorted)))
    };
    store.threads.read(read).await.unwrap()
}

/// One query after the other, of any filter and page.
fn query(place: usize, day: Timestamp) -> ChatQuery {
    let seconds = |seconds| day.plus(Duration::from_secs(seconds));
    let froms = [None, Some(seconds(1)), Some(day.plus(Duration::from_millis(1_234))), Some(seconds(600))];
    let tos = [None, Some(seconds(2)), Some(day.plus(Duration::from_millis(700_123)))];
    let direction = if place.is_multiple_of(2) { Direction::Descending } else { Direction::Ascending };
    ChatQuery {
        filter: ChatFilter {
            is_active: [None, Some(true), Some(false)][place % 3],
            ids: Vec::new(),
            registered_from: froms[place % 4],
            registered_to: tos[place / 2 % 3],
        },
        sort: Sort::new(&[SortKey { field: SortField::RegisteredAt, direction }]).unwrap(),
        page: [0, 1, 60, 130, 250][place % 5].to_string().parse().unwrap(),
        size: PageSize::new(20).unwrap(),
    }
}

async fn open(path: &Path, environment: &TestEnvironment) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(path, Migrate::Auto, false, Arc::new(environment.clone())).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn totals_and_pages_are_exact_while_counts_change_and_are_split() {
    let (folder, environment) = (TempDir::new().unwrap(), TestEnvironment::real_time());
    let store = open(&folder.path().join("convoke.db"), &environment).await;
    let (acme, day): (TenantId, _) = ("acme".parse().unwrap(), environment.now());
    let number = SPLIT_ABOVE.unsigned_abs() * 6 / 5;
    let all_written = Arc::new(AtomicBool::new(false));
    let comparing = {
        let (store, all_written) = (store.clone(), all_written.clone());
        tokio::spawn(async move {
            let mut compared = 0;
            // Those of the end are compared too.
            while !all_written.load(Ordering::SeqCst) || compared % 60 != 0 {
                let query = query(compared, day);
                let (found, expected) = both(&store, &query).await;
                assert_eq!(found, expected, "{query:?}");
                compared += 1;
            }
            compared
        })
    };
    let new_chat = |place: u64| NewChat {
        id: ChatId(environment.new_uuid()),
        id_is_clients: false,
        service: Service::Sandbox,
        title: ChatTitle::new("x", Service::Sandbox).unwrap(),
        created_by: None,
        description: None,
        operation_id: OperationId(environment.new_uuid()),
        // One day, most of it within three seconds.
        at: day.plus(Duration::from_millis(if place.is_multiple_of(10) { place * 200 } else { place % 3_000 })),
        idempotency: None,
        origin: None,
    };
    for begin in (0..number).step_by(200) {
        let registered = (begin..begin + 200).map(|place| store.register_chat(&acme, new_chat(place)));
        for registered in futures_util::future::join_all(registered).await {
            registered.unwrap();
        }
        let now = day.plus(Duration::from_hours(1));
        let (owner, lease_until) = ("me".to_owned(), now.plus(Duration::from_hours(1)));
        let claim = Claim { lanes: vec![Lane::of(Service::Sandbox)], owner, limit: 30, now, lease_until };
        for operation in store.claim_operations(&claim).await.unwrap() {
            let owner = SeenPerson { external_id: "owner".to_owned(), properties: UserProperties::default() };
            let provider_chat_id = operation.chat_id.to_string();
            let group = CreatedGroup { provider_chat_id, owner, made_at: now };
            let made = Outcome::ChatMade { group, invitation: "/sandbox/x".to_owned() };
            assert!(store.finish_attempt(&operation.lease, made, now).await.unwrap());
        }
    }
    all_written.store(true, Ordering::SeqCst);
    assert!(comparing.await.unwrap() >= 60, "pages were compared while others wrote");
    let total = store.list_chats(&acme, &ChatQuery::default()).await.unwrap().total;
    assert_eq!(total, number);
    assert_eq!(store.examine().await.unwrap().findings, []);
}
