//! When the primary was how far.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::Position;

/// How many parts the time that is kept is told in: what lies closer together is not kept apart.
const PARTS: u32 = 64;

/// Where the primary stood, for as long as replicas may lag: everything that was committed before an instant lies before
/// the position beside it.
pub struct History {
    max_lag: Duration,
    kept: Mutex<Kept>,
}

struct Kept {
    samples: VecDeque<(Instant, Position)>,
    /// Until when replicas are known to have everything.
    fresh_at: Instant,
}

impl History {
    pub fn new(max_lag: Duration) -> Self {
        Self { max_lag, kept: Mutex::new(Kept { samples: VecDeque::new(), fresh_at: Instant::now() }) }
    }

    pub const fn max_lag(&self) -> Duration {
        self.max_lag
    }

    /// The primary was asked at this instant, and was that far.
    pub fn note(&self, asked_at: Instant, position: Position) {
        let mut kept = self.kept();
        let samples = &mut kept.samples;
        // The newest is always kept, and gives way to the next one unless it stands apart from the one before.
        if let [.., before, (newest, _)] = samples.make_contiguous()
            && newest.duration_since(before.0) < self.max_lag / PARTS
        {
            samples.pop_back();
        }
        samples.push_back((asked_at, position));
    }

    /// What a replica that does not lag too much has replayed. Nothing if that is not known, since the primary has not
    /// answered for that long.
    pub fn floor(&self, now: Instant) -> Option<Position> {
        let mut kept = self.kept();
        while kept.samples.front().is_some_and(|(at, _)| now.duration_since(*at) > self.max_lag) {
            kept.samples.pop_front();
        }
        kept.samples.front().map(|(_, position)| *position)
    }

    /// How old at most is what can be read from a replica that has replayed this; without one, from the last that there was.
    pub fn lag(&self, now: Instant, replayed: Option<Position>) -> Duration {
        let mut kept = self.kept();
        let newest = |replayed| kept.samples.iter().rev().find(|(_, position)| *position <= replayed);
        if let Some((at, _)) = replayed.and_then(newest) {
            kept.fresh_at = *at;
        }
        now.duration_since(kept.fresh_at)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(max_lag: u64, samples: &[(u64, u64)]) -> (History, impl Fn(u64) -> Instant) {
        let begin = Instant::now();
        let at = move |second| begin + Duration::from_secs(second);
        let history = History::new(Duration::from_secs(max_lag));
        for (second, position) in samples {
            history.note(at(*second), Position(*position));
        }
        (history, at)
    }

    #[test]
    fn what_is_recent_was_written_before_no_more_than_the_lag() {
        let (history, at) = history(10, &[(0, 100), (5, 200), (9, 300)]);
        assert_eq!(history.floor(at(10)), Some(Position(100)));
        assert_eq!(history.floor(at(11)), Some(Position(200)));
        assert_eq!(history.floor(at(19)), Some(Position(300)));
        assert_eq!(history.floor(at(20)), None, "the primary has not answered for too long");
    }

    #[test]
    fn the_lag_is_the_age_of_what_is_replayed_and_not_of_the_last_write() {
        let (history, at) = history(10, &[(0, 100), (5, 200), (9, 200)]);
        assert_eq!(history.lag(at(9), Some(Position(200))), Duration::ZERO);
        assert_eq!(history.lag(at(9), Some(Position(199))), Duration::from_secs(9));
        assert_eq!(history.lag(at(12), None), Duration::from_secs(12), "grows while there is none");
    }

    #[test]
    fn a_long_history_is_kept_in_few_parts() {
        let samples: Vec<(u64, u64)> = (0..10_000).map(|second| (second, second)).collect();
        let (history, at) = history(3_600, &samples);
        assert!(history.kept().samples.len() < 300);
        let floor = history.floor(at(10_000)).unwrap().0;
        assert!((6_400..6_400 + 3_600 / 32).contains(&floor), "{floor}");
    }
}
