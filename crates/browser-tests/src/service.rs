//! The program that is tried, in an empty folder, and its API.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use convoke_test_support::{Process, Program};
use reqwest::{Client, Method, StatusCode, redirect::Policy};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{Failure, Outcome};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
pub const PAUSE: Duration = Duration::from_millis(50);

/// The running service; it ends when this is dropped.
pub struct Service {
    /// Where it is reached, without a slash at the end.
    pub url: String,
    pub token: String,
    client: Client,
    _process: Process,
    _folder: TempDir,
}

impl Service {
    /// Starts the program as somebody does who tries it out: with no settings, but for ports of its own.
    pub fn start(program: &Path) -> Result<Self, Failure> {
        Self::start_with(program, &[])
    }

    /// Starts it with these settings in the environment.
    pub fn start_with(program: &Path, settings: &[(&str, String)]) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let program = Program::new(program, folder.path());
        let program = settings.iter().fold(program, |program, (name, value)| program.with(name, value));
        let mut process = program.serve("all", "log")?;
        process.until_ready()?;
        let token = program.token("default")?;
        let client = Client::builder().no_proxy().redirect(Policy::none()).timeout(PATIENCE).build()?;
        Ok(Self { url: format!("http://{}", process.address), token, client, _process: process, _folder: folder })
    }

    /// Registers a chat and waits until it is there; gives its id and its invitation link.
    pub async fn register(&self, title: &str) -> Result<(String, String), Failure> {
        let body = json!({"title": title, "createdBy": "ada"});
        let (status, chat) = self.send(Method::POST, "/api/v1/private/chats", Some(&body)).await?;
        let id = chat["id"].as_str().ok_or_else(|| format!("{status} {chat}"))?.to_owned();
        let link = self.invitation(&id).await?;
        Ok((id, link))
    }

    pub async fn invitation(&self, chat: &str) -> Result<String, Failure> {
        let (_, answer) = self.get(&format!("/api/v1/private/chats/{chat}/invitation")).await?;
        Ok(answer["invitation"].as_str().ok_or_else(|| format!("no invitation: {answer}"))?.to_owned())
    }

    pub async fn get(&self, path: &str) -> Result<(StatusCode, Value), Failure> {
        self.send(Method::GET, path, None).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value), Failure> {
        let request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        let request = request.header("Prefer", "wait=20");
        let request = if let Some(body) = body { request.json(body) } else { request };
        let response = request.send().await?;
        Ok((response.status(), response.json().await?))
    }

    /// Joins a chat through its link, as a client without a browser.
    pub async fn join(&self, link: &str, username: &str, firstname: &str) -> Outcome {
        let form = [("username", username), ("firstname", firstname)];
        let response = self.client.post(format!("{link}/join")).form(&form).send().await?;
        if response.status() != StatusCode::SEE_OTHER {
            return Err(format!("joining: {}", response.status()).into());
        }
        Ok(())
    }

    /// Waits until the record of a chat is as it should be, and gives it.
    pub async fn record_where(&self, chat: &str, is_right: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        let begun = Instant::now();
        loop {
            let (_, record) = self.get(&format!("/api/v1/private/chats/{chat}")).await?;
            if is_right(&record) {
                return Ok(record);
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("the record stays {record:#}").into());
            }
            sleep(PAUSE).await;
        }
    }
}

/// Somebody in a record, by username.
pub fn participant<'a>(record: &'a Value, username: &str) -> Option<&'a Value> {
    record["participants"].as_array()?.iter().find(|one| one["userProperties"]["username"] == username)
}

/// How the last stay of somebody ended: none if they are in, or never were.
pub fn end_reason<'a>(record: &'a Value, username: &str) -> Option<&'a str> {
    participant(record, username)?["participations"].as_array()?.last()?["endReason"].as_str()
}
