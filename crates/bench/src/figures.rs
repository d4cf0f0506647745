//! What was measured: figures with their targets, and lines for plots. They are kept in a file, so that parts may be
//! measured one after the other and are written down together.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::Failure;

/// Everything that was measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// By the place that they have in the table.
    rows: BTreeMap<String, Figure>,
    /// Lines, by plot and name.
    plots: BTreeMap<String, BTreeMap<String, Vec<(f64, f64)>>>,
}

/// One figure, measured a few times.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// In what.
    pub unit: String,
    /// The service's own, one for each round.
    pub service: Vec<f64>,
    /// Those of what it is compared with, measured in the same rounds; if there are none, the figure stands for itself.
    pub limit: Vec<f64>,
    /// What it should reach, and what would be beyond.
    pub target: Option<Target>,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Target {
    pub reach: f64,
    pub beyond: f64,
}

/// The middle of what was measured, and its ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// Of these values, of which there is one at least.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        };
        Self { median, least: sorted[0], most: sorted[sorted.len() - 1] }
    }
}

/// How a figure stands to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Beyond,
    Reached,
    Missed,
}

impl Figure {
    /// What is compared with the target: the ratio of each round, or what was measured.
    pub fn values(&self) -> Vec<f64> {
        if self.limit.is_empty() {
            return self.service.clone();
        }
        self.service.iter().zip(&self.limit).map(|(service, limit)| service / limit).collect()
    }

    /// How it stands.
    pub fn verdict(&self) -> Option<Verdict> {
        let target = self.target?;
        let value = Spread::of(&self.values()).median;
        // Where less would be beyond, less is better.
        let reaches = |wanted: f64| if target.beyond >= target.reach { value >= wanted } else { value <= wanted };
        Some(if reaches(target.beyond) {
            Verdict::Beyond
        } else if reaches(target.reach) {
            Verdict::Reached
        } else {
            Verdict::Missed
        })
    }
}

impl Figures {
    /// Those that are kept in `file`, none if there is none.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        match fs::read_to_string(file) {
            Ok(text) => Ok(serde_json::from_str(&text)?),
            Err(_) => Ok(Self::default()),
        }
    }

    /// Keeps them.
    pub fn write(&self, file: &Path) -> Result<(), Failure> {
        Ok(fs::write(file, serde_json::to_string_pretty(self)?)?)
    }

    /// Adds a figure at its place in the table, or takes the place of the one measured before.
    pub fn put(&mut self, place: &str, figure: Figure) {
        let spread = Spread::of(&figure.values());
        let verdict = figure.verdict().map_or(String::new(), |verdict| format!(", {verdict:?}").to_lowercase());
        let (what, unit) =
            (&figure.what, if figure.limit.is_empty() { figure.unit.as_str() } else { "times the limit" });
        eprintln!("bench: {what}: {:.3} ({:.3} to {:.3}) {unit}{verdict}", spread.median, spread.least, spread.most);
        self.rows.insert(place.to_owned(), figure);
    }

    /// Has a plot show this line, instead of one of the same name.
    pub fn draw(&mut self, plot: &str, line: &str, points: Vec<(f64, f64)>) {
        self.plots.entry(plot.to_owned()).or_default().insert(line.to_owned(), points);
    }

    /// The figures, in their places.
    pub fn rows(&self) -> impl Iterator<Item = &Figure> {
        self.rows.values()
    }

    /// The lines of a plot.
    pub fn lines(&self, plot: &str) -> Option<&BTreeMap<String, Vec<(f64, f64)>>> {
        self.plots.get(plot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(service: &[f64], limit: &[f64], reach: f64, beyond: f64) -> Figure {
        let target = Some(Target { reach, beyond });
        Figure { what: String::new(), unit: String::new(), service: service.to_vec(), limit: limit.to_vec(), target }
    }

    #[test]
    fn ratios_are_those_of_each_round() {
        let figure = figure(&[10.0, 30.0, 60.0], &[20.0, 30.0, 40.0], 0.75, 1.0);
        assert_eq!(figure.values(), [0.5, 1.0, 1.5]);
        assert_eq!(Spread::of(&figure.values()), Spread { median: 1.0, least: 0.5, most: 1.5 });
        assert_eq!(Spread::of(&[4.0, 1.0]), Spread { median: 2.5, least: 1.0, most: 4.0 });
    }

    #[test]
    fn more_is_better_unless_less_is_beyond() {
        assert_eq!(figure(&[0.8], &[], 0.75, 1.0).verdict(), Some(Verdict::Reached));
        assert_eq!(figure(&[1.0], &[], 0.75, 1.0).verdict(), Some(Verdict::Beyond));
        assert_eq!(figure(&[0.7], &[], 0.75, 1.0).verdict(), Some(Verdict::Missed));
        assert_eq!(figure(&[6.0], &[], 5.0, 2.0).verdict(), Some(Verdict::Missed));
        assert_eq!(figure(&[2.0], &[], 5.0, 2.0).verdict(), Some(Verdict::Beyond));
    }
}
