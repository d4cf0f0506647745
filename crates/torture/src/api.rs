//! The API as a client without any cleverness uses it: no request is repeated by itself.

use std::time::Duration;

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

    fn private(&self, path: &str) -> String {
        format!("{}/api/v1/private{path}", self.url)
    }
}

/// Sends a request; an error means that there was no whole answer.
pub async fn ask(request: RequestBuilder) -> Result<Answer, Failure> {
    let response: Response = request.send().await?;
    let status = response.status().as_u16();
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Answer { status, body })
}
