//! A database of its own for every test.

use std::{
    env,
    fmt::Display,
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tokio_postgres::{Client, NoTls};

use crate::{Cluster, ClusterOptions};

/// The environment variable that names a running cluster for tests: the URL of its maintenance database.
pub const POSTGRES_VARIABLE: &str = "CONVOKE_TEST_POSTGRES";

/// The URL of the maintenance database of a PostgreSQL for tests: that of the environment variable
/// `CONVOKE_TEST_POSTGRES`, which `cargo xtask test` sets, or else of a cluster that is started once for this process
/// and goes with it.
///
/// # Panics
/// If there is no PostgreSQL, with one line that says what to do.
#[must_use]
pub fn postgres_url() -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    match env::var(POSTGRES_VARIABLE) {
        Ok(url) if !url.is_empty() => url,
        _ => CLUSTER.get_or_init(|| Cluster::start(&ClusterOptions::default()).unwrap_or_else(|e| panic!("{e}"))).url(),
    }
}

/// A database that is there for one test; dropping this drops it, whoever is still connected.
#[derive(Debug)]
pub struct TestDatabase {
    admin_url: String,
    name: String,
    url: String,
}

impl TestDatabase {
    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name in the cluster.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (admin_url, name) = (self.admin_url.clone(), self.name.clone());
        // A thread of its own, because the test's runtime can't be waited for from within. A failure is no matter: the
        // cluster may be stopped, and is thrown away anyway.
        let _ = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                if let Ok(client) = connect(&admin_url).await {
                    let _ = client.batch_execute(&format!("drop database if exists \"{name}\" with (force)")).await;
                }
            });
            Ok::<(), std::io::Error>(())
        })
        .join();
    }
}

/// A new database in the cluster of [`postgres_url`], empty or a copy of the database `template`.
///
/// # Panics
/// If it can't be made.
pub async fn create_database(template: Option<&str>) -> TestDatabase {
    create_database_at(&postgres_url(), template).await
}

/// The same in the cluster whose maintenance database is at `admin_url`.
///
/// # Panics
/// If it can't be made.
pub async fn create_database_at(admin_url: &str, template: Option<&str>) -> TestDatabase {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    // Process numbers are used again, by other containers at once: chance keeps names apart that these two don't.
    let chance = getrandom::u32().expect("the system has randomness");
    let name = format!("test_{}_{number}_{chance:08x}", process::id());
    let template = template.unwrap_or("template0");
    let client = must_connect(admin_url).await;
    run(&client, &format!("create database \"{name}\" template \"{template}\"")).await;
    TestDatabase { admin_url: admin_url.to_owned(), url: with_database(admin_url, &name), name }
}

/// Sees to it that the cluster of [`postgres_url`] has a migrated database to copy, and gives its name, for
/// [`create_database`]. `migrate` gets the URL of an empty database; of many test processes that share the cluster, one
/// calls it and the others wait. `hash` stands for what `migrate` does, and holds no underscore: another hash is another
/// template, which takes the place of the one before.
///
/// # Panics
/// If it can't be made, or if `migrate` fails.
pub async fn ensure_template<E: Display>(
    name: &str,
    hash: &str,
    migrate: impl AsyncFnOnce(String) -> Result<(), E>,
) -> String {
    let admin_url = postgres_url();
    let group = format!("template_{name}");
    let name = format!("{group}_{hash}");
    assert!(name.len() <= 63, "the name {name} is longer than PostgreSQL's 63 bytes");
    let client = must_connect(&admin_url).await;
    if is_finished(&client, &name).await {
        return name;
    }
    let lock = "pg_catalog.hashtextextended($1, 0)";
    client.execute(&format!("select pg_advisory_lock({lock})"), &[&group]).await.expect("an advisory lock");
    if !is_finished(&client, &name).await {
        // What was begun of it, and those of former migrations: a server that stays would collect them.
        let before = "select datname from pg_database where regexp_replace(datname, '_[^_]*$', '') = $1";
        for row in client.query(before, &[&group]).await.expect("the list of databases") {
            drop_template(&client, row.get(0)).await;
        }
        run(&client, &format!("create database \"{name}\" template template0")).await;
        if let Err(error) = migrate(with_database(&admin_url, &name)).await {
            panic!("the template database {name} can't be migrated: {error}");
        }
        // A database that somebody is connected to can't be copied: nobody can be from here on.
        run(&client, &format!("alter database \"{name}\" allow_connections false")).await;
        let terminate = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = $1";
        client.execute(terminate, &[&name]).await.expect("connections to the template are ended");
        run(&client, &format!("alter database \"{name}\" is_template true")).await;
    }
    client.execute(&format!("select pg_advisory_unlock({lock})"), &[&group]).await.expect("an advisory lock");
    name
}

