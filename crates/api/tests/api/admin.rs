//! The admin listener, and what happens while the database is away.

use serde_json::json;

use crate::service::{Backend, TestService};

async fn readiness_follows_the_life_of_the_process(backend: Backend) {
    let service = TestService::start(backend).await;
    assert_eq!(service.ask_admin("/livez").await.status, 200);
    let early = service.ask_admin("/readyz").await;
    assert_eq!((early.status, &early.json()["reason"]), (503, &json!("the public listener is not bound yet")));
    service.lifecycle.set_listening();
    assert_eq!(service.ask_admin("/readyz?x=1").await.status, 200);
    service.lifecycle.start_draining();
    let late = service.ask_admin("/readyz").await;
    assert_eq!((late.status, &late.json()["reason"]), (503, &json!("the process is about to stop")));
    assert_eq!(service.ask_admin("/livez").await.status, 200);
}

async fn figures_are_told(backend: Backend) {
    let service = TestService::start(backend).await;
    service.get("/nothing").await.assert_problem(404, "not-found");
    let metrics = service.ask_admin("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    assert!(
        metrics.text.contains("convoke_build_info{") && metrics.text.contains("{status=\"4xx\"} 1"),
        "{}",
        metrics.text
    );
    service.ask_admin("/nothing").await.assert_problem(404, "not-found");
}

on_both!(readiness_follows_the_life_of_the_process, figures_are_told);
