//! An OpenID Connect issuer of others, run by Node.js (`issuer/issuer.mjs`), and the service with its tokens.

use std::{path::Path, process::Stdio, time::Instant};

use convoke_test_support::free_address;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    time::sleep,
};

use crate::{
    Failure, Outcome,
    browser::Browser,
    service::{PATIENCE, PAUSE, Service},
};

/// The registration that is tried out in Swagger UI.
const CHATS: &str = "/api/v1/private/chats";

/// The running issuer; it ends when this is dropped.
struct Issuer {
    address: String,
    child: Child,
}

impl Issuer {
    /// Starts it, with keys that nobody has seen before.
    async fn start(node: &Path, script: &Path, address: &str, service: &Service) -> Result<Self, Failure> {
        let port = address.rsplit(':').next().unwrap_or_default();
        let redirect = format!("{}/swagger-ui/oauth2-redirect.html", service.url);
        let mut command = Command::new(node);
        command.arg(script).arg(port).arg(redirect).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.kill_on_drop(true).spawn().map_err(|error| format!("{}: {error}", node.display()))?;
        let issuer = Self { address: address.to_owned(), child };
        let begun = Instant::now();
        while issuer.token("urn:convoke").await.is_err() {
            if begun.elapsed() > PATIENCE {
                return Err("the issuer gives no token".into());
            }
            sleep(PAUSE).await;
        }
        Ok(issuer)
    }

    /// A token for a service (RFC 6749, section 4.4; RFC 8707).
    async fn token(&self, resource: &str) -> Result<String, Failure> {
        let form = [("grant_type", "client_credentials"), ("scope", "chats:read chats:write"), ("resource", resource)];
        let request = client()?.post(format!("http://{}/token", self.address)).form(&form);
        let answer = request.basic_auth("billing", Some("a secret of the test")).send().await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        Ok(answer["access_token"].as_str().ok_or("no token")?.to_owned())
    }

    async fn stop(mut self) -> Outcome {
        Ok(self.child.kill().await?)
    }
}

/// Runs all of it: the programs are that of the service, Node.js, and the issuer's script.
pub async fn run(convoke: &Path, node: &Path, script: &Path, browser: &Browser) -> Outcome {
    let address = free_address()?;
    let issuers = json!([{
        "issuer": format!("http://{address}"),
        "audience": "convoke",
        "swagger_ui_client": "swagger",
    }]);
    let settings = [("CONVOKE__AUTH__ISSUERS", issuers.to_string())];
    let service = Service::start_with(convoke, &settings)?;

    // As long as the issuer is not there, nobody can tell; then it is.
    assert_status(&service, "a.b.c", StatusCode::UNAUTHORIZED).await?;
    let issuer = Issuer::start(node, script, &address, &service).await?;
    let token = issuer.token("urn:convoke").await?;
    until_status(&service, &token, StatusCode::OK).await?;
    println!("a token of the issuer opens the API ... ok");

    assert_status(&service, &issuer.token("urn:other").await?, StatusCode::UNAUTHORIZED).await?;
    let (signed, _) = token.rsplit_once('.').ok_or("no JWT")?;
    assert_status(&service, &format!("{signed}.AAAA"), StatusCode::UNAUTHORIZED).await?;
    println!("a token for somebody else, or with another signature, opens nothing ... ok");

    log_in(browser, &service, &token).await?;
    println!("Swagger UI logs in, and what it registers is by who has logged in ... ok");

    issuer.stop().await?;
    assert_status(&service, &token, StatusCode::OK).await?;
    println!("while the issuer is away its tokens are good ... ok");

    let issuer = Issuer::start(node, script, &address, &service).await?;
    assert_status(&service, &issuer.token("urn:convoke").await?, StatusCode::OK).await?;
    println!("the issuer's new key is known at once ... ok");
    Ok(())
}

/// Logs in with Swagger UI as a person does, and registers a chat, which is looked at with a token of the same tenant.
async fn log_in(browser: &Browser, service: &Service, token: &str) -> Outcome {
    browser.open(&format!("{}/swagger-ui/", service.url)).await?;
    browser.click(".auth-wrapper .authorize").await?;
    let page = browser.driver.window().await?;
    // The log-in's own button: the first one is that of the token.
    browser.click(".auth-container:has(.flow) .auth-btn-wrapper .authorize").await?;
    let popup = other_window(browser, &page).await?;
    browser.driver.switch_to_window(popup).await?;
    browser.fill("input[name=login]", "grace").await?;
    browser.fill("input[name=password]", "anything").await?;
    browser.send("button[type=submit]").await?;
    // What the client asks for is agreed to; the window then closes itself.
    browser.click("button[type=submit]").await?;
    browser.driver.switch_to_window(page).await?;
    let is_in =
        "return [...document.querySelectorAll('.auth-container h6')].some(one => one.textContent === 'Authorized')";
    browser.until("the token of the log-in", is_in).await?;
    browser.picture("swagger-ui-log-in").await?;
    browser.click(".auth-btn-wrapper .btn-done").await?;

    let block = format!(".opblock-post:has([data-path='{CHATS}'])");
    browser.click(&format!("{block} .opblock-summary-control")).await?;
    browser.fill(&format!("{block} .body-param__text"), r#"{"title": "By who has logged in"}"#).await?;
    browser.click(&format!("{block} .execute")).await?;
    let status = browser.find(&format!("{block} .live-responses-table .response .response-col_status")).await?;
    let status = status.text().await?;
    if !status.starts_with("20") {
        return Err(format!("registering with the token of the log-in: {status}").into());
    }
    let list = client()?.get(format!("{}{CHATS}", service.url)).bearer_auth(token).send().await?;
    let list: Value = list.json().await?;
    let by = &list["records"][0]["createdBy"];
    if by == "grace" { Ok(()) } else { Err(format!("the chat is registered by {by}").into()) }
}

/// The window that was opened beside this one.
async fn other_window(browser: &Browser, page: &thirtyfour::WindowHandle) -> Result<thirtyfour::WindowHandle, Failure> {
    let begun = Instant::now();
    loop {
        if let Some(other) = browser.driver.windows().await?.into_iter().find(|window| window != page) {
            return Ok(other);
        }
        if begun.elapsed() > PATIENCE {
            return Err("no window to log in".into());
        }
        sleep(PAUSE).await;
    }
}

async fn status(service: &Service, token: &str) -> Result<StatusCode, Failure> {
    Ok(client()?.get(format!("{}{CHATS}", service.url)).bearer_auth(token).send().await?.status())
}

async fn assert_status(service: &Service, token: &str, expected: StatusCode) -> Outcome {
    let status = status(service, token).await?;
    if status == expected { Ok(()) } else { Err(format!("{status} instead of {expected}").into()) }
}

/// Waits for this status, with nothing but 503 before.
async fn until_status(service: &Service, token: &str, expected: StatusCode) -> Outcome {
    let begun = Instant::now();
    while status(service, token).await? == StatusCode::SERVICE_UNAVAILABLE && begun.elapsed() < PATIENCE {
        sleep(PAUSE).await;
    }
    assert_status(service, token, expected).await
}

fn client() -> Result<Client, Failure> {
    Ok(Client::builder().no_proxy().timeout(PATIENCE).build()?)
}
