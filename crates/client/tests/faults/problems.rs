//! What the service refuses, and answers that are none.

use convoke_client::{Error, NewChat};

use crate::{
    CHAT, chat, problem,
    server::{Server, answer, answer_with},
};

#[tokio::test]
async fn a_problem_is_told_whole_and_not_repeated() {
    let body = r#"{"type":"/problems/invalid-request","title":"Invalid request","status":400,"detail":"Two mistakes.",
        "instance":"/api/v1/private/chats","code":"invalid-request","retryable":false,"requestId":"r7",
        "errors":[{"pointer":"/title","code":"required","detail":"must not be blank"},
                  {"header":"Idempotency-Key","code":"ofTomorrow","detail":"must not be so"}]}"#;
    let server = Server::start([answer(400, body)]).await;
    let error = server.client().register_chat(&NewChat::new(" ")).await.unwrap_err();
    assert!(error.is("invalid-request") && !error.is_retryable());
    let problem = error.problem().unwrap();
    assert_eq!((problem.r#type.as_str(), problem.title.as_str()), ("/problems/invalid-request", "Invalid request"));
    assert_eq!((problem.status, problem.detail.as_str()), (400, "Two mistakes."));
    assert_eq!((problem.instance.as_str(), problem.request_id.as_str()), ("/api/v1/private/chats", "r7"));
    assert_eq!(problem.errors[0].pointer.as_deref(), Some("/title"));
    assert_eq!(
        (problem.errors[1].header.as_deref(), problem.errors[1].code.as_str()),
        (Some("Idempotency-Key"), "ofTomorrow")
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn what_will_not_change_is_not_repeated() {
    for (status, code) in [(401, "unauthorized"), (404, "chat-not-found"), (409, "chat-id-taken"), (410, "chat-closed")]
    {
        let server = Server::start([answer(status, problem(code, false)), answer(200, chat(CHAT, "active"))]).await;
        let error = server.client().get_chat(CHAT.parse().unwrap()).await.unwrap_err();
        assert!(error.is(code), "{error}");
        assert_eq!(server.asked().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn what_is_no_answer_of_the_service_is_told_as_such() {
    let elsewhere = answer_with(302, "Location: http://127.0.0.1:1/\r\n", "");
    let refused = answer_with(404, "", "<html>");
    for (status, reply) in [(200, answer(200, "<html>")), (200, answer(200, "{}")), (302, elsewhere), (404, refused)] {
        let server = Server::start([reply]).await;
        let error = server.client().get_chat(CHAT.parse().unwrap()).await.unwrap_err();
        assert!(matches!(&error, Error::UnexpectedAnswer { status: told, .. } if *told == status), "{error:?}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_record_that_is_known_already_is_not_sent_again() {
    let replies = [
        answer_with(200, "ETag: \"1-7\"\r\n", chat(CHAT, "active")),
        answer_with(304, "ETag: \"1-7\"\r\n", ""),
        answer_with(200, "ETag: \"1-8\"\r\n", chat(CHAT, "closed")),
    ];
    let server = Server::start(replies).await;
    let (client, id) = (server.client(), CHAT.parse().unwrap());
    let tag = client.get_chat(id).await.unwrap().tag.unwrap();
    assert_eq!(client.get_chat_if_changed(id, &tag).await.unwrap(), None);
    let changed = client.get_chat_if_changed(id, &tag).await.unwrap().unwrap();
    assert!(!changed.value.is_active && changed.tag.is_some_and(|new| new != tag));
    let sent: Vec<_> = server.asked().iter().map(|asked| asked.header("if-none-match").map(str::to_owned)).collect();
    assert_eq!(sent, [None, Some("\"1-7\"".to_owned()), Some("\"1-7\"".to_owned())]);
}
