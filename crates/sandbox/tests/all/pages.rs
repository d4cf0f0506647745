//! What people see and do behind an invitation link.

use convoke_domain::ChatStatus;
use convoke_provider::{Provider, ProviderEventKind};
use reqwest::{Method, StatusCode, header::HeaderMap};

use crate::support::Site;

#[tokio::test]
async fn a_visitor_joins_renames_brings_in_leaves_and_closes() {
    let site = Site::with_chat("Chat día 11").await;
    let page = site.page().await;
    assert!(page.contains("Chat día 11") && page.contains("About\nnothing") && page.contains("1 person is in"));
    assert!(page.contains("Join the chat") && !page.contains("Act as somebody"), "nobody to act as yet");

    site.post_ok("join", &[("username", "ada"), ("firstname", "Ada"), ("lastname", "Lovelace")]).await;
    let ada = site.id_of("ada").await;
    let page = site.page().await;
    assert!(page.contains("Ada Lovelace") && page.contains("@ada") && page.contains("2 people are in"));
    assert!(page.contains(&format!(r#"name="participant" value="{ada}""#)), "she can leave");
    assert!(page.contains(&format!(r#"<option value="{ada}">"#)), "she can be acted as");

    site.post_ok("join", &[("username", "bob"), ("invitedBy", &ada)]).await;
    let bob = site.id_of("bob").await;
    site.post_ok("rename", &[("participant", &bob), ("title", "  Another title ")]).await;
    assert!(site.page().await.contains("<h1><bdi>Another title</bdi></h1>"));
    site.post_ok("leave", &[("participant", &ada)]).await;
    assert_eq!(site.people().await, (vec!["convoke".into(), "bob".into()], vec!["ada".into()]));
    assert!(site.page().await.contains("Who was in"));
    site.post_ok("close", &[("participant", &bob)]).await;
    let page = site.page().await;
    assert!(page.contains("This chat is closed") && !page.contains("<form"), "nothing can be done any more");

    let told: Vec<_> = site.world.storage.events().await.into_iter().map(|event| event.kind).collect();
    let [joined, brought_in, renamed, left, closed] = &told[..] else { panic!("{told:#?}") };
    assert!(matches!(joined, ProviderEventKind::Joined { person, invited_by: None }
        if person.external_id == "ada" && person.properties.lastname.as_deref() == Some("Lovelace")));
    assert!(matches!(brought_in, ProviderEventKind::Joined { person, invited_by: Some(by) }
        if person.external_id == "bob" && by.external_id == "ada"));
    assert!(matches!(renamed, ProviderEventKind::Renamed { title } if title == "Another title"));
    assert!(matches!(left, ProviderEventKind::Left { person } if person.external_id == "ada"));
    assert_eq!(*closed, ProviderEventKind::Closed);
}

#[tokio::test]
async fn joining_while_in_goes_back_and_changes_nothing() {
    let site = Site::with_chat("One").await;
    site.join("ada").await;
    site.post_ok("join", &[("username", "ada"), ("firstname", "Other")]).await;
    site.post_ok("join", &[("username", " ada ")]).await;
    assert_eq!(site.world.storage.events().await.len(), 1);
    // A username is compared as written.
    site.join("Ada").await;
    assert_eq!(site.people().await.0, ["convoke", "ada", "Ada"]);
}

#[tokio::test]
async fn whoever_was_removed_may_join_again() {
    let site = Site::with_chat("One").await;
    let ada = site.join("ada").await;
    site.world.sandbox.remove_participant(&site.code, "ada").await.unwrap();
    assert_eq!(site.people().await.0, ["convoke"]);
    assert_eq!(site.join("ada").await, ada, "it is the same person");
    assert_eq!(site.people().await.0, ["convoke", "ada"]);
}

#[tokio::test]
async fn what_people_write_is_escaped() {
    let script = "<script>alert(1)</script>";
    let attribute = r#""><img src=x onerror='x'>"#;
    let site = Site::with_chat(&format!("{script}{attribute}")).await;
    site.post_ok("join", &[("username", "<b>&\"'"), ("firstname", script), ("lastname", attribute)]).await;
    let id = site.id_of("<b>&\"'").await;
    let open = site.page().await;
    site.post_ok("leave", &[("participant", &id)]).await;
    let left = site.page().await;
    let refused = site.post("join", &[("username", "a"), (script, "1"), (attribute, "1")]).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    for page in [open, left, refused.text().await.unwrap()] {
        assert!(!page.contains("<script") && !page.contains("<img src=x") && !page.contains("<b>&"), "{page}");
        assert!(page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"), "{page}");
    }
}

#[tokio::test]
async fn a_closed_or_failed_chat_is_shown_without_forms() {
    let site = Site::with_chat("One").await;
    for (status, text) in
        [(ChatStatus::Closed, "This chat is closed"), (ChatStatus::Failed, "This chat never came to be")]
    {
        site.world.storage.set_status(&site.code, status);
        let page = site.page().await;
        assert!(page.contains(text) && !page.contains("<form"), "{page}");
    }
}

#[tokio::test]
async fn head_is_as_get_without_a_body() {
    let site = Site::with_chat("One").await;
    for path in [format!("/sandbox/{}", site.code), "/sandbox/style.css".to_owned(), "/sandbox/none".to_owned()] {
        let get = site.request(Method::GET, &path).header("x-request-id", "r").send().await.unwrap();
        let head = site.request(Method::HEAD, &path).header("x-request-id", "r").send().await.unwrap();
        assert_eq!(head.status(), get.status());
        let without_date = |headers: &HeaderMap| {
            let mut headers = headers.clone();
            headers.remove("date");
            headers
        };
        assert_eq!(without_date(head.headers()), without_date(get.headers()), "{path}");
        assert!(head.bytes().await.unwrap().is_empty());
        assert!(!get.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn every_answer_is_guarded_and_named() {
    let site = Site::with_chat("One").await;
    let answers = [
        site.client.get(&site.link).send().await.unwrap(),
        site.post("join", &[("username", "ada")]).await,
        site.post("join", &[]).await,
        site.request(Method::GET, "/sandbox/none").send().await.unwrap(),
        site.request(Method::PUT, "/sandbox/none").send().await.unwrap(),
    ];
    for answer in answers {
        let headers = answer.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        for part in ["default-src 'none'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        // With `no-referrer`, browsers would send `Origin: null` with the page's own forms.
        assert_eq!(headers["referrer-policy"], "same-origin");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(headers["x-robots-tag"].to_str().unwrap().contains("noindex"));
        assert_eq!(headers["x-request-id"].len(), 36);
    }
    for sent in ["a", &"x".repeat(64), "!~"] {
        let answer = site.client.get(&site.link).header("x-request-id", sent).send().await.unwrap();
        assert_eq!(answer.headers()["x-request-id"], *sent);
    }
    for sent in ["", "a b", &"x".repeat(65)] {
        let answer = site.client.get(&site.link).header("x-request-id", sent).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["x-request-id"].len(), 36, "{sent:?}");
    }
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere_and_no_script() {
    let site = Site::with_chat("One").await;
    site.join("ada").await;
    let page = site.page().await;
    assert!(page.contains(r#"<meta name="viewport""#));
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"), "{page}");
    assert!(!page.contains(" style=") && !page.contains("onclick"), "the policy would not allow it");
    for (path, content_type) in
        [("/sandbox/style.css", "text/css; charset=utf-8"), ("/sandbox/icon.svg", "image/svg+xml")]
    {
        assert!(page.contains(path));
        let answer = site.request(Method::GET, path).send().await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["content-type"]),
            (StatusCode::OK, &content_type.parse().unwrap())
        );
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    }
    // Every field has its label.
    for field in page.split("<input id=\"").chain(page.split("<select id=\"")).skip(1) {
        let id = field.split('"').next().unwrap();
        if field.starts_with("<!doctype") {
            continue;
        }
        assert!(page.contains(&format!(r#"<label for="{id}">"#)), "{id} has no label");
    }
}

#[tokio::test]
async fn the_same_username_is_one_person_in_all_chats_of_a_tenant() {
    let site = Site::with_chat("One").await;
    let ada = site.join("ada").await;
    let other = site.world.make("Two").await;
    let form = site.request(Method::POST, &format!("/sandbox/{other}/join")).form(&[("username", "ada")]);
    assert_eq!(form.send().await.unwrap().status(), StatusCode::SEE_OTHER);
    let group = site.world.sandbox.find_group(&other).await.unwrap().unwrap();
    assert_eq!(group.state.members[1].participant_id.to_string(), ada);
}
