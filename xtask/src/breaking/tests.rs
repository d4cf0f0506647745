//! The check is tried on the real document: breaks are put into a copy of it, one at a time.

use serde_json::json;

use super::*;

const CHATS: &str = "/paths/~1api~1v1~1private~1chats";
const CHAT: &str = "/paths/~1api~1v1~1private~1chats~1{chatId}";
const SCHEMAS: &str = "/components/schemas";

fn document() -> Value {
    serde_json::from_str(include_str!("../../../openapi/openapi.json")).unwrap()
}

/// What is reported after this change of the document.
fn reported(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let old = document();
    let mut new = old.clone();
    change(&mut new);
    assert_ne!(old, new, "the change changes nothing");
    breaks(&old, &new)
}

/// Puts a value at a place that is there, or beside what is there.
fn put(document: &mut Value, place: &str, value: Value) {
    let (parent, name) = place.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("there is no {parent}"));
    parent[name.replace("~1", "/")] = value;
}

fn remove(document: &mut Value, place: &str) {
    let (parent, name) = place.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).and_then(Value::as_object_mut);
    let name = name.replace("~1", "/");
    assert!(parent.unwrap_or_else(|| panic!("no object holds {place}")).remove(&name).is_some(), "there is no {place}");
}

/// The place of a parameter.
fn parameter(operation: &str, name: &str) -> String {
    let document = document();
    let parameters = document.pointer(&format!("{operation}/parameters")).and_then(Value::as_array).unwrap();
    let number = parameters.iter().position(|parameter| parameter["name"] == name).unwrap();
    format!("{operation}/parameters/{number}")
}

fn in_list(document: &mut Value, place: &str, change: impl FnOnce(&mut Vec<Value>)) {
    let list = document.pointer_mut(place).and_then(Value::as_array_mut);
    change(list.unwrap_or_else(|| panic!("there is no list at {place}")));
}

