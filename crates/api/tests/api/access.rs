//! Who may do what. The operations come from the OpenAPI document, so that none is forgotten.

use std::{collections::BTreeSet, time::Duration};

use convoke_domain::{Environment as _, Scope};
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Answer, Backend, TestService};

/// A private operation, as it is tried out: on what is another tenant's, and on what nobody has.
struct Tried {
    operation_id: &'static str,
    method: Method,
    /// With `{chat}`, `{participant}` and `{operation}` for what there is of another tenant.
    path: &'static str,
    body: Option<Value>,
    /// What is answered where there is no such resource; nothing if the operation is about no resource.
    not_found: Option<&'static str>,
}

fn table() -> Vec<Tried> {
    let tried = |operation_id, method, path, not_found| Tried { operation_id, method, path, body: None, not_found };
    vec![
        tried("list_chats", Method::GET, "/api/v1/private/chats", None),
        Tried {
            body: Some(json!({ "title": "x" })),
            ..tried("register_chat", Method::POST, "/api/v1/private/chats", None)
        },
        tried("get_chat", Method::GET, "/api/v1/private/chats/{chat}", Some("chat-not-found")),
        tried("get_chat_invitation", Method::GET, "/api/v1/private/chats/{chat}/invitation", Some("chat-not-found")),
        tried(
            "remove_participant",
            Method::DELETE,
            "/api/v1/private/chats/{chat}/participants/{participant}",
            Some("chat-not-found"),
        ),
        tried("get_operation", Method::GET, "/api/v1/private/operations/{operation}", Some("operation-not-found")),
    ]
}

/// Every private operation of the document: its id and the scope that it asks for.
fn documented() -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&convoke_api::openapi_json()).unwrap();
    let private = document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/api/v1/private"));
    let operations = private.flat_map(|(_, item)| item.as_object().unwrap().values());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    operations.map(|o| (text(&o["operationId"]), text(&o["security"][0]["bearer"][0]))).collect()
}

async fn try_out(service: &TestService, tried: &Tried, path: &str, token: Option<&str>) -> Answer {
    let mut request = service.plain(tried.method.clone(), path).header("x-request-id", "one");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = &tried.body {
        request = request.json(body);
    }
    Answer::of(request).await
}

#[test]
fn the_table_holds_every_operation() {
    let documented: BTreeSet<_> = documented().into_iter().map(|(id, _)| id).collect();
    let tried: BTreeSet<_> = table().iter().map(|tried| tried.operation_id.to_owned()).collect();
    assert_eq!(documented, tried, "an operation is missing from the table of this test, or gone");
}

async fn every_operation_asks_for_a_token_and_its_scope(backend: Backend) {
    let service = TestService::start(backend).await;
    let nothing = service.new_token("acme", &[]).await;
    let scopes: std::collections::HashMap<_, _> = documented().into_iter().collect();
    for tried in table() {
        // What comes after the token and the scope is not looked at: this path is no good.
        let path = tried.path.replace('{', "not-").replace('}', "");
        let answer = try_out(&service, &tried, &path, None).await;
        answer.assert_problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"convoke\"");
        let answer = try_out(&service, &tried, &path, Some("cvk_x")).await;
        answer.assert_problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"convoke\", error=\"invalid_token\"");

        let scope: Scope = scopes[tried.operation_id].parse().unwrap();
        let other = Scope::ALL.into_iter().find(|other| *other != scope).unwrap();
        for token in [nothing.clone(), service.new_token("acme", &[other]).await] {
            let answer = try_out(&service, &tried, &path, Some(&token)).await;
            answer.assert_problem(403, "forbidden");
            let challenge = format!("Bearer realm=\"convoke\", error=\"insufficient_scope\", scope=\"{scope}\"");
            assert_eq!(answer.header("www-authenticate"), challenge);
        }
    }
}

