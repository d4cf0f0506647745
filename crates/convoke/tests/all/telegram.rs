//! Telegram, as an operator sees it: the real binary against a Telegram of its own, on loopback.

use std::{os::unix::fs::PermissionsExt as _, process::Output, time::Duration};

use convoke_telegram_test_server::{Fault, TestServer, UserId};
use convoke_test_support::create_database;
use serde_json::{Value, json};

use crate::support::{Place, Service, answer, eventually};

/// Of an application that nobody has.
pub const API_HASH: &str = "5f1d3c7b9a2e4f608192a3b4c5d6e7f8";

/// A place where Telegram is configured, for the settings that are not kept waiting.
pub fn place() -> Place {
    with_application(Place::new())
}

fn with_application(place: Place) -> Place {
    place
        .with("CONVOKE__TELEGRAM__API_ID", "12345")
        .with("CONVOKE__TELEGRAM__API_HASH", API_HASH)
        .with("CONVOKE__TELEGRAM__SETTLE_TIME", "1s")
        .with("CONVOKE__PROVIDERS__DEFAULT", "telegram")
}

/// A Telegram with one account in it, and a session of that.
pub fn telegram() -> (TestServer, UserId, String) {
    let telegram = TestServer::start();
    let owner = telegram.new_user("Convoke", "", "convoke");
    let session = telegram.session(owner);
    (telegram, owner, session)
}

fn one_line(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!output.status.success() && said.lines().count() == 1, "{said}");
    said
}

fn accounts(place: &Place) -> Vec<Value> {
    let told = place.told(&["telegram", "status", "--json"]);
    serde_json::from_str::<Value>(&told).unwrap().as_array().unwrap().clone()
}

async fn admin(place: &Place, path: &str) -> Value {
    answer(crate::support::client().get(format!("http://{}{path}", place.admin))).await.1
}

