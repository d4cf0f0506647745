//! The invitation page: joined, renamed, left and closed, and the record of it.

use serde_json::json;

use crate::{
    Outcome, accessibility,
    browser::{Browser, Screen},
    service::{Service, end_reason, participant},
};

pub async fn on_a_desktop(browser: &Browser, service: &Service) -> Outcome {
    visit(browser, service, Screen::Desktop, "desktop").await
}

pub async fn on_a_phone(browser: &Browser, service: &Service) -> Outcome {
    visit(browser, service, Screen::Phone, "phone").await
}

/// Somebody follows the link, joins, renames the chat and leaves; the record tells the same.
async fn visit(browser: &Browser, service: &Service, screen: Screen, name: &str) -> Outcome {
    let (chat, link) = service.register("Project kick-off").await?;
    service.join(&link, "grace", "Grace").await?;
    service.join(&link, "alan", "Alan").await?;
    browser.show_on(screen).await?;
    browser.open(&link).await?;
    browser.assert_shows("Project kick-off").await?;
    browser.assert_fits().await?;
    accessibility::assert_none(browser).await?;

    browser.fill("#join-username", "edsger").await?;
    browser.fill("#join-firstname", "Edsger").await?;
    browser.fill("#join-lastname", "Dijkstra").await?;
    browser.send("section[aria-labelledby=join] button").await?;
    browser.assert_shows("Edsger Dijkstra").await?;
    service.record_where(&chat, |record| participant(record, "edsger").is_some()).await?;
    browser.picture_of_all(&format!("invitation-{name}"), screen).await?;

    open_all(browser).await?;
    accessibility::assert_none(browser).await?;
    browser.assert_fits().await?;
    browser.picture_of_all(&format!("invitation-{name}-open"), screen).await?;
    browser.fill("#rename-title", "Project Apollo").await?;
    browser.send("form[action$='/rename'] button").await?;
    browser.assert_shows("Project Apollo").await?;

    browser.send("button[aria-label='Leave as Edsger Dijkstra']").await?;
    browser.assert_shows("Who was in").await?;
    accessibility::assert_none(browser).await?;
    browser.prefer("dark").await?;
    open_all(browser).await?;
    accessibility::assert_none(browser).await?;
    browser.picture_of_all(&format!("invitation-{name}-dark"), screen).await?;
    browser.prefer("light").await?;
    browser.show_on(Screen::Desktop).await?;

    let record = service.record_where(&chat, |record| end_reason(record, "edsger") == Some("left")).await?;
    let titles: Vec<_> = record["title"].as_array().into_iter().flatten().map(|title| &title["value"]).collect();
    if json!(titles) != json!(["Project kick-off", "Project Apollo"]) {
        return Err(format!("the titles are {titles:?}").into());
    }
    browser.assert_quiet(&service.url).await
}

/// The last one turns the light off.
pub async fn closed(browser: &Browser, service: &Service) -> Outcome {
    let (chat, link) = service.register("A chat that ends").await?;
    service.join(&link, "grace", "Grace").await?;
    browser.open(&link).await?;
    open_all(browser).await?;
    browser.send("form[action$='/close'] button").await?;
    browser.assert_shows("This chat is closed").await?;
    accessibility::assert_none(browser).await?;
    browser.picture("invitation-closed").await?;
    service.record_where(&chat, |record| record["status"] == "closed").await?;
    browser.assert_quiet(&service.url).await
}

/// Unfolds what can be unfolded.
async fn open_all(browser: &Browser) -> Outcome {
    browser.driver.execute("document.querySelectorAll('details').forEach(one => { one.open = true })", vec![]).await?;
    Ok(())
}
