//! The schemas of the OpenAPI document, as a validator reads them: examples are valid, requests are accepted and refused
//! as the service does, and what it answers is what the document says.

use std::collections::BTreeSet;

use convoke_api::ApiSettings;
use convoke_domain::{OperationError, OperationErrorCode, Service};
use convoke_provider::ProviderEventKind;
use jsonschema::{Draft, JSONSchema};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::service::{Answer, Backend, TestService};

const CHATS: &str = "/api/v1/private/chats";
const ID: &str = "9a983789-1709-4543-aa31-a02867680017";

fn document() -> Value {
    serde_json::from_str(&convoke_api::openapi_json()).unwrap()
}

/// Reads a schema of the document; formats count.
fn validator(document: &Value, schema: &Value) -> JSONSchema {
    let schema = json!({"components": document["components"], "allOf": [schema]});
    let mut options = JSONSchema::options();
    options.with_draft(Draft::Draft202012).should_validate_formats(true).compile(&schema).unwrap()
}

#[track_caller]
fn assert_valid(document: &Value, schema: &Value, value: &Value, place: &str) {
    let validator = validator(document, schema);
    let errors: Vec<_> = match validator.validate(value) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.map(|error| format!("{}: {error}", error.instance_path)).collect(),
    };
    assert!(errors.is_empty(), "{place}: {errors:?}\n{value:#}");
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// Every operation: its path, its method and itself.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| item.as_object().unwrap().iter().map(|(m, o)| (path.as_str(), m.as_str(), o)))
}

/// Every example with the schema that it is one of, wherever there is one.
fn examples<'a>(value: &'a Value, place: &str, found: &mut Vec<(String, &'a Value, &'a Value)>) {
    match value {
        Value::Object(object) => {
            // Of a media type, a header or a parameter; else of a schema itself.
            let schema = object.get("schema").unwrap_or(value);
            found.extend(object.get("example").map(|example| (place.to_owned(), schema, example)));
            match object.get("examples") {
                Some(Value::Array(several)) => found.extend(several.iter().map(|one| (place.to_owned(), value, one))),
                Some(Value::Object(named)) => {
                    found.extend(named.iter().map(|(name, one)| (format!("{place}, {name}"), schema, &one["value"])));
                }
                _ => {}
            }
            for (name, member) in object {
                if !["example", "examples"].contains(&name.as_str()) {
                    examples(member, &format!("{place}/{name}"), found);
                }
            }
        }
        Value::Array(several) => {
            for (number, value) in several.iter().enumerate() {
                examples(value, &format!("{place}/{number}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_example_is_valid() {
    let document = document();
    let mut found = Vec::new();
    examples(&document, "", &mut found);
    assert!(found.len() > 60, "{}", found.len());
    for (place, schema, example) in found {
        assert_valid(&document, schema, example, &place);
    }
}

/// Without this, all of the above could hold of a validator that looks at nothing.
#[test]
fn what_is_wrong_anywhere_within_is_seen() {
    let document = document();
    let response = &document["paths"][format!("{CHATS}/{{chatId}}")]["get"]["responses"]["200"];
    let content = &response["content"]["application/json"];
    let schema = validator(&document, &content["schema"]);
    assert!(schema.is_valid(&content["example"]));
    for (place, wrong) in [
        ("/id", json!("9a98378917094543aa31a02867680017")),
        ("/status", json!("asleep")),
        ("/registeredAt", json!("2024-12-11T08:54:03Z")),
        ("/title/0/contentType", json!("text/html")),
        ("/participants/1/userProperties", json!(null)),
        ("/participants/1/participations/0/isActive", json!("no")),
        ("/participants/1/participations/0/removedBy", json!("ada")),
    ] {
        let mut chat = content["example"].clone();
        *chat.pointer_mut(place).unwrap() = wrong;
        assert!(!schema.is_valid(&chat), "{place}");
    }
}

#[test]
fn every_body_has_an_example() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap().values();
        for body in responses.chain(operation.get("requestBody")) {
            for (media_type, content) in resolved(&document, body)["content"].as_object().into_iter().flatten() {
                let has_one = content.get("example").is_some() || content.get("examples").is_some();
                assert!(has_one, "{method} {path}: {media_type} of {body}");
            }
        }
    }
}

/// Every kind of problem that is documented anywhere, with its status, is shown as an example somewhere.
#[test]
fn every_status_is_that_of_its_problems() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let content = &resolved(&document, response)["content"]["application/problem+json"];
            for (kind, example) in content["examples"].as_object().into_iter().flatten() {
                assert_eq!(example["value"]["status"].to_string(), *status, "{kind} of {method} {path}");
            }
            assert_eq!(content.is_null(), status.starts_with(['2', '3']), "{status} of {method} {path}");
        }
    }
}

