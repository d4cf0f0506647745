//! Removing a participant.

use convoke_provider::ProviderEventKind;
use reqwest::Method;
use serde_json::json;

use crate::service::{Answer, Backend, TestService, person};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

async fn a_removal_is_accepted_once(backend: Backend) {
    let service = TestService::start(backend).await;
    let path = service.active_chat("a").await;
    let ann = service.joins(&path, "ann").await;
    let first = service.delete(&format!("{path}/participants/{ann}")).await;
    assert_eq!(first.status, 202, "{}", first.text);
    assert_eq!(first.json()["id"], path.rsplit('/').next().unwrap());
    assert_eq!(first.json().as_object().unwrap().len(), 2);
    let again = service.delete(&format!("{path}/participants/{}", ann.to_uppercase())).await;
    assert_eq!((again.status, &again.text), (202, &first.text), "it is under way");
    let operation = service.get(first.header("location")).await.json();
    assert_eq!((&operation["type"], &operation["status"]), (&json!("removeParticipant"), &json!("pending")));

    let bob = service.joins(&path, "bob").await;
    service.happens(&path, ProviderEventKind::Left { person: person("bob") }).await;
    let out_already = service.delete(&format!("{path}/participants/{bob}")).await;
    assert_eq!(out_already.status, 202);
    assert_eq!(service.get(out_already.header("location")).await.json()["status"], "succeeded");
}

async fn what_can_not_be_removed_is_told_in_order(backend: Backend) {
    let service = TestService::start(backend).await;
    let of_none = format!("/api/v1/private/chats/{NOBODY}/participants/{NOBODY}");
    service.delete(&of_none).await.assert_problem(404, "chat-not-found");
    let new = format!("/api/v1/private/chats/{}", service.register("a").await["id"].as_str().unwrap());
    let nobody = format!("{new}/participants/{NOBODY}");
    service.delete(&nobody).await.assert_problem(404, "participant-not-found");
    service.make_groups().await;
    service.delete(&nobody).await.assert_problem(404, "participant-not-found");
    let owner = service.get(&new).await.json()["participants"][0]["id"].as_str().unwrap().to_owned();
    let owner = format!("{new}/participants/{owner}");
    service.delete(&owner).await.assert_problem(409, "participant-is-owner");
    service.happens(&new, ProviderEventKind::Closed).await;
    service.delete(&owner).await.assert_problem(409, "chat-not-active");
    service.delete(&nobody).await.assert_problem(404, "participant-not-found");
    let request = service.request(Method::DELETE, "/api/v1/private/chats/1/participants/2?x=1");
    Answer::of(request.header("idempotency-key", "")).await.assert_mistakes(&[
        ("chatId", "invalidFormat"),
        ("participantId", "invalidFormat"),
        ("x", "unknown"),
        ("Idempotency-Key", "required"),
    ]);
}

async fn a_key_repeats_the_answer(backend: Backend) {
    let service = TestService::start(backend).await;
    let path = service.active_chat("a").await;
    let ann = format!("{path}/participants/{}", service.joins(&path, "ann").await);
    let bob = format!("{path}/participants/{}", service.joins(&path, "bob").await);
    let keyed = |path: &str| Answer::of(service.request(Method::DELETE, path).header("idempotency-key", "k"));
    let first = keyed(&ann).await;
    let again = keyed(&ann).await;
    assert_eq!((again.status, again.header("idempotency-replayed"), &again.text), (202, "true", &first.text));
    // A key is one for each path.
    let other = keyed(&bob).await;
    assert_eq!((other.status, other.header("idempotency-replayed")), (202, ""));
}

on_both!(a_removal_is_accepted_once, what_can_not_be_removed_is_told_in_order, a_key_repeats_the_answer);
