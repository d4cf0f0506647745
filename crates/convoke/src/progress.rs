//! How far something long has come: a bar on standard error, and nothing where that is no terminal.

use std::{sync::Arc, time::Duration};

use convoke_store::{Progress, Reached, Unit};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Below this, things are few and big: how many are done does not tell how long the others take.
const MANY: u64 = 100;

/// How often the time that has passed is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// A bar, drawn once something is told. It is gone when the last who holds it drops it.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar for people who watch; with `json` there are none.
    pub fn new(json: bool) -> Arc<Self> {
        // Where standard error is no terminal it draws nothing.
        let target = if json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        Arc::new(Self::on(target))
    }

    fn on(target: ProgressDrawTarget) -> Self {
        Self(ProgressBar::with_draw_target(None, target))
    }

    /// Takes the bar off the terminal: what is printed next takes its place.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn reached(&self, reached: Reached<'_>) {
        if self.0.is_hidden() {
            return;
        }
        if self.0.message() != reached.step {
            self.0.set_style(style(reached.total, reached.unit));
            self.0.set_message(reached.step.to_owned());
            self.0.enable_steady_tick(TICK);
        }
        if let Some(total) = reached.total {
            self.0.set_length(total);
        }
        self.0.set_position(reached.done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(total: Option<u64>, unit: Unit) -> ProgressStyle {
    let template = match (total, unit) {
        (None, _) => "{spinner} {msg}, {elapsed}",
        (Some(_), Unit::Bytes) => "{msg} {wide_bar} {binary_bytes} of {binary_total_bytes}, {elapsed}, {eta} to go",
        (Some(MANY..), Unit::Things) => "{msg} {wide_bar} {human_pos} of {human_len}, {elapsed}, {eta} to go",
        (Some(_), Unit::Things) => "{spinner} {msg}, {human_pos} of {human_len} done, {elapsed}",
    };
    ProgressStyle::with_template(template).expect("a template that its test draws")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_one_that_can_be_drawn() {
        for total in [None, Some(0), Some(MANY - 1), Some(MANY)] {
            for unit in [Unit::Bytes, Unit::Things] {
                style(total, unit);
            }
        }
    }

    #[test]
    fn programs_are_drawn_nothing() {
        assert!(Bar::new(true).0.is_hidden());
    }
}