async fn another_tenants_resource_is_as_one_that_does_not_exist(backend: Backend) {
    let service = TestService::start(backend).await;
    let registered = service.register("theirs").await;
    service.make_groups().await;
    let (chat, operation) = (registered["id"].as_str().unwrap(), registered["operationId"].as_str().unwrap());
    let participant = service.joins(&format!("/api/v1/private/chats/{chat}"), "ann").await;
    let stranger = service.new_token("other", &Scope::ALL).await;
    let nobodys = "00000000-0000-4000-8000-000000000000";
    for tried in table() {
        let Some(slug) = tried.not_found else { continue };
        let at = |chat: &str, participant: &str, operation: &str| {
            let path = tried.path.replace("{chat}", chat).replace("{participant}", participant);
            path.replace("{operation}", operation)
        };
        let (theirs, none) = (at(chat, &participant, operation), at(nobodys, nobodys, nobodys));
        let of_theirs = try_out(&service, &tried, &theirs, Some(&stranger)).await;
        let of_none = try_out(&service, &tried, &none, Some(&stranger)).await;
        of_theirs.assert_problem(404, slug);
        // Byte for byte, but for the path that was asked for: the request's name is the same here.
        assert_eq!(of_theirs.text.replace(&theirs, "-"), of_none.text.replace(&none, "-"));
        let without_length = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            headers.remove("content-length");
            headers.remove("date");
            headers
        };
        assert_eq!(without_length(&of_theirs), without_length(&of_none));
    }
    // A list shows nothing of it.
    let list = Answer::of(service.plain(Method::GET, "/api/v1/private/chats").bearer_auth(&stranger)).await;
    assert_eq!(list.json()["_metadata"]["totalRecords"], 0);
}

async fn without_a_token_nothing_private_is_told(backend: Backend) {
    let service = TestService::start(backend).await;
    for (method, path) in [
        (Method::GET, "/api/v1/private"),
        (Method::GET, "/api/v1/private/"),
        (Method::GET, "/api/v1/private/nothing"),
        (Method::PUT, "/api/v1/private/chats"),
        (Method::OPTIONS, "/api/v1/private/chats"),
        (Method::HEAD, "/api/v1/private/chats"),
        (Method::GET, "/api/v1/private/chats/?x=1"),
    ] {
        let answer = Answer::of(service.plain(method.clone(), path)).await;
        assert_eq!(answer.status, 401, "{method} {path}");
    }
    let too_large = service.plain(Method::POST, "/api/v1/private/chats").body(vec![b'x'; 70_000]);
    Answer::of(too_large).await.assert_problem(401, "unauthorized");
}

async fn a_token_is_read_as_rfc_6750_has_it(backend: Backend) {
    let service = TestService::start(backend).await;
    let with = |value: String| service.plain(Method::GET, "/api/v1/private/chats").header("authorization", value);
    for good in [format!("Bearer {}", service.token), format!("bEARER {}", service.token)] {
        assert_eq!(Answer::of(with(good)).await.status, 200);
    }
    let mut changed = service.token.clone();
    changed.pop();
    for bad in [
        format!("Bearer {}x", service.token),
        format!("Bearer {changed}!"),
        "Bearer".to_owned(),
        format!("Token {}", service.token),
        service.token.clone(),
    ] {
        Answer::of(with(bad)).await.assert_problem(401, "unauthorized");
    }
    let twice = with(format!("Bearer {}", service.token)).header("authorization", format!("Bearer {}", service.token));
    Answer::of(twice).await.assert_problem(401, "unauthorized");
}

async fn a_token_ends_and_is_revoked(backend: Backend) {
    let service = TestService::start(backend).await;
    let tenant: convoke_domain::TenantId = "acme".parse().unwrap();
    let ttl = Some(Duration::from_mins(1));
    let (plain, token) = convoke_api::mint(&service.environment, tenant, "tester".to_owned(), Scope::ALL.to_vec(), ttl);
    service.store.create_token(&token).await.unwrap();
    let list = || Answer::of(service.plain(Method::GET, "/api/v1/private/chats").bearer_auth(plain.expose()));
    assert_eq!(list().await.status, 200);
    service.environment.advance(Duration::from_secs(61));
    // Though it is still in the cache.
    list().await.assert_problem(401, "unauthorized");

    let stored = service.store.list_tokens().await.unwrap();
    let ours = stored.iter().find(|stored| stored.token.expires_at.is_none()).unwrap();
    assert_eq!(service.get("/api/v1/private/chats").await.status, 200);
    service.store.revoke_token(ours.token.id, service.environment.now()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    service.get("/api/v1/private/chats").await.assert_problem(401, "unauthorized");
}

on_both!(
    every_operation_asks_for_a_token_and_its_scope,
    another_tenants_resource_is_as_one_that_does_not_exist,
    without_a_token_nothing_private_is_told,
    a_token_is_read_as_rfc_6750_has_it,
    a_token_ends_and_is_revoked,
);
