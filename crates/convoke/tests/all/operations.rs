//! An operator's hands: operations listed, shown, tried again and cancelled beside a running service.

use convoke_test_support::create_database;
use serde_json::{Value, json};

use crate::support::{Api, Place, answer};

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_in_an_operators_hands_on_sqlite() {
    tried_again(&Place::new()).await;
    called_off(&Place::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_in_an_operators_hands_on_postgresql() {
    let database = create_database(None).await;
    tried_again(&Place::on(database.url())).await;
    let database = create_database(None).await;
    called_off(&Place::on(database.url())).await;
}

/// What a command tells as JSON.
fn told(place: &Place, arguments: &[&str]) -> Value {
    serde_json::from_str(&place.told(&[&["operations"][..], arguments, &["--json"]].concat())).unwrap()
}

async fn register(api: &Api, title: &str) -> (String, String) {
    let (status, answer) = answer(api.post("/chats").json(&json!({"title": title}))).await;
    assert_eq!(status, 202, "{answer}");
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (text("id"), text("operationId"))
}

/// The sandbox rejects the first call: what failed is tried again, and the chat becomes active.
async fn tried_again(place: &Place) {
    place.write("convoke.toml", "[sandbox]\nfaults = ['reject']\n");
    let token = place.token();
    let service = place.start();
    let api = service.api(&token);
    let (chat, operation) = register(&api, "Kick-off").await;
    api.until(&format!("/chats/{chat}"), |chat| chat["status"] == "failed").await;

    assert_eq!(told(place, &["list"]), json!([]));
    let listed = told(place, &["list", "--status", "failed", "--tenant", "acme"]);
    assert_eq!((&listed[0]["id"], &listed[0]["status"]), (&json!(operation), &json!("failed")));
    let table = place.told(&["operations", "list", "--status", "failed"]);
    let row = table.lines().nth(1).expect("a line under the headings");
    assert!(row.starts_with(&operation) && row.contains("provider-rejected"), "{table}");
    assert_eq!(told(place, &["list", "--status", "failed", "--tenant", "other"]), json!([]));
    assert!(place.told(&["operations", "show", &operation]).contains(&chat));
    let (_, line) = place.refused(&["operations", "cancel", &operation]);
    assert!(line.contains("is failed: only one that waits can be cancelled"), "{line}");

    assert!(place.told(&["operations", "retry", &operation]).contains("is provisioning again"));
    api.until(&format!("/chats/{chat}"), |chat| chat["status"] == "active").await;
    let shown = told(place, &["show", &operation]);
    assert_eq!((&shown["status"], &shown["attempts"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(shown.get("error"), None);
    let (code, line) = place.refused(&["operations", "retry", &operation]);
    assert!(code == 1 && line.contains("is succeeded: only one that failed is tried again"), "{line}");
    let (_, line) = place.refused(&["operations", "show", &chat]);
    assert!(line.contains(&format!("there is no operation {chat}")), "{line}");
    assert!(place.told(&["doctor"]).contains("everything is as it should be"));
    service.stop();
}

/// The sandbox puts the first call off: what waits is cancelled, stays so while others are done, and may be tried again.
async fn called_off(place: &Place) {
    place.write("convoke.toml", "[sandbox]\nfaults = ['retryAfter:3600']\n");
    let token = place.token();
    let service = place.start();
    let api = service.api(&token);
    let (chat, operation) = register(&api, "Not wanted").await;
    let path = format!("/operations/{operation}");
    api.until(&path, |operation| operation["status"] == "waitingForProvider").await;
    let listed = told(place, &["list"]);
    assert_eq!((&listed[0]["id"], &listed[0]["hasBegun"]), (&json!(operation), &json!(false)));
    let (_, line) = place.refused(&["operations", "retry", &operation]);
    assert!(line.contains("is waitingForProvider: only one that failed is tried again"), "{line}");

    assert!(place.told(&["operations", "cancel", &operation]).contains("has failed with it"));
    let (status, seen) = answer(api.get(&path)).await;
    assert_eq!((status, &seen["status"]), (200, &json!("failed")), "{seen}");
    assert_eq!((&seen["error"]["type"], &seen["error"]["status"]), (&json!("/problems/cancelled"), &json!(409)));
    let (status, page) = answer(api.client.get(format!("http://{}/problems/cancelled", place.public))).await;
    assert!(status == 200 && page.to_string().contains("Cancelled"), "{page}");

    let other = api.register("Wanted").await;
    api.until(&format!("/chats/{other}"), |chat| chat["status"] == "active").await;
    let (_, seen) = answer(api.get(&format!("/chats/{chat}"))).await;
    assert_eq!(seen["status"], "failed", "{seen}");
    place.told(&["operations", "retry", &operation]);
    api.until(&format!("/chats/{chat}"), |chat| chat["status"] == "active").await;
    assert!(place.told(&["doctor"]).contains("everything is as it should be"));
    service.stop();
}

#[test]
fn what_no_operation_can_be_is_refused() {
    let place = Place::new();
    for wrong in [
        &["list", "--status", "done"][..],
        &["list", "--limit", "0"],
        &["list", "--tenant", "a/b"],
        &["show", "7"],
        &["retry"],
        &["cancel", "all"],
    ] {
        let output = place.run(&[&["operations"][..], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{wrong:?}");
    }
}
