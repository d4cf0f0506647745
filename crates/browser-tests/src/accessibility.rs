//! Barriers: what axe-core finds on a page, less what is not in our hands.

use serde_json::Value;

use crate::{Failure, Outcome, browser::Browser};

/// A violation that we can't mend.
pub struct Known {
    /// The rule of axe-core.
    pub rule: &'static str,
    /// What the selector of the element contains.
    pub element: &'static str,
}

/// Fails if the page has a barrier.
pub async fn assert_none(browser: &Browser) -> Outcome {
    none(&barriers(browser, &[]).await?)
}

/// Fails if there are barriers.
pub fn none(barriers: &[String]) -> Outcome {
    if barriers.is_empty() { Ok(()) } else { Err(format!("barriers:\n{}", barriers.join("\n")).into()) }
}

/// The barriers on the page that are not known.
pub async fn barriers(browser: &Browser, known: &[Known]) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for violation in browser.axe_violations().await? {
        let rule = violation["id"].as_str().unwrap_or_default();
        let nodes = violation["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let elements = nodes.iter().map(|node| {
            let target = node["target"].to_string().replace("\\\"", "'");
            (target, node["html"].as_str().unwrap_or_default(), reason(node))
        });
        for (target, html, reason) in elements {
            let is_known =
                known.iter().any(|k| k.rule == rule && (target.contains(k.element) || html.contains(k.element)));
            if !is_known {
                let html: String = html.chars().take(160).collect();
                found.push(format!("{rule}: {target} {reason}\n  {html}"));
            }
        }
        if nodes.is_empty() {
            found.push(format!("{rule}: {}", violation["help"]));
        }
    }
    Ok(found)
}

fn reason(node: &Value) -> &str {
    node["any"][0]["message"].as_str().or_else(|| node["all"][0]["message"].as_str()).unwrap_or_default()
}
