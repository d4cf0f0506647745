//! `convoke doctor`.

use std::fmt::Write as _;

use convoke_store::{DoctorReport, Finding};
use serde::Serialize;

use crate::{
    commands::{open, print},
    failure::Failure,
    progress::Bar,
    settings::{Layers, Settings},
};

/// Compares what is kept with what the events say, and reports every difference.
pub async fn examine(layers: &Layers, settings: &Settings, json: bool) -> Result<(), Failure> {
    let store = open(layers, settings, settings.database.migrate.0).await?;
    let bar = Bar::new(json);
    let report = store.examine_telling(bar.clone()).await;
    bar.clear();
    let report = report?;
    print(&if json { as_json(&report) } else { told(&report) })?;
    match report.findings.len() {
        0 => Ok(()),
        count => Err(Failure::new(format!("findings: {count}"))),
    }
}

fn told(report: &DoctorReport) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let chat = finding.chat_id.map(|id| format!(", chat {id}")).unwrap_or_default();
        // Writing to a string can't fail.
        let _ = writeln!(text, "tenant {}{chat}: {}", finding.tenant, finding.what);
    }
    let outcome = if report.findings.is_empty() { "everything is as it should be" } else { "see above" };
    let _ = writeln!(text, "Chats looked at: {}; {outcome}.", report.chats);
    text
}

fn as_json(report: &DoctorReport) -> String {
    let finding = |finding: &Finding| Shown {
        tenant: finding.tenant.clone(),
        chat_id: finding.chat_id.map(|id| id.to_string()),
        what: finding.what.clone(),
    };
    let shown = ShownReport { chats: report.chats, findings: report.findings.iter().map(finding).collect() };
    serde_json::to_string_pretty(&shown).expect("texts are always written") + "\n"
}

#[derive(Debug, Serialize)]
struct ShownReport {
    /// How many chats were looked at.
    chats: u64,
    findings: Vec<Shown>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    tenant: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_id: Option<String>,
    what: String,
}
