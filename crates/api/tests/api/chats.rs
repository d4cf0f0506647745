//! Reading a chat, and the invitation to it.

use convoke_domain::{OperationError, OperationErrorCode};
use convoke_provider::ProviderEventKind;
use reqwest::Method;
use serde_json::json;

use crate::service::{Answer, Backend, TestService};

async fn a_chat_is_read_with_its_tag(backend: Backend) {
    let service = TestService::start(backend).await;
    let path = service.active_chat("a").await;
    let chat = service.get(&path).await;
    assert_eq!((chat.status, chat.header("content-type")), (200, "application/json"));
    assert_eq!(chat.header("cache-control"), "private, no-cache");
    let tag = chat.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let answer = Answer::of(service.request(Method::GET, &path).header("if-none-match", known)).await;
        assert_eq!((answer.status, answer.header("etag"), answer.text.as_str()), (304, tag.as_str(), ""));
        assert!(!answer.header("x-request-id").is_empty());
    }
    service.happens(&path, ProviderEventKind::Renamed { title: "b".to_owned() }).await;
    let answer = Answer::of(service.request(Method::GET, &path).header("if-none-match", tag)).await;
    assert_eq!((answer.status, &answer.json()["title"][1]["value"]), (200, &json!("b")));
}

async fn a_path_or_query_that_is_wrong_is_named(backend: Backend) {
    let service = TestService::start(backend).await;
    for id in ["1", "9a98378917094543aa31a02867680017", "%7B9a983789-1709-4543-aa31-a02867680017%7D"] {
        let path = format!("/api/v1/private/chats/{id}?x=1");
        service.get(&path).await.assert_mistakes(&[("chatId", "invalidFormat"), ("x", "unknown")]);
    }
    let path = service.active_chat("a").await;
    assert_eq!(service.get(&path.replace("/chats/", "/chats/%")).await.status, 400);
    service.get(&format!("{path}/")).await.assert_problem(404, "not-found");
    let id = path.rsplit('/').next().unwrap();
    assert_eq!(service.get(&path.replace(id, &id.to_uppercase())).await.status, 200);
}

async fn an_invitation_is_given_while_the_chat_is_active(backend: Backend) {
    let service = TestService::start(backend).await;
    let id = service.register("a").await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/private/chats/{id}");
    let early = service.get(&format!("{path}/invitation")).await;
    assert_eq!(early.assert_problem(409, "chat-not-ready")["retryable"], true);
    assert_eq!(early.header("retry-after"), "1");
    assert_eq!(early.header("cache-control"), "no-store");

    let request = service.request(Method::GET, &format!("{path}/invitation")).header("prefer", "wait=20");
    let waiting = tokio::spawn(Answer::of(request));
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    service.make_groups().await;
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.header("preference-applied")), (200, "wait=20"));
    assert_eq!(answer.header("cache-control"), "no-store");
    let expected = json!({"service": "sandbox", "invitation": format!("http://127.0.0.1:8080/sandbox/{id}")});
    assert_eq!(answer.json(), expected);
    assert_eq!(service.get(&format!("{path}/invitation")).await.json(), expected);

    service.happens(&path, ProviderEventKind::Closed).await;
    service.get(&format!("{path}/invitation")).await.assert_problem(410, "chat-closed");
}

async fn a_failed_chat_has_no_invitation(backend: Backend) {
    let service = TestService::start(backend).await;
    let id = service.register("a").await["id"].as_str().unwrap().to_owned();
    let error = OperationError { code: OperationErrorCode::AttemptsExhausted, detail: "no".to_owned() };
    service.give_up(error).await;
    let answer = service.get(&format!("/api/v1/private/chats/{id}/invitation")).await;
    answer.assert_problem(410, "chat-closed");
}

on_both!(
    a_chat_is_read_with_its_tag,
    a_path_or_query_that_is_wrong_is_named,
    an_invitation_is_given_while_the_chat_is_active,
    a_failed_chat_has_no_invitation,
);
