//! What holds for every request: names, methods, headers, limits, and how things end that go wrong.

use std::time::{Duration, Instant};

use convoke_api::ApiSettings;
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::service::{Answer, Backend, TestService};

/// Sends bytes as they are and returns everything that is answered until the connection closes.
async fn raw(service: &TestService, request: &str) -> String {
    let mut stream = TcpStream::connect(service.base.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn requests_have_names(backend: Backend) {
    let service = TestService::start(backend).await;
    for path in ["/api/v1/private/chats", "/nothing", "/", "/swagger-ui/", "/openapi.json", "/sandbox/page"] {
        let answer = Answer::of(service.request(Method::GET, path).header("x-request-id", "my-7")).await;
        assert_eq!(
            (answer.header("x-request-id"), answer.header("x-content-type-options")),
            ("my-7", "nosniff"),
            "{path}"
        );
        let answer = Answer::of(service.request(Method::GET, path).header("x-request-id", "a b")).await;
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
    }
}

async fn head_is_get_without_a_body(backend: Backend) {
    let service = TestService::start(backend).await;
    let chat = service.active_chat("a").await;
    for path in ["/api/v1/private/chats", &chat, "/openapi.json", "/swagger-ui/", "/problems/not-found", "/nothing"] {
        let get = Answer::of(service.request(Method::GET, path)).await;
        let head = Answer::of(service.request(Method::HEAD, path)).await;
        assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
        for name in ["content-length", "content-type", "etag", "link"] {
            // A problem holds the request's name, which is of one length.
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
        assert_ne!(head.header("content-length"), "", "{path}");
    }
}

async fn a_wrong_method_is_told_the_right_ones(backend: Backend) {
    let service = TestService::start(backend).await;
    let chat = "/api/v1/private/chats/9a983789-1709-4543-aa31-a02867680017";
    for (method, path, allow) in [
        (Method::PUT, "/api/v1/private/chats".to_owned(), "GET, HEAD, POST"),
        (Method::OPTIONS, "/api/v1/private/chats".to_owned(), "GET, HEAD, POST"),
        (Method::DELETE, "/api/v1/private/chats/".to_owned(), "GET, HEAD, POST"),
        (Method::POST, chat.to_owned(), "GET, HEAD"),
        (Method::DELETE, chat.to_owned(), "GET, HEAD"),
        (Method::GET, format!("{chat}/participants/x"), "DELETE"),
        (Method::POST, format!("{chat}/invitation"), "GET, HEAD"),
        (Method::POST, "/".to_owned(), "GET, HEAD"),
        (Method::POST, "/swagger-ui/".to_owned(), "GET, HEAD"),
        (Method::DELETE, "/problems/not-found".to_owned(), "GET, HEAD"),
    ] {
        let answer = Answer::of(service.request(method.clone(), &path)).await;
        answer.assert_problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
    // A token of no scope learns no more than that: paths and methods come before scopes.
    let nothing = service.new_token("acme", &[]).await;
    let answer = Answer::of(service.plain(Method::PUT, "/api/v1/private/chats").bearer_auth(&nothing)).await;
    answer.assert_problem(405, "method-not-allowed");
    for path in ["/nothing", "/api/v1/private/nothing", "/api/v1/private/chats//", "/api/v1/private", "/api", "//"] {
        service.get(path).await.assert_problem(404, "not-found");
    }
}

async fn an_escaped_path_is_the_same_path(backend: Backend) {
    let service = TestService::start(backend).await;
    let chats = "/api/v1/%70rivate/%63hats";
    let wrong = Answer::of(service.request(Method::PUT, chats)).await;
    let problem = wrong.assert_problem(405, "method-not-allowed");
    assert_eq!((wrong.header("allow"), &problem["instance"]), ("GET, HEAD, POST", &json!(chats)));
    let accepted = service.post(chats, &json!({"title": "a"})).await;
    assert_eq!((accepted.status, accepted.header("cache-control")), (202, "no-store"));
    let listed = service.get(&format!("{chats}/?size=1")).await;
    assert_eq!((listed.status, &listed.json()["_metadata"]["pageSize"]), (200, &json!(1)));
    let page = service.get("/%73andbox/panic").await;
    assert_eq!((page.status, page.header("content-type")), (500, "text/html; charset=utf-8"));
    let probe = Answer::of(reqwest::Client::new().post(format!("{}/%6Civez", service.admin))).await;
    probe.assert_problem(405, "method-not-allowed");
}

async fn a_panic_is_a_problem(backend: Backend) {
    let service = TestService::start(backend).await;
    service.get("/panic").await.assert_problem(500, "internal-error");
    let page = service.get("/sandbox/panic").await;
    assert_eq!((page.status, page.header("content-type")), (500, "text/html; charset=utf-8"));
    assert!(!page.text.contains("on purpose"));
    let json = Answer::of(service.request(Method::GET, "/sandbox/panic").header("accept", "application/json")).await;
    json.assert_problem(500, "internal-error");
    assert_eq!(service.get("/sandbox/page").await.status, 200);
}

async fn a_body_must_arrive_in_time(backend: Backend) {
    let settings = ApiSettings { body_timeout: Duration::from_millis(300), ..ApiSettings::default() };
    let service = TestService::start_with(backend, settings).await;
    let started = Instant::now();
    let head = format!(
        "POST /api/v1/private/chats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        service.token
    );
    let answer = raw(&service, &head).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("in time"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

async fn a_chunked_body_is_bounded_too(backend: Backend) {
    let service = TestService::start(backend).await;
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let request = format!(
        "POST /api/v1/private/chats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        service.token,
        chunk.repeat(3)
    );
    let answer = raw(&service, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

async fn a_drain_closes_connections(backend: Backend) {
    let service = TestService::start(backend).await;
    assert_eq!(service.get("/openapi.json").await.header("connection"), "");
    service.lifecycle.start_draining();
    let answer = service.get("/api/v1/private/chats").await;
    assert_eq!((answer.status, answer.header("connection")), (200, "close"));
}

on_both!(
    requests_have_names,
    head_is_get_without_a_body,
    a_wrong_method_is_told_the_right_ones,
    an_escaped_path_is_the_same_path,
    a_panic_is_a_problem,
    a_body_must_arrive_in_time,
    a_chunked_body_is_bounded_too,
    a_drain_closes_connections,
);
