//! Reading an operation.

use convoke_domain::{OperationError, OperationErrorCode};
use serde_json::{Value, json};

use crate::service::{Backend, TestService};

async fn an_operation_is_read(backend: Backend) {
    let service = TestService::start(backend).await;
    let accepted = service.register("a").await;
    let path = format!("/api/v1/private/operations/{}", accepted["operationId"].as_str().unwrap());
    let pending = service.get(&path).await.json();
    assert_eq!(
        (&pending["id"], &pending["type"], &pending["status"], &pending["chatId"], &pending["attempts"]),
        (&accepted["operationId"], &json!("createChat"), &json!("pending"), &accepted["id"], &json!(0))
    );
    assert_eq!((&pending["completedAt"], &pending["error"]), (&Value::Null, &Value::Null));
    service.make_groups().await;
    let done = service.get(&path).await.json();
    assert_eq!((&done["status"], &done["attempts"]), (&json!("succeeded"), &json!(1)));
    assert!(done["completedAt"].is_string());
    service.get("/api/v1/private/operations/x").await.assert_mistakes(&[("operationId", "invalidFormat")]);
}

async fn why_it_was_given_up_is_a_problem(backend: Backend) {
    let service = TestService::start(backend).await;
    let accepted = service.register("a").await;
    let error =
        OperationError { code: OperationErrorCode::ProviderRejected, detail: "The title is refused.".to_owned() };
    service.give_up(error).await;
    let path = format!("/api/v1/private/operations/{}", accepted["operationId"].as_str().unwrap());
    let answer = service.get(&path).await;
    assert_eq!(
        answer.json()["error"],
        json!({
            "type": "/problems/provider-rejected",
            "title": "Messenger refused",
            "status": 502,
            "detail": "The title is refused.",
            "instance": path,
            "code": "provider-rejected",
            "retryable": false,
            "requestId": answer.header("x-request-id"),
        })
    );
}

on_both!(an_operation_is_read, why_it_was_given_up_is_a_problem);
