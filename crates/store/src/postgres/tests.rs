//! What is PostgreSQL's own; what every store does is told in `tests/suite`.

use std::collections::BTreeMap;

use convoke_domain::{ChatStatus, ChatTitle, Service, Timestamp, UserProperties};
use convoke_provider::{CreatedGroup, Lane, SeenPerson};
use convoke_test_support::{
    Cluster, ClusterOptions, TestDatabase, TestEnvironment, create_database, create_database_at,
};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::*;
use crate::{Claim, Outcome as End, SystemRepository};

mod batches;
mod totals;

mod replicas;

const MINUTE: Duration = Duration::from_mins(1);

async fn open(url: &str, environment: &TestEnvironment, migrate: Migrate) -> Result<PostgresStore> {
    PostgresStore::open(&SecretString::from(url), migrate, Arc::new(environment.clone())).await
}

async fn new_store() -> (TestDatabase, TestEnvironment, PostgresStore) {
    let (database, environment) = (create_database(None).await, TestEnvironment::real_time());
    let store = open(database.url(), &environment, Migrate::Auto).await.unwrap();
    (database, environment, store)
}

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

fn new_chat(environment: &TestEnvironment, title: &str) -> NewChat {
    NewChat {
        id: ChatId(environment.new_uuid()),
        id_is_clients: false,
        service: Service::Sandbox,
        title: ChatTitle::new(title, Service::Sandbox).unwrap(),
        created_by: None,
        description: None,
        operation_id: OperationId(environment.new_uuid()),
        at: environment.now(),
        idempotency: None,
        origin: None,
    }
}

async fn execute(store: &PostgresStore, statements: &str) {
    store.pool.once(MINUTE, |own| async move { Ok((&*own).batch_execute(statements).await?) }).await.unwrap();
}

fn claim(environment: &TestEnvironment, limit: u32) -> Claim {
    let now = environment.now();
    Claim {
        lanes: vec![Lane::of(Service::Sandbox)],
        owner: "me".to_owned(),
        limit,
        now,
        lease_until: now.plus(Duration::from_secs(30)),
    }
}

fn chat_made(chat: ChatId, at: Timestamp) -> End {
    let owner = SeenPerson { external_id: "owner".to_owned(), properties: UserProperties::default() };
    let group = CreatedGroup { provider_chat_id: chat.to_string(), owner, made_at: at };
    End::ChatMade { group, invitation: "/sandbox/x".to_owned() }
}

/// Table, column, type, whether it may be null.
type Columns = BTreeMap<String, Vec<(String, String, bool)>>;

/// The columns as `schema.rs` declares them, in their order.
fn declared() -> Columns {
    let mut tables = Columns::new();
    let mut table = String::new();
    for line in include_str!("schema.rs").lines().map(str::trim) {
        if let Some((column, kind)) = line.trim_end_matches(',').split_once(" -> ") {
            let bare = kind.strip_prefix("Nullable<").and_then(|kind| kind.strip_suffix('>'));
            let told = (column.to_owned(), bare.unwrap_or(kind).to_lowercase(), bare.is_some());
            tables.get_mut(&table).unwrap().push(told);
        } else if let Some((name, _)) = line.strip_suffix(") {").and_then(|start| start.split_once(" (")) {
            name.clone_into(&mut table);
            tables.insert(table.clone(), Vec::new());
        }
    }
    tables
}

#[tokio::test]
async fn the_declared_tables_are_those_that_the_migrations_make() {
    use diesel::sql_types::{Bool, Text};
    let (_database, _, store) = new_store().await;
    let columns = "select table_name::text, column_name::text, data_type::text, is_nullable = 'YES' \
        from information_schema.columns where table_schema = 'public' and table_name <> '__diesel_schema_migrations' \
        order by table_name, ordinal_position";
    let read = store.reads.read(|shared| async move {
        let rows = sql::Sql::<(Text, Text, Text, Bool)>::new(columns);
        Ok(rows.load::<(String, String, String, bool)>(&mut shared.queries()).await?)
    });
    let mut there = Columns::new();
    for (table, column, kind, is_nullable) in read.await.unwrap() {
        let kind = if kind == "boolean" { "bool".to_owned() } else { kind };
        there.entry(table).or_default().push((column, kind, is_nullable));
    }
    assert_eq!(there, declared());
    assert_eq!(there.len(), 14);
}

