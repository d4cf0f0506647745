//! How the program ends when it can't do what it was asked for.

use std::process::ExitCode;

use convoke_store::StoreError;

use crate::settings::{Layers, SettingsError};

/// One line for standard error, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    line: String,
    code: u8,
}

impl Failure {
    /// Something did not work.
    pub fn new(line: impl Into<String>) -> Self {
        Self { line: line.into(), code: 1 }
    }

    /// It was asked for in a way that can't be understood.
    pub fn usage(line: impl Into<String>) -> Self {
        Self { line: line.into(), code: 2 }
    }

    /// The database can't be opened as it is configured.
    pub fn of_database(layers: &Layers, error: &StoreError) -> Self {
        Self::new(format!("{}: {error}", layers.name_of_key("database.url")))
    }

    /// Tells whoever started the program.
    pub fn report(&self) -> ExitCode {
        let line = self.line.split_whitespace().collect::<Vec<_>>().join(" ");
        eprintln!("convoke: {line}");
        ExitCode::from(self.code)
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(error.to_string())
    }
}
