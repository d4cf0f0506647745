//! The orderly stop.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Place, answer};

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_gets_an_answer_and_work_goes_on_after_the_next_start() {
    let place = Place::new().with("CONVOKE__SANDBOX__DELAY", "1h");
    let service = place.start();
    let token = service.first_token();
    let waiting = service.api(&token).post("/chats").header("Prefer", "wait=30").json(&json!({"title": "Late"}));
    let waiting = tokio::spawn(answer(waiting));
    tokio::time::sleep(Duration::from_millis(500)).await;

    let begun = Instant::now();
    service.signal();
    let (status, accepted) = waiting.await.unwrap();
    assert_eq!((status, accepted["status"].as_str()), (202, Some("provisioning")));
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(service.end().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());

    let place = place.with("CONVOKE__SANDBOX__DELAY", "0s");
    let service = place.start();
    let path = format!("/chats/{}", accepted["id"].as_str().unwrap());
    let begun = Instant::now();
    service.api(&token).until(&path, |chat| chat["status"] == "active").await;
    assert!(begun.elapsed() < Duration::from_secs(10), "the lease was given back: {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_drains_requests_are_taken_and_connections_closed() {
    let place = Place::new().with("CONVOKE__SERVER__DRAIN", "2s");
    let service = place.start();
    let token = service.first_token();
    let api = service.api(&token);
    // A connection from before, and one that idles at the end.
    assert_eq!(answer(api.get("/chats")).await.0, 200);

    let begun = Instant::now();
    service.signal();
    while service.admin("/readyz").await != 503 {
        assert!(begun.elapsed() < Duration::from_millis(500), "not ready at once");
    }
    assert_eq!(service.admin("/livez").await, 200);
    for api in [&api, &service.api(&token)] {
        let answered = api.get("/chats").send().await.unwrap();
        assert_eq!(answered.status(), 200);
        assert_eq!(answered.headers()["connection"], "close");
    }
    assert_eq!(service.end().code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_idles_does_not_hold_it_up() {
    let place = Place::new();
    let service = place.start();
    let api = service.api(&service.first_token());
    assert_eq!(answer(api.get("/chats")).await.0, 200);
    let begun = Instant::now();
    service.stop();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
