//! openapi/openapi.json is what the service serves.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{Failure, Mistakes, repository};

const FILE: &str = "openapi/openapi.json";

pub fn check() -> Result<Mistakes, Failure> {
    let written = repository::read(Path::new(FILE)).unwrap_or_default();
    Ok(difference(&written, &served()?).into_iter().collect())
}

/// Writes the file anew.
pub fn write() -> Result<(), Failure> {
    fs::write(repository::root().join(FILE), served()?).map_err(|error| format!("{FILE}: {error}"))
}

fn served() -> Result<String, Failure> {
    let mut command: Command = repository::cargo();
    command.args(["run", "--quiet", "--package", "convoke", "--", "openapi"]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err("`convoke openapi` failed".to_owned());
    }
    let text = String::from_utf8(output.stdout).map_err(|_| "`convoke openapi` printed no text")?;
    if text.trim().is_empty() {
        return Err("`convoke openapi` printed nothing".to_owned());
    }
    Ok(format!("{}\n", text.trim_end()))
}

fn difference(written: &str, served: &str) -> Option<String> {
    if written == served {
        return None;
    }
    let line = written.lines().zip(served.lines()).take_while(|(ours, theirs)| ours == theirs).count() + 1;
    Some(format!("{FILE}:{line} is not what the service serves; `cargo xtask openapi` writes it anew"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(difference("{\n}\n", "{\n}\n"), None);
        assert!(difference("{\n1\n}\n", "{\n2\n}\n").unwrap().starts_with("openapi/openapi.json:2 "));
        assert!(difference("", "{\n}\n").is_some());
        assert!(difference("{\n}\n\n", "{\n}\n").is_some());
    }
}