#[tokio::test]
async fn many_may_migrate_at_once() {
    let (database, environment) = (create_database(None).await, TestEnvironment::real_time());
    let lazy = open(database.url(), &environment, Migrate::Off).await.unwrap();
    let missing = lazy.ready().await.unwrap_err().to_string();
    assert!(missing.contains("lacks migration 20261122000000"), "{missing}");
    let opened = (0..6).map(|_| open(database.url(), &environment, Migrate::Auto));
    for store in futures_util::future::join_all(opened).await {
        store.unwrap().ready().await.unwrap();
    }
    lazy.ready().await.unwrap();
    // What a newer release brought is accepted.
    execute(&lazy, "insert into __diesel_schema_migrations (version) values ('29991231000000')").await;
    open(database.url(), &environment, Migrate::Auto).await.unwrap().ready().await.unwrap();
}

#[tokio::test]
async fn what_somebody_must_correct_is_said_at_once_and_without_the_password() {
    let environment = TestEnvironment::real_time();
    let admin = convoke_test_support::postgres_url();
    let (address, _) = admin.rsplit_once('/').unwrap();
    let address = address.replacen("postgres@", "postgres:secret@", 1);
    for (url, expected) in [
        (format!("{address}/nosuchdatabase"), "nosuchdatabase"),
        (format!("{address}/postgres?sslmode=require"), "TLS"),
        (format!("{address}/postgres?sslmode=sure"), "sslmode"),
        (format!("{address}/postgres?sslmode=verify-full&sslrootcert=/nowhere.pem"), "/nowhere.pem"),
    ] {
        for migrate in [Migrate::Auto, Migrate::Off] {
            let mistake = open(&url, &environment, migrate).await.map(drop).unwrap_err();
            assert!(matches!(mistake, StoreError::Open(_)), "{mistake:?}");
            let told = mistake.to_string();
            assert!(told.contains(expected) && !told.contains("secret"), "{told}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable_and_may_come_later() {
    let environment = TestEnvironment::real_time();
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let store = open(&format!("postgres://postgres@{free}/postgres"), &environment, Migrate::Off).await.unwrap();
    let acme = tenant("acme");
    let read = store.find_chat(&acme, ChatId(environment.new_uuid())).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    let written = store.register_chat(&acme, new_chat(&environment, "x")).await;
    assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_keeps_nobody_longer_than_the_deadline() {
    let environment = TestEnvironment::real_time();
    // Takes connections, and never says a word.
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("postgres://postgres@{}/postgres", silent.local_addr().unwrap());
    let store = open(&url, &environment, Migrate::Off).await.unwrap();
    let acme = tenant("acme");
    let begun = Instant::now();
    let id = ChatId(environment.new_uuid());
    let reads = futures_util::future::join_all((0..20).map(|_| store.find_chat(&acme, id)));
    let removal = NewRemoval {
        chat_id: id,
        participant_id: convoke_domain::ParticipantId(environment.new_uuid()),
        operation_id: OperationId(environment.new_uuid()),
        at: environment.now(),
        idempotency: None,
        origin: None,
    };
    let (reads, registered, removed) = tokio::join!(
        reads,
        store.register_chat(&acme, new_chat(&environment, "x")),
        store.request_removal(&acme, removal)
    );
    for read in reads {
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    }
    assert!(matches!(registered, Err(StoreError::Unavailable(_))), "{registered:?}");
    assert!(matches!(removed, Err(StoreError::Unavailable(_))), "{removed:?}");
    assert!(begun.elapsed() < Duration::from_millis(2_400), "{:?}", begun.elapsed());

    // Who has waited for this server before does not wait as long again.
    let begun = Instant::now();
    let late = deadline::having_spent(Duration::from_millis(1_900), store.find_chat(&acme, id)).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_restarts_is_found_again() {
    let cluster = Cluster::start(&ClusterOptions { durable: true, ..ClusterOptions::default() }).unwrap();
    let database = create_database_at(&cluster.url(), None).await;
    let environment = TestEnvironment::real_time();
    let store = open(database.url(), &environment, Migrate::Auto).await.unwrap();
    let acme = tenant("acme");
    let chat = new_chat(&environment, "before");
    store.register_chat(&acme, chat.clone()).await.unwrap();
    assert!(store.find_chat(&acme, chat.id).await.unwrap().is_some());

    cluster.stop().unwrap();
    let read = store.find_chat(&acme, chat.id).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    let written = store.register_chat(&acme, new_chat(&environment, "meanwhile")).await;
    assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");

    cluster.start_again().unwrap();
    // At once: a connection that is lost is opened anew for a read, and one that is known to be is not used for a write.
    assert!(store.find_chat(&acme, chat.id).await.unwrap().is_some());
    store.register_chat(&acme, new_chat(&environment, "after")).await.unwrap();
    assert_eq!(store.list_chats(&acme, &ChatQuery::default()).await.unwrap().total, 2);
    assert_eq!(store.examine().await.unwrap().findings, []);
}

/// How many connections to a database are encrypted, and how many are not.
async fn encrypted_and_plain(cluster: &Cluster, database: &str) -> (i64, i64) {
    let (client, connection) = tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let count = "select count(*) filter (where ssl), count(*) filter (where not ssl) \
        from pg_stat_ssl join pg_stat_activity using (pid) where datname = $1";
    let row = client.query_one(count, &[&database]).await.unwrap();
    (row.get(0), row.get(1))
}

#[tokio::test]
async fn tls_is_used_and_checked_as_far_as_it_is_asked_for() {
    let ours = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let another = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let elsewhere = rcgen::generate_simple_self_signed(["db.example".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = |name: &str, certificate: &rcgen::Certificate| {
        let path = folder.path().join(name);
        std::fs::write(&path, certificate.pem()).unwrap();
        path.display().to_string()
    };
    let (right, wrong) = (root("right.pem", &ours.cert), root("wrong.pem", &another.cert));
    let named_otherwise = root("elsewhere.pem", &elsewhere.cert);
    let with = |certificate: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        let certificate = Some((certificate.cert.pem(), certificate.signing_key.serialize_pem()));
        Cluster::start(&ClusterOptions { certificate, ..ClusterOptions::default() }).unwrap()
    };
    let (tls, renamed, plain) = (with(&ours), with(&elsewhere), Cluster::start(&ClusterOptions::default()).unwrap());
    let environment = TestEnvironment::real_time();
    for (cluster, parameters, encrypted) in [
        (&tls, String::new(), Some(true)),
        (&tls, "?sslmode=disable".to_owned(), Some(false)),
        (&tls, "?sslmode=require".to_owned(), Some(true)),
        (&tls, format!("?sslmode=verify-full&sslrootcert={right}"), Some(true)),
        (&tls, format!("?sslmode=verify-full&sslrootcert={wrong}"), None),
        (&tls, format!("?sslmode=require&sslrootcert={wrong}"), None),
        (&renamed, format!("?sslmode=verify-ca&sslrootcert={named_otherwise}"), Some(true)),
        (&renamed, format!("?sslmode=verify-full&sslrootcert={named_otherwise}"), None),
        (&plain, String::new(), Some(false)),
        (&plain, "?sslmode=require".to_owned(), None),
    ] {
        let database = create_database_at(&cluster.url(), None).await;
        let opened = open(&format!("{}{parameters}", database.url()), &environment, Migrate::Auto).await;
        match (opened, encrypted) {
            (Ok(store), Some(encrypted)) => {
                store.ready().await.unwrap();
                let (with, without) = encrypted_and_plain(cluster, database.name()).await;
                assert!(if encrypted { with > 0 && without == 0 } else { with == 0 && without > 0 }, "{parameters}");
            }
            (Err(StoreError::Open(_)), None) => {}
            (opened, _) => panic!("{parameters}: {:?}", opened.err()),
        }
    }
}

#[tokio::test]
async fn a_server_that_takes_no_writes_any_more_is_left() {
    let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
    let database = create_database_at(&cluster.url(), None).await;
    let environment = TestEnvironment::real_time();
    let store = open(database.url(), &environment, Migrate::Auto).await.unwrap();
    let acme = tenant("acme");
    store.register_chat(&acme, new_chat(&environment, "one")).await.unwrap();
    let name = database.name();
    execute(&store, &format!("alter database \"{name}\" set default_transaction_read_only = on")).await;
    execute(&store, "set session characteristics as transaction read only").await;
    // Connections of before go on taking writes; what matters is that one which does not is not kept.
    let mut refused = 0;
    for _ in 0..3 {
        refused += u32::from(store.register_chat(&acme, new_chat(&environment, "two")).await.is_err());
    }
    assert!(refused > 0, "new connections lead to a server that takes no writes");
    // From another database, because this one takes no changes.
    let admin = open(&cluster.url(), &environment, Migrate::Off).await.unwrap();
    execute(&admin, &format!("alter database \"{name}\" set default_transaction_read_only = off")).await;
    store.register_chat(&acme, new_chat(&environment, "three")).await.unwrap();
}

/// How many rows PostgreSQL thinks there are in a table; none or less until it has counted.
async fn as_counted(store: &PostgresStore, table: &str) -> i64 {
    let counted = &format!("select reltuples::bigint from pg_class where oid = '{table}'::regclass");
    let counted = || sql::Sql::<diesel::sql_types::BigInt>::new(counted);
    store.pool.once(MINUTE, |own| async move { Ok(counted().get_result(&mut &*own).await?) }).await.unwrap()
}

async fn chats_as_counted(store: &PostgresStore) -> i64 {
    as_counted(store, "chats").await
}

#[tokio::test]
async fn the_planner_learns_that_a_table_is_not_empty_any_more() {
    const FILL: &str = "insert into sandbox_groups (code, tenant_id, chat_id, version, state) \
        select n::text, 'acme', gen_random_uuid(), 0, '{}' from generate_series(1, 300) as n";
    let (_database, _, store) = new_store().await;
    // As after a restore; nobody else is to tell it meanwhile.
    execute(&store, "alter table sandbox_groups set (autovacuum_enabled = off); analyze sandbox_groups").await;
    assert_eq!(as_counted(&store, "sandbox_groups").await, 0);
    execute(&store, FILL).await;
    store.refresh_statistics().await.unwrap();
    assert_eq!(as_counted(&store, "sandbox_groups").await, 300);
}

#[tokio::test]
async fn the_planner_learns_of_chats_when_they_come_and_again_when_there_are_many_more() {
    let (database, environment, store) = new_store().await;
    let acme = tenant("acme");
    let register = async |number: u32| {
        let one = || store.register_chat(&acme, new_chat(&environment, &"long ".repeat(50)));
        for registered in futures_util::future::join_all((0..number).map(|_| one())).await {
            registered.unwrap();
        }
    };
    // Nobody else is to tell it meanwhile.
    execute(&store, "alter table chats set (autovacuum_enabled = off)").await;
    // What foreign keys ask; as theirs, the plan is kept until there are new statistics.
    let mut asking = AsyncPgConnection::establish(database.url()).await.unwrap();
    let foreign_key = "set plan_cache_mode = force_generic_plan; prepare foreign_key (text, uuid) as \
        select 1 from only chats where tenant_id = $1 and id = $2 for key share";
    asking.batch_execute(foreign_key).await.unwrap();
    let mut plan = async || -> String {
        let explain = "explain execute foreign_key ('acme', '6f9619ff-8b86-4d01-b42d-00cf4fc964ff')";
        sql::Sql::<diesel::sql_types::Text>::new(explain).load::<String>(&mut asking).await.unwrap().concat()
    };
    plan().await;
    store.refresh_statistics().await.unwrap();
    assert!(chats_as_counted(&store).await <= 0, "of an empty table there is nothing to learn");
    for (more, known) in [(1, 1), (1, 1), (300, 302), (300, 302)] {
        register(more).await;
        store.refresh_statistics().await.unwrap();
        assert_eq!(chats_as_counted(&store).await, known);
        plan().await;
    }
    let plan = plan().await;
    assert!(plan.contains("chats_pkey"), "{plan}");

    // Who may read and write only, as where another role migrates, leaves it alone and is none the worse for it.
    let role = database.name();
    execute(&store, &format!("create role \"{role}\" login; grant all on all tables in schema public to \"{role}\""))
        .await;
    register(4_000).await;
    let others_url = database.url().replacen("postgres@", &format!("{role}@"), 1);
    let guest = open(&others_url, &environment, Migrate::Off).await.unwrap();
    guest.refresh_statistics().await.unwrap();
    assert_eq!(chats_as_counted(&guest).await, 302);
    store.refresh_statistics().await.unwrap();
    assert_eq!(chats_as_counted(&store).await, 4_602);
    execute(&store, &format!("drop owned by \"{role}\"; drop role \"{role}\"")).await;
}

#[tokio::test]
async fn who_falls_silent_in_the_middle_of_a_transaction_does_not_keep_its_locks() {
    let (_database, _, store) = new_store().await;
    let silence = store.pool.transaction(MINUTE, |work| async move {
        let question = "select current_setting('idle_in_transaction_session_timeout')";
        let told = sql::Sql::<(diesel::sql_types::Text,)>::new(question).get_result::<(String,)>(&mut &*work).await?;
        work.commit().await?;
        Ok(told.0)
    });
    assert_eq!(silence.await.unwrap(), "5s");
}

#[test]
fn a_store_outlives_the_runtimes_that_use_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (database, environment, store) = runtime().block_on(new_store());
    let acme = tenant("acme");
    for number in 1..=3 {
        runtime().block_on(async {
            store.register_chat(&acme, new_chat(&environment, "again")).await.unwrap();
            let page = store.list_chats(&acme, &ChatQuery::default()).await.unwrap();
            assert_eq!(
                (page.total, page.documents.matches("\"again\"").count()),
                (number, usize::try_from(number).unwrap())
            );
        });
    }
    drop(store);
    drop(database);
}

#[tokio::test]
async fn what_another_process_does_wakes_whoever_waits_here() {
    let (database, environment, here) = new_store().await;
    let there = open(database.url(), &environment, Migrate::Off).await.unwrap();
    let acme = tenant("acme");
    let chat = new_chat(&environment, "x");
    // Until it listens.
    tokio::time::timeout(MINUTE, there.changes().operations.notified()).await.unwrap();
    here.register_chat(&acme, chat.clone()).await.unwrap();
    tokio::time::timeout(MINUTE, there.changes().operations.notified()).await.unwrap();
    let watched = there.changes().watch_chat(chat.id);
    let notified = watched.notified();
    let claimed = here.claim_operations(&claim(&environment, 1)).await.unwrap();
    here.finish_attempt(&claimed[0].lease, chat_made(chat.id, environment.now()), environment.now()).await.unwrap();
    tokio::time::timeout(MINUTE, notified).await.unwrap();
    assert_eq!(there.find_chat(&acme, chat.id).await.unwrap().unwrap().status, ChatStatus::Active);
}

/// Somebody who speaks with the database beside the store.
async fn beside(database: &TestDatabase) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(database.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn reads_whose_connection_is_closed_are_answered_over_another_one() {
    let (database, environment, store) = new_store().await;
    let acme = tenant("acme");
    let chats: Vec<NewChat> = (0..8).map(|number| new_chat(&environment, &format!("Chat {number}"))).collect();
    for chat in &chats {
        store.register_chat(&acme, chat.clone()).await.unwrap();
    }
    let (mut keeper, admin) = (beside(&database).await, beside(&database).await);
    // Those that wait for the keeper.
    let close = "select pg_terminate_backend(pid) from pg_locks where not granted and relation = 'chats'::regclass";
    for round in 0..3 {
        let held = keeper.transaction().await.unwrap();
        held.batch_execute("lock table chats in access exclusive mode").await.unwrap();
        // Every id several times, so that one statement holds it more than once.
        let reads = (0..60).map(|number| store.find_chat(&acme, chats[number * 5 % chats.len()].id));
        let closed = async {
            while admin.query(close, &[]).await.unwrap().is_empty() {}
            held.rollback().await.unwrap();
        };
        let (found, ()) = tokio::join!(futures_util::future::join_all(reads), closed);
        for (number, found) in found.into_iter().enumerate() {
            let found = found.unwrap_or_else(|error| panic!("round {round}: {error}")).expect("it is there");
            let title = format!("\"Chat {}\"", number * 5 % chats.len());
            assert!(found.json.contains(&title), "{title}: {}", found.json);
        }
    }
}

#[tokio::test]
async fn nothing_slow_stands_in_front_of_a_look_up() {
    use diesel::sql_types::{Bool, Integer};
    let (database, environment, store) = new_store().await;
    let acme = tenant("acme");
    let chat = new_chat(&environment, "x");
    store.register_chat(&acme, chat.clone()).await.unwrap();
    let keeper = beside(&database).await;
    keeper.query("select pg_advisory_lock(7)", &[]).await.unwrap();
    let page = store.reads.read(|shared| async move {
        // Lasts for as long as somebody else holds the lock.
        let waits = "select true from pg_advisory_lock($1)";
        let waits = sql::Sql::<Bool>::new(waits).bind::<Integer, _>(7);
        Ok(waits.load::<bool>(&mut shared.queries()).await?)
    });
    let look_ups = async {
        // The page goes first.
        let waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted";
        while keeper.query(waiting, &[]).await.unwrap().is_empty() {}
        for _ in 0..20 {
            let same = (0..10).map(|_| store.find_chat(&acme, chat.id));
            for found in futures_util::future::join_all(same).await {
                assert!(found.unwrap().is_some());
            }
            assert!(store.find_invitation(&acme, chat.id).await.unwrap().is_some());
            assert!(store.find_operation(&acme, chat.operation_id).await.unwrap().is_some());
        }
        keeper.query("select pg_advisory_unlock(7)", &[]).await.unwrap();
    };
    let (page, ()) = tokio::join!(page, look_ups);
    assert_eq!(page.unwrap(), [true], "it was still under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_list_that_nobody_waits_for_keeps_its_place_until_it_has_ended() {
    let (database, environment, store) = new_store().await;
    let (store, acme) = (Arc::new(store), tenant("acme"));
    store.register_chat(&acme, new_chat(&environment, "Listed")).await.unwrap();
    // Two, for within a transaction the activity is that of its beginning.
    let mut watcher = AsyncPgConnection::establish(database.url()).await.unwrap();
    let mut others = AsyncPgConnection::establish(database.url()).await.unwrap();
    others.batch_execute("begin; lock table chats in access exclusive mode").await.unwrap();
    let by_title =
        ChatQuery { sort: convoke_domain::Sort::new(&["title".parse().unwrap()]).unwrap(), ..ChatQuery::default() };
    let running = async |watcher: &mut AsyncPgConnection| {
        let running = "(select count(*) from pg_stat_activity where datname = current_database() \
            and state = 'active' and query like 'select id from chats%')";
        let running = diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(running));
        running.get_result::<i64>(watcher).await.unwrap()
    };
    for expected in [1, 2, 2, 2] {
        let (store, acme, by_title) = (store.clone(), acme.clone(), by_title.clone());
        let asked = tokio::spawn(async move { store.list_chats(&acme, &by_title).await });
        // The third and the fourth one have time to begin, if they may.
        sleep(Duration::from_millis(200)).await;
        while running(&mut watcher).await < expected {
            sleep(Duration::from_millis(10)).await;
        }
        asked.abort();
    }
    assert_eq!(running(&mut watcher).await, 2);
    others.batch_execute("rollback").await.unwrap();
    assert_eq!(store.list_chats(&acme, &by_title).await.unwrap().total, 1);
}