/// The mark of a template is set last, so what has it is finished.
async fn is_finished(client: &Client, name: &str) -> bool {
    let query = "select exists (select from pg_database where datname = $1 and datistemplate)";
    client.query_one(query, &[&name]).await.expect("the list of databases").get(0)
}

async fn drop_template(client: &Client, name: &str) {
    run(client, &format!("alter database \"{name}\" is_template false")).await;
    run(client, &format!("drop database \"{name}\" with (force)")).await;
}

async fn run(client: &Client, statement: &str) {
    if let Err(error) = client.batch_execute(statement).await {
        let reason = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
        panic!("{statement}: {reason}");
    }
}

async fn must_connect(url: &str) -> Client {
    connect(url).await.unwrap_or_else(|error| panic!("no PostgreSQL for tests at {url}: {error}"))
}

/// A client of the database itself; the connection is driven in the background, and its end is seen by whoever asks.
///
/// # Errors
/// If nobody listens at `url`, or lets nobody in.
pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The URL with another database name.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let authority = address.find("://").map_or(0, |at| at + 3);
    let end = address[authority..].find('/').map_or(address.len(), |at| authority + at);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{name}{query}", &address[..end])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_name_in_a_url_is_replaced() {
        assert_eq!(with_database("postgres://a@b:1/postgres", "x"), "postgres://a@b:1/x");
        assert_eq!(with_database("postgres://a@b:1", "x"), "postgres://a@b:1/x");
        assert_eq!(
            with_database("postgres://a@b:1/p?sslmode=disable&host=/tmp", "x"),
            "postgres://a@b:1/x?sslmode=disable&host=/tmp"
        );
    }

    #[tokio::test]
    async fn every_database_is_its_own_and_goes_with_its_test() {
        let (one, other) = (create_database(None).await, create_database(None).await);
        assert_ne!(one.name(), other.name());
        let client = must_connect(one.url()).await;
        client.batch_execute("create table mine (value int)").await.unwrap();
        assert!(must_connect(other.url()).await.batch_execute("table mine").await.is_err());

        let (name, url) = (one.name().to_owned(), one.url().to_owned());
        drop(one);
        assert!(connect(&url).await.is_err(), "{name} is dropped although somebody was connected");
    }

    #[tokio::test]
    async fn a_template_is_migrated_once_and_copied() {
        let hash = format!("{:08x}", getrandom::u32().unwrap());
        let calls = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let (hash, calls) = (hash.clone(), calls.clone());
            tasks.push(tokio::spawn(async move {
                ensure_template("own_test", &hash, async |url| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    let client = connect(&url).await?;
                    // Left connected, as a pool would be.
                    std::mem::forget(client);
                    let client = connect(&url).await?;
                    client.batch_execute("create table migrated (value int)").await
                })
                .await
            }));
        }
        let mut template = String::new();
        for task in tasks {
            template = task.await.unwrap();
        }
        assert_eq!(calls.load(Ordering::Relaxed), 1);

        let database = create_database(Some(&template)).await;
        must_connect(database.url()).await.batch_execute("insert into migrated values (1)").await.unwrap();
        let other = create_database(Some(&template)).await;
        let row = must_connect(other.url()).await.query_one("select count(*) from migrated", &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 0);

        drop_template(&must_connect(&postgres_url()).await, &template).await;
    }

    #[tokio::test]
    async fn a_migration_that_failed_is_done_again() {
        let hash = format!("{:08x}", getrandom::u32().unwrap());
        let failing = hash.clone();
        let failed = tokio::spawn(async move {
            ensure_template("failing_test", &failing, async |_| Err::<(), _>("it was not to be")).await
        });
        assert!(failed.await.unwrap_err().is_panic());
        let template = ensure_template("failing_test", &hash, async |_| Ok::<(), String>(())).await;

        drop_template(&must_connect(&postgres_url()).await, &template).await;
    }

    #[tokio::test]
    async fn a_template_takes_the_place_of_the_one_before_and_of_no_other() {
        let hash = format!("{:08x}", getrandom::u32().unwrap());
        let ensure = |name: &'static str, hash: String| async move {
            ensure_template(name, &hash, async |_| Ok::<(), String>(())).await
        };
        let former = ensure("replaced_test", format!("{hash}a")).await;
        let other = ensure("replaced_test_other", format!("{hash}a")).await;
        let newer = ensure("replaced_test", format!("{hash}b")).await;

        let admin = must_connect(&postgres_url()).await;
        assert!(!is_finished(&admin, &former).await);
        for template in [newer, other] {
            assert!(is_finished(&admin, &template).await, "{template}");
            drop_template(&admin, &template).await;
        }
    }
}
