//! The pages about problems.

use crate::{
    Outcome, accessibility,
    browser::{Browser, Screen},
    service::Service,
};

/// The `type` of an answer, opened.
pub async fn of_a_type(browser: &Browser, service: &Service) -> Outcome {
    let (status, problem) = service.get("/api/v1/private/chats/11111111-1111-4111-8111-111111111111").await?;
    let kind = problem["type"].as_str().ok_or_else(|| format!("{status} {problem}"))?;
    browser.open(&format!("{}{kind}", service.url)).await?;
    browser.assert_shows("What to do").await?;
    browser.assert_shows("chat-not-found").await?;
    for (screen, name) in [(Screen::Desktop, "problem-desktop"), (Screen::Phone, "problem-phone")] {
        browser.show_on(screen).await?;
        browser.assert_fits().await?;
        accessibility::assert_none(browser).await?;
        browser.picture(name).await?;
    }
    browser.show_on(Screen::Desktop).await?;
    browser.prefer("dark").await?;
    accessibility::assert_none(browser).await?;
    browser.picture("problem-dark").await?;
    browser.prefer("light").await?;
    browser.assert_quiet(&service.url).await
}

/// An invitation link that was copied in part.
pub async fn for_a_visitor(browser: &Browser, service: &Service) -> Outcome {
    browser.open(&format!("{}/sandbox/half-a-link", service.url)).await?;
    browser.assert_shows("404").await?;
    accessibility::assert_none(browser).await?;
    browser.picture("lost-desktop").await?;
    // Chromium itself notes that the answer is a 404; nothing else may be there.
    let complaints = browser.complaints().await?;
    if complaints.len() > 1 || complaints.iter().any(|complaint| !complaint.contains("404")) {
        return Err(format!("in the console: {complaints:#?}").into());
    }
    browser.assert_quiet(&service.url).await
}
