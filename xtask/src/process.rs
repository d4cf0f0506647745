//! Programs that are run to their end.

use std::process::{Command, Stdio};

use crate::Failure;

/// Runs a command to its end; whatever it says is seen.
pub fn finish(command: &mut Command, what: &str) -> Result<(), Failure> {
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if status.success() { Ok(()) } else { Err(format!("{what} failed")) }
}

/// Runs a command to its end; what it says matters if it fails.
pub fn finish_quietly(command: &mut Command, what: &str) -> Result<(), Failure> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{what} failed:\n{}", String::from_utf8_lossy(&said).trim()))
}
