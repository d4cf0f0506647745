//! No test is ignored, nothing is left to be done.

use crate::{Failure, Mistakes, repository};

/// What no source file may hold. In two pieces, so that this file doesn't.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("todo", "!("), "is not finished"),
    (concat!("unimplemented", "!("), "is not finished"),
    (concat!("#[", "ignore"), "is a test that nobody runs"),
    (concat!("dbg", "!("), "is left over from a search"),
];

pub fn check() -> Result<Mistakes, Failure> {
    let mut mistakes = Vec::new();
    for file in repository::files()?.iter().filter(|file| repository::has_extension(file, "rs")) {
        mistakes.extend(mistakes_in(&file.display().to_string(), &repository::read(file)?));
    }
    Ok(mistakes)
}

fn mistakes_in(file: &str, text: &str) -> Mistakes {
    let numbered = (1..).zip(text.lines());
    let found = |(number, line): (usize, &str)| {
        let (what, why) = FORBIDDEN.iter().find(|(what, _)| line.contains(what))?;
        Some(format!("{file}:{number}: {what} {why}"))
    };
    numbered.filter_map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finished_is_found() {
        assert_eq!(mistakes_in("a.rs", "fn todo() {}\n// ignore"), Mistakes::new());
        let text = format!("fn a() {{\n    {}\"later\")\n}}\n", FORBIDDEN[0].0);
        assert_eq!(mistakes_in("a.rs", &text), [format!("a.rs:2: {} is not finished", FORBIDDEN[0].0)]);
        for (what, _) in FORBIDDEN {
            assert_eq!(mistakes_in("a.rs", what).len(), 1, "{what}");
        }
    }
}
