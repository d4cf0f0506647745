//! Faults come as scripted.

use std::time::Duration;

use convoke_telegram_test_server::Fault;
use grammers_client::InvocationError;

use crate::client::{connect, create, one_account, refusal, until};

#[tokio::test]
async fn a_refusal_is_met_so_many_times() {
    let (server, owner, id, _) = one_account().await;
    let other = connect(&server.session(server.new_user("Other", "", ""))).await;
    server.script_for(id, "channels.createChannel", 1, Fault::refuse(420, "FLOOD_WAIT_7"));
    other.create("Another's", "").await.expect("nobody else is slowed down");
    match owner.create("Mine", "").await {
        Err(InvocationError::Rpc(error)) => assert_eq!((error.name.as_str(), error.value), ("FLOOD_WAIT", Some(7))),
        other => panic!("a wait, not {other:?}"),
    }
    owner.create("Mine", "").await.expect("made");
    assert_eq!((server.groups().len(), server.calls_of("channels.createChannel")), (2, 3));
}

#[tokio::test]
async fn a_lost_answer_made_the_group_all_the_same() {
    let (server, owner, _, _) = one_account().await;
    server.script("channels.createChannel", 1, Fault::CutAfter);
    assert!(matches!(owner.create("One", "").await, Err(InvocationError::Io(_))));
    assert_eq!(server.groups().len(), 1);
    server.script("channels.createChannel", 1, Fault::CutBefore);
    assert!(matches!(owner.create("Two", "").await, Err(InvocationError::Io(_))));
    assert_eq!(server.groups().len(), 1);
    for (fault, groups) in [(Fault::LoseAnswer, 2), (Fault::Silent, 2)] {
        server.script("channels.createChannel", 1, fault);
        let called = server.calls_of("channels.createChannel");
        tokio::select! {
            answer = owner.create("Three", "") => panic!("{answer:?}"),
            () = until("it is called", || server.calls_of("channels.createChannel") > called) => {}
        }
        // Whatever is answered next comes after it.
        owner.client.get_me().await.expect("the connection stays");
        assert_eq!(server.groups().len(), groups);
    }
}

#[tokio::test]
async fn a_late_answer_comes_late_and_a_late_execution_too() {
    let (server, owner, _, _) = one_account().await;
    let late = Duration::from_millis(50);
    server.script("channels.createChannel", 1, Fault::AnswerLate(late));
    owner.create("One", "").await.expect("made");
    server.script("channels.createChannel", 1, Fault::ExecuteLate(late));
    let client = owner.client.clone();
    let call = tokio::spawn(async move { client.invoke(&create("Two", "")).await });
    until("the call is there", || server.calls_of("channels.createChannel") == 2).await;
    call.await.expect("no panic").expect("made");
    assert_eq!(server.groups().len(), 2);
}

#[tokio::test]
async fn an_account_is_full_after_so_many_groups() {
    let (server, owner, _, _) = one_account().await;
    server.limit_groups(1);
    owner.create("One", "").await.expect("made");
    assert_eq!(refusal(owner.create("Two", "").await), (400, "CHANNELS_TOO_MUCH".to_owned()));
}

#[tokio::test]
async fn connections_of_a_key_are_counted_and_a_second_is_refused_if_told_to() {
    let (server, owner, _, session) = one_account().await;
    assert_eq!(server.key(&session).connections, 1);
    let second = connect(&session).await;
    second.create("Both may", "").await.expect("made");
    assert_eq!((server.key(&session).connections, server.key(&session).most_connections), (2, 2));
    drop(second);
    until("the second is gone", || server.key(&session).connections == 1).await;

    server.refuse_duplicates();
    let third = connect(&session).await;
    assert_eq!(refusal(third.client.get_me().await), (406, "AUTH_KEY_DUPLICATED".to_owned()));
    owner.create("The first goes on", "").await.expect("made");
}

#[tokio::test]
async fn ended_sessions_are_told_so() {
    let (server, owner, id, _) = one_account().await;
    server.end_sessions(id);
    assert_eq!(refusal(owner.create("No", "").await), (401, "AUTH_KEY_UNREGISTERED".to_owned()));
}
