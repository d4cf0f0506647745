//! `convoke doctor`.

use std::fmt::Write as _;

use convoke_store::DoctorReport;

use crate::{
    commands::{open, print},
    failure::Failure,
    settings::{Layers, Settings},
};

/// Compares what is kept with what the events say, and reports every difference.
pub async fn examine(layers: &Layers, settings: &Settings) -> Result<(), Failure> {
    let report = open(layers, settings, settings.database.migrate.0).await?.examine().await?;
    print(&told(&report))?;
    match report.findings.len() {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} findings"))),
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
    let _ = writeln!(text, "{} chats were looked at: {outcome}.", report.chats);
    text
}
