//! What the worker does of itself.

use std::time::Duration;

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
