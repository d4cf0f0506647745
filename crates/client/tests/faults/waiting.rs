//! Waiting until a chat is ready, or an operation over.

use std::time::Duration;

use convoke_client::{Error, NewChat, Registration, SendOptions, domain::OperationStatus};

use crate::{
    CHAT, OPERATION, accepted, chat, operation, problem,
    server::{Server, answer, answer_with},
};

const LONG: Duration = Duration::from_mins(10);

#[tokio::test]
async fn a_chat_that_is_ready_within_the_services_patience_is_there_at_once() {
    let server = Server::start([answer(201, chat(CHAT, "active"))]).await;
    let chat = server.client().register_and_wait(&NewChat::new("Kick-off"), LONG).await.unwrap();
    assert!(chat.is_active);
    assert_eq!(server.asked()[0].header("prefer"), Some("wait=30"), "the service waits no longer");
}

#[tokio::test]
async fn a_chat_that_takes_longer_is_looked_at_until_it_is_ready() {
    let replies = [
        answer(202, accepted()),
        answer(200, chat(CHAT, "provisioning")),
        answer_with(503, "Retry-After: 0\r\n", problem("service-unavailable", true)),
        answer(200, chat(CHAT, "active")),
    ];
    let server = Server::start(replies).await;
    let chat = server.client().register_and_wait(&NewChat::new("Kick-off"), LONG).await.unwrap();
    assert_eq!(chat.id.to_string(), CHAT);
    assert_eq!(server.lines()[3], format!("GET /api/v1/private/chats/{CHAT}"));
}

#[tokio::test]
async fn a_chat_that_can_not_be_made_comes_with_the_reason() {
    let reason = format!(r#","error":{}"#, problem("provider-rejected", false));
    let replies =
        [answer(202, accepted()), answer(200, chat(CHAT, "failed")), answer(200, operation("failed", &reason))];
    let server = Server::start(replies).await;
    let error = server.client().register_and_wait(&NewChat::new("Kick-off"), LONG).await.unwrap_err();
    assert!(matches!(&error, Error::ChatEnded { id, .. } if id.to_string() == CHAT), "{error:?}");
    assert!(error.problem().is_some_and(|problem| problem.is("provider-rejected")), "{error:?}");
    assert_eq!(server.lines()[2], format!("GET /api/v1/private/operations/{OPERATION}"));
}

#[tokio::test]
async fn without_patience_it_is_looked_once() {
    let server = Server::start([answer(200, chat(CHAT, "provisioning")), answer(200, operation("running", ""))]).await;
    let client = server.client();
    let error = client.wait_until_ready(CHAT.parse().unwrap(), Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, Error::StillProvisioning(_)), "{error:?}");
    let error = client.wait_for_operation(OPERATION.parse().unwrap(), Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, Error::StillRunning(_)), "{error:?}");
}

#[tokio::test]
async fn an_operation_is_looked_at_until_it_has_ended() {
    let ended = operation("succeeded", r#","completedAt":"2024-12-11T08:54:05.000Z""#);
    let server = Server::start([answer(200, operation("waitingForProvider", "")), answer(200, ended)]).await;
    let operation = server.client().wait_for_operation(OPERATION.parse().unwrap(), Duration::MAX).await.unwrap();
    assert_eq!((operation.status, operation.attempts), (OperationStatus::Succeeded, 1));
    assert!(operation.completed_at > Some(operation.updated_at) && operation.error.is_none());
}

#[tokio::test]
async fn an_invitation_is_waited_for_and_asked_for_again() {
    let replies = [
        answer_with(409, "Retry-After: 0\r\n", problem("chat-not-ready", true)),
        answer(200, r#"{"service":"telegram","invitation":"https://t.me/+x","expires":"never"}"#),
    ];
    let server = Server::start(replies).await;
    let wait = Some(Duration::from_millis(2500));
    let invitation = server.client().get_chat_invitation(CHAT.parse().unwrap(), wait).await.unwrap();
    assert_eq!(invitation.invitation, "https://t.me/+x");
    assert!(server.asked().iter().all(|asked| asked.header("prefer") == Some("wait=2")));
}

#[tokio::test]
async fn a_registration_may_ask_for_a_wait_without_insisting() {
    let server = Server::start([answer(202, accepted()), answer(200, "{}")]).await;
    let options = SendOptions { wait: Some(Duration::from_secs(5)), ..SendOptions::default() };
    let client = server.client();
    let registration = client.register_chat_with(&NewChat::new("Kick-off"), &options).await.unwrap();
    assert!(matches!(registration, Registration::Accepted(_)));
    assert_eq!(server.asked()[0].header("prefer"), Some("wait=5"));
    let unexpected = client.register_chat(&NewChat::new("Kick-off")).await.unwrap_err();
    assert!(matches!(unexpected, Error::UnexpectedAnswer { status: 200, .. }), "{unexpected:?}");
}
