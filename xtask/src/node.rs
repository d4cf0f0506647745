//! Node.js and npm, installed if they are missing.

use std::process::{Command, Stdio};

use crate::{Failure, install};

/// The first version with everything that the linters ask for.
const HOW_TO_INSTALL: &str = "Node.js 20.19 or newer and npm are needed: https://nodejs.org/";

const PACKAGES: [&[&str]; 2] =
    [&["apt-get", "update"], &["apt-get", "install", "--yes", "--no-install-recommends", "nodejs", "npm"]];

/// Sees to it that Node.js is there, as new as is needed, and npm beside it.
pub fn provide() -> Result<(), Failure> {
    if !(is_there("node") && is_there("npm")) {
        for step in PACKAGES {
            install::run_as_root(step, "Node.js").map_err(|failure| format!("{failure}. {HOW_TO_INSTALL}"))?;
        }
    }
    let output = Command::new("node").arg("--version").output().map_err(|_| HOW_TO_INSTALL.to_owned())?;
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    if is_new_enough(version.trim()) { Ok(()) } else { Err(format!("node is {}. {HOW_TO_INSTALL}", version.trim())) }
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn is_new_enough(version: &str) -> bool {
    let numbers: Vec<u32> = version.trim_start_matches('v').split('.').map_while(|part| part.parse().ok()).collect();
    numbers >= vec![20, 19]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_are_refused() {
        assert!(is_new_enough("v20.19.0") && is_new_enough("v22.1.0"));
        assert!(!is_new_enough("v18.20.4") && !is_new_enough("v20.9.0") && !is_new_enough(""));
    }
}
