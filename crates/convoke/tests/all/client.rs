//! The typed client against the service, on each database: what the story does not need.

use std::collections::BTreeSet;

use convoke_client::{Client, ListChats, NewChat, Registration, SendOptions};
use convoke_domain::{ChatFilter, Direction, PageSize, SortField, SortKey};
use convoke_test_support::create_database;
use futures_util::TryStreamExt;

use crate::support::{PATIENCE, Place};

#[tokio::test]
async fn the_typed_client_on_sqlite() {
    use_it(&Place::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typed_client_on_postgresql() {
    let database = create_database(None).await;
    use_it(&Place::on(database.url())).await;
}

async fn use_it(place: &Place) {
    let service = place.start();
    let client = service.typed(&place.token());
    keys(&client).await;
    lists(&client).await;
    refusals(&client).await;
    let stranger = service.typed("cvk_nobody");
    assert!(stranger.list_chats(&ListChats::default()).await.unwrap_err().is("unauthorized"));
    service.stop();
}

/// One key is one chat; no key of one's own is one chat a call.
async fn keys(client: &Client) {
    let own = SendOptions { idempotency_key: Some("order-17".to_owned()), wait: None };
    let new = NewChat::new("Once");
    let first = client.register_chat_with(&new, &own).await.unwrap().chat_id();
    assert_eq!(client.register_chat_with(&new, &own).await.unwrap().chat_id(), first);
    let other = client.register_chat_with(&NewChat::new("Another"), &own).await.unwrap_err();
    assert!(other.is("idempotency-key-reused"), "{other}");
    assert_ne!(client.register_chat(&new).await.unwrap().chat_id(), first);

    let waiting = SendOptions { wait: Some(PATIENCE), ..SendOptions::default() };
    let Registration::Active(chat) = client.register_chat_with(&new, &waiting).await.unwrap() else {
        panic!("the sandbox makes a chat at once");
    };
    assert_eq!(client.wait_until_ready(chat.id, PATIENCE).await.unwrap(), *chat);
}

/// Streams give everything once, in their order.
async fn lists(client: &Client) {
    for title in ["Alpha", "Beta", "Gamma"] {
        client.register_and_wait(&NewChat::new(title).description("listed"), PATIENCE).await.unwrap();
    }
    let size = PageSize::new(2).unwrap();
    let by_title = SortKey { field: SortField::Title, direction: Direction::Ascending };
    let asked = ListChats { sort: vec![by_title], size, ..ListChats::default() };
    let pages: Vec<_> = client.pages(asked).try_collect().await.unwrap();
    let sizes: Vec<_> = pages.iter().map(|page| page.records.len()).collect();
    assert_eq!((sizes, pages[2].metadata.total_records), (vec![2, 2, 2], Some(6)));
    let listed: Vec<_> = pages.into_iter().flat_map(|page| page.records).collect();
    let titles: Vec<_> = listed.iter().filter_map(|chat| chat.current_title()).collect();
    assert_eq!(titles, ["Alpha", "Beta", "Gamma", "Once", "Once", "Once"]);

    let all = ListChats { size, ..ListChats::default() };
    let walked: Vec<_> = client.walk_chats(all.clone()).try_collect().await.unwrap();
    assert_eq!(walked.len(), 6);
    assert!(walked.is_sorted_by(|a, b| a.registered_at >= b.registered_at));
    let ids = |chats: &[convoke_domain::Chat]| chats.iter().map(|chat| chat.id).collect::<BTreeSet<_>>();
    assert_eq!(ids(&walked), ids(&listed));

    let alpha = &listed[0];
    let filter = ChatFilter {
        is_active: Some(true),
        ids: vec![alpha.id],
        registered_from: Some(alpha.registered_at),
        registered_to: Some(alpha.registered_at),
    };
    let found: Vec<_> = client.walk_chats(ListChats { filter, ..all }).try_collect().await.unwrap();
    assert_eq!(found, std::slice::from_ref(alpha));
}

/// What the service refuses comes as it was told.
async fn refusals(client: &Client) {
    let error = client.register_chat(&NewChat::new(" ").created_by("x".repeat(51))).await.unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!((problem.status, problem.code.as_str(), problem.retryable), (400, "invalid-request", false));
    assert_eq!(
        (problem.r#type.as_str(), problem.instance.as_str()),
        ("/problems/invalid-request", "/api/v1/private/chats")
    );
    let pointers: BTreeSet<_> = problem.errors.iter().filter_map(|error| error.pointer.as_deref()).collect();
    assert_eq!(pointers, BTreeSet::from(["/createdBy", "/title"]));
    assert!(!problem.title.is_empty() && !problem.detail.is_empty() && !problem.request_id.is_empty());

    let nowhere = "9a983789-1709-4543-aa31-a02867680017";
    assert!(client.get_chat(nowhere.parse().unwrap()).await.unwrap_err().is("chat-not-found"));
    assert!(client.get_operation(nowhere.parse().unwrap()).await.unwrap_err().is("operation-not-found"));
    let invitation = client.get_chat_invitation(nowhere.parse().unwrap(), None).await;
    assert!(invitation.unwrap_err().is("chat-not-found"));
    let chat = client.register_and_wait(&NewChat::new("Ours"), PATIENCE).await.unwrap();
    let owner = client.remove_participant(chat.id, chat.participants[0].id).await.unwrap_err();
    assert!(owner.is("participant-is-owner"), "{owner}");
}
