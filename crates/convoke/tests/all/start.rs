//! The first minutes of a new user, and later starts.

use std::{fs, net::TcpListener, process::Command};

use serde_json::Value;

use crate::support::{Place, answer, eventually};

/// The command as somebody would copy it: from the line that begins with `curl`, over lines that go on.
fn command_in(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines().skip_while(|line| !line.starts_with("curl ")) {
        lines.push(line);
        if !line.ends_with('\\') {
            break;
        }
    }
    lines.join("\n")
}

#[tokio::test]
async fn a_first_start_in_an_empty_folder_tells_all_that_is_needed() {
    let place = Place::new();
    let service = place.start();
    let token = service.first_token();
    let told = service.stdout();
    assert!(told.contains(&format!("http://{}/swagger-ui/", place.public)), "{told}");
    assert!(!told.contains('\u{1b}'), "plain text: {told}");
    assert!(place.path().join("convoke-data/convoke.db").is_file());

    let pasted = Command::new("sh").args(["-c", &command_in(&told)]).output().unwrap();
    assert_ne!(pasted.status.code(), Some(127), "this needs curl: `apt-get install curl` installs it");
    let registered: Value = serde_json::from_slice(&pasted.stdout).expect("curl prints the answer");
    let path = format!("/chats/{}", registered["id"].as_str().unwrap());
    let chat = service.api(&token).until(&path, |chat| chat["status"] == "active").await;
    assert_eq!(chat["service"], "sandbox");
}

#[tokio::test]
async fn a_later_start_has_everything_and_tells_where_it_listens() {
    let place = Place::new();
    let service = place.start();
    let token = service.first_token();
    let id = service.api(&token).register("Kept").await;
    service.api(&token).until(&format!("/chats/{id}"), |chat| chat["status"] == "active").await;
    service.kill();

    let service = place.start();
    let told = service.stdout();
    assert!(told.contains(&place.public) && !told.contains("cvk_"), "{told}");
    let (status, chat) = answer(service.api(&token).get(&format!("/chats/{id}"))).await;
    assert_eq!(
        (status, chat["title"][0]["value"].as_str(), chat["status"].as_str()),
        (200, Some("Kept"), Some("active"))
    );
    assert_eq!(service.admin("/livez").await, 200);
    assert_eq!(service.admin("/metrics").await, 200);

    let log = service.stderr();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let answered = lines.iter().find(|line| line["message"] == "answered").expect("requests are logged");
    assert!(answered["span"]["request_id"].is_string(), "{answered}");
    assert!(!log.contains(&token), "no secrets in the log");
    service.stop();
}

#[test]
fn no_first_token_where_none_is_wanted() {
    let place = Place::new().with("CONVOKE__AUTH__FIRST_TOKEN", "false");
    let service = place.start();
    assert!(!service.stdout().contains("cvk_"));
    assert_eq!(place.told(&["token", "list"]).lines().count(), 1, "the headings alone");
}

#[test]
fn a_second_serve_on_the_same_file_is_refused() {
    let place = Place::new();
    let _service = place.start();
    let (code, line) = place.refused(&["serve"]);
    assert_eq!(code, 1);
    assert!(line.contains("convoke-data/convoke.db") && line.contains("another"), "{line}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_, line) = Place::new().with("CONVOKE__ADMIN__BIND", &address).refused(&[]);
    assert!(line.contains(&address) && line.contains("CONVOKE__ADMIN__BIND"), "{line}");
    let place = Place::new().without("CONVOKE__SERVER__BIND");
    let (_, line) = place.refused(&["--set", &format!("server.bind={address}")]);
    assert!(line.contains(&address) && line.contains("server.bind"), "{line}");
}

#[tokio::test]
async fn any_port_and_an_address_of_all_interfaces_are_told_as_they_are_reached() {
    let place = Place::new().with("CONVOKE__SERVER__BIND", "0.0.0.0:0");
    let service = place.start();
    let token = service.first_token();
    let told = service.stdout();
    let url = told.split_whitespace().find(|word| word.starts_with("http://localhost:")).expect(&told);
    let base = url.strip_suffix("/swagger-ui/").expect(url);
    let chats = format!("{base}/api/v1/private/chats");
    let body = serde_json::json!({"title": "Anywhere"});
    let request = service.api(&token).client.post(&chats).bearer_auth(&token).header("Prefer", "wait=10").json(&body);
    let (status, chat) = answer(request).await;
    assert_eq!(status, 201, "{chat}");
    let invitation = format!("{chats}/{}/invitation", chat["id"].as_str().unwrap());
    let (_, invitation) = answer(service.api(&token).client.get(invitation).bearer_auth(&token)).await;
    assert!(invitation["invitation"].as_str().unwrap().starts_with(&format!("{base}/sandbox/")), "{invitation}");
}

#[tokio::test]
async fn while_the_database_is_not_there_it_lives_and_is_not_ready() {
    // Somebody takes the connection and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::on(&format!("postgres://ann:hunter2@{}/convoke", silent.local_addr().unwrap()));
    let service = place.spawn(&[]);
    eventually("living", || place.run(&["healthcheck", "--live"]).status.success(), || service.stderr());
    assert_eq!(service.admin("/readyz").await, 503);
    service.signal();
    assert!(!service.stderr().contains("hunter2"), "{}", service.stderr());
    assert!(service.end().success());
}

#[test]
fn a_mistyped_database_url_is_refused_and_nothing_is_made() {
    for url in ["sqlite:convoke.db", "sqlit://convoke.db", "convoke.db", "postgres:/localhost/x", ""] {
        let place = Place::on(url);
        let (code, line) = place.refused(&[]);
        assert_eq!(code, 2, "{line}");
        assert!(line.contains("CONVOKE__DATABASE__URL"), "{line}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "{url}");
    }
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let place = Place::on("sqlite://notes.txt");
    place.write("notes.txt", &"These are notes, not a database. ".repeat(50));
    let before = fs::read(place.path().join("notes.txt")).unwrap();
    let (_, line) = place.refused(&[]);
    assert!(line.contains("notes.txt"), "{line}");
    assert_eq!(fs::read(place.path().join("notes.txt")).unwrap(), before);
}

#[tokio::test]
async fn where_migrations_are_off_it_is_ready_once_somebody_has_applied_them() {
    let place = Place::new().with("CONVOKE__DATABASE__MIGRATE", "off");
    let service = place.spawn(&[]);
    eventually("listening", || place.run(&["healthcheck", "--live"]).status.success(), || service.stderr());
    assert_eq!(service.admin("/readyz").await, 503);
    place.told(&["migrate"]);
    service.until_ready();
    let token = service.first_token();
    service.api(&token).register("After all").await;
}

#[tokio::test]
async fn a_default_provider_that_is_not_there_is_told_to_who_registers() {
    let place = Place::new().with("CONVOKE__PROVIDERS__DEFAULT", "telegram");
    let service = place.start();
    assert!(service.stderr().contains("the default provider telegram is not configured"));
    let token = service.first_token();
    let api = service.api(&token);
    let (status, problem) = answer(api.post("/chats").json(&serde_json::json!({"title": "x"}))).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("provider-not-configured")));
}
