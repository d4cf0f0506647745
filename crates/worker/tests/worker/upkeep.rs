//! What the worker does of itself.

use std::{sync::Arc, time::Duration};

use convoke_domain::OperationStatus;
use convoke_sandbox::{Sandbox, SandboxSettings};
use tokio_postgres::NoTls;

use crate::{
    outcomes::sandbox,
    world::{Backend, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_has_statistics_before_autovacuum_would_gather_them() {
    const ARE_THERE: &str = "select reltuples > 0 from pg_class where oid = 'chats'::regclass";
    let world = World::new(Backend::Postgres).await;
    let url = world.database.as_ref().unwrap().url();
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    // So few rows are none of its business: it begins at 50.
    let (_, operation) = world.register("First").await;
    let worker = world.run(sandbox(&world, &[]));
    world.ended(operation).await;
    for _ in 0..3_000 {
        if client.query_one(ARE_THERE, &[]).await.unwrap().get(0) {
            return worker.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody has gathered statistics");
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_given_back_whatever_the_upkeep_waits_for() {
    const LOCK: &str = "begin; lock table chat_count_deltas in access exclusive mode";
    const IS_WAITED_FOR: &str = "select exists (select from pg_locks where not granted \
        and database = (select oid from pg_database where datname = current_database()) \
        and relation = 'chat_count_deltas'::regclass)";
    let world = World::new(Backend::Postgres).await;
    let url = world.database.as_ref().unwrap().url();
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let slow = SandboxSettings { delay: Duration::from_mins(10), ..SandboxSettings::default() };
    let worker = world.run(Arc::new(Sandbox::new(world.store.clone(), world.environment(), slow)));
    let (_, operation) = world.register("Handed over").await;
    world.until(operation, |status| status == OperationStatus::Running).await;
    client.batch_execute(LOCK).await.unwrap();
    while !client.query_one(IS_WAITED_FOR, &[]).await.unwrap().get::<_, bool>(0) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The upkeep would wait for half a minute.
    let stopped = tokio::time::timeout(Duration::from_secs(15), tokio::spawn(worker.stop()));
    stopped.await.expect("the stop waits for no upkeep").unwrap();
    assert_eq!(world.operation(operation).await.status, OperationStatus::Pending);
    client.batch_execute("rollback").await.unwrap();
}
