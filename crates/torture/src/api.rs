//! The API as a client without any cleverness uses it: no request is repeated by itself.

use std::time::Duration;

use convoke_test_support::ask_status;
use reqwest::{Client, RequestBuilder, Response, redirect::Policy};
use serde_json::{Value, json};

use crate::Failure;

/// How long an answer may take before a client gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client with a token; its clones share their connections.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    /// Where the service is, without a slash at the end.
    url: String,
    token: String,
}

/// An answer that came, whatever it says.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// `Retry-After` was there.
    pub says_when_to_retry: bool,
    /// `Idempotency-Replayed` was there.
    pub is_replayed: bool,
    /// `Convoke-Position`, if it was there.
    pub position: Option<String>,
    pub body: Value,
}

impl Api {
    /// A client of the service at this address (host and port).
    pub fn new(address: &str, token: &str) -> Result<Self, Failure> {
        let client = Client::builder().no_proxy().redirect(Policy::none()).timeout(PATIENCE).build()?;
        Ok(Self { client, url: format!("http://{address}"), token: token.to_owned() })
    }

    /// A GET of this path below `/api/v1/private`.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.private(path)).bearer_auth(&self.token)
    }

    /// A POST of JSON to this path below `/api/v1/private`.
    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(self.private(path)).bearer_auth(&self.token).json(body)
    }

    /// A DELETE of this path below `/api/v1/private`.
    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.client.delete(self.private(path)).bearer_auth(&self.token)
    }

    /// The registration of a chat of this title.
    pub fn register(&self, title: &str) -> RequestBuilder {
        self.post("/chats", &json!({"title": title}))
    }

    /// How many chats there are.
    pub async fn total(&self) -> Result<u64, Failure> {
        let answer = ask(self.get("/chats?size=1")).await?;
        let total = answer.body["_metadata"]["totalRecords"].as_u64();
        total.ok_or_else(|| format!("no list: {} {}", answer.status, answer.body).into())
    }

    /// Posts a form to a page of the sandbox below this link.
    pub fn form(&self, link: &str, verb: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        self.client.post(format!("{link}/{verb}")).form(fields)
    }

    /// Every chat, by a walk with a cursor.
    pub async fn every_chat(&self) -> Result<Vec<Value>, Failure> {
        let mut chats = Vec::new();
        let mut path = "/chats?cursor=&size=200".to_owned();
        loop {
            let mut answer = ask(self.get(&path)).await?;
            let Value::Array(records) = answer.body["records"].take() else {
                return Err(format!("no list: {} {}", answer.status, answer.body).into());
            };
            chats.extend(records);
            let next = answer.body["_links"]["next"]["href"].as_str();
            match next.and_then(|href| href.strip_prefix("/api/v1/private")) {
                Some(next) => next.clone_into(&mut path),
                None => return Ok(chats),
            }
        }
    }

    fn private(&self, path: &str) -> String {
        format!("{}/api/v1/private{path}", self.url)
    }
}

/// Sends a request; an error means that there was no whole answer.
pub async fn ask(request: RequestBuilder) -> Result<Answer, Failure> {
    let response: Response = request.send().await?;
    let status = response.status().as_u16();
    let says_when_to_retry = response.headers().contains_key("retry-after");
    let is_replayed = response.headers().contains_key("idempotency-replayed");
    let position = response.headers().get("convoke-position").and_then(|value| value.to_str().ok());
    let position = position.map(str::to_owned);
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Answer { status, says_when_to_retry, is_replayed, position, body })
}

/// The status that the listener for operators answers a GET of `path` with.
pub async fn status_of(admin: &str, path: &str) -> Result<u16, Failure> {
    let (admin, path) = (admin.to_owned(), path.to_owned());
    Ok(tokio::task::spawn_blocking(move || ask_status(&admin, &path)).await??)
}
