//! `GET /api/v1/private/chats`.

use serde_json::{Value, json};

use crate::service::{Answer, Backend, TestService};

const CHATS: &str = "/api/v1/private/chats";

fn titles(list: &Value) -> Vec<&str> {
    list["records"].as_array().unwrap().iter().map(|chat| chat["title"][0]["value"].as_str().unwrap()).collect()
}

fn link_header(answer: &Answer) -> Value {
    let links = answer.header("link").split(", ").filter(|link| !link.is_empty()).map(|link| {
        let (href, relation) = link.split_once("; rel=").unwrap();
        let href = href.trim_start_matches('<').trim_end_matches('>');
        (relation.trim_matches('"').to_owned(), json!({ "href": href }))
    });
    Value::Object(links.collect())
}

async fn pages_have_exact_totals_and_links(backend: Backend) {
    let service = TestService::start(backend).await;
    for title in ["a", "b", "c"] {
        service.active_chat(title).await;
    }
    let answer = service.get("/api/v1/private/chats/?size=2").await;
    let list = answer.json();
    assert_eq!(titles(&list), ["c", "b"]);
    assert_eq!(list["_metadata"], json!({"currentPage": 0, "totalPages": 2, "pageSize": 2, "totalRecords": 3}));
    let href = |page: u32| json!({ "href": format!("{CHATS}?page={page}&size=2") });
    assert_eq!(list["_links"], json!({"self": href(0), "first": href(0), "last": href(1), "next": href(1)}));
    assert_eq!(link_header(&answer), list["_links"]);
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    let chat = &list["records"][0];
    assert_eq!(service.get(&format!("{CHATS}/{}", chat["id"].as_str().unwrap())).await.json(), *chat);

    let past = service.get(&format!("{CHATS}?size=2&page=2147483647")).await.json();
    assert_eq!(past["records"], json!([]));
    assert_eq!((&past["_links"]["prev"], &past["_links"]["next"]), (&href(1), &Value::Null));
    let sorted = service.get(&format!("{CHATS}?sort=title")).await.json();
    assert_eq!(titles(&sorted), ["a", "b", "c"]);
}

async fn the_link_header_has_what_is_needed_most(backend: Backend) {
    let service = TestService::start(backend).await;
    for title in ["a", "b", "c"] {
        service.register(title).await;
    }
    let chats = service.get(CHATS).await.json();
    let ids = chats["records"].as_array().unwrap().iter().map(|chat| chat["id"].as_str().unwrap());
    let wanted: Vec<_> = ids.map(|id| format!("&id={id}")).collect();
    // Each id makes every link 40 bytes longer; the header has room for 4,096.
    for (number, relations) in [
        (18, vec!["self", "first", "last", "next", "prev"]),
        (22, vec!["self", "first", "next", "prev"]),
        (30, vec!["self", "next", "prev"]),
        (45, vec!["self", "next"]),
        (90, vec![]),
        (200, vec![]),
    ] {
        let ids: String = wanted.iter().cycle().take(number).map(String::as_str).collect();
        let answer = service.get(&format!("{CHATS}?page=1&size=1{ids}")).await;
        let links = answer.json()["_links"].clone();
        assert_eq!(links.as_object().unwrap().len(), 5, "{links}");
        let told = link_header(&answer);
        let told = told.as_object().unwrap();
        assert_eq!(told.keys().collect::<Vec<_>>(), relations, "{number} ids");
        assert!(told.iter().all(|(relation, link)| links[relation] == *link), "{told:?}");
    }
}

async fn filters_are_applied(backend: Backend) {
    let service = TestService::start(backend).await;
    let first = service.get(&service.active_chat("a").await).await.json();
    let second = service.register("b").await;
    let id = |chat: &Value| chat["id"].as_str().unwrap().to_owned();
    let registered = first["registeredAt"].as_str().unwrap();
    for (query, expected) in [
        (format!("isActive=true&toDate={registered}"), vec!["a"]),
        ("isActive=false".to_owned(), vec!["b"]),
        (format!("id={}&id={}", id(&first), id(&second).to_uppercase()), vec!["b", "a"]),
        ("id=00000000-0000-4000-8000-000000000000".to_owned(), vec![]),
        (format!("fromDate={registered}&sort=registeredAt"), vec!["a", "b"]),
        ("fromDate=2024-12-11&toDate=2024-12-11".to_owned(), vec!["b", "a"]),
        ("fromDate=2024-12-12".to_owned(), vec![]),
        ("fromDate=2024-12-13&toDate=2024-12-11".to_owned(), vec![]),
        ("fromDate=2024-12-11T10:00:00%2B02:00".to_owned(), vec!["b", "a"]),
    ] {
        let list = service.get(&format!("{CHATS}?{query}")).await.json();
        assert_eq!(titles(&list), expected, "{query}");
        assert_eq!(list["_metadata"]["totalRecords"], expected.len(), "{query}");
    }
}

async fn a_walk_sees_every_chat_once(backend: Backend) {
    let service = TestService::start(backend).await;
    for title in ["a", "b", "c", "d", "e"] {
        service.register(title).await;
    }
    let mut next = format!("{CHATS}?cursor=&size=2");
    let mut seen = Vec::new();
    loop {
        let answer = service.get(&next).await;
        let list = answer.json();
        assert_eq!(list["_metadata"], json!({"pageSize": 2}));
        assert_eq!(link_header(&answer), list["_links"]);
        seen.extend(titles(&list).into_iter().map(str::to_owned));
        service.register("meanwhile").await;
        let Some(href) = list["_links"]["next"]["href"].as_str() else { break };
        next = href.to_owned();
    }
    assert_eq!(seen, ["e", "d", "c", "b", "a"]);
}

async fn every_mistake_in_the_query_is_named(backend: Backend) {
    let service = TestService::start(backend).await;
    let wrong = "page=&size=0&isActive=1&sort=name&sort=title&sort=title&id=x&fromDate=2024&toDate=2024-12-11&toDate=2024-12-12&limit=1";
    service.get(&format!("{CHATS}?{wrong}")).await.assert_mistakes(&[
        ("page", "required"),
        ("size", "outOfRange"),
        ("isActive", "invalidFormat"),
        ("sort", "unknown"),
        ("sort", "duplicate"),
        ("id", "invalidFormat"),
        ("fromDate", "invalidFormat"),
        ("toDate", "duplicate"),
        ("limit", "unknown"),
    ]);
    service.get(&format!("{CHATS}?cursor=&sort=id")).await.assert_mistakes(&[("sort", "notAllowed")]);
    service.get(&format!("{CHATS}?cursor=x")).await.assert_mistakes(&[("cursor", "invalidFormat")]);
    service.get(&format!("{CHATS}?page=%ff")).await.assert_mistakes(&[("page", "invalidFormat")]);
}

on_both!(
    pages_have_exact_totals_and_links,
    the_link_header_has_what_is_needed_most,
    filters_are_applied,
    a_walk_sees_every_chat_once,
    every_mistake_in_the_query_is_named,
);
