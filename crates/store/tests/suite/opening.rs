//! Opening a database, alone and beside others.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    sync::Arc,
};

use convoke_store::{Migrate, Store, StoreError};
use convoke_test_support::TestEnvironment;
use tempfile::TempDir;

use crate::backup::Kept;
use crate::world::{Database, Home, World, at_once, check, open, serve_next, tenant};

async fn open_at(home: &Home, migrate: Migrate) -> Arc<dyn Store> {
    open(&home.url(), migrate, false, &TestEnvironment::new()).await.expect("a store")
}

pub async fn an_empty_database_is_not_ready_until_it_is_migrated(world: &World) {
    let home = Home::empty(world.home.kind()).await;
    let store = open_at(&home, Migrate::Off).await;
    assert!(store.ready().await.is_err());
    assert!(store.ready().await.is_err(), "asking changes nothing");
    let migrated = open_at(&home, Migrate::Auto).await;
    migrated.ready().await.expect("the schema is there");
    store.ready().await.expect("the schema is there for others too");
    assert_eq!(store.find_chat(&tenant("acme"), world.new_chat("Unknown").id).await.unwrap(), None);
}

pub async fn each_migration_is_told(world: &World) {
    let home = Home::empty(world.home.kind()).await;
    let (url, kept) = (home.url().parse().unwrap(), Arc::new(Kept::default()));
    convoke_store::migrate(&url, kept.clone()).await.expect("the schema");
    let told = std::mem::take(&mut *kept.0.lock().unwrap());
    let total = told.len() as u64;
    assert!(total > 1 && told[0].0.starts_with('2'), "they are told by their names: {told:?}");
    let places: Vec<_> = told.iter().map(|(_, done, total)| (*done, *total)).collect();
    assert_eq!(places, (0..total).map(|done| (done, Some(total))).collect::<Vec<_>>());
    open_at(&home, Migrate::Off).await.ready().await.expect("the schema is there");
    convoke_store::migrate(&url, kept.clone()).await.expect("there is nothing to do");
    assert_eq!(*kept.0.lock().unwrap(), []);
}

pub async fn many_may_migrate_at_once(world: &World) {
    let home = Arc::new(Home::empty(world.home.kind()).await);
    let stores = at_once((0..6).map(|_| {
        let home = home.clone();
        async move { open_at(&home, Migrate::Auto).await }
    }))
    .await;
    for store in stores {
        store.ready().await.expect("the schema is there");
    }
}

pub async fn a_newer_schema_is_accepted(world: &mut World) {
    let newer = "insert into __diesel_schema_migrations (version) values ('99991231000000')";
    world.execute(newer).await;
    world.store.ready().await.expect("it holds all that is needed");
    world.reopen().await;
    world.store.ready().await.expect("it holds all that is needed");
    let accepted = world.register_new(&tenant("acme"), world.new_chat("Later")).await;
    assert_eq!(world.chat(&tenant("acme"), accepted.chat_id).await.current_title(), Some("Later"));
}

pub async fn what_one_store_writes_another_one_sees(world: &World) {
    let acme = tenant("acme");
    let beside = open(&world.home.url(), Migrate::Auto, false, &TestEnvironment::seeded(1)).await.expect("a store");
    let accepted = world.register_new(&acme, world.new_chat("Shared")).await;
    assert_eq!(
        beside.find_chat(&acme, accepted.chat_id).await.unwrap(),
        Some(world.document(&acme, accepted.chat_id).await)
    );
    // Both write at once, each its own.
    let mut other = world.clone();
    other.store = beside;
    at_once((0..200).map(|number| {
        let world = if number % 2 == 0 { world.clone() } else { other.clone() };
        let (acme, chat) = (acme.clone(), world.new_chat("Shared"));
        async move { world.register_new(&acme, chat).await }
    }))
    .await;
    for world in [world, &other] {
        assert_eq!(world.store.list_chats(&acme, &convoke_domain::ChatQuery::default()).await.unwrap().total, 201);
    }
}

fn refusal(opened: Result<Arc<dyn Store>, StoreError>) -> String {
    match opened {
        Ok(_) => panic!("it can't be opened"),
        Err(StoreError::Open(reason)) => reason,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_process_serves_a_sqlite_database() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}/deep/er/convoke.db", folder.path().display());
    let environment = TestEnvironment::new();
    let serving = open(&url, Migrate::Auto, true, &environment).await.expect("the folder is made");
    let reason = refusal(open(&url, Migrate::Auto, true, &environment).await);
    assert!(reason.contains("deep/er/convoke.db") && !reason.contains('\n'), "{reason}");
    let command = open(&url, Migrate::Auto, false, &environment).await.expect("commands work beside it");
    command.ready().await.unwrap();
    drop(serving);
    let next = serve_next(&url, &environment).await;
    next.ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_process_serves_a_sqlite_database_whatever_links_lead_to_it() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| format!("sqlite://{}/{name}", folder.path().display());
    let environment = TestEnvironment::new();
    let serving = open(&at("real/convoke.db"), Migrate::Auto, true, &environment).await.expect("a store");
    symlink(folder.path().join("real/convoke.db"), folder.path().join("link.db")).unwrap();
    symlink(folder.path().join("real"), folder.path().join("linked")).unwrap();
    for link in ["link.db", "linked/convoke.db", "linked/../real/convoke.db"] {
        let reason = refusal(open(&at(link), Migrate::Auto, true, &environment).await);
        assert!(reason.contains("already serves") && reason.contains("real/convoke.db"), "{reason}");
    }
    let beside = open(&at("link.db"), Migrate::Auto, false, &environment).await.expect("commands work beside it");
    beside.ready().await.unwrap();
    drop(serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_database_is_its_owners_alone() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}/data/convoke.db", folder.path().display());
    let store = open(&url, Migrate::Auto, true, &TestEnvironment::new()).await.expect("a store");
    store.ready().await.unwrap();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("data"), 0o700);
    for file in ["convoke.db", "convoke.db-wal", "convoke.db-shm"] {
        assert_eq!(mode(&format!("data/{file}")), 0o600, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_can_not_be_a_sqlite_database_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().display();
    std::fs::write(
        folder.path().join("text"),
        "this is no database, although it is long enough to be one. ".repeat(40),
    )
    .unwrap();
    std::fs::create_dir(folder.path().join("folder.db")).unwrap();
    let environment = TestEnvironment::new();
    for (url, culprit) in [
        (format!("sqlite://{path}/folder.db"), "folder.db"),
        (format!("sqlite://{path}/text"), "text"),
        (format!("sqlite://{path}/text/below.db"), "text"),
    ] {
        let reason = refusal(open(&url, Migrate::Auto, false, &environment).await);
        assert!(reason.contains(culprit) && !reason.contains('\n'), "{reason}");
    }
}

// A database that several processes may serve has leases that end by their time alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_gone_holds_no_leases_of_a_sqlite_database() {
    check(Database::Sqlite, async |world: &mut World| {
        let accepted = world.register_new(&tenant("acme"), world.new_chat("Taken over")).await;
        let lost = world.claim_only().await;
        world.reopen().await;
        let next = world.claim_only().await;
        assert_eq!(next.lease.operation_id, accepted.operation_id);
        assert_eq!((next.lease.fence, next.attempts), (lost.lease.fence + 1, 2), "the attempt was made");
    })
    .await;
}
