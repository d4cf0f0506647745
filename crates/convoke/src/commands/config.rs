//! `convoke config check` and `convoke config print`.

use std::fmt::Write as _;

use convoke_store::DatabaseUrl;
use serde::Serialize;

use crate::{
    commands::{print, telegram},
    failure::Failure,
    settings::{KEYS, Key, Layers, Settings, Source},
};

/// Says that the settings are fine, and which of them are no defaults; if they were not, the program would have ended
/// before, as `serve` does. Where Telegram is configured, the database is asked for its accounts.
pub async fn check_config(layers: &Layers, settings: &Settings) -> Result<(), Failure> {
    let mut text = "The configuration is fine.\n".to_owned();
    for key in KEYS {
        // A secret's file is told under the name of the secret.
        let is_file_of_secret = key.name.ends_with("_file");
        if let Some(name) = said_in(layers, key).filter(|_| !is_file_of_secret) {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{} is set by {name}.", key.name);
        }
    }
    for warning in settings.warnings() {
        let _ = writeln!(text, "But {warning}.");
    }
    for finding in telegram::findings(layers, settings).await {
        let _ = writeln!(text, "{finding}");
    }
    print(&text)
}

/// Shows every setting: its value, and where that comes from.
pub fn print_config(layers: &Layers, settings: &Settings, json: bool) -> Result<(), Failure> {
    let lines = lines(layers, settings)?;
    if json {
        let text = serde_json::to_string_pretty(&lines).expect("texts are always written");
        return print(&format!("{text}\n"));
    }
    print(&table(&lines))
}

/// A setting as it is shown.
#[derive(Debug, Serialize)]
struct Line {
    key: &'static str,
    /// As the environment would say it; none if it has none.
    value: Option<String>,
    source: &'static str,
    /// The file, the variable or the flag.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

fn lines(layers: &Layers, settings: &Settings) -> Result<Vec<Line>, Failure> {
    let mut values = layers.values()?;
    let line = |key: &Key| Line {
        key: key.name,
        value: shown(layers, key, values.remove(key.name), settings),
        source: match layers.source_of(key) {
            Source::Default => "default",
            Source::File => "file",
            Source::Environment => "environment",
            Source::Flag => "flag",
        },
        name: said_in(layers, key),
    };
    Ok(KEYS.iter().map(line).collect())
}

/// The value that holds, without anything secret.
fn shown(layers: &Layers, key: &Key, said: Option<String>, settings: &Settings) -> Option<String> {
    match key.name {
        "database.url" => Some(settings.database.url.to_string()),
        "database.read_url" => {
            settings.database.read_url.as_ref().map(|url| DatabaseUrl::Postgres(url.0.clone()).to_string())
        }
        _ if key.secret => (layers.source_of(key) != Source::Default).then(|| "hidden".to_owned()),
        // These follow from other settings if nothing is said.
        "server.public_url" => Some(settings.public_url().as_str().to_owned()),
        "sandbox.enabled" => Some(settings.sandbox_is_on().to_string()),
        _ => said,
    }
}

/// The file, the variable or the flag that a setting is said in; none for a default.
fn said_in(layers: &Layers, key: &Key) -> Option<String> {
    match layers.source_of(key) {
        Source::Default => None,
        Source::File => layers.file().map(|path| path.display().to_string()),
        Source::Environment => Some(layers.told_by(key).variable()),
        Source::Flag => Some("--set".to_owned()),
    }
}

fn table(lines: &[Line]) -> String {
    let value =
        |line: &Line| line.value.as_deref().map_or("(none)".to_owned(), |value| value.escape_debug().to_string());
    let keys = lines.iter().map(|line| line.key.len()).max().unwrap_or_default();
    let values = lines.iter().map(|line| value(line).chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for line in lines {
        let from = line.name.as_deref().unwrap_or(line.source);
        // Writing to a string can't fail.
        let _ = writeln!(text, "{:keys$}  {:values$}  {from}", line.key, value(line));
    }
    text
}
