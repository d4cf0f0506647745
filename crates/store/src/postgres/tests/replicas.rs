//! Reading from replicas that lag, are away, or are none any more; and hosts that take over from each other.

use convoke_domain::{Direction, Sort, SortField, SortKey};
use convoke_test_support::{catch_up, pause_replay, resume_replay};

use super::*;
use crate::{Freshness, ReplicaOptions};

fn durable() -> ClusterOptions {
    ClusterOptions { durable: true, ..ClusterOptions::default() }
}

/// Where the database of the first URL is in another cluster.
fn at(url: &str, port: u16) -> String {
    let (_, name) = url.rsplit_once('/').unwrap();
    format!("postgres://postgres@127.0.0.1:{port}/{name}")
}

async fn with_replica(url: &str, replica: String, max_lag: Duration) -> PostgresStore {
    let options = ReplicaOptions { url: SecretString::from(replica), max_lag };
    let environment = Arc::new(TestEnvironment::real_time());
    PostgresStore::open_with_replica(&SecretString::from(url), Some(&options), Migrate::Auto, environment)
        .await
        .unwrap()
}

/// Asks until it is so.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(MINUTE, waiting).await.unwrap_or_else(|_| panic!("{what}: not within a minute"));
}

async fn total(store: &PostgresStore, freshness: Freshness) -> u64 {
    store.as_fresh_as(freshness).list_chats(&tenant("acme"), &ChatQuery::default()).await.unwrap().total
}

async fn sorted_total(store: &PostgresStore, freshness: Freshness) -> u64 {
    let key = SortKey { field: SortField::Title, direction: Direction::Ascending };
    let query = ChatQuery { sort: Sort::new(&[key]).unwrap(), ..ChatQuery::default() };
    store.as_fresh_as(freshness).list_chats(&tenant("acme"), &query).await.unwrap().total
}

/// Whether a replica answers.
async fn is_used(store: &PostgresStore) -> bool {
    store.replica.as_ref().unwrap().ask(Freshness::Recent, |_| async { Ok(()) }).await.is_some()
}

/// Somebody who looks after a server.
async fn operator(cluster: &Cluster) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn what_a_replica_has_not_replayed_is_asked_of_the_primary() {
    let primary = Cluster::start(&durable()).unwrap();
    let database = create_database_at(&primary.url(), None).await;
    let environment = TestEnvironment::real_time();
    open(database.url(), &environment, Migrate::Auto).await.unwrap();
    let standby = primary.standby().unwrap();
    let store = with_replica(database.url(), at(database.url(), standby.port()), Duration::from_hours(1)).await;
    let acme = tenant("acme");
    let early = new_chat(&environment, "early");
    store.register_chat(&acme, early.clone()).await.unwrap();
    let before = store.position().await.unwrap();
    until("a replica", async || is_used(&store).await).await;
    assert_eq!(total(&store, Freshness::AtLeast(before)).await, 1);

    catch_up(&primary, &standby).await;
    pause_replay(&standby).await;
    let long_ago = |hours: i64| Timestamp::from_millis(environment.now().as_millis() - hours * 3_600_000);
    let late = NewChat { at: long_ago(3), ..new_chat(&environment, "late") };
    store.register_chat(&acme, late.clone()).await.unwrap();
    let after = store.position().await.unwrap();
    assert!(after > before);

    // The replica answers, as it was; long reads too.
    assert_eq!(total(&store, Freshness::Recent).await, 1);
    assert_eq!(total(&store, Freshness::AtLeast(before)).await, 1);
    assert_eq!(sorted_total(&store, Freshness::Recent).await, 1);
    let reader = store.as_fresh_as(Freshness::Recent);
    // A walk too, where everything has been replayed that is to come; before that it would pass over the second chat.
    let walked = async |after: Option<Timestamp>| {
        let after = after.map(|registered_at| WalkPosition { registered_at, id: early.id });
        let walk = reader.walk_chats(&acme, &ChatFilter::default(), after, PageSize::default()).await.unwrap();
        walk.documents.matches("\"isActive\"").count()
    };
    assert_eq!(walked(Some(long_ago(2))).await, 0, "the replica knows of none that is older");
    assert_eq!((walked(None).await, walked(Some(long_ago(1))).await), (2, 1));
    // Whoever asks for more gets it.
    assert_eq!(total(&store, Freshness::AtLeast(after)).await, 2);
    assert_eq!(sorted_total(&store, Freshness::AtLeast(after)).await, 2);
    assert_eq!(total(&store, Freshness::Newest).await, 2);
    // What it does not know may be new.
    for chat in [&early, &late] {
        assert!(reader.find_chat(&acme, chat.id).await.unwrap().is_some());
        assert!(reader.find_invitation(&acme, chat.id).await.unwrap().is_some());
        assert!(reader.find_operation(&acme, chat.operation_id).await.unwrap().is_some());
    }
    let nobody = ChatId(environment.new_uuid());
    assert_eq!(reader.find_chat(&acme, nobody).await.unwrap(), None);

    resume_replay(&standby).await;
    until("the second chat", async || total(&store, Freshness::Recent).await == 2).await;
    until("the position", async || {
        let replica = store.replica.as_ref().unwrap();
        replica.ask(Freshness::AtLeast(after), |_| async { Ok(()) }).await.is_some()
    })
    .await;
    assert_eq!(sorted_total(&store, Freshness::AtLeast(after)).await, 2);
}

