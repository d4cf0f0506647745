//! Mistakes of ours that end in a panic, a thousand of them: whoever asked is told, and nobody else notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use convoke_api::ApiSettings;
use convoke_domain::{Environment, Scope, Timestamp};
use convoke_test_support::{TestEnvironment, create_database};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::service::{Backend, TestService};

/// How often something panics.
const PANICS: usize = 1_000;

/// Time and chance that break at a call, once: wherever a request asks for them, it panics.
#[derive(Debug)]
struct Breaking {
    environment: TestEnvironment,
    /// How many calls succeed before; negative: all of them.
    left: Arc<AtomicI64>,
}

impl Breaking {
    fn ask(&self) {
        assert!(self.left.fetch_sub(1, Ordering::SeqCst) != 0, "on purpose");
    }
}

impl Environment for Breaking {
    fn now(&self) -> Timestamp {
        self.ask();
        self.environment.now()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.ask();
        self.environment.fill_random(bytes);
    }
}

/// An answer, read off a connection that stays open.
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

async fn read_answer(connection: &mut BufReader<TcpStream>) -> Answer {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(connection.read_line(&mut head).await.unwrap(), 0, "the connection was closed: {head}");
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: serde_json::from_slice(&body).unwrap() }
}

/// A request; `body` is that of a POST.
fn written(method: &str, path: &str, token: &str, name: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nX-Request-Id: {name}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn a_thousand_panics_are_survived(backend: Backend) {
    const TITLE: &str = r#"{"title": "T"}"#;
    let left = Arc::new(AtomicI64::new(-1));
    let database = match backend {
        Backend::Sqlite => None,
        Backend::Postgres => Some(create_database(None).await),
    };
    let service = TestService::start_in(database, ApiSettings::default(), |environment| {
        Arc::new(Breaking { environment, left: left.clone() })
    })
    .await;
    service.lifecycle.set_listening();
    let chat = service.active_chat("a").await;
    // A token that ends is compared with the time, so that every request asks for it.
    let tenant = "acme".parse().unwrap();
    let subject = "tester".to_owned();
    let end = Some(Duration::from_hours(24));
    let (plain, token) = convoke_api::mint(&service.environment, tenant, subject, Scope::ALL.to_vec(), end);
    service.store.create_token(&token).await.unwrap();

    let chats = "/api/v1/private/chats";
    let nobody = "9a983789-1709-4543-aa31-a02867680017";
    let (participant, operation) =
        (format!("{chat}/participants/{nobody}"), format!("/api/v1/private/operations/{nobody}"));
    let invitation = format!("{chat}/invitation");
    // What is asked for, and at which of its questions about time and chance it panics.
    let mishaps: Vec<(&str, &str, &str, i64)> = vec![
        ("GET", chats, "", 0),
        ("GET", &chat, "", 0),
        ("GET", &invitation, "", 0),
        ("GET", &operation, "", 0),
        ("POST", chats, TITLE, 0),
        ("POST", chats, TITLE, 1),
        ("POST", chats, TITLE, 2),
        ("POST", chats, TITLE, 3),
        ("DELETE", &participant, "", 0),
        ("DELETE", &participant, "", 1),
        ("DELETE", &participant, "", 2),
        ("GET", "/panic", "", -1),
    ];

    // One connection for everything, on which three requests are always under way: only the one in the middle breaks.
    let address = service.base.trim_start_matches("http://");
    let mut connection = BufReader::new(TcpStream::connect(address).await.unwrap());
    for number in 0..PANICS {
        let (method, path, body, at) = mishaps[number % mishaps.len()];
        left.store(at, Ordering::SeqCst);
        let names = ["before", "broken", "after"].map(|name| format!("{name}-{number}"));
        let requests = [
            written("GET", &chat, &service.token, &names[0], ""),
            written(method, path, plain.expose(), &names[1], body),
            written("POST", chats, &service.token, &names[2], TITLE),
        ];
        connection.write_all(requests.concat().as_bytes()).await.unwrap();
        for (name, status) in names.iter().zip([200, 500, 202]) {
            let answer = read_answer(&mut connection).await;
            assert_eq!(answer.status, status, "{method} {path} {at}: {}{}", answer.head, answer.body);
            assert!(answer.head.contains(&format!("x-request-id: {name}\r\n")), "{}", answer.head);
            if status == 500 {
                assert!(answer.head.contains("content-type: application/problem+json\r\n"), "{}", answer.head);
                let told = ["code", "requestId", "detail"].map(|member| answer.body[member].as_str().unwrap());
                assert_eq!(told, ["internal-error", name, "Something went wrong inside the service."]);
                assert_eq!(answer.body["retryable"], true);
                assert!(!answer.body.to_string().contains("on purpose"));
            }
        }
    }

    // What broke left nothing behind, and nothing of what did not is missing.
    let list = service.get(chats).await.json();
    assert_eq!(list["_metadata"]["totalRecords"], PANICS + 1);
    assert_eq!(service.ask_admin("/readyz").await.status, 200);
    assert_eq!(service.store.examine().await.unwrap().findings, []);
}

on_both!(a_thousand_panics_are_survived);
