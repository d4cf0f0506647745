//! Pages and walks as streams.

use convoke_client::{ListChats, domain::PageSize};
use futures_util::TryStreamExt;

use crate::{
    CHAT, OTHER_CHAT, chat, problem,
    server::{Server, answer},
};

fn page(records: &[&str], next: Option<&str>) -> String {
    let records: Vec<String> = records.iter().map(|id| chat(id, "active")).collect();
    let next = next.map_or_else(String::new, |href| format!(r#","next":{{"href":"{href}"}}"#));
    format!(
        r#"{{"records":[{}],"_metadata":{{"pageSize":1,"totalRecords":2}},"_links":{{"self":{{"href":"/x"}}{next}}}}}"#,
        records.join(",")
    )
}

#[tokio::test]
async fn pages_follow_their_links_to_the_last() {
    let next = "/api/v1/private/chats?page=5&size=1&sort=title%2Casc";
    let server = Server::start([answer(200, page(&[CHAT], Some(next))), answer(200, page(&[OTHER_CHAT], None))]).await;
    let asked = ListChats { page: 4, size: PageSize::new(1).unwrap(), ..ListChats::default() };
    let pages: Vec<_> = server.client().pages(asked).try_collect().await.unwrap();
    assert_eq!(pages.len(), 2);
    assert_eq!(pages[1].records[0].id.to_string(), OTHER_CHAT);
    assert_eq!(pages[0].metadata.total_records, Some(2));
    assert_eq!(server.lines(), ["GET /api/v1/private/chats?page=4&size=1", &format!("GET {next}")]);
}

#[tokio::test]
async fn a_walk_goes_from_cursor_to_cursor_and_stays_with_the_service() {
    let next = "http://198.51.100.1/elsewhere?cursor=1f.aa&size=20";
    let replies = [
        answer(200, page(&[CHAT], Some(next))),
        answer(200, page(&[], Some("?cursor=2f.bb"))),
        answer(200, page(&[OTHER_CHAT], None)),
    ];
    let server = Server::start(replies).await;
    let chats: Vec<_> = server.client().walk_chats(ListChats::default()).try_collect().await.unwrap();
    assert_eq!(chats.iter().map(|chat| chat.id.to_string()).collect::<Vec<_>>(), [CHAT, OTHER_CHAT]);
    assert_eq!(
        server.lines(),
        [
            "GET /api/v1/private/chats?cursor=&size=20",
            "GET /api/v1/private/chats?cursor=1f.aa&size=20",
            "GET /api/v1/private/chats?cursor=2f.bb"
        ]
    );
}

#[tokio::test]
async fn a_walk_ends_with_the_first_error() {
    let replies = [answer(200, page(&[CHAT], Some("?cursor=1f.aa"))), answer(401, problem("unauthorized", false))];
    let server = Server::start(replies).await;
    let mut walk = std::pin::pin!(server.client().walk_chats(ListChats::default()));
    assert!(walk.try_next().await.unwrap().is_some());
    assert!(walk.try_next().await.unwrap_err().is("unauthorized"));
    assert!(walk.try_next().await.unwrap().is_none());
}