/// What a JSON schema can't say, or says otherwise than the service; everything else has to be judged alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Both,
    /// Only the service refuses it, for this reason.
    ServiceOnly(&'static str),
}
use Told::{Both, ServiceOnly};

/// Bodies of a registration, and whether the service takes them.
fn registrations() -> Vec<(Value, bool, Told)> {
    let with = |name: &str, value: Value| {
        let mut body = json!({"title": "t"});
        body[name] = value;
        body
    };
    let texts = |name: &'static str, texts: Vec<(String, bool)>| {
        texts.into_iter().map(move |(text, taken)| (with(name, json!(text)), taken, Both)).collect::<Vec<_>>()
    };
    let owned = |all: &[(&str, bool)]| all.iter().map(|(text, taken)| ((*text).to_owned(), *taken)).collect::<Vec<_>>();
    let mut all = vec![
        (json!({}), false, Both),
        (json!([]), false, Both),
        (json!("title"), false, Both),
        (json!(null), false, Both),
        (json!({"title": "t", "createdBy": "ann", "description": "d", "service": "sandbox"}), true, Both),
        (json!({"title": "t", "more": 1}), false, Both),
        (json!({"title": "t", "Title": "t"}), false, Both),
        (
            json!({"title": "a\u{1F600}".repeat(65), "service": "telegram"}),
            false,
            ServiceOnly("limits of a messenger, in UTF-16"),
        ),
    ];
    for name in ["title", "createdBy", "description", "service", "id"] {
        for wrong in [json!(null), json!(1), json!(true), json!(["t"]), json!({"value": "t"})] {
            all.push((with(name, wrong), false, Both));
        }
    }
    let blanks = [" ", "\u{a0}", "\u{1680}", "\u{2000}", "\u{200a}", "\u{2028}", "\u{202f}", "\u{205f}", "\u{3000}"];
    for blank in blanks {
        all.push((with("title", json!(blank)), false, Both));
        all.push((with("title", json!(format!("{blank}x{blank}"))), true, Both));
        all.push((with("createdBy", json!(blank)), true, Both));
    }
    // No blanks, though they look like some.
    for visible in ["\u{200b}", "\u{feff}", "\u{180e}", "\u{2060}", "\u{ad}"] {
        all.push((with("title", json!(visible)), true, Both));
    }
    let controls = ["a\nb", "a\tb", "\u{0}", "\u{1f}", "\u{7f}", "\u{80}", "\u{85}", "\u{9f}", "x\r\n", " \n"];
    for control in controls {
        let in_description = control == "a\nb" || control == "a\tb" || control == " \n";
        all.push((with("title", json!(control)), false, Both));
        all.push((with("createdBy", json!(control)), false, Both));
        all.push((with("description", json!(control)), in_description, Both));
    }
    for (name, longest) in [("title", 255), ("createdBy", 50), ("description", 255)] {
        // Counted in characters, not in bytes or UTF-16 units; blanks at the ends count.
        for letter in ["x", "é", "\u{1F600}"] {
            all.push((with(name, json!(letter.repeat(longest))), true, Both));
            all.push((with(name, json!(letter.repeat(longest + 1))), false, Both));
        }
        all.push((with(name, json!(format!("{} ", "x".repeat(longest)))), false, Both));
    }
    all.extend(texts("title", owned(&[("", false), ("x", true)])));
    all.extend(texts("createdBy", owned(&[("", true)])));
    all.extend(texts("description", owned(&[("", true)])));
    let services = [("sandbox", true), ("Sandbox", false), (" sandbox", false), ("icq", false), ("", false)];
    all.extend(texts("service", owned(&services)));
    let ids = [
        (ID, true),
        ("9A983789-1709-4543-AA31-A02867680018", true),
        ("9a983789-1709-1543-aa31-a02867680017", false),
        ("9a983789-1709-4543-ca31-a02867680017", false),
        ("9a98378917094543aa31a02867680017", false),
        ("{9a983789-1709-4543-aa31-a02867680017}", false),
        ("urn:uuid:9a983789-1709-4543-aa31-a02867680017", false),
        (" 9a983789-1709-4543-aa31-a02867680017", false),
        ("9a983789-1709-4543-aa31-a02867680017\n", false),
        ("", false),
    ];
    for (id, taken) in ids {
        let mut body = with("id", json!(id));
        body["title"] = json!("x");
        all.push((body, taken, Both));
    }
    all
}

