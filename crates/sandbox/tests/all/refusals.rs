//! Every refusal: its status, its headers, and its body for people and for programs.

use convoke_domain::ChatStatus;
use convoke_provider::{Provider, SandboxStorage};
use convoke_sandbox::{MAX_PEOPLE, Member};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{PUBLIC_URL, Site};

const STRANGER: &str = "9a983789-1709-4543-aa31-a02867680017";

/// Sends a request twice, for a page and for JSON, and returns the JSON of the answer, with its headers.
async fn refused(request: RequestBuilder, status: u16, code: &str) -> (Value, reqwest::header::HeaderMap) {
    let for_people = request.try_clone().unwrap().header("accept", "text/html,*/*;q=0.8").send().await.unwrap();
    assert_eq!(for_people.status(), status);
    assert_eq!(for_people.headers()["content-type"], "text/html; charset=utf-8");
    let page = for_people.text().await.unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains(&status.to_string()), "{page}");

    let request = request.header("accept", "application/json").header("x-request-id", "the-id");
    let for_programs = request.send().await.unwrap();
    assert_eq!(for_programs.status(), status);
    assert_eq!(for_programs.headers()["content-type"], "application/problem+json");
    assert_eq!(for_programs.headers()["x-request-id"], "the-id");
    let (headers, path) = (for_programs.headers().clone(), for_programs.url().path().to_owned());
    let problem: Value = for_programs.json().await.unwrap();
    assert_eq!(problem["type"], format!("/problems/{code}"));
    assert_eq!(problem["code"], code);
    assert_eq!(problem["status"], status);
    assert_eq!(problem["instance"], path);
    assert_eq!(problem["requestId"], "the-id");
    assert_eq!(problem["retryable"], status >= 500);
    assert!(!problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty());
    (problem, headers)
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let site = Site::with_chat("One").await;
    let code = &site.code;
    for path in [
        "/sandbox/none".to_owned(),
        "/sandbox/".to_owned(),
        "/sandbox/0123456789abcdef0123456789abcdef".to_owned(),
        format!("/sandbox/{}", code.to_uppercase()),
        format!("/sandbox/{code}/"),
        format!("/sandbox/{code}/joins"),
        format!("/sandbox/{code}/join/"),
        format!("/sandbox/{code}/join/x"),
        format!("/sandbox/{code}/%3Cscript%3E"),
        format!("/sandbox/{code}%27"),
    ] {
        refused(site.request(Method::GET, &path), 404, "not-found").await;
    }
    for verb in ["join", "leave", "rename", "close"] {
        let path = format!("/sandbox/0123456789abcdef0123456789abcdef/{verb}");
        refused(site.request(Method::POST, &path).form(&[("username", "ada")]), 404, "not-found").await;
    }
}

#[tokio::test]
async fn another_method_is_not_allowed() {
    let site = Site::with_chat("One").await;
    let page = format!("/sandbox/{}", site.code);
    for (method, path, allow) in [
        (Method::POST, page.clone(), "GET, HEAD"),
        (Method::OPTIONS, page.clone(), "GET, HEAD"),
        (Method::DELETE, "/sandbox/style.css".to_owned(), "GET, HEAD"),
        (Method::GET, format!("{page}/join"), "POST"),
        (Method::PUT, format!("{page}/leave"), "POST"),
        (Method::OPTIONS, format!("{page}/rename"), "POST"),
        (Method::GET, format!("{page}/close"), "POST"),
    ] {
        let (_, headers) = refused(site.request(method, &path), 405, "method-not-allowed").await;
        assert_eq!(headers["allow"], allow);
    }
}

#[tokio::test]
async fn posts_from_other_sites_are_forbidden() {
    let site = Site::with_chat("One").await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "null"),
        ("origin", "https://evil.example.com"),
    ] {
        for verb in ["join", "leave", "rename", "close"] {
            refused(site.form(verb, &[("username", "eve")]).header(name, value), 403, "forbidden").await;
        }
    }
    let own = site.origin().to_owned();
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("origin", own.as_str()),
        ("origin", PUBLIC_URL),
    ] {
        let response = site.form("join", &[("username", "ada")]).header(name, value).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{name}: {value}");
    }
    assert_eq!(site.people().await.0, ["convoke", "ada"]);
    let visit = site.client.get(&site.link).header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(visit.status(), StatusCode::OK, "a link may be followed from anywhere");
}

