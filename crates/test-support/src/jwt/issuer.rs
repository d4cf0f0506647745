//! An issuer on this machine: its metadata and its keys over HTTP, as a real one has them, and a switch that takes it
//! away.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use convoke_domain::Timestamp;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::signing::SigningKey;

const METADATA: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/keys";

/// An issuer on this machine; it ends when this is dropped.
#[derive(Debug)]
pub struct LoopbackIssuer {
    /// Its name and address.
    pub url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    is_away: AtomicBool,
    asked_for_keys: AtomicUsize,
    documents: Mutex<HashMap<String, String>>,
}

impl LoopbackIssuer {
    /// Starts one that publishes these keys.
    ///
    /// # Panics
    /// If it can't listen.
    pub async fn start(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(serve(listener, shared.clone()));
        let issuer = Self { url, shared, task };
        issuer.publish_metadata(&json!({
            "issuer": issuer.url,
            "jwks_uri": format!("{}{KEYS}", issuer.url),
            "authorization_endpoint": format!("{}/authorize", issuer.url),
            "token_endpoint": format!("{}/token", issuer.url),
        }));
        issuer.publish(keys);
        issuer
    }

    /// From now on these are its keys.
    pub fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        self.set(KEYS, &json!({ "keys": keys }));
    }

    /// From now on this is its metadata.
    pub fn publish_metadata(&self, metadata: &Value) {
        self.set(METADATA, metadata);
    }

    /// Whether it hangs up on everybody.
    pub fn set_away(&self, is_away: bool) {
        self.shared.is_away.store(is_away, Ordering::SeqCst);
    }

    /// How often it was asked for its keys and gave them.
    #[must_use]
    pub fn asked_for_keys(&self) -> usize {
        self.shared.asked_for_keys.load(Ordering::SeqCst)
    }

    fn set(&self, path: &str, document: &Value) {
        let mut documents = self.shared.documents.lock().unwrap_or_else(PoisonError::into_inner);
        documents.insert(path.to_owned(), document.to_string());
    }
}

impl Drop for LoopbackIssuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        if !shared.is_away.load(Ordering::SeqCst) {
            tokio::spawn(answer(stream, shared.clone()));
        }
    }
}

/// Answers one request; whoever hangs up meanwhile is of no interest.
async fn answer(stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request).await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 && line != "\r\n" {
        line.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let document = shared.documents.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
    if path == KEYS {
        shared.asked_for_keys.fetch_add(1, Ordering::SeqCst);
    }
    let (status, body) = document.map_or(("404 Not Found", String::new()), |document| ("200 OK", document));
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await
}

/// What a token of this issuer says that lets `ann` of `acme` do everything with the audience `convoke`, for an hour.
#[must_use]
pub fn claims(issuer: &str, now: Timestamp) -> Value {
    let seconds = |at: Timestamp| at.as_millis().div_euclid(1_000);
    json!({
        "iss": issuer,
        "aud": "convoke",
        "sub": "ann",
        "tenant": "acme",
        "scope": "openid chats:read chats:write",
        "iat": seconds(now),
        "exp": seconds(now.plus(Duration::from_hours(1))),
        "jti": "5f0c",
    })
}