async fn registrations_are_judged_alike(backend: Backend) {
    let settings =
        ApiSettings { configured_services: vec![Service::Sandbox, Service::Telegram], ..ApiSettings::default() };
    let service = TestService::start_with(backend, settings).await;
    let document = document();
    let operation = &document["paths"][CHATS]["post"];
    let schema = validator(&document, &operation["requestBody"]["content"]["application/json"]["schema"]);
    for (body, taken, told) in registrations() {
        let answer = service.post(CHATS, &body).await;
        assert_eq!(answer.status, if taken { 202 } else { 400 }, "the service, of {body}: {}", answer.text);
        match told {
            Both => assert_eq!(schema.is_valid(&body), taken, "the schema, of {body}"),
            ServiceOnly(reason) => assert!(schema.is_valid(&body) && !taken, "can be said after all: {reason}"),
        }
    }
}

/// Values of a parameter of the query, and whether the service takes them.
const QUERIES: &[(&str, &str, bool, Told)] = &[
    ("page", "0", true, Both),
    ("page", "2147483647", true, Both),
    ("page", "2147483648", false, Both),
    ("page", "-1", false, Both),
    ("page", "1.5", false, Both),
    ("page", "x", false, Both),
    ("size", "1", true, Both),
    ("size", "200", true, Both),
    ("size", "0", false, Both),
    ("size", "201", false, Both),
    ("sort", "title", true, Both),
    ("sort", "updatedAt,desc", true, Both),
    ("sort", "title,DESC", false, Both),
    ("sort", "name", false, Both),
    ("sort", "title,", false, Both),
    ("isActive", "true", true, Both),
    ("isActive", "TRUE", false, Both),
    ("isActive", "1", false, Both),
    ("id", ID, true, Both),
    ("id", "9A983789-1709-1543-0A31-A02867680017", true, Both),
    ("id", "9a98378917094543aa31a02867680017", false, Both),
    ("fromDate", "2024-12-11", true, Both),
    ("fromDate", "2024-12-11T08:54:03", true, Both),
    ("fromDate", "2024-12-11t08:54:03.123456789z", true, Both),
    ("fromDate", "2024-12-11T08:54:03-09:30", true, Both),
    ("fromDate", "2024-12-11 08:54:03", false, Both),
    ("fromDate", "2024-12", false, Both),
    ("fromDate", "2024-12-11T08:54", false, Both),
    ("fromDate", "1733907243", false, Both),
    ("fromDate", "2024-12-11T08:54:03.Z", false, Both),
    ("toDate", "2024-12-11T08:54:03Z", true, Both),
    ("toDate", "2024-02-30", false, ServiceOnly("the calendar")),
    ("toDate", "2024-12-11T24:00:00Z", false, ServiceOnly("the clock")),
    ("cursor", "", true, Both),
    ("cursor", "193b4f4d5f8.9a98378917094543aa31a02867680017", true, Both),
    ("cursor", "x", false, Both),
    ("cursor", "1.9A98378917094543AA31A02867680017", false, Both),
    ("cursor", "01.9a98378917094543aa31a02867680017", false, ServiceOnly("cursors that were never handed out")),
];

/// A parameter's value as its schema sees it (OpenAPI, the style `form`).
fn deserialised(document: &Value, schema: &Value, sent: &str) -> Value {
    match resolved(document, schema)["type"].as_str() {
        Some("array") => json!([sent]),
        Some("integer") => sent.parse::<i64>().map_or_else(|_| json!(sent), |number| json!(number)),
        Some("boolean") => sent.parse::<bool>().map_or_else(|_| json!(sent), |boolean| json!(boolean)),
        _ => json!(sent),
    }
}

async fn queries_are_judged_alike(backend: Backend) {
    let service = TestService::start(backend).await;
    let document = document();
    let parameters = document["paths"][CHATS]["get"]["parameters"].as_array().unwrap();
    for &(name, sent, taken, told) in QUERIES {
        let answer = Answer::of(service.request(Method::GET, CHATS).query(&[(name, sent)])).await;
        assert_eq!(answer.status, if taken { 200 } else { 400 }, "the service, of {name}={sent}: {}", answer.text);
        let schema = &parameters.iter().find(|parameter| parameter["name"] == name).unwrap()["schema"];
        let is_valid = validator(&document, schema).is_valid(&deserialised(&document, schema, sent));
        match told {
            Both => assert_eq!(is_valid, taken, "the schema, of {name}={sent}"),
            ServiceOnly(reason) => assert!(is_valid && !taken, "can be said after all: {reason}"),
        }
    }
    let tried: BTreeSet<_> = QUERIES.iter().map(|(name, ..)| *name).collect();
    let of_queries = parameters.iter().filter(|parameter| parameter["in"] == "query");
    let documented: BTreeSet<_> = of_queries.map(|parameter| parameter["name"].as_str().unwrap()).collect();
    assert_eq!(tried, documented);
}