#[tokio::test]
async fn a_body_is_a_form_of_some_size() {
    let site = Site::with_chat("One").await;
    let join = format!("/sandbox/{}/join", site.code);
    let post = || site.request(Method::POST, &join);
    refused(post().body("username=ada"), 415, "unsupported-media-type").await;
    refused(post().json(&json!({"username": "ada"})), 415, "unsupported-media-type").await;
    refused(post().header("content-type", "multipart/form-data").body("x"), 415, "unsupported-media-type").await;
    let large = format!("username=ada&firstname={}", "x".repeat(64 * 1024));
    let form = "application/x-www-form-urlencoded";
    refused(post().header("content-type", form).body(large.clone()), 413, "body-too-large").await;
    refused(post().body(large), 413, "body-too-large").await;
    refused(post().body("x".repeat(4 * 1024 * 1024)), 413, "body-too-large").await;
    let from_elsewhere = post().header("origin", "null").body("x".repeat(4 * 1024 * 1024));
    refused(from_elsewhere, 403, "forbidden").await;
    let compressed = post().header("content-type", form).header("content-encoding", "gzip").body("x");
    refused(compressed, 415, "unsupported-media-type").await;
    let largest = format!("username=ada&firstname={}", "x".repeat(64 * 1024 - 23));
    assert_eq!(largest.len(), 64 * 1024);
    refused(post().header("content-type", form).body(largest), 400, "invalid-request").await;
    assert_eq!(site.people().await.0, ["convoke"]);
}

#[tokio::test]
async fn a_form_has_all_its_mistakes_named() {
    let site = Site::with_chat("One").await;
    let fields = [("username", "x".repeat(33)), ("age", "1".into()), ("lastname", "\u{7}".into())];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (problem, _) = refused(site.form("join", &fields), 400, "invalid-request").await;
    let errors: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| (&e["pointer"], &e["code"])).collect();
    assert_eq!(
        json!(errors),
        json!([["/age", "unknown"], ["/username", "tooLong"], ["/lastname", "invalidCharacter"]])
    );
    assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("username, firstname, lastname, invitedBy"));

    for (verb, fields, pointer, code) in [
        ("join", vec![], "/username", "required"),
        ("join", vec![("username", " ")], "/username", "required"),
        ("join", vec![("username", "convoke")], "/username", "notAllowed"),
        ("join", vec![("username", "a"), ("username", "a")], "/username", "duplicate"),
        ("join", vec![("username", "a"), ("invitedBy", "bob")], "/invitedBy", "invalidFormat"),
        ("join", vec![("username", "a"), ("invitedBy", STRANGER)], "/invitedBy", "unknown"),
        ("leave", vec![], "/participant", "required"),
        ("leave", vec![("participant", "ada")], "/participant", "invalidFormat"),
        ("rename", vec![("participant", STRANGER)], "/title", "required"),
        ("rename", vec![("participant", STRANGER), ("title", "a\nb")], "/title", "invalidCharacter"),
        ("close", vec![("participant", STRANGER), ("title", "x")], "/title", "unknown"),
    ] {
        let (problem, _) = refused(site.form(verb, &fields), 400, "invalid-request").await;
        let errors = problem["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{problem}");
        assert_eq!((&errors[0]["pointer"], &errors[0]["code"]), (&json!(pointer), &json!(code)), "{verb} {fields:?}");
    }
    let long = "x".repeat(256);
    refused(site.form("rename", &[("participant", STRANGER), ("title", &long)]), 400, "invalid-request").await;
    assert!(site.world.storage.events().await.is_empty(), "nothing happened");
}

#[tokio::test]
async fn whoever_is_not_in_does_not_act() {
    let site = Site::with_chat("One").await;
    let ada = site.join("ada").await;
    site.post_ok("leave", &[("participant", &ada)]).await;
    for id in [STRANGER, ada.as_str()] {
        refused(site.form("leave", &[("participant", id)]), 404, "participant-not-found").await;
        refused(site.form("rename", &[("participant", id), ("title", "x")]), 404, "participant-not-found").await;
        refused(site.form("close", &[("participant", id)]), 404, "participant-not-found").await;
    }
    let by_whoever_left = [("username", "bob"), ("invitedBy", ada.as_str())];
    refused(site.form("join", &by_whoever_left), 400, "invalid-request").await;
}

