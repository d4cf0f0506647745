//! What is sent again, and how.

use std::time::Duration;

use convoke_client::{Error, NewChat, Registration, RetryPolicy, SendOptions};

use crate::{
    CHAT, PERSON, accepted, chat, problem,
    server::{Reply, Server, answer, answer_with},
};

#[tokio::test]
async fn a_registration_is_repeated_as_it_was_under_one_key() {
    let replies = [
        answer_with(503, "Retry-After: 0\r\n", problem("service-unavailable", true)),
        Reply::Nothing,
        answer(500, problem("internal-error", true)),
        answer(202, accepted()),
    ];
    let server = Server::start(replies).await;
    let registration = server.client().register_chat(&NewChat::new("Kick-off").created_by("ann")).await.unwrap();
    assert!(matches!(&registration, Registration::Accepted(accepted) if accepted.id == registration.chat_id()));
    assert_eq!(registration.chat_id().to_string(), CHAT);

    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    let key = asked[0].header("idempotency-key").unwrap();
    assert!(key.len() >= 32, "{key}");
    for request in &asked {
        assert_eq!(request.line, "POST /api/v1/private/chats");
        assert_eq!(request.body, r#"{"title":"Kick-off","createdBy":"ann"}"#);
        assert_eq!(request.header("idempotency-key"), Some(key));
        assert_eq!(request.header("authorization"), Some("Bearer hunter2"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("prefer"), None);
    }
}

#[tokio::test]
async fn two_registrations_have_two_keys_and_a_key_of_ones_own_is_taken() {
    let server = Server::start((0..3).map(|_| answer(202, accepted()))).await;
    let client = server.client();
    client.register_chat(&NewChat::new("One")).await.unwrap();
    client.register_chat(&NewChat::new("One")).await.unwrap();
    let own = SendOptions { idempotency_key: Some("order-17".to_owned()), ..SendOptions::default() };
    client.register_chat_with(&NewChat::new("One"), &own).await.unwrap();
    let asked = server.asked();
    assert_ne!(asked[0].header("idempotency-key"), asked[1].header("idempotency-key"));
    assert_eq!(asked[2].header("idempotency-key"), Some("order-17"));

    let no_header = SendOptions { idempotency_key: Some("a\nb".to_owned()), ..SendOptions::default() };
    let refused = client.register_chat_with(&NewChat::new("One"), &no_header).await;
    assert!(matches!(refused, Err(Error::Settings(_))), "{refused:?}");
}

#[tokio::test]
async fn a_removal_is_repeated_under_one_key() {
    let server = Server::start([
        Reply::Nothing,
        answer_with(409, "Retry-After: 0\r\n", problem("request-in-progress", true)),
        answer(202, accepted()),
    ])
    .await;
    server.client().remove_participant(CHAT.parse().unwrap(), PERSON.parse().unwrap()).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].line, format!("DELETE /api/v1/private/chats/{CHAT}/participants/{PERSON}"));
    assert!(asked[0].header("idempotency-key").is_some());
    assert!(asked.iter().all(|request| request.header("idempotency-key") == asked[0].header("idempotency-key")));
}

#[tokio::test]
async fn a_reading_is_repeated_too_without_a_key() {
    let replies = [Reply::Half, answer(503, "<html>somebody in between</html>"), answer(200, chat(CHAT, "active"))];
    let server = Server::start(replies).await;
    let read = server.client().get_chat(CHAT.parse().unwrap()).await.unwrap();
    assert_eq!(read.value.current_title(), Some("Kick-off"));
    assert!(server.asked().iter().all(|request| request.header("idempotency-key").is_none()));
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn attempts_are_bounded_and_the_last_failure_is_told() {
    let server = Server::start((0..5).map(|_| answer(429, problem("too-many-requests", true)))).await;
    let client = server.client_with(RetryPolicy { attempts: 3, first_pause: Duration::ZERO, ..RetryPolicy::default() });
    let error = client.get_chat(CHAT.parse().unwrap()).await.unwrap_err();
    assert!(error.is("too-many-requests"), "{error}");
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn where_nobody_listens_no_answer_came() {
    let server = Server::start([]).await;
    // The listener ends with its task, which has nothing to do.
    let error = server.client().get_chat(CHAT.parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::NoAnswer(_)) && error.is_retryable(), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

/// Retry-After takes the place of the pauses that the client would make: those are an hour here.
#[tokio::test]
async fn retry_after_says_when() {
    let impatient = answer_with(503, "Retry-After: 0\r\n", problem("service-unavailable", true));
    let server = Server::start([impatient, answer(200, chat(CHAT, "active"))]).await;
    let hour = Duration::from_hours(1);
    let client = server.client_with(RetryPolicy { first_pause: hour, longest_pause: hour, ..RetryPolicy::default() });
    client.get_chat(CHAT.parse().unwrap()).await.unwrap();
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_retry_after_beyond_all_patience_ends_the_attempts() {
    let patient = answer_with(503, "Retry-After: 3600\r\n", problem("service-unavailable", true));
    let server = Server::start([patient, answer(200, chat(CHAT, "active"))]).await;
    let error = server.client().get_chat(CHAT.parse().unwrap()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_hours(1)));
    assert_eq!(server.asked().len(), 1);
}