/// Answers that were given, held against the document.
struct Witness {
    document: Value,
    /// Operations and statuses that were seen.
    seen: BTreeSet<(String, String)>,
}

impl Witness {
    /// Sends the request of this operation and holds the answer against the document.
    #[track_caller]
    fn holds(&mut self, operation_id: &str, answer: &Answer) {
        let (_, _, operation) =
            operations(&self.document).find(|(_, _, operation)| operation["operationId"] == operation_id).unwrap();
        let status = answer.status.to_string();
        let place = format!("{status} of {operation_id}");
        let response = operation["responses"].get(&status).unwrap_or_else(|| panic!("{place}: {}", answer.text));
        let response = resolved(&self.document, response);
        for (name, header) in response["headers"].as_object().unwrap() {
            let schema = &resolved(&self.document, header)["schema"];
            if let Some(sent) = answer.headers.get(name) {
                let sent = deserialised(&self.document, schema, sent.to_str().unwrap());
                assert_valid(&self.document, schema, &sent, &format!("{place}, {name}"));
            } else {
                // Where trying again is one of several pieces of advice, the first answer was not given again, or there are
                // neither replicas nor limits.
                let depends = match name.as_str() {
                    "Retry-After" => status == "409",
                    "Idempotency-Replayed" | "Convoke-Position" | "RateLimit" | "RateLimit-Policy" => true,
                    _ => false,
                };
                assert!(depends, "{place} lacks {name}");
            }
        }
        let media_type = answer.header("content-type").split(';').next().unwrap();
        match response["content"].as_object() {
            None => assert_eq!(answer.text, "", "{place}"),
            Some(content) => {
                let content = content.get(media_type).unwrap_or_else(|| panic!("{place}: {media_type}"));
                let body = if media_type == "text/html" { json!(answer.text) } else { answer.json() };
                assert_valid(&self.document, &content["schema"], &body, &place);
                if media_type == "application/problem+json" {
                    let kind = body["code"].as_str().unwrap();
                    assert!(content["examples"].get(kind).is_some(), "{place}: {kind} is not documented");
                }
            }
        }
        self.seen.insert((operation_id.to_owned(), status));
    }
}

/// What no test can bring about from outside, and why.
fn is_out_of_reach(operation_id: &str, status: &str) -> bool {
    match status {
        // Beyond a limit, which is set elsewhere (`limits.rs`); the frame answers so to a bug, and while the database is
        // away (`access.rs` and `http.rs` look at these answers).
        "429" | "500" | "503" => true,
        // A key belongs to a path, and there is nothing else in such a request that could differ.
        "422" => operation_id == "remove_participant",
        // Nothing is sent that could be wrong.
        "400" => operation_id == "get_openapi",
        _ => false,
    }
}

