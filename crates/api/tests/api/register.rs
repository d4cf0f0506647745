//! `POST /api/v1/private/chats`.

use std::time::{Duration, Instant};

use convoke_api::ApiSettings;
use convoke_domain::{OperationError, OperationErrorCode, Scope, Service};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::service::{Answer, Backend, TestService};

const CHATS: &str = "/api/v1/private/chats";
const ID: &str = "9a983789-1709-4543-aa31-a02867680017";

fn post(service: &TestService, body: &Value) -> RequestBuilder {
    service.request(Method::POST, CHATS).json(body)
}

fn raw(service: &TestService, body: impl Into<reqwest::Body>) -> RequestBuilder {
    service.request(Method::POST, CHATS).header("content-type", "application/json").body(body)
}

async fn a_chat_is_registered(backend: Backend) {
    let service = TestService::start(backend).await;
    let body = json!({"title": "  Día 11 ", "createdBy": " ann ", "description": "one\n\ttwo"});
    let answer = service.post("/api/v1/private/chats/", &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let accepted = answer.json();
    assert_eq!(accepted["status"], "provisioning");
    let location = format!("{CHATS}/{}", accepted["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), location);
    assert_eq!(accepted.as_object().unwrap().len(), 3);
    let chat = service.get(&location).await.json();
    assert_eq!(
        (&chat["title"][0]["value"], &chat["createdBy"], &chat["description"], &chat["service"]),
        (&json!("Día 11"), &json!("ann"), &json!("one\n\ttwo"), &json!("sandbox"))
    );
    assert_eq!((&chat["participants"], &chat["isActive"]), (&json!([]), &json!(false)));
}

async fn created_by_defaults_to_the_subject(backend: Backend) {
    let service = TestService::start(backend).await;
    let long = "x".repeat(51);
    for (subject, body, expected) in [
        ("ann", json!({"title": "t"}), json!("ann")),
        ("ann", json!({"title": "t", "createdBy": " "}), json!("ann")),
        (long.as_str(), json!({"title": "t"}), Value::Null),
    ] {
        let token = service.new_token_of("acme", subject, &Scope::ALL).await;
        let answer = Answer::of(service.plain(Method::POST, CHATS).bearer_auth(&token).json(&body)).await;
        assert_eq!(service.get(answer.header("location")).await.json()["createdBy"], expected);
    }
}

async fn every_mistake_is_named_at_once(backend: Backend) {
    let service = TestService::start(backend).await;
    let body = json!({
        "title": " ", "createdBy": "x".repeat(51), "description": "a\u{0}", "service": "icq", "id": "1", "extra": 1, "a/b": 2,
    });
    let request =
        service.request(Method::POST, "/api/v1/private/chats?page=1").json(&body).header("idempotency-key", "a b");
    Answer::of(request).await.assert_mistakes(&[
        ("/title", "required"),
        ("/createdBy", "tooLong"),
        ("/description", "invalidCharacter"),
        ("/service", "unknown"),
        ("/id", "invalidFormat"),
        ("/extra", "unknown"),
        ("/a~1b", "unknown"),
        ("page", "unknown"),
        ("Idempotency-Key", "invalidCharacter"),
    ]);
    for (body, pointer, code) in [
        ("{}", "/title", "required"),
        ("{\"title\":null}", "/title", "invalidFormat"),
        ("{\"title\":1}", "/title", "invalidFormat"),
        ("{\"title\":\"a\",\"title\":\"a\"}", "/title", "duplicate"),
        ("{\"title\":\"a\",\"createdBy\":null}", "/createdBy", "invalidFormat"),
        ("{\"title\":\"a\",\"service\":null}", "/service", "invalidFormat"),
        ("{\"title\":\"\\ud800\"}", "/title", "invalidFormat"),
        ("[]", "", "invalidFormat"),
        ("null", "", "invalidFormat"),
        ("", "", "invalidFormat"),
        ("{\"title\":\"a\"", "", "invalidFormat"),
        ("{\"title\":\"a\"}{}", "", "invalidFormat"),
    ] {
        Answer::of(raw(&service, body)).await.assert_mistakes(&[(pointer, code)]);
    }
    let deep = format!("{{\"title\":\"a\",\"x\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
    Answer::of(raw(&service, deep)).await.assert_mistakes(&[("/x", "unknown")]);
    Answer::of(raw(&service, b"{\"title\":\"\xff\"}".to_vec())).await.assert_mistakes(&[("", "invalidFormat")]);
}

async fn lengths_count_as_sent(backend: Backend) {
    let service = TestService::start(backend).await;
    assert_eq!(service.post(CHATS, &json!({"title": "é".repeat(255)})).await.status, 202);
    let padded = format!("{} ", "é".repeat(255));
    service.post(CHATS, &json!({"title": padded})).await.assert_mistakes(&[("/title", "tooLong")]);
}

async fn a_service_has_limits_of_its_own(backend: Backend) {
    let configured_services = vec![Service::Sandbox, Service::Telegram];
    let service = TestService::start_with(backend, ApiSettings { configured_services, ..ApiSettings::default() }).await;
    let body = |service: &str| json!({"title": "😀".repeat(65), "service": service});
    assert_eq!(service.post(CHATS, &body("sandbox")).await.status, 202);
    let answer = service.post(CHATS, &body("telegram")).await;
    answer.assert_mistakes(&[("/title", "tooLong")]);
    assert!(answer.text.contains("Telegram"));
}

async fn a_service_that_is_not_configured_is_told_first(backend: Backend) {
    let service = TestService::start(backend).await;
    let answer = service.post(CHATS, &json!({"service": "telegram", "title": "", "nonsense": null})).await;
    answer.assert_problem(409, "provider-not-configured");
}

async fn the_body_must_be_json_and_not_too_large(backend: Backend) {
    let service = TestService::start(backend).await;
    let body = "{\"title\":\"a\"}";
    for (content_type, status) in [
        ("application/json", 202),
        ("application/json; charset=utf-8", 202),
        ("APPLICATION/JSON", 202),
        ("text/plain", 415),
        ("application/jsonx", 415),
        ("application/problem+json", 415),
    ] {
        let request = service.request(Method::POST, CHATS).header("content-type", content_type).body(body);
        assert_eq!(Answer::of(request).await.status, status, "{content_type}");
    }
    let without = Answer::of(service.request(Method::POST, CHATS).body(body)).await;
    without.assert_problem(415, "unsupported-media-type");
    let limit = 64 * 1024;
    let padded = |length: usize| format!("{body}{}", " ".repeat(length - body.len()));
    assert_eq!(Answer::of(raw(&service, padded(limit))).await.status, 202);
    // Too large comes before everything else that may be wrong with it.
    for length in [limit + 1, 5_000_000] {
        let request = service.request(Method::POST, CHATS).body("x".repeat(length));
        Answer::of(request).await.assert_problem(413, "body-too-large");
    }
}

async fn a_key_repeats_the_answer(backend: Backend) {
    let service = TestService::start(backend).await;
    let keyed = |key: &str, body: &Value| post(&service, body).header("idempotency-key", key);
    let first = Answer::of(keyed("k", &json!({"title": "a"}))).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (202, ""));
    // The same, with what is default said, and said differently.
    for same in
        [json!({"title": "a"}), json!({"service": "sandbox", "createdBy": "tester", "title": "  a", "description": ""})]
    {
        let again = Answer::of(keyed("k", &same)).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (202, "true"), "{}", again.text);
        assert_eq!((&again.text, again.header("location")), (&first.text, first.header("location")));
    }
    Answer::of(keyed("k", &json!({"title": "b"}))).await.assert_problem(422, "idempotency-key-reused");
    Answer::of(keyed("k", &json!({"title": ""}))).await.assert_mistakes(&[("/title", "required")]);
    let twice = keyed("k", &json!({"title": "a"})).header("idempotency-key", "k");
    Answer::of(twice).await.assert_mistakes(&[("Idempotency-Key", "duplicate")]);

    service.make_groups().await;
    let later = Answer::of(keyed("k", &json!({"title": "a"}))).await;
    assert_eq!((later.status, &later.json()["status"]), (202, &json!("active")));
    let waiting = Answer::of(keyed("k", &json!({"title": "a"})).header("prefer", "wait=5")).await;
    assert_eq!((waiting.status, waiting.header("idempotency-replayed")), (201, "true"));
    // Another tenant has keys of its own.
    let stranger = service.new_token("other", &Scope::ALL).await;
    let request = service.plain(Method::POST, CHATS).bearer_auth(stranger).header("idempotency-key", "k");
    let theirs = Answer::of(request.json(&json!({"title": "b"}))).await;
    assert_eq!((theirs.status, theirs.header("idempotency-replayed")), (202, ""));
}

async fn an_id_of_the_clients_own_repeats_the_registration(backend: Backend) {
    let service = TestService::start(backend).await;
    let first = service.post(CHATS, &json!({"title": "a", "id": ID})).await;
    assert_eq!((first.status, &first.json()["id"]), (202, &json!(ID)));
    let again = service.post(CHATS, &json!({"title": "a", "id": ID.to_uppercase()})).await;
    assert_eq!((again.status, &again.text), (202, &first.text));
    assert_eq!(again.header("idempotency-replayed"), "");
    service.post(CHATS, &json!({"title": "b", "id": ID})).await.assert_problem(409, "chat-id-taken");
}

async fn a_client_may_wait_for_its_chat(backend: Backend) {
    let service = TestService::start(backend).await;
    let started = Instant::now();
    let wait = tokio::spawn(Answer::of(post(&service, &json!({"title": "a"})).header("prefer", "wait=60")));
    tokio::time::sleep(Duration::from_millis(200)).await;
    service.make_groups().await;
    let answer = wait.await.unwrap();
    assert_eq!((answer.status, answer.header("preference-applied")), (201, "wait=30"), "{}", answer.text);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(answer.json()["status"], "active");
    assert_eq!(answer.text, service.get(answer.header("location")).await.text);

    let late = Answer::of(post(&service, &json!({"title": "b"})).header("prefer", "respond-async, wait=1")).await;
    assert_eq!((late.status, late.header("preference-applied")), (202, ""));
    let at_once = Answer::of(post(&service, &json!({"title": "c"})).header("prefer", "wait=soon")).await;
    assert_eq!(at_once.status, 202);
}

async fn a_chat_that_fails_ends_the_wait(backend: Backend) {
    let service = TestService::start(backend).await;
    let wait = tokio::spawn(Answer::of(post(&service, &json!({"title": "a"})).header("prefer", "wait=30")));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let detail = "no".to_owned();
    service.give_up(OperationError { code: OperationErrorCode::ProviderRejected, detail }).await;
    let answer = wait.await.unwrap();
    assert_eq!((answer.status, &answer.json()["status"]), (202, &json!("failed")));
}

async fn nobody_waits_beyond_the_bound_or_a_drain(backend: Backend) {
    let service = TestService::start_with(backend, ApiSettings { wait_slots: 1, ..ApiSettings::default() }).await;
    let first = tokio::spawn(Answer::of(post(&service, &json!({"title": "a"})).header("prefer", "wait=30")));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    let second = Answer::of(post(&service, &json!({"title": "b"})).header("prefer", "wait=30")).await;
    assert_eq!(second.status, 202);
    service.lifecycle.start_draining();
    let first = first.await.unwrap();
    assert_eq!((first.status, first.header("connection")), (202, "close"));
    assert!(started.elapsed() < Duration::from_secs(5));
}

on_both!(
    a_chat_is_registered,
    created_by_defaults_to_the_subject,
    every_mistake_is_named_at_once,
    lengths_count_as_sent,
    a_service_has_limits_of_its_own,
    a_service_that_is_not_configured_is_told_first,
    the_body_must_be_json_and_not_too_large,
    a_key_repeats_the_answer,
    an_id_of_the_clients_own_repeats_the_registration,
    a_client_may_wait_for_its_chat,
    a_chat_that_fails_ends_the_wait,
    nobody_waits_beyond_the_bound_or_a_drain,
);