/// Registers a chat and waits until its group is there.
async fn make_group(service: &Service<'_>, token: &str, title: &str) -> Value {
    let api = service.api(token);
    let id = api.register(title).await;
    api.until(&format!("/chats/{id}"), |chat| chat["status"] == "active").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_brought_along_makes_groups() {
    groups_are_made(&place()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_brought_along_makes_groups_on_postgresql() {
    let database = create_database(None).await;
    let place = with_application(Place::on(database.url()));
    let (_telegram, _, session) = telegram();
    let without_key = place.run_with_input(&["telegram", "import", "--name", "first"], &session);
    assert!(one_line(&without_key).contains("secrets.key"));
    groups_are_made(&place.with("CONVOKE__SECRETS__KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")).await;
}

async fn groups_are_made(place: &Place) {
    let (telegram, owner, session) = telegram();
    let visitor = telegram.new_user("Grace", "Hopper", "grace");
    let token = place.token();
    let service = place.start();
    // A service that runs takes an account that comes later.
    let brought =
        place.run_with_input(&["telegram", "import", "--name", "first", "--tenant", "acme"], &format!("{session}\n"));
    assert!(brought.status.success(), "{}", String::from_utf8_lossy(&brought.stderr));
    let chat = make_group(&service, &token, "On Telegram").await;
    assert_eq!((chat["service"].as_str(), telegram.groups().len()), (Some("telegram"), 1));

    let path = format!("/chats/{}", chat["id"].as_str().unwrap());
    let (_, invitation) = answer(service.api(&token).get(&format!("{path}/invitation"))).await;
    telegram.join(visitor, invitation["invitation"].as_str().unwrap()).unwrap();
    let has_visitor = |chat: &Value| chat["participants"].to_string().contains("Hopper");
    service.api(&token).until(&path, has_visitor).await;

    let verbose = admin(place, "/readyz?verbose").await;
    let account = &verbose["accounts"][0];
    assert_eq!((verbose["status"].as_str(), verbose["database"].as_str()), (Some("ok"), Some("ok")));
    assert_eq!((account["name"].as_str(), account["condition"].as_str()), (Some("first"), Some("usable")));
    assert_eq!((account["held"].as_bool(), account["groups"].as_u64()), (Some(true), Some(1)), "{verbose}");
    let metrics = admin(place, "/metrics").await.as_str().unwrap().to_owned();
    for line in [
        "convoke_accounts{service=\"telegram\",state=\"usable\"} 1",
        "convoke_account_groups{service=\"telegram\",account=\"first\"} 1",
        "convoke_account_cooldown_seconds{service=\"telegram\",account=\"first\"} 0",
        "convoke_account_held{service=\"telegram\",account=\"first\"} 1",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line}: {metrics}");
    }
    let told = &accounts(place)[0];
    assert_eq!(told["externalId"].as_str(), Some(owner.0.to_string().as_str()), "{told}");
    assert_eq!(told["tenants"], json!(["acme"]));
    let table = place.told(&["telegram", "status"]);
    assert!(table.lines().count() == 2 && table.contains("first") && table.contains("usable"), "{table}");
    assert!(place.told(&["config", "check"]).contains("Telegram: the account first is usable"));

    service.stop();
    assert_eq!(telegram.key(&session).connections, 0, "sockets are closed");
    assert_eq!(accounts(place)[0]["held"], false, "the account is given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_alone_is_enough() {
    let (telegram, _, session) = telegram();
    let place = place();
    place.write("session", &format!("{session}\n"));
    let place = place.with("CONVOKE__TELEGRAM__SESSION_FILE", "session");
    let token = place.token();
    let service = place.start();
    make_group(&service, &token, "By the environment").await;
    assert_eq!(accounts(&place)[0]["name"], "configured");
    service.stop();
    assert_eq!(telegram.groups().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_the_environment_moves_into_the_database_or_is_let_go() {
    let (_telegram, _, session) = telegram();
    let place = place().with("CONVOKE__TELEGRAM__SESSION", &session);
    let token = place.token();
    let service = place.start();
    make_group(&service, &token, "By the environment").await;
    service.stop();
    for command in ["login", "import", "logout"] {
        let (code, line) = place.refused(&["telegram", command, "--name", "configured"]);
        assert!(code == 2 && line.contains("CONVOKE__TELEGRAM__SESSION"), "{line}");
    }

    let place = place.without("CONVOKE__TELEGRAM__SESSION");
    let brought = place.run_with_input(&["telegram", "import", "--name", "configured"], &session);
    assert!(brought.status.success(), "{}", String::from_utf8_lossy(&brought.stderr));
    let service = place.start();
    make_group(&service, &token, "By the database").await;
    assert_eq!(accounts(&place)[0]["groups"], 2, "those that it had are still its own");
    service.stop();
    place.told(&["telegram", "logout", "--name", "configured"]);
    assert!(accounts(&place).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_an_account_is_told() {
    let (telegram, owner, session) = telegram();
    let place = place();
    assert!(place.run_with_input(&["telegram", "import", "--name", "first"], &session).status.success());
    let token = place.token();
    let service = place.start();
    telegram.script("channels.createChannel", 1, Fault::refuse(420, "FLOOD_WAIT_3600"));
    let api = service.api(&token);
    let (_, accepted) = answer(api.post("/chats").json(&json!({"title": "Later"}))).await;
    let operation = format!("/operations/{}", accepted["operationId"].as_str().unwrap());
    api.until(&operation, |operation| operation["status"] == "waitingForProvider").await;
    eventually(
        "cooling down",
        || accounts(&place)[0]["cooldownSeconds"].as_u64().is_some_and(|seconds| (3000..=3600).contains(&seconds)),
        || service.stderr(),
    );
    assert_eq!(service.admin("/readyz").await, 200, "the service is ready, whatever Telegram does");

    telegram.end_sessions(owner);
    telegram.cut_connections();
    eventually(
        "unusable",
        || accounts(&place)[0]["condition"] == "unusable" && accounts(&place)[0]["reason"].is_string(),
        || service.stderr(),
    );
    assert!(place.told(&["config", "check"]).contains("But Telegram: the account first is unusable"));
    service.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_let_go() {
    let (telegram, _, session) = telegram();
    let place = place();
    assert!(place.run_with_input(&["telegram", "import", "--name", "first"], &session).status.success());
    place.told(&["telegram", "logout", "--name", "first"]);
    assert!(accounts(&place).is_empty());
    assert_eq!(telegram.key(&session).user, None, "the session opens nothing any more");
    let (_, line) = place.refused(&["telegram", "logout", "--name", "first"]);
    assert!(line.contains("there is no account first"), "{line}");
}

#[test]
fn what_is_missing_is_told_in_one_line() {
    let unset = Place::new();
    for command in [&["telegram", "login", "--name", "a"][..], &["telegram", "import", "--name", "a"]] {
        let (code, line) = unset.refused(command);
        assert_eq!(code, 2, "{line}");
        assert!(line.contains("telegram.api_id") && line.contains("https://my.telegram.org"), "{line}");
    }
    assert!(!unset.path().join("convoke-data").exists());
    let place = place();
    for input in ["", "1ApWapzMBu", "hunter2"] {
        let line = one_line(&place.run_with_input(&["telegram", "import", "--name", "a"], input));
        assert!(input.is_empty() || !line.contains(input), "{line}");
    }
    assert!(place.told(&["telegram", "status"]).contains("no accounts"));
    assert!(place.told(&["config", "check"]).contains("there are no accounts"));
}

#[test]
fn the_key_of_the_embedded_database_is_made_once_and_is_not_replaced() {
    let (_telegram, _, session) = telegram();
    let place = place();
    assert!(place.run_with_input(&["telegram", "import", "--name", "first"], &session).status.success());
    let key = place.path().join("convoke-data/secrets.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::rename(&key, place.path().join("away")).unwrap();
    let (_, line) = place.refused(&[]);
    assert!(line.contains("secrets.key") && line.contains("first"), "{line}");
    assert!(!key.exists());
    std::fs::rename(place.path().join("away"), &key).unwrap();
    place.start().stop();
}

/// Everything that may not be seen anywhere, in the forms in which it could be.
fn canaries(session: &str, key: &str, phone: &str) -> Vec<(&'static str, Vec<u8>)> {
    let session_bytes = data_encoding::BASE64URL.decode(&session.as_bytes()[1..]).unwrap();
    let auth_key = &session_bytes[session_bytes.len() - 256..];
    let secrets_key = data_encoding::BASE64.decode(key.as_bytes()).unwrap();
    let forms = |name, bytes: &[u8]| {
        let listed = format!("{:?}", &bytes[..12]);
        [
            (name, bytes[..16].to_vec()),
            (name, data_encoding::HEXLOWER.encode(&bytes[..16]).into_bytes()),
            (name, data_encoding::HEXUPPER.encode(&bytes[..16]).into_bytes()),
            (name, data_encoding::BASE64.encode(&bytes[..15]).into_bytes()),
            (name, data_encoding::BASE64URL.encode(&bytes[..15]).into_bytes()),
            // As `Debug` prints bytes.
            (name, listed.as_bytes()[..listed.len() - 1].to_vec()),
        ]
    };
    let mut canaries = vec![
        ("the session", session.as_bytes()[..session.len() - 2].to_vec()),
        // A part of it, wherever it is cut.
        ("the middle of the session", session.as_bytes()[100..140].to_vec()),
        ("the hash of the application", API_HASH.as_bytes().to_vec()),
        ("the phone number", phone.trim_start_matches('+').as_bytes().to_vec()),
    ];
    canaries.extend(forms("the key of the session", auth_key));
    canaries.extend(forms("the secrets key", &secrets_key));
    canaries
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_seen_anywhere() {
    const KEY: &str = "8fSb5cQ2qYt0l7m3Vw9zXk1nRr4uHh6jPp5sDd8gFf0=";
    let (telegram, owner, session) = telegram();
    let place = place()
        .with("CONVOKE__SECRETS__KEY", KEY)
        .with("CONVOKE__LOG__LEVEL", "trace,grammers=trace,actix_http=trace,actix_server=trace,tokio_postgres=trace");
    let mut seen: Vec<(String, Vec<u8>)> = Vec::new();
    let mut run = |arguments: &[&str], input: &str| {
        let output = place.run_with_input(arguments, input);
        seen.push((format!("{arguments:?}"), [output.stdout, output.stderr].concat()));
    };
    run(&["telegram", "import", "--name", "first"], &session);
    run(&["telegram", "import", "--name", "second"], &session[..session.len() - 9]);
    run(&["telegram", "status"], "");
    run(&["telegram", "status", "--json"], "");
    run(&["config", "check"], "");
    run(&["config", "print"], "");

    let token = place.token();
    let service = place.start();
    let api = service.api(&token);
    let chat = make_group(&service, &token, "Watched").await;
    telegram.script("channels.createChannel", 1, Fault::refuse(400, "USER_PRIVACY_RESTRICTED"));
    let (_, accepted) = answer(api.post("/chats").json(&json!({"title": "Refused"}))).await;
    let operation = format!("/operations/{}", accepted["operationId"].as_str().unwrap());
    let failed = api.until(&operation, |operation| operation["status"] == "failed").await;
    seen.push(("the operation".to_owned(), failed.to_string().into_bytes()));
    seen.push(("the chat".to_owned(), chat.to_string().into_bytes()));
    telegram.script("channels.createChannel", 1, Fault::CutAfter);
    make_group(&service, &token, "Found again").await;
    telegram.end_sessions(owner);
    telegram.cut_connections();
    eventually("unusable", || accounts(&place)[0]["condition"] == "unusable", || service.stderr());
    for path in ["/readyz?verbose", "/metrics"] {
        seen.push((path.to_owned(), admin(&place, path).await.to_string().into_bytes()));
    }
    // What is kept is looked at while it is in use, and after it was brought to rest.
    let look_into_the_database = |seen: &mut Vec<(String, Vec<u8>)>| {
        for file in std::fs::read_dir(place.path().join("convoke-data")).unwrap().map(Result::unwrap) {
            seen.push((format!("{:?}", file.file_name()), std::fs::read(file.path()).unwrap()));
        }
    };
    look_into_the_database(&mut seen);
    seen.push(("standard output".to_owned(), service.stdout().into_bytes()));
    service.signal();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let log = service.log();
    assert!(service.end().success());
    look_into_the_database(&mut seen);
    let log = std::fs::read(log).unwrap();
    assert!(String::from_utf8_lossy(&log).contains("\"level\":\"TRACE\""), "the log is as verbose as it can be");
    seen.push(("the log".to_owned(), log));

    for (place, text) in &seen {
        for (name, canary) in canaries(&session, KEY, &telegram.phone(owner)) {
            let is_there = text.windows(canary.len()).any(|window| window == canary);
            assert!(!is_there, "{place} shows {name}: {}", String::from_utf8_lossy(text));
        }
    }
}