async fn answers_are_as_documented(backend: Backend) {
    let service = TestService::start(backend).await;
    let mut witness = Witness { document: document(), seen: BTreeSet::new() };
    let chat = service.active_chat("a").await;
    let participant = service.joins(&chat, "ann").await;
    let removal = format!("{chat}/participants/{participant}");
    let owner = service.get(&chat).await.json()["participants"][0]["id"].as_str().unwrap().to_owned();
    let waiting = format!("{CHATS}/{}", service.register("waits").await["id"].as_str().unwrap());
    let nobodys = format!("{CHATS}/00000000-0000-4000-8000-000000000000");
    let post = |body: Value| service.request(Method::POST, CHATS).json(&body);
    let get = |path: &str| service.request(Method::GET, path);
    let delete = |path: &str| service.request(Method::DELETE, path);

    let mut asked: Vec<(&str, RequestBuilder)> = vec![
        ("register_chat", post(json!({"title": "b", "id": ID}))),
        ("register_chat", post(json!({"title": "b"})).header("idempotency-key", "k")),
        ("register_chat", post(json!({"title": "b"})).header("idempotency-key", "k")),
        ("register_chat", post(json!({"title": "c"})).header("idempotency-key", "k")),
        ("register_chat", post(json!({"title": "c", "id": ID}))),
        ("register_chat", post(json!({"title": "c", "service": "telegram"}))),
        ("register_chat", post(json!({"title": " ", "service": "icq", "x\u{1}": 1}))),
        ("register_chat", service.request(Method::POST, CHATS).body("{}")),
        ("register_chat", post(json!({"title": "c".repeat(70_000)}))),
        ("list_chats", get(CHATS)),
        ("list_chats", get(&format!("{CHATS}?page=1&size=1&sort=title,asc&isActive=false"))),
        ("list_chats", get(&format!("{CHATS}?page=9"))),
        ("list_chats", get(&format!("{CHATS}?cursor=&size=1"))),
        ("list_chats", get(&format!("{CHATS}?page=x"))),
        ("get_chat", get(&chat)),
        ("get_chat", get(&chat).header("if-none-match", "*")),
        ("get_chat", get(&waiting)),
        ("get_chat", get(&nobodys)),
        ("get_chat", get(&format!("{CHATS}/x"))),
        ("get_chat_invitation", get(&format!("{chat}/invitation")).header("prefer", "wait=1")),
        ("get_chat_invitation", get(&format!("{waiting}/invitation"))),
        ("get_chat_invitation", get(&format!("{nobodys}/invitation"))),
        ("get_chat_invitation", get(&format!("{CHATS}/x/invitation"))),
        ("remove_participant", delete(&removal).header("idempotency-key", "d")),
        ("remove_participant", delete(&removal).header("idempotency-key", "d")),
        ("remove_participant", delete(&format!("{chat}/participants/{owner}"))),
        ("remove_participant", delete(&format!("{waiting}/participants/{owner}"))),
        ("remove_participant", delete(&format!("{nobodys}/participants/{owner}"))),
        ("remove_participant", delete(&format!("{chat}/participants/x"))),
        ("get_operation", get("/api/v1/private/operations/00000000-0000-4000-8000-000000000000")),
        ("get_operation", get("/api/v1/private/operations/x")),
        ("get_openapi", get("/openapi.json")),
        ("get_problem", get("/problems/chat-full")),
        ("get_problem", get("/problems/nothing")),
    ];
    let stranger = service.new_token("acme", &[]).await;
    for (operation_id, method, path) in [
        ("register_chat", Method::POST, CHATS),
        ("list_chats", Method::GET, CHATS),
        ("get_chat", Method::GET, &chat),
        ("get_chat_invitation", Method::GET, &format!("{chat}/invitation")),
        ("remove_participant", Method::DELETE, &removal),
        ("get_operation", Method::GET, "/api/v1/private/operations/x"),
    ] {
        asked.push((operation_id, service.plain(method.clone(), path)));
        asked.push((operation_id, service.plain(method, path).bearer_auth(&stranger)));
    }
    for (operation_id, request) in asked {
        witness.holds(operation_id, &Answer::of(request).await);
    }
    after_the_work(&service, &mut witness, &chat).await;

    let documented = operations(&witness.document).flat_map(|(_, _, operation)| {
        let id = operation["operationId"].as_str().unwrap();
        operation["responses"].as_object().unwrap().keys().map(move |status| (id.to_owned(), status.clone()))
    });
    let unseen: Vec<_> =
        documented.filter(|pair| !witness.seen.contains(pair) && !is_out_of_reach(&pair.0, &pair.1)).collect();
    assert!(unseen.is_empty(), "documented, but never answered: {unseen:?}");
}

/// What can be seen only once a worker has been at it.
async fn after_the_work(service: &TestService, witness: &mut Witness, chat: &str) {
    let operation =
        |accepted: &Value| format!("/api/v1/private/operations/{}", accepted["operationId"].as_str().unwrap());
    let begun = operation(&service.register("fails").await);
    witness.holds("get_operation", &service.get(&begun).await);
    service.give_up(OperationError { code: OperationErrorCode::ProviderRejected, detail: "no".to_owned() }).await;
    witness.holds("get_operation", &service.get(&begun).await);
    let failed = service.get(&begun).await.json();
    let failed = format!("{CHATS}/{}/invitation", failed["chatId"].as_str().unwrap());
    witness.holds("get_chat_invitation", &service.get(&failed).await);

    let body = json!({"title": "soon", "id": "9a983789-1709-4543-aa31-a02867680019"});
    service.post(CHATS, &body).await;
    service.make_groups().await;
    let waited = service.request(Method::POST, CHATS).json(&body).header("prefer", "wait=5");
    witness.holds("register_chat", &Answer::of(waited).await);

    service.happens(chat, ProviderEventKind::Closed).await;
    witness.holds("get_chat", &service.get(chat).await);
    witness.holds("remove_participant", &service.delete(&format!("{chat}/participants/{ID}")).await);
}

on_both!(registrations_are_judged_alike, queries_are_judged_alike, answers_are_as_documented);
