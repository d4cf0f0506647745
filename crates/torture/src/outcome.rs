//! What a torture found, and the table of it.

use std::fmt::Write as _;

/// What a torture found: a line for each promise.
#[derive(Debug, Default)]
pub struct Outcome {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    promise: String,
    reached: String,
    is_kept: bool,
}

impl Outcome {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The torture itself did not come to its end.
    pub fn failed(failure: &dyn std::error::Error) -> Self {
        let mut outcome = Self::new();
        outcome.promise("it comes to its end", failure.to_string(), false);
        outcome
    }

    /// A promise, the figure that was reached, and whether it was kept.
    pub fn promise(&mut self, promise: impl Into<String>, reached: impl Into<String>, is_kept: bool) {
        self.lines.push(Line { promise: promise.into(), reached: reached.into(), is_kept });
    }

    /// A promise that something never happens: `found` says where it did, a line each.
    pub fn never(&mut self, promise: impl Into<String>, found: &[String]) {
        let reached = match found {
            [] => "never".to_owned(),
            [first, ..] => format!("{} times: {first}", found.len()),
        };
        self.promise(promise, reached, found.is_empty());
    }

    /// With what else was found.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.lines.extend(other.lines);
        self
    }

    /// Whether all promises were kept.
    pub fn is_kept(&self) -> bool {
        self.lines.iter().all(|line| line.is_kept)
    }
}

/// The table of all of them, in Markdown.
pub fn table(told: &[(&str, Outcome)]) -> String {
    let mut text = "| torture | promise | reached | |\n|---|---|---|---|\n".to_owned();
    for (name, outcome) in told {
        for line in &outcome.lines {
            let verdict = if line.is_kept { "ok" } else { "BROKEN" };
            // Writing to a string can't fail.
            let _ = writeln!(text, "| {name} | {} | {} | {verdict} |", cell(&line.promise), cell(&line.reached));
        }
    }
    text
}

/// On one line, and not the end of the cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The middle one of these, and the greatest.
pub fn median_and_most(times: &[f64]) -> (f64, f64) {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
    (at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_is_seen() {
        let mut outcome = Outcome::new();
        outcome.promise("a | b", "7\nms", true);
        assert!(outcome.is_kept());
        outcome.never("lost", &["x".to_owned(), "y".to_owned()]);
        assert!(!outcome.is_kept());
        let text = table(&[("t", outcome)]);
        assert!(text.ends_with("| t | a \\| b | 7 ms | ok |\n| t | lost | 2 times: x | BROKEN |\n"), "{text}");
        assert!(!Outcome::failed(&std::fmt::Error).is_kept());
    }

    #[test]
    fn of_times_the_middle_and_the_greatest() {
        assert_eq!(median_and_most(&[3.0, 1.0, 2.0]), (2.0, 3.0));
        assert_eq!(median_and_most(&[]), (0.0, 0.0));
    }
}
