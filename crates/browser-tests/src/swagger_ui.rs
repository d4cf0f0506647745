//! Swagger UI: authorised, and operations tried out.

use crate::{
    Failure, Outcome,
    accessibility::{self, Known},
    browser::{Browser, Screen},
    service::{PATIENCE, Service, end_reason, participant},
};

/// The barriers of Swagger UI 5 that are in its script, out of reach of a style sheet.
const KNOWN: &[Known] = &[
    // The path of an operation is a link within the button that unfolds it. Without it, nobody could link to one.
    Known { rule: "nested-interactive", element: "opblock-summary-control" },
];

/// What Swagger UI 5 says in the console, and we can't help.
const KNOWN_COMPLAINTS: &[&str] = &[
    // It looks for a field of its own for ids in a list, has none, and takes the one for text.
    "\"Could not find component:\" \"JsonSchema_string_uuid\"",
];

const CHATS: &str = "/api/v1/private/chats";
/// Chosen by us, so that what is registered is known without reading the page.
const CHAT: &str = "4f0c3f2e-8a57-4d0e-9f0b-6a3f5d1c2e4a";

pub async fn explore(browser: &Browser, service: &Service) -> Outcome {
    let mut barriers = Vec::new();
    browser.open(&format!("{}/", service.url)).await?;
    browser.find(".opblock-post").await?;
    barriers.extend(accessibility::barriers(browser, KNOWN).await?);
    browser.picture("swagger-ui").await?;

    authorise(browser, &service.token, &mut barriers).await?;
    register(browser, &mut barriers).await?;
    let link = service.invitation(CHAT).await?;
    service.join(&link, "grace", "Grace").await?;
    let record = service.record_where(CHAT, |record| participant(record, "grace").is_some()).await?;
    let grace = participant(&record, "grace").and_then(|one| one["id"].as_str()).unwrap_or_default().to_owned();
    look(browser, &mut barriers).await?;
    list(browser, &mut barriers).await?;
    remove(browser, &grace, &mut barriers).await?;
    service.record_where(CHAT, |record| end_reason(record, "grace") == Some("removed")).await?;

    browser.show_on(Screen::Phone).await?;
    browser.picture("swagger-ui-phone").await?;
    browser.show_on(Screen::Desktop).await?;
    browser.assert_quiet_but(&service.url, KNOWN_COMPLAINTS).await?;
    accessibility::none(&barriers)
}

async fn authorise(browser: &Browser, token: &str, barriers: &mut Vec<String>) -> Outcome {
    browser.click(".auth-wrapper .authorize").await?;
    browser.fill(".auth-container input", token).await?;
    barriers.extend(accessibility::barriers(browser, KNOWN).await?);
    browser.picture("swagger-ui-authorise").await?;
    browser.click(".auth-btn-wrapper .authorize").await?;
    browser.click(".auth-btn-wrapper .btn-done").await
}

async fn register(browser: &Browser, barriers: &mut Vec<String>) -> Outcome {
    let block = unfold(browser, "post", CHATS).await?;
    let body = format!("{{\"id\": \"{CHAT}\", \"title\": \"Project kick-off\", \"createdBy\": \"ada\"}}");
    browser.fill(&format!("{block} .body-param__text"), &body).await?;
    parameter(browser, &block, "Prefer", "wait=10").await?;
    execute(browser, &block, "201").await?;
    barriers.extend(accessibility::barriers(browser, KNOWN).await?);
    picture_of(browser, &block, "swagger-ui-register").await?;
    fold(browser, &block).await
}

async fn look(browser: &Browser, barriers: &mut Vec<String>) -> Outcome {
    let block = unfold(browser, "get", &format!("{CHATS}/{{chatId}}")).await?;
    parameter(browser, &block, "chatId", CHAT).await?;
    execute(browser, &block, "200").await?;
    barriers.extend(accessibility::barriers(browser, KNOWN).await?);
    picture_of(browser, &block, "swagger-ui-get").await?;
    fold(browser, &block).await
}

/// With everything as Swagger UI fills it in: what the examples say can be sent.
async fn list(browser: &Browser, barriers: &mut Vec<String>) -> Outcome {
    let block = unfold(browser, "get", CHATS).await?;
    execute(browser, &block, "200").await?;
    barriers.extend(accessibility::barriers(browser, KNOWN).await?);
    fold(browser, &block).await
}

async fn remove(browser: &Browser, participant: &str, barriers: &mut Vec<String>) -> Outcome {
    let block = unfold(browser, "delete", &format!("{CHATS}/{{chatId}}/participants/{{participantId}}")).await?;
    parameter(browser, &block, "chatId", CHAT).await?;
    parameter(browser, &block, "participantId", participant).await?;
    execute(browser, &block, "202").await?;
    barriers.extend(accessibility::barriers(browser, KNOWN).await?);
    fold(browser, &block).await
}

/// Keeps a picture of the answer that an operation has got.
async fn picture_of(browser: &Browser, block: &str, name: &str) -> Outcome {
    let answer = format!("{block} .live-responses-table");
    browser.driver.execute("document.querySelector(arguments[0]).scrollIntoView()", vec![answer.into()]).await?;
    browser.picture(name).await
}

/// Opens an operation; gives the selector of its block.
async fn unfold(browser: &Browser, method: &str, path: &str) -> Result<String, Failure> {
    let block = format!(".opblock-{method}:has([data-path='{path}'])");
    browser.click(&format!("{block} .opblock-summary-control")).await?;
    browser.find(&format!("{block} .execute")).await?;
    Ok(block)
}

async fn fold(browser: &Browser, block: &str) -> Outcome {
    browser.click(&format!("{block} .opblock-summary-control")).await
}

async fn parameter(browser: &Browser, block: &str, name: &str, value: &str) -> Outcome {
    browser.fill(&format!("{block} tr[data-param-name='{name}'] input"), value).await
}

/// Sends the request; fails unless an answer of this status is shown.
async fn execute(browser: &Browser, block: &str, status: &str) -> Outcome {
    browser.click(&format!("{block} .execute")).await?;
    let answer = browser.find(&format!("{block} .live-responses-table .response .response-col_status")).await?;
    let shown = answer.text().await?;
    if !shown.starts_with(status) {
        let body = browser.find(&format!("{block} .live-responses-table")).await?.text().await?;
        return Err(format!("{block}: {shown} after at most {PATIENCE:?}, not {status}:\n{body}").into());
    }
    Ok(())
}