#[tokio::test]
async fn a_replica_that_lags_or_is_away_or_is_none_any_more_is_not_used() {
    let primary = Cluster::start(&durable()).unwrap();
    let database = create_database_at(&primary.url(), None).await;
    let environment = TestEnvironment::real_time();
    open(database.url(), &environment, Migrate::Auto).await.unwrap();
    let standby = primary.standby().unwrap();
    let store = with_replica(database.url(), at(database.url(), standby.port()), Duration::from_secs(1)).await;
    let acme = tenant("acme");
    let register = async || {
        store.register_chat(&acme, new_chat(&environment, "x")).await.unwrap();
    };
    until("a replica", async || is_used(&store).await).await;

    pause_replay(&standby).await;
    register().await;
    until("too much of a lag", async || !is_used(&store).await).await;
    assert_eq!((total(&store, Freshness::Recent).await, sorted_total(&store, Freshness::Recent).await), (1, 1));
    resume_replay(&standby).await;
    until("a replica that keeps up", async || is_used(&store).await).await;

    standby.stop().unwrap();
    register().await;
    assert_eq!((total(&store, Freshness::Recent).await, sorted_total(&store, Freshness::Recent).await), (2, 2));
    assert!(!is_used(&store).await);
    standby.start_again().unwrap();
    until("a replica that is back", async || is_used(&store).await).await;

    standby.promote().unwrap();
    until("no replica", async || !is_used(&store).await).await;
    register().await;
    assert_eq!((total(&store, Freshness::Recent).await, sorted_total(&store, Freshness::Recent).await), (3, 3));
    // For long reads neither: the next connection leads to another one, if there is one.
    let promoted = operator(&standby).await;
    let connections = "select count(*) from pg_stat_activity where datname is not null and pid <> pg_backend_pid()";
    until("no connection to it", async || promoted.query_one(connections, &[]).await.unwrap().get::<_, i64>(0) == 0)
        .await;
}

#[tokio::test]
async fn nothing_fails_for_the_sake_of_a_replica_that_never_comes() {
    let (database, environment) = (create_database(None).await, TestEnvironment::real_time());
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    // The primary itself is no replica of anybody.
    let own =
        convoke_test_support::postgres_url().rsplit_once(':').unwrap().1.split('/').next().unwrap().parse().unwrap();
    let acme = tenant("acme");
    for port in [silent.local_addr().unwrap().port(), closed.port(), own] {
        let store = with_replica(database.url(), at(database.url(), port), Duration::from_secs(10)).await;
        let before = total(&store, Freshness::Recent).await;
        let chat = new_chat(&environment, "x");
        store.register_chat(&acme, chat.clone()).await.unwrap();
        let position = store.position().await.unwrap();
        for freshness in [Freshness::Recent, Freshness::AtLeast(position), Freshness::Newest] {
            assert_eq!(total(&store, freshness).await, before + 1);
            assert!(store.as_fresh_as(freshness).find_chat(&acme, chat.id).await.unwrap().is_some());
        }
        assert!(!is_used(&store).await);
    }
}

/// Registers, again and again, until it works.
async fn register_at_last(store: &PostgresStore, environment: &TestEnvironment) {
    until("a registration", async || store.register_chat(&tenant("acme"), new_chat(environment, "x")).await.is_ok())
        .await;
}

#[tokio::test]
async fn of_several_hosts_the_one_that_takes_writes_is_found() {
    let first = Cluster::start(&durable()).unwrap();
    let database = create_database_at(&first.url(), None).await;
    let environment = TestEnvironment::real_time();
    open(database.url(), &environment, Migrate::Auto).await.unwrap();
    let (second, third) = (first.standby().unwrap(), first.standby().unwrap());
    // A dead node: its address takes connections, and nobody is there.
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let dead = silent.local_addr().unwrap().port();
    let hosts: Vec<_> =
        [dead, third.port(), first.port(), second.port()].map(|port| format!("127.0.0.1:{port}")).into();
    let url = format!("postgres://postgres@{}/{}", hosts.join(","), database.name());
    let store = open(&url, &environment, Migrate::Off).await.unwrap();
    register_at_last(&store, &environment).await;
    let acme = tenant("acme");
    assert_eq!(store.list_chats(&acme, &ChatQuery::default()).await.unwrap().total, 1);

    // The primary is made to take no writes, and keeps its connections: what another one in between makes of a
    // switch-over. Only a server that takes writes will do.
    let demoted = operator(&first).await;
    let caught_up = "select count(*) = 2 from pg_stat_replication where replay_lsn = pg_current_wal_flush_lsn()";
    until("two standbys", async || demoted.query_one(caught_up, &[]).await.unwrap().get(0)).await;
    demoted.batch_execute("alter system set default_transaction_read_only = on").await.unwrap();
    demoted.batch_execute("select pg_reload_conf()").await.unwrap();
    second.promote().unwrap();
    let at_second = operator(&second).await;
    let count = format!("select count(*) from pg_stat_activity where datname = '{}'", database.name());
    until("everybody at the new primary", async || {
        let _ = store.register_chat(&acme, new_chat(&environment, "x")).await;
        store.list_chats(&acme, &ChatQuery::default()).await.is_ok_and(|page| page.total >= 2)
    })
    .await;
    assert!(at_second.query_one(&count, &[]).await.unwrap().get::<_, i64>(0) > 0);

    // And it dies: nobody is left who takes writes, until somebody does.
    first.stop().unwrap();
    second.stop().unwrap();
    let refused = store.register_chat(&acme, new_chat(&environment, "x")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    second.start_again().unwrap();
    register_at_last(&store, &environment).await;
    assert_eq!(store.examine().await.unwrap().findings, []);
}
