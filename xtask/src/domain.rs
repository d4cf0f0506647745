//! The domain crate is fit for others: whatever is public in it has an example, and it compiles where there is no
//! operating system.

use std::process::Command;

use crate::{Failure, Mistakes, repository};

const SOURCES: &str = "crates/domain/src";

/// A target without an operating system.
const BARE_TARGET: &str = "wasm32-unknown-unknown";

/// How an item begins that has to have an example. Fields and variants are in that of their type.
const ITEMS: &[&str] = &["pub const ", "pub enum ", "pub fn ", "pub struct ", "pub trait ", "pub type "];

pub fn check() -> Result<Mistakes, Failure> {
    let mut mistakes = Vec::new();
    for file in repository::files()?.iter().filter(|file| file.starts_with(SOURCES)) {
        mistakes.extend(without_example(&file.display().to_string(), &repository::read(file)?));
    }
    mistakes.extend(bare()?);
    Ok(mistakes)
}

/// The public items without an example in their documentation.
fn without_example(file: &str, text: &str) -> Mistakes {
    let shipped = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines: Vec<&str> = shipped.lines().collect();
    let mut mistakes = Vec::new();
    let mut in_trait = false;
    for (place, line) in lines.iter().enumerate() {
        let item = line.trim_start();
        // What a public trait asks for is public without saying so.
        let is_public =
            ITEMS.iter().any(|begins| item.starts_with(begins)) || (in_trait && line.starts_with("    fn "));
        if is_public && !has_example(&lines[..place]) {
            mistakes.push(format!("{file}:{}: no example: {}", place + 1, item.trim_end_matches(['{', '(', ' '])));
        }
        in_trait = if line.starts_with("pub trait ") { true } else { in_trait && *line != "}" };
    }
    mistakes
}

/// Whether the comment that these lines end with, attributes in it or below it, holds a block of code.
fn has_example(before: &[&str]) -> bool {
    let lines = before.iter().rev().map(|line| line.trim());
    let mut comment =
        lines.take_while(|line| line.starts_with("///") || !(line.is_empty() || line.ends_with(['{', '}', ';'])));
    comment.any(|line| line.starts_with("/// ```"))
}

/// What the compiler has to say for a target without an operating system. Where the toolchain can't compile for it,
/// that is said, and is no mistake.
fn bare() -> Result<Mistakes, Failure> {
    let library = Command::new("rustc").args(["--print", "target-libdir", "--target", BARE_TARGET]).output();
    let library = library.map_err(|error| format!("rustc: {error}"))?;
    if !std::path::Path::new(String::from_utf8_lossy(&library.stdout).trim()).is_dir() {
        eprintln!("domain: not compiled for {BARE_TARGET}, which is not installed (rustup target add {BARE_TARGET})");
        return Ok(Vec::new());
    }
    let mut command = repository::cargo();
    command.args([
        "check",
        "--quiet",
        "--locked",
        "-p",
        "convoke-domain",
        "--features",
        "openapi",
        "--target",
        BARE_TARGET,
    ]);
    let status = command.status().map_err(|error| format!("cargo: {error}"))?;
    Ok(if status.success() { Vec::new() } else { vec![format!("does not compile for {BARE_TARGET}")] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_with_an_example_passes() {
        let text = "/// A.\n///\n/// ```\n/// let a = {\n/// ```\n#[derive(\n    Debug,\n)]\npub struct A {\n    pub b: u8,\n}\n\n\
            fn private() {}\n\n#[cfg(test)]\nmod tests {\n    pub fn helper() {}\n}\n";
        assert_eq!(without_example("a.rs", text), Mistakes::new());
    }

    #[test]
    fn an_item_without_one_is_found() {
        let text = "impl A {\n    /// ```\n    /// 1;\n    /// ```\n    pub const B: u8 = 1;\n    /// C.\n    #[must_use]\n    \
            pub const fn c() {}\n}\n\n/// ```\n/// ```\npub trait D {\n    /// E.\n    fn e();\n}\n";
        assert_eq!(
            without_example("a.rs", text),
            ["a.rs:8: no example: pub const fn c() {}", "a.rs:15: no example: fn e();"]
        );
    }
}
