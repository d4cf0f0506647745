//! The admin listener, and what happens while the database is away.

use std::time::Duration;

use convoke_api::ApiSettings;
use convoke_domain::Scope;
use convoke_test_support::{Cluster, ClusterOptions, create_database_at};
use reqwest::Method;
use serde_json::json;

use crate::service::{Answer, Backend, TestService};

async fn readiness_follows_the_life_of_the_process(backend: Backend) {
    let service = TestService::start(backend).await;
    assert_eq!(service.ask_admin("/livez").await.status, 200);
    let early = service.ask_admin("/readyz").await;
    assert_eq!((early.status, &early.json()["reason"]), (503, &json!("the public listener is not bound yet")));
    service.lifecycle.set_listening();
    assert_eq!(service.ask_admin("/readyz?x=1").await.status, 200);
    service.lifecycle.start_draining();
    let late = service.ask_admin("/readyz").await;
    assert_eq!((late.status, &late.json()["reason"]), (503, &json!("the process is about to stop")));
    assert_eq!(service.ask_admin("/livez").await.status, 200);
}

async fn figures_are_told(backend: Backend) {
    let service = TestService::start(backend).await;
    service.get("/nothing").await.assert_problem(404, "not-found");
    let metrics = service.ask_admin("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    assert!(
        metrics.text.contains("convoke_build_info{") && metrics.text.contains("{status=\"4xx\"} 1"),
        "{}",
        metrics.text
    );
    service.ask_admin("/nothing").await.assert_problem(404, "not-found");
}

/// On PostgreSQL only: SQLite is in the process, it can't be away.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_that_is_what_is_told() {
    let cluster = Cluster::start(&ClusterOptions { durable: true, ..ClusterOptions::default() }).unwrap();
    let database = create_database_at(&cluster.url(), None).await;
    let service = TestService::start_on(Some(database), ApiSettings::default()).await;
    service.lifecycle.set_listening();
    let never_seen = service.new_token("acme", &Scope::ALL).await;
    assert_eq!(service.get("/api/v1/private/chats").await.status, 200);
    cluster.stop().unwrap();

    for token in [&service.token, &never_seen] {
        let answer = Answer::of(service.plain(Method::GET, "/api/v1/private/chats").bearer_auth(token)).await;
        let problem = answer.assert_problem(503, "service-unavailable");
        assert_eq!((&problem["retryable"], answer.header("retry-after")), (&json!(true), "1"));
    }
    let not_ready = service.ask_admin("/readyz").await;
    assert_eq!((not_ready.status, &not_ready.json()["status"]), (503, &json!("unavailable")));
    assert_eq!(service.ask_admin("/livez").await.status, 200);

    cluster.start_again().unwrap();
    for _ in 0..100 {
        if service.ask_admin("/readyz").await.status == 200 {
            let list = Answer::of(service.plain(Method::GET, "/api/v1/private/chats").bearer_auth(&never_seen)).await;
            assert_eq!(list.status, 200);
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it does not come back");
}

on_both!(readiness_follows_the_life_of_the_process, figures_are_told);
