//! `Convoke-Position`: what a client has written it sees, also where replicas answer that lag behind.

use std::time::Duration;

use convoke_api::ApiSettings;
use convoke_domain::Scope;
use convoke_provider::ProviderEventKind;
use convoke_store::{Migrate, OpenOptions, ReplicaOptions};
use convoke_test_support::{
    Cluster, ClusterOptions, TestEnvironment, catch_up, create_database_at, pause_replay, resume_replay,
};
use reqwest::Method;
use serde_json::Value;

use crate::service::{Answer, Backend, TestService, person};

const POSITION: &str = "convoke-position";
const CHATS: &str = "/api/v1/private/chats";
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

async fn a_position_that_is_none_is_a_mistake(backend: Backend) {
    let service = TestService::start(backend).await;
    let registered = service.post(CHATS, &serde_json::json!({"title": "x"})).await;
    assert_eq!((registered.status, registered.header(POSITION)), (202, ""), "there are no replicas");
    let chat = registered.header("location").to_owned();
    let operation = format!("/api/v1/private/operations/{}", registered.json()["operationId"].as_str().unwrap());
    for path in [CHATS, &chat, &format!("{chat}/invitation"), &operation] {
        let asked = |position: &str| Answer::of(service.request(Method::GET, path).header(POSITION, position));
        asked("0/3000060").await.assert_mistakes(&[("Convoke-Position", "invalidFormat")]);
        // One of another installation, perhaps: what there is is as new as it gets.
        assert_ne!(asked("00000000ffffffff").await.status, 400, "{path}");
    }
}

on_both!(a_position_that_is_none_is_a_mistake);

/// A service that reads from a standby, which may lag for an hour.
async fn replicated() -> (Cluster, Cluster, TestService) {
    let primary = Cluster::start(&ClusterOptions { durable: true, ..ClusterOptions::default() }).unwrap();
    let database = create_database_at(&primary.url(), None).await;
    let options = OpenOptions { url: database.url().parse().unwrap(), migrate: Migrate::Auto, serve: false };
    convoke_store::open(&options, std::sync::Arc::new(TestEnvironment::new())).await.unwrap();
    let standby = primary.standby().unwrap();
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", standby.port(), database.name());
    let replica = ReplicaOptions { url: url.into(), max_lag: Duration::from_hours(1) };
    let service = TestService::start_beside(Some(database), Some(replica), ApiSettings::default()).await;
    (primary, standby, service)
}

/// Until this is the total that somebody sees who has written nothing.
async fn until_a_reader_sees(service: &TestService, reader: &str, total: u64) {
    let seen = async {
        while listed(service, reader, None).await != total {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), seen).await.expect("within a minute");
}

async fn listed(service: &TestService, token: &str, position: Option<&str>) -> u64 {
    let mut request = service.plain(Method::GET, CHATS).bearer_auth(token);
    if let Some(position) = position {
        request = request.header(POSITION, position);
    }
    let answer = Answer::of(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["_metadata"]["totalRecords"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_wrote_sees_it_and_whoever_did_not_sees_what_is_recent() {
    let (primary, standby, service) = replicated().await;
    let reader = service.new_token_of("acme", "reader", &[Scope::ChatsRead]).await;
    let early = service.active_chat("early").await;
    let ann = service.happens(&early, ProviderEventKind::Joined { person: person("ann"), invited_by: None });
    ann.await;
    catch_up(&primary, &standby).await;
    pause_replay(&standby).await;
    let registered = service.post(CHATS, &serde_json::json!({"title": "late"})).await;
    let position = registered.header(POSITION).to_owned();
    assert_eq!((registered.status, position.len()), (202, 16), "{position}");
    assert_eq!(listed(&service, &service.token, None).await, 2, "who wrote a moment ago");
    until_a_reader_sees(&service, &reader, 1).await;
    assert_eq!(listed(&service, &reader, Some(&position)).await, 2, "who was told of it");

    // What a replica does not know is asked of the primary, whoever asks.
    let late = registered.header("location").to_owned();
    let operation = format!("/api/v1/private/operations/{}", registered.json()["operationId"].as_str().unwrap());
    for (path, status) in [(late.as_str(), 200), (&format!("{late}/invitation"), 409), (&operation, 200)] {
        let answer = Answer::of(service.plain(Method::GET, path).bearer_auth(&reader)).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
    }
    let nobody = service.plain(Method::GET, &format!("{CHATS}/{NOBODY}")).bearer_auth(&reader);
    Answer::of(nobody).await.assert_problem(404, "chat-not-found");

    // A removal is a write too.
    let chat: Value = Answer::of(service.request(Method::GET, &early).header(POSITION, &position)).await.json();
    let ann = &chat["participants"][1];
    assert_eq!(ann["userProperties"]["username"], "ann", "{chat}");
    let removed = service.delete(&format!("{early}/participants/{}", ann["id"].as_str().unwrap())).await;
    assert_eq!(removed.status, 202, "{}", removed.text);
    assert!(removed.header(POSITION) > position.as_str(), "{:?}", removed.headers);

    resume_replay(&standby).await;
    until_a_reader_sees(&service, &reader, 2).await;
}
