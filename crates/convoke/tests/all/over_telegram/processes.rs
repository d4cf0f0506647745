//! Two processes and one account: one of them holds it.

use std::time::{Duration, Instant};

use convoke_client::NewChat;
use convoke_domain::ChatStatus;
use convoke_test_support::create_database;

use super::messenger::Messenger;
use crate::support::{PATIENCE, Place};

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_one_connection_and_is_taken_over_from_the_dead() {
    let database = create_database(None).await;
    let telegram = Messenger::new();
    telegram.server.refuse_duplicates();
    let (first, second) = (telegram.used_by(Place::on(database.url())), telegram.used_by(Place::on(database.url())));
    let token = first.token();
    let first_service = first.start();
    first_service.typed(&token).register_and_wait(&NewChat::new("Before"), PATIENCE).await.unwrap();
    let second_service = second.start();
    // Whoever answers, the one that has the account makes the group.
    second_service.typed(&token).register_and_wait(&NewChat::new("Meanwhile"), PATIENCE).await.unwrap();
    first_service.kill();
    let client = second_service.typed(&token);
    let after = client.register_chat(&NewChat::new("After")).await.unwrap().chat_id();
    // Not before the lease of the dead has ended, half a minute after it was extended last.
    let begun = Instant::now();
    while client.get_chat(after).await.unwrap().value.status != ChatStatus::Active {
        assert!(begun.elapsed() < 3 * PATIENCE, "{}", second_service.stderr());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(telegram.server.key(&telegram.session).most_connections, 1);
    assert_eq!(telegram.server.groups().len(), 3);
    second_service.stop();
}
