//! The guards themselves: a test that can't fail is none.

use crate::{Outcome, browser::Browser, service::Service};

/// A page that asks for the outside, complains and has a barrier is noticed in all three.
pub async fn see(browser: &Browser, service: &Service) -> Outcome {
    browser.open(&format!("{}/problems/not-found", service.url)).await?;
    browser.assert_quiet(&service.url).await?;

    let foreign = "fetch('http://elsewhere.invalid/').catch(() => console.error('no way out')); return null";
    browser.driver.execute(foreign, vec![]).await?;
    let link = "const a = document.createElement('a'); a.href = '/'; document.querySelector('main').append(a)";
    browser.driver.execute(link, vec![]).await?;
    browser.until("the complaint", "return !!document.querySelector('main > a')").await?;
    let violations = browser.axe_violations().await?;
    if !violations.iter().any(|violation| violation["id"] == "link-name") {
        return Err(format!("a link without a name is no barrier: {violations:?}").into());
    }
    let complaints = browser.complaints().await?;
    for expected in ["Content Security Policy", "no way out"] {
        if !complaints.iter().any(|complaint| complaint.contains(expected)) {
            return Err(format!("the console does not tell of `{expected}`: {complaints:?}").into());
        }
    }

    // Without a policy in the way, the request is made, and seen.
    browser.requests().await?;
    browser.open("http://elsewhere.invalid/").await.expect_err("there is no way out");
    let requests = browser.requests().await?;
    if !requests.iter().any(|address| address.contains("elsewhere.invalid")) {
        return Err(format!("a request to elsewhere is not seen: {requests:?}").into());
    }
    browser.complaints().await?;
    Ok(())
}
