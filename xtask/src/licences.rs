//! Every dependency may be used under a licence that we accept.

use crate::{Failure, Mistakes, repository};

/// What we accept, as SPDX names. An entry that ends with `-` stands for a family.
const ACCEPTED: &[&str] = &[
    "Apache-2.0",
    // The exception takes a duty away and adds none.
    "Apache-2.0 WITH LLVM-exception",
    "BSD-",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-",
    "Zlib",
];

pub fn check() -> Result<Mistakes, Failure> {
    let packages = repository::metadata()?.packages;
    let mistake = |package: &cargo_metadata::Package| {
        let name = format!("{} {}", package.name, package.version);
        match package.license.as_deref() {
            None => Some(format!("{name} does not say what licence it has")),
            Some(licence) => match accepts(licence) {
                Ok(true) => None,
                Ok(false) => Some(format!("{name}: {licence} is not accepted")),
                Err(what) => Some(format!("{name}: {licence} is not understood: {what}")),
            },
        }
    };
    Ok(packages.iter().filter_map(mistake).collect())
}

/// Whether a licence expression can be satisfied by what we accept (SPDX 2.3, annex D; the `/` of older crates is OR).
fn accepts(expression: &str) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let verdict = either(&mut rest)?;
    rest.first().map_or(Ok(verdict), |word| Err(format!("unexpected {word}")))
}

/// `both [OR both …]`
fn either(words: &mut &[&str]) -> Result<bool, String> {
    let mut verdict = both(words)?;
    while take(words, "OR") {
        verdict |= both(words)?;
    }
    Ok(verdict)
}

/// `one [AND one …]`: binds tighter than OR.
fn both(words: &mut &[&str]) -> Result<bool, String> {
    let mut verdict = one(words)?;
    while take(words, "AND") {
        verdict &= one(words)?;
    }
    Ok(verdict)
}

/// `( either )` or a licence, perhaps WITH an exception.
fn one(words: &mut &[&str]) -> Result<bool, String> {
    if take(words, "(") {
        let verdict = either(words)?;
        return if take(words, ")") { Ok(verdict) } else { Err("a parenthesis is not closed".to_owned()) };
    }
    let mut name = next(words)?.to_owned();
    if take(words, "WITH") {
        name = format!("{name} WITH {}", next(words)?);
    }
    let family = |accepted: &str| accepted.ends_with('-') && name.starts_with(accepted) && !name.contains(' ');
    Ok(ACCEPTED.iter().any(|accepted| name == *accepted || family(accepted)))
}

fn next<'a>(words: &mut &[&'a str]) -> Result<&'a str, String> {
    let (first, rest) = words.split_first().ok_or("it ends too early")?;
    if ["AND", "OR", "WITH", ")"].contains(first) {
        return Err(format!("unexpected {first}"));
    }
    *words = rest;
    Ok(first)
}

fn take(words: &mut &[&str], word: &str) -> bool {
    match words.split_first() {
        Some((first, rest)) if *first == word => {
            *words = rest;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_satisfied_is_accepted() {
        for licence in [
            "MIT",
            "MIT/Apache-2.0",
            "Unlicense OR MIT",
            "(Apache-2.0 OR MIT) AND BSD-3-Clause",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "Apache-2.0 WITH LLVM-exception",
            "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "CDLA-Permissive-2.0",
            "GPL-3.0-only AND MIT OR ISC",
        ] {
            assert_eq!(accepts(licence), Ok(true), "{licence}");
        }
    }

    #[test]
    fn what_can_not_is_refused() {
        for licence in [
            "GPL-3.0-or-later",
            "MIT AND GPL-3.0-only",
            "MIT AND (GPL-3.0-only OR MPL-2.0)",
            "CC0-1.0",
            "Unlicense",
            "BSD-3-Clause WITH some-exception",
            "MITX",
            "GPL-2.0 WITH Classpath-exception-2.0",
            "MIT WITH GPL-1.0-exception",
        ] {
            assert_eq!(accepts(licence), Ok(false), "{licence}");
        }
    }

    #[test]
    fn what_is_no_expression_is_a_mistake() {
        for licence in ["", "MIT OR", "(MIT", "MIT)", "MIT ISC", "AND MIT", "MIT WITH"] {
            assert!(accepts(licence).is_err(), "{licence}");
        }
    }
}
