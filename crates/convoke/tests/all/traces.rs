//! Traces, as a collector is told them.

mod collector;

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use convoke_test_support::create_database;
use serde_json::{Value, json};

use crate::support::{Api, Place, Service, answer, eventually, free_address};
use collector::{Collector, Kind, Span};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENTS_SPAN: &str = "00f067aa0ba902b7";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{CLIENTS_SPAN}-{flags}")
}

fn traced(place: Place, collector: &str) -> Place {
    place.with("CONVOKE__TRACES__ENDPOINT", collector)
}

/// Registers a chat as a part of this trace; gives its id.
async fn register(api: &Api, traceparent: &str, prefer: &str) -> String {
    let request = api.post("/chats").json(&json!({"title": "Traced"})).header("traceparent", traceparent);
    let request = request.header("tracestate", "vendor=opaque").header("X-Request-Id", "my-7").header("Prefer", prefer);
    let (status, chat) = answer(request).await;
    assert!(status == 201 || status == 202, "{status}: {chat}");
    chat["id"].as_str().unwrap().to_owned()
}

/// The lines of the log that are told within a span of this name.
fn lines_within(service: &Service<'_>, span: &str) -> Vec<Value> {
    let log = service.stderr();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["span"]["name"] == span).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_all_that_follows_is_one_trace_sqlite() {
    a_request_and_all_that_follows_is_one_trace(Place::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_all_that_follows_is_one_trace_postgres() {
    let database = create_database(None).await;
    a_request_and_all_that_follows_is_one_trace(Place::on(database.url())).await;
}

async fn a_request_and_all_that_follows_is_one_trace(place: Place) {
    let collector = Collector::start();
    let place = traced(place, collector.address()).with("CONVOKE__SANDBOX__FAULTS", "lostAnswer");
    let place = place.with("CONVOKE__TRACES__HEADERS", "api-key=s3cret");
    let service = place.start();
    let token = place.token();
    let chat = register(&service.api(&token), &traceparent("01"), "wait=30").await;
    // What is told at the end of the process is told too.
    let story = service.log();
    let lines = (lines_within(&service, "request"), lines_within(&service, "operation"));
    service.stop();

    let spans = collector.spans_of(TRACE);
    let [request] = named(&spans, "POST /api/v1/private/chats")[..] else { panic!("{spans:#?}") };
    assert_eq!((request.parent.as_str(), request.kind), (CLIENTS_SPAN, Kind::Server));
    assert_eq!(request.attribute("http.request.method"), "POST");
    assert_eq!(request.attribute("http.route"), "/api/v1/private/chats");
    assert_eq!(request.attribute("http.response.status_code"), "201");
    assert_eq!(request.attribute("convoke.request_id"), "my-7");
    assert_eq!(request.attribute("convoke.tenant"), "acme");

    let attempts = named(&spans, "createChat");
    assert_eq!(attempts.len(), 2, "the answer to the first one was lost: {spans:#?}");
    for (attempt, (number, outcome)) in attempts.iter().zip([("1", "postponed"), ("2", "succeeded")]) {
        assert_eq!((&attempt.parent, attempt.kind), (&request.id, Kind::Consumer));
        assert_eq!(attempt.attribute("convoke.operation.attempt"), number);
        assert_eq!(attempt.attribute("convoke.operation.outcome"), outcome);
        assert_eq!(attempt.attribute("convoke.chat.id"), chat);
    }
    let calls: Vec<_> = spans.iter().filter(|span| span.kind == Kind::Client).collect();
    let told: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.parent.as_str(), call.is_error)).collect();
    let (first, second) = (attempts[0].id.as_str(), attempts[1].id.as_str());
    let expected = [
        ("sandbox create_chat", first, true),
        ("sandbox create_chat", second, false),
        ("sandbox invitation", second, false),
    ];
    assert_eq!(told, expected);
    assert!(spans.iter().all(|span| span.state == "vendor=opaque"), "{spans:#?}");
    assert_eq!(spans.len(), 6, "{spans:#?}");
    assert_eq!(collector.resource("service.name"), "convoke");
    assert_eq!(collector.header("api-key"), "s3cret");

    for lines in [lines.0, lines.1] {
        assert!(!lines.is_empty());
        let told = |line: &Value| (line["span"]["request_id"].clone(), line["span"]["trace_id"].clone());
        assert!(lines.iter().all(|line| told(line) == (json!("my-7"), json!(TRACE))), "{lines:#?}");
    }
    assert!(!std::fs::read_to_string(story).unwrap().contains("s3cret"));
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_in_its_trace_after_a_crash() {
    let collector = Collector::start();
    let place = traced(Place::new(), collector.address()).with("CONVOKE__SANDBOX__DELAY", "1h");
    let service = place.start();
    let token = service.first_token();
    let chat = register(&service.api(&token), &traceparent("01"), "wait=0").await;
    eventually("told", || !collector.spans_of(TRACE).is_empty(), || service.stderr());
    service.kill();

    let place = place.with("CONVOKE__SANDBOX__DELAY", "0s");
    let service = place.start();
    service.api(&token).until(&format!("/chats/{chat}"), |chat| chat["status"] == "active").await;
    service.stop();
    let spans = collector.spans_of(TRACE);
    let [request] = named(&spans, "POST /api/v1/private/chats")[..] else { panic!("{spans:#?}") };
    let [.., attempt] = named(&spans, "createChat")[..] else { panic!("{spans:#?}") };
    assert_eq!((attempt.parent.as_str(), attempt.attribute("convoke.operation.attempt")), (request.id.as_str(), "2"));
    assert!(spans.iter().any(|span| span.parent == attempt.id && span.kind == Kind::Client), "{spans:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_began_a_trace_decides_about_it() {
    let collector = Collector::start();
    let place = traced(Place::new(), collector.address()).with("CONVOKE__TRACES__SAMPLE_RATIO", "0");
    let service = place.start();
    let api = service.api(&service.first_token());
    register(&api, &traceparent("00"), "wait=30").await;
    // One that begins here, for what was told is none.
    register(&api, &traceparent("01").to_uppercase(), "wait=30").await;
    assert_eq!(lines_within(&service, "request")[0]["span"]["trace_id"], TRACE);
    let (status, _) = answer(api.get("/chats").header("traceparent", traceparent("01"))).await;
    assert_eq!(status, 200);
    service.stop();
    let told: Vec<_> = collector.spans().into_iter().map(|span| (span.trace, span.name)).collect();
    assert_eq!(told, [(TRACE.to_owned(), "GET /api/v1/private/chats".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_trace_is_ignored() {
    let collector = Collector::start();
    let place = traced(Place::new(), collector.address());
    let service = place.start();
    let api = service.api(&service.first_token());
    let bad =
        ["", "00", &traceparent("1"), &traceparent("01").replace("00-4", "ff-4"), &traceparent("01").to_uppercase()];
    for traceparent in bad {
        assert_eq!(answer(api.get("/chats?size=0").header("traceparent", traceparent)).await.0, 400);
    }
    let zeros = traceparent("01").replace(TRACE, &"0".repeat(32));
    assert_eq!(answer(api.get("/nowhere").header("traceparent", zeros)).await.0, 404);
    service.admin("/readyz").await;
    service.stop();
    let spans = collector.spans();
    assert_eq!(spans.len(), bad.len() + 1, "{spans:#?}");
    assert!(spans.iter().all(|span| span.parent.is_empty() && span.trace != TRACE && !span.is_error), "{spans:#?}");
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names[..bad.len()], ["GET /api/v1/private/chats"; 5]);
    assert_eq!(names[bad.len()..], ["GET"], "nothing of a path that is no route");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_or_silent_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [free_address(), silent.local_addr().unwrap().to_string()] {
        let place = traced(Place::new(), &format!("http://{address}"));
        let service = place.start();
        let api = service.api(&service.first_token());
        register(&api, &traceparent("01"), "wait=30").await;
        eventually("given up", || service.stderr().contains("traces are not taken"), || service.stderr());
        // More than wait for a collector.
        let page = format!("http://{}/problems/none", place.public);
        let ask = async |_| assert_eq!(answer(api.client.get(&page)).await.0, 404);
        futures_util::StreamExt::for_each_concurrent(futures_util::stream::iter(0..4_500), 64, ask).await;
        let log = service.log();
        let begun = Instant::now();
        service.stop();
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        let log = std::fs::read_to_string(log).unwrap();
        assert_eq!(log.matches("traces are not taken").count(), 1, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_nothing_is_traced() {
    let place = Place::new().with("CONVOKE__SANDBOX__FAULTS", "lostAnswer");
    let service = place.start();
    register(&service.api(&service.first_token()), &traceparent("01"), "wait=30").await;
    for span in ["request", "operation"] {
        let lines = lines_within(&service, span);
        let told = |line: &Value| (line["span"]["request_id"].clone(), line["span"]["trace_id"].clone());
        assert!(lines.iter().all(|line| told(line) == (json!("my-7"), Value::Null)), "{lines:#?}");
        assert!(!lines.is_empty());
    }
    service.stop();
}

#[test]
fn mistaken_settings_are_refused_without_showing_secrets() {
    let place = Place::new().with("CONVOKE__TRACES__HEADERS", "s3cret");
    let (_, why) = place.refused(&["config", "check"]);
    assert!(why.contains("CONVOKE__TRACES__HEADERS") && !why.contains("s3cret"), "{why}");
    let place = Place::new().with("CONVOKE__TRACES__ENDPOINT", "collector:4318");
    let (_, why) = place.refused(&["config", "check"]);
    assert!(why.contains("CONVOKE__TRACES__ENDPOINT"), "{why}");
}
