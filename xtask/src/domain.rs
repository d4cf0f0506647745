//! The domain crate is fit for others: whatever is public in it has an example and stands in the test that keeps it as it
//! is, and it compiles where there is no operating system.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Failure, Mistakes,
    install::{self, Recipe},
    repository,
};

const SOURCES: &str = "crates/domain/src";

/// The test that uses everything public as another service would.
const USES: &str = "crates/domain/tests/public_api.rs";

/// A target without an operating system.
const BARE_TARGET: &str = "wasm32-unknown-unknown";
const BARE_RECIPES: &[Recipe] = &[&[&["rustup", "target", "add", BARE_TARGET]]];
const MISSING: &str = "wasm32-unknown-unknown is missing, which rustup has";

/// How a public item begins. Fields and variants are in that of their type.
const ITEMS: &[&str] = &["pub const ", "pub enum ", "pub fn ", "pub struct ", "pub trait ", "pub type "];

/// Something public, and where.
struct Item {
    place: String,
    name: String,
    has_example: bool,
}

pub fn check() -> Result<Mistakes, Failure> {
    let files = repository::files()?;
    let sources: Vec<&PathBuf> = files.iter().filter(|file| file.starts_with(SOURCES)).collect();
    let mut items = Vec::new();
    for file in sources {
        items.extend(public_items(&file.display().to_string(), &repository::read(file)?));
    }
    Ok(mistakes(&items, &repository::read(Path::new(USES))?))
}

fn mistakes(items: &[Item], uses: &str) -> Mistakes {
    let used: BTreeSet<&str> = uses.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let mut mistakes = Vec::new();
    for Item { place, name, has_example } in items {
        if !has_example {
            mistakes.push(format!("{place}: {name} has no example"));
        }
        // A macro's own name for what it makes says nothing.
        if !name.starts_with('$') && !used.contains(name.as_str()) {
            mistakes.push(format!("{place}: {USES} does not use {name}"));
        }
    }
    mistakes
}

fn public_items(file: &str, text: &str) -> Vec<Item> {
    let shipped = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines: Vec<&str> = shipped.lines().collect();
    let mut items = Vec::new();
    let mut in_trait = false;
    for (place, line) in lines.iter().enumerate() {
        // What a public trait asks for is public without saying so.
        let asked_for = line.strip_prefix("    fn ").filter(|_| in_trait);
        let begun = || ITEMS.iter().find_map(|begins| line.trim_start().strip_prefix(begins));
        if let Some(rest) = asked_for.or_else(begun) {
            let rest = rest.strip_prefix("fn ").unwrap_or(rest);
            let name = rest.split(|c: char| !c.is_alphanumeric() && !"_$".contains(c)).next().unwrap_or_default();
            let place_in_file = format!("{file}:{}", place + 1);
            items.push(Item { place: place_in_file, name: name.to_owned(), has_example: has_example(&lines[..place]) });
        }
        in_trait = if line.starts_with("pub trait ") { true } else { in_trait && *line != "}" };
    }
    items
}

/// Whether the comment that these lines end with, attributes in it or below it, holds a block of code.
fn has_example(before: &[&str]) -> bool {
    let lines = before.iter().rev().map(|line| line.trim());
    let mut comment =
        lines.take_while(|line| line.starts_with("///") || !(line.is_empty() || line.ends_with(['{', '}', ';'])));
    comment.any(|line| line.starts_with("/// ```"))
}

/// Why it can't be compiled for a target without an operating system: it is not there, and rustup does not bring it.
pub fn bare_skipped() -> Option<String> {
    let has_target = || {
        let library = Command::new("rustc").args(["--print", "target-libdir", "--target", BARE_TARGET]).output();
        library.is_ok_and(|library| Path::new(String::from_utf8_lossy(&library.stdout).trim()).is_dir())
    };
    install::provide(BARE_TARGET, has_target, BARE_RECIPES, MISSING).err()
}

/// What the compiler has to say for a target without an operating system.
pub fn check_bare() -> Result<Mistakes, Failure> {
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

    fn found(text: &str, uses: &str) -> Mistakes {
        mistakes(&public_items("a.rs", text), uses)
    }

    #[test]
    fn an_item_with_an_example_that_is_used_passes() {
        let text = "/// A.\n///\n/// ```\n/// let a = {\n/// ```\n#[derive(\n    Debug,\n)]\npub struct A {\n    pub b: u8,\n}\n\n\
            fn private() {}\n\n#[cfg(test)]\nmod tests {\n    pub fn helper() {}\n}\n";
        assert_eq!(found(text, "let _ = A { b: 1 };"), Mistakes::new());
        assert_eq!(found(text, "let _ = AB;"), [format!("a.rs:9: {USES} does not use A")]);
    }

    #[test]
    fn an_item_without_an_example_is_found() {
        let text = "impl A {\n    /// ```\n    /// 1;\n    /// ```\n    pub const B: u8 = 1;\n    /// C.\n    #[must_use]\n    \
            pub const fn c() {}\n}\n\n/// ```\n/// ```\npub trait D {\n    /// E.\n    fn e();\n}\n";
        assert_eq!(found(text, "A::B A::c D::e"), ["a.rs:8: c has no example", "a.rs:15: e has no example"]);
    }

    #[test]
    fn what_a_macro_makes_needs_an_example_there() {
        let text = "        /// The name.\n        pub struct $name(Uuid);\n";
        assert_eq!(found(text, ""), ["a.rs:2: $name has no example"]);
    }
}