#[tokio::test]
async fn the_owner_stays() {
    let site = Site::with_chat("One").await;
    let owner = site.id_of("convoke").await;
    refused(site.form("leave", &[("participant", &owner)]), 409, "participant-is-owner").await;
    site.post_ok("rename", &[("participant", &owner), ("title", "Another")]).await;
}

#[tokio::test]
async fn a_chat_that_is_over_is_gone() {
    let site = Site::with_chat("One").await;
    let ada = site.join("ada").await;
    site.world.storage.set_status(&site.code, ChatStatus::Failed);
    refused(site.form("join", &[("username", "bob")]), 410, "chat-closed").await;
    site.world.storage.set_status(&site.code, ChatStatus::Active);
    site.post_ok("close", &[("participant", &ada)]).await;
    let acts: [(&str, &[(&str, &str)]); 4] = [
        ("join", &[("username", "ada")]),
        ("leave", &[("participant", &ada)]),
        ("rename", &[("participant", &ada), ("title", "x")]),
        ("close", &[("participant", &ada)]),
    ];
    for (verb, fields) in acts {
        refused(site.form(verb, fields), 410, "chat-closed").await;
    }
    refused(site.form("join", &[]), 400, "invalid-request").await;
}

#[tokio::test]
async fn a_full_chat_takes_nobody() {
    let site = Site::with_chat("One").await;
    let mut state = site.world.sandbox.find_group(&site.code).await.unwrap().unwrap().state;
    for number in 1..MAX_PEOPLE {
        let person = Member { username: format!("person{number}"), ..state.members[0].clone() };
        state.members.push(person);
    }
    state.members[1].participant_id = site.id_of("person1").await.parse().unwrap();
    let state = serde_json::to_string(&state).unwrap();
    assert!(site.world.storage.save_group(&site.code, 0, state, Vec::new()).await.unwrap());
    refused(site.form("join", &[("username", "late")]), 409, "chat-full").await;
    assert!(site.page().await.contains("This chat is full"));
    site.post_ok("leave", &[("participant", &site.id_of("person1").await)]).await;
    site.join("late").await;
}

#[tokio::test]
async fn without_its_storage_it_is_unavailable() {
    let site = Site::with_chat("One").await;
    site.world.storage.set_down(true);
    let about = |response: &Response| response.headers()["retry-after"].to_str().unwrap().parse::<u32>().unwrap();
    for request in [site.client.get(&site.link), site.form("join", &[("username", "ada")])] {
        let (problem, _) = refused(request.try_clone().unwrap(), 503, "service-unavailable").await;
        assert!(!problem.to_string().contains("secret-host"), "nothing of the storage is told: {problem}");
        let response = request.send().await.unwrap();
        assert!(about(&response) >= 1);
        assert!(!response.text().await.unwrap().contains("secret-host"));
    }
    site.world.storage.set_down(false);
    site.join("ada").await;
}

#[tokio::test]
async fn a_group_that_cannot_be_read_is_an_internal_error() {
    let site = Site::with_chat("One").await;
    site.world.storage.spoil(&site.code).await;
    refused(site.client.get(&site.link), 500, "internal-error").await;
}

#[tokio::test]
async fn the_provider_rejects_what_makes_no_sense() {
    use convoke_provider::ProviderError::{Rejected, Unknown};
    let site = Site::with_chat("One").await;
    let sandbox = &site.world.sandbox;
    assert!(matches!(sandbox.invitation("none").await, Err(Rejected(_))));
    assert!(matches!(sandbox.remove_participant(&site.code, "convoke").await, Err(Rejected(_))));
    let request = site.world.register("Two").await;
    site.world.storage.set_down(true);
    assert!(matches!(sandbox.create_chat(&request).await, Err(Unknown(_))));
    assert!(matches!(sandbox.next_events().await, Err(Unknown(_))));
}
