//! `convoke config check`.

use std::fmt::Write as _;

use crate::{
    commands::print,
    failure::Failure,
    settings::{KEYS, Layers, Settings, Source},
};

/// Says that the settings are fine, and which of them are no defaults; if they were not, the program would have ended
/// before, as `serve` does.
pub fn check_config(layers: &Layers, settings: &Settings) -> Result<(), Failure> {
    let mut text = "The configuration is fine.\n".to_owned();
    for key in KEYS {
        let from = match layers.source_of(key) {
            Source::Default => continue,
            Source::File => layers.file().map(|path| path.display().to_string()).unwrap_or_default(),
            Source::Environment => key.variable(),
            Source::Flag => "--set".to_owned(),
        };
        // Writing to a string can't fail.
        let _ = writeln!(text, "{} is set by {from}.", key.name);
    }
    for warning in settings.warnings() {
        let _ = writeln!(text, "But {warning}.");
    }
    print(&text)
}
