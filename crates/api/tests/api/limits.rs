//! How much is taken on: of each tenant, and at once.

use std::{num::NonZeroU32, time::Duration};

use convoke_api::{ApiSettings, Limits, RateLimit};
use convoke_domain::Scope;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::service::{Answer, Backend, TestService};

const CHATS: &str = "/api/v1/private/chats";

async fn start(backend: Backend, limits: Limits) -> TestService {
    TestService::start_with(backend, ApiSettings { limits, ..ApiSettings::default() }).await
}

async fn a_tenant_that_asks_too_much_is_told_when_to_come_again(backend: Backend) {
    let number = |number| NonZeroU32::new(number).unwrap();
    let rate = RateLimit { requests_per_second: number(1), burst: number(3) };
    let service = start(backend, Limits { rate: Some(rate), ..Limits::default() }).await;
    let other = service.new_token("globex", &Scope::ALL).await;

    let first = service.get(CHATS).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit-policy"), "\"tenant\";q=3;w=3");
    assert_eq!(first.header("ratelimit"), "\"tenant\";r=2;t=1");

    // Unknown paths count as well: the limit comes before whatever is asked for.
    let answers = join_all((0..20).map(|_| service.get("/api/v1/private/nothing"))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty());
    for answer in refused {
        let problem = answer.assert_problem(429, "too-many-requests");
        assert_eq!(problem["retryable"], true);
        assert_eq!((answer.header("retry-after"), answer.header("ratelimit-policy")), ("1", "\"tenant\";q=3;w=3"));
        assert_eq!(answer.header("ratelimit"), "\"tenant\";r=0;t=3");
    }
    for answer in answers.iter().filter(|answer| answer.status != 429) {
        answer.assert_problem(404, "not-found");
        assert_ne!(answer.header("ratelimit"), "");
    }

    // Who has no token is nobody's client.
    let stranger = Answer::of(service.plain(Method::GET, CHATS)).await;
    stranger.assert_problem(401, "unauthorized");
    assert_eq!((stranger.header("ratelimit"), stranger.header("ratelimit-policy")), ("", ""));
    let neighbour = Answer::of(service.plain(Method::GET, CHATS).bearer_auth(&other)).await;
    assert_eq!((neighbour.status, neighbour.header("ratelimit")), (200, "\"tenant\";r=2;t=1"));
}

async fn without_a_limit_nothing_is_said_of_one(backend: Backend) {
    let service = TestService::start(backend).await;
    let answer = service.get(CHATS).await;
    assert_eq!((answer.header("ratelimit"), answer.header("ratelimit-policy")), ("", ""));
}

async fn who_sends_slowly_or_waits_keeps_nobody_out(backend: Backend) {
    let service = start(backend, Limits { reads: 1, writes: 1, rate: None }).await;
    let head = format!(
        "POST {CHATS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{",
        service.token
    );
    let mut slow = TcpStream::connect(service.base.trim_start_matches("http://")).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    // Nobody makes the group, so this one waits until the others are through.
    let waiting = service.request(Method::POST, CHATS).header("prefer", "wait=30").json(&json!({"title": "waits"}));
    let waiting = tokio::spawn(Answer::of(waiting));
    let mut chat = String::new();
    while chat.is_empty() {
        let list = service.get(CHATS).await.json();
        list["records"][0]["id"].as_str().unwrap_or_default().clone_into(&mut chat);
    }
    let invitation = service.request(Method::GET, &format!("{CHATS}/{chat}/invitation")).header("prefer", "wait=30");
    let invitation = tokio::spawn(Answer::of(invitation));
    for title in ["one", "two"] {
        service.register(title).await;
    }
    // The wait for the invitation may have begun only now, and still others are answered.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(service.get(CHATS).await.status, 200);
    service.make_groups().await;
    assert_eq!(waiting.await.unwrap().status, 201);
    assert_eq!(invitation.await.unwrap().status, 200);
}

on_both!(
    a_tenant_that_asks_too_much_is_told_when_to_come_again,
    without_a_limit_nothing_is_said_of_one,
    who_sends_slowly_or_waits_keeps_nobody_out,
);
