//! The admin listener, and what happens while the database is away.

use std::time::Duration;

use convoke_api::ApiSettings;
use convoke_domain::{Environment as _, Scope, Service};
use convoke_provider::{AccountCondition, AccountState, FeedState, NewAccount};
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
    let verbose = service.ask_admin("/readyz?verbose").await.json();
    assert_eq!(verbose, json!({"status": "ok", "database": "ok", "accounts": []}));
    service.lifecycle.start_draining();
    let late = service.ask_admin("/readyz").await;
    assert_eq!((late.status, &late.json()["reason"]), (503, &json!("the process is about to stop")));
    assert_eq!(service.ask_admin("/livez").await.status, 200);
}

/// Keeps an account, held by somebody, in this state.
async fn keep_account(service: &TestService, name: &str, state: AccountState) {
    let tenants = vec!["acme".parse().unwrap()];
    let account =
        NewAccount { service: Service::Telegram, name: name.to_owned(), tenants, secret: Some(b"sealed".to_vec()) };
    let id = service.store.save_account(account).await.unwrap();
    let now = service.environment.now();
    let lease = service.store.lease_account(id, "pod-1", now, now.plus(Duration::from_mins(1))).await.unwrap().unwrap();
    assert!(service.store.save_account_state(&lease, state).await.unwrap());
    let feed = FeedState { feed: Some("all of it".to_owned()), groups: Vec::new(), at: now };
    assert!(service.store.save_feed(&lease, feed).await.unwrap());
}

async fn how_accounts_are_is_told_and_changes_nothing_of_readiness(backend: Backend) {
    let service = TestService::start(backend).await;
    service.lifecycle.set_listening();
    let now = service.environment.now();
    let waiting = AccountState { cooldown_until: Some(now.plus(Duration::from_mins(1))), ..AccountState::default() };
    let unusable = AccountState {
        external_id: Some("777000123".to_owned()),
        condition: AccountCondition::Unusable("SESSION_REVOKED".to_owned()),
        cooldown_until: None,
    };
    keep_account(&service, "first", waiting).await;
    keep_account(&service, "sec\"ond", unusable).await;
    service.environment.advance(Duration::from_secs(10));

    let verbose = service.ask_admin("/readyz?verbose=1").await;
    let told = json!({"status": "ok", "database": "ok", "accounts": [
        {"service": "telegram", "name": "first", "condition": "usable", "cooldownSeconds": 50, "groups": 0,
         "feedLagSeconds": 10, "held": true},
        {"service": "telegram", "name": "sec\"ond", "condition": "unusable", "reason": "SESSION_REVOKED", "groups": 0,
         "feedLagSeconds": 10, "held": true},
    ]});
    assert_eq!((verbose.status, verbose.json()), (200, told));
    assert_eq!(service.ask_admin("/readyz").await.json(), json!({"status": "ok"}));

    let metrics = service.ask_admin("/metrics").await.text;
    for line in [
        "convoke_accounts{service=\"telegram\",state=\"usable\"} 0",
        "convoke_accounts{service=\"telegram\",state=\"cooling_down\"} 1",
        "convoke_accounts{service=\"telegram\",state=\"unusable\"} 1",
        "convoke_account_cooldown_seconds{service=\"telegram\",account=\"first\"} 50",
        "convoke_account_groups{service=\"telegram\",account=\"sec\\\"ond\"} 0",
        "convoke_account_feed_lag_seconds{service=\"telegram\",account=\"first\"} 10",
        "convoke_account_held{service=\"telegram\",account=\"first\"} 1",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line}: {metrics}");
    }
    assert!(!metrics.contains("777000123"), "{metrics}");

    service.lifecycle.start_draining();
    let late = service.ask_admin("/readyz?verbose").await;
    assert_eq!((late.status, &late.json()["database"]), (503, &json!("ok")));
}

async fn figures_are_told(backend: Backend) {
    let service = TestService::start(backend).await;
    let registered = service.post("/api/v1/private/chats", &json!({"title": "To be made"})).await;
    assert_eq!(registered.status, 202, "{}", registered.text);
    service.environment.advance(Duration::from_secs(10));
    let metrics = service.ask_admin("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    for line in [
        concat!("convoke_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "convoke_ready 0",
        "convoke_operations_open{type=\"createChat\",status=\"pending\"} 1",
        "convoke_operations_open{type=\"createChat\",status=\"running\"} 0",
        "convoke_operations_oldest_due_seconds{type=\"removeParticipant\"} 0",
    ] {
        assert!(metrics.text.lines().any(|told| told == line), "{line}: {}", metrics.text);
    }
    // The clock goes on a little whenever it is looked at.
    let due_for = "\nconvoke_operations_oldest_due_seconds{type=\"createChat\"} 10.0";
    assert!(metrics.text.contains(due_for), "{}", metrics.text);
    let has_pool = metrics.text.contains("db_client_connections{db_client_connection_state=\"used\"} 0");
    assert_eq!(has_pool, matches!(backend, Backend::Postgres), "{}", metrics.text);
    service.lifecycle.set_listening();
    let ready = service.ask_admin("/metrics").await.text;
    assert!(ready.lines().any(|line| line == "convoke_ready 1"), "{ready}");
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
    let verbose = service.ask_admin("/readyz?verbose").await;
    assert_eq!((verbose.status, &verbose.json()["accounts"]), (503, &json!(null)));
    assert_eq!(service.ask_admin("/metrics").await.status, 200);
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

on_both!(
    readiness_follows_the_life_of_the_process,
    how_accounts_are_is_told_and_changes_nothing_of_readiness,
    figures_are_told
);
