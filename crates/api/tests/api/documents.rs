//! The OpenAPI document and the other paths that explain the API.

use convoke_api::ApiSettings;
use reqwest::Method;

use crate::service::{Answer, Backend, TestService};

#[test]
fn the_document_in_the_repository_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/openapi.json");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == convoke_api::openapi_json(), "openapi/openapi.json is not up to date: run `cargo xtask openapi`");
}

#[test]
fn no_schema_admits_null() {
    assert!(!convoke_api::openapi_json().contains("\"null\""));
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a serde_json::Value, found: &mut Vec<&'a str>) {
        match value {
            serde_json::Value::Object(object) => {
                found.extend(object.get("$ref").and_then(serde_json::Value::as_str));
                object.values().for_each(|value| references(value, found));
            }
            serde_json::Value::Array(array) => array.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document: serde_json::Value = serde_json::from_str(&convoke_api::openapi_json()).unwrap();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_explains_itself() {
    let document: serde_json::Value = serde_json::from_str(&convoke_api::openapi_json()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for member in ["summary", "description", "operationId", "tags", "responses", "security"] {
                assert!(!operation[member].is_null(), "{method} {path} lacks {member}");
            }
            assert!(!operation["summary"].as_str().unwrap().ends_with('.'), "{method} {path}");
        }
    }
}

async fn what_explains_the_api_is_served(backend: Backend) {
    let service = TestService::start(backend).await;
    let answer = service.get("/openapi.json?whatever=1").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, convoke_api::openapi_json().as_str()));
    let answer = service.get("/").await;
    assert_eq!((answer.status, answer.header("location")), (302, "/swagger-ui/"));
    let page = service.get("/swagger-ui/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html") && page.text.contains("swagger-ui-bundle.js"));
    assert!(page.header("content-security-policy").contains("script-src 'self';"));
    let start = service.get("/swagger-ui/swagger-initializer.js").await;
    assert!(start.text.contains("\"/openapi.json\"") && !start.text.contains("petstore"), "{}", start.text);
    service.get("/swagger-ui/nothing").await.assert_problem(404, "not-found");
    let page = service.get("/problems/chat-full").await;
    assert!(page.status == 200 && page.text.contains("chat-full") && page.header("content-type").contains("html"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(service.get("/problems/style.css").await.status, 200);
    service.get("/problems/nothing").await.assert_problem(404, "not-found");
    let answer = Answer::of(service.plain(Method::POST, "/openapi.json")).await;
    answer.assert_problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), "GET, HEAD");
}

async fn swagger_ui_can_be_switched_off(backend: Backend) {
    let settings = ApiSettings { swagger_ui: false, ..ApiSettings::default() };
    let service = TestService::start_with(backend, settings).await;
    service.get("/swagger-ui/").await.assert_problem(404, "not-found");
    assert_eq!(service.get("/").await.header("location"), "/openapi.json");
}

on_both!(what_explains_the_api_is_served, swagger_ui_can_be_switched_off);