#[test]
fn breaks_are_reported() {
    type Break = (&'static str, fn(&mut Value));
    let seeded: [Break; 24] = [
        ("GET /api/v1/private/chats/{chatId}: the operation is gone", |new| remove(new, CHAT)),
        ("POST /api/v1/private/chats: the operation is gone", |new| remove(new, &format!("{CHATS}/post"))),
        ("the operationId is another", |new| put(new, &format!("{CHATS}/get/operationId"), json!("find_chats"))),
        ("more is asked for", |new| {
            let scopes = json!([{"bearer": ["chats:read", "chats:write"]}]);
            put(new, &format!("{CHATS}/get/security"), scopes);
        }),
        ("more is asked for", |new| put(new, "/paths/~1openapi.json/get/security", json!([{"bearer": []}]))),
        ("security scheme bearer", |new| put(new, "/components/securitySchemes/bearer/scheme", json!("basic"))),
        ("parameter isActive: is gone", |new| {
            in_list(new, &format!("{CHATS}/get/parameters"), |all| all.retain(|one| one["name"] != "isActive"));
        }),
        ("the new parameter \"since\" is required", |new| {
            let since = json!({"name": "since", "in": "query", "required": true, "schema": {"type": "string"}});
            in_list(new, &format!("{CHATS}/get/parameters"), |all| all.push(since));
        }),
        ("parameter Idempotency-Key: is required now", |new| {
            let place = parameter(&format!("{CHATS}/post"), "Idempotency-Key");
            put(new, &format!("{place}/required"), json!(true));
        }),
        ("parameter size: maximum is tighter", |new| {
            let place = parameter(&format!("{CHATS}/get"), "size");
            put(new, &format!("{place}/schema/maximum"), json!(100));
        }),
        ("parameter page: minimum is tighter", |new| {
            let place = parameter(&format!("{CHATS}/get"), "page");
            put(new, &format!("{place}/schema/minimum"), json!(1));
        }),
        ("parameter isActive: the type is another", |new| {
            let place = parameter(&format!("{CHATS}/get"), "isActive");
            put(new, &format!("{place}/schema/type"), json!("string"));
        }),
        ("body.title: maxLength is tighter", |new| {
            put(new, &format!("{SCHEMAS}/NewChat/properties/title/maxLength"), json!(128));
        }),
        ("body.createdBy: is required now", |new| {
            in_list(new, &format!("{SCHEMAS}/NewChat/required"), |all| all.push(json!("createdBy")));
        }),
        ("body.description: is gone", |new| remove(new, &format!("{SCHEMAS}/NewChat/properties/description"))),
        ("body.createdBy: the pattern is another", |new| {
            put(new, &format!("{SCHEMAS}/NewChat/properties/createdBy/pattern"), json!("^[a-z]*$"));
        }),
        ("parameter sort[]: fewer values are accepted", |new| {
            in_list(new, &format!("{SCHEMAS}/SortOrder/enum"), |all| drop(all.pop()));
        }),
        ("the media type application/json is gone", |new| {
            put(new, &format!("{CHATS}/post/requestBody/content"), json!({"text/plain": {}}));
        }),
        ("POST /api/v1/private/chats, 202: the status is gone", |new| {
            remove(new, &format!("{CHATS}/post/responses/202"));
        }),
        ("records[].isActive: is gone", |new| remove(new, &format!("{SCHEMAS}/Chat/properties/isActive"))),
        ("records[].title: is no longer always there", |new| {
            in_list(new, &format!("{SCHEMAS}/Chat/required"), |all| all.retain(|one| one != "title"));
        }),
        ("records[].title: the type is another", |new| {
            put(new, &format!("{SCHEMAS}/Chat/properties/title"), json!({"type": "string"}));
        }),
        ("202, header Location: is gone", |new| remove(new, &format!("{CHATS}/post/responses/202/headers/Location"))),
        ("the link invitation is gone", |new| remove(new, &format!("{CHATS}/post/responses/202/links/invitation"))),
    ];
    for (expected, change) in seeded {
        let reported = reported(change);
        assert!(reported.iter().any(|told| told.contains(expected)), "{expected}: {reported:?}");
    }
}

#[test]
fn what_is_more_than_before_is_no_break() {
    let additive: [fn(&mut Value); 12] = [
        |new| put(new, "/paths/~1api~1v1~1private~1news", json!({"get": {"operationId": "list_news"}})),
        |new| put(new, &format!("{CHAT}/put"), json!({"operationId": "change_chat"})),
        |new| put(new, &format!("{CHATS}/get/summary"), json!("List all chats")),
        |new| {
            let since = json!({"name": "since", "in": "query", "schema": {"type": "string"}});
            in_list(new, &format!("{CHATS}/get/parameters"), |all| all.push(since));
        },
        |new| put(new, &format!("{SCHEMAS}/NewChat/properties/topic"), json!({"type": "string"})),
        |new| put(new, &format!("{SCHEMAS}/NewChat/properties/title/maxLength"), json!(500)),
        |new| remove(new, &format!("{SCHEMAS}/NewChat/properties/createdBy/pattern")),
        |new| in_list(new, &format!("{SCHEMAS}/SortOrder/enum"), |all| all.push(json!("closedAt"))),
        |new| in_list(new, &format!("{SCHEMAS}/ChatStatus/enum"), |all| all.push(json!("archived"))),
        |new| {
            put(new, &format!("{SCHEMAS}/Chat/properties/closedAt"), json!({"type": "string"}));
            in_list(new, &format!("{SCHEMAS}/Chat/required"), |all| all.push(json!("closedAt")));
        },
        |new| put(new, &format!("{CHAT}/get/responses/418"), json!({"description": "A teapot."})),
        |new| {
            put(new, &format!("{CHATS}/get/security"), json!([{"bearer": ["chats:read"]}, {"bearer": ["chats:all"]}]));
        },
    ];
    for (number, change) in additive.into_iter().enumerate() {
        assert_eq!(reported(change), Vec::<String>::new(), "change {number}");
    }
    assert_eq!(breaks(&document(), &document()), Vec::<String>::new());
}

#[test]
fn a_schema_that_both_sides_use_is_looked_at_from_both() {
    let schema = |service: Value| {
        let content = json!({"application/json": {"schema": service}});
        let post = json!({"requestBody": {"content": content}, "responses": {"200": {"content": content}}});
        json!({"paths": {"/": {"post": post}}})
    };
    let told = breaks(&schema(json!({"maxLength": 10})), &schema(json!({"maxLength": 20})));
    assert_eq!(told, ["POST /, 200: maxLength is looser"]);
    let told = breaks(&schema(json!({"maxLength": 10})), &schema(json!({"maxLength": 5})));
    assert_eq!(told, ["POST /, body: maxLength is tighter"]);
    let told = breaks(&schema(json!({"oneOf": [{}, {}]})), &schema(json!({"oneOf": [{}]})));
    assert_eq!(told, ["POST /, body: oneOf has other schemas"]);
    let told = breaks(&schema(json!({"type": "integer"})), &schema(json!({"type": "number"})));
    assert_eq!(told, ["POST /, 200: the type is another"]);
}

#[test]
fn versions_are_compared_as_numbers() {
    assert!(version("0.10.0") > version("0.9.1"));
    assert_eq!(version("draft"), None);
}
