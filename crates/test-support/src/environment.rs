//! Time and chance for tests.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use convoke_domain::{Environment, Timestamp};

use crate::Chance;

/// A clock and chance that can be foretold. Its clones share both.
#[derive(Debug, Clone)]
pub struct TestEnvironment(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Foretold {
        /// What the next `now` gives, in milliseconds.
        next: AtomicI64,
        chance: Mutex<Chance>,
    },
    Real {
        /// By how much its clock is ahead, in milliseconds.
        ahead: AtomicI64,
    },
}

impl TestEnvironment {
    /// 2024-12-11T08:54:03.000Z, when the first `now` is; every later one is a millisecond after the one before.
    pub const START: Timestamp = Timestamp::from_millis(1_733_907_243_000);

    /// The same time and the same chance in every run.
    #[must_use]
    pub fn new() -> Self {
        Self::seeded(0)
    }

    /// The same time in every run, with chance that depends on `seed`: two of the same seed give the same ids, so
    /// services that share a database need one each.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let next = AtomicI64::new(Self::START.as_millis());
        Self(Arc::new(Kind::Foretold { next, chance: Mutex::new(Chance::new(seed)) }))
    }

    /// The real time and real chance, for tests that measure, wait, or run services side by side.
    #[must_use]
    pub fn real_time() -> Self {
        Self(Arc::new(Kind::Real { ahead: AtomicI64::new(0) }))
    }

    /// Puts the clock forward.
    pub fn advance(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let (Kind::Foretold { next: clock, .. } | Kind::Real { ahead: clock }) = &*self.0;
        clock.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Default for TestEnvironment {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment for TestEnvironment {
    fn now(&self) -> Timestamp {
        match &*self.0 {
            Kind::Foretold { next, .. } => Timestamp::from_millis(next.fetch_add(1, Ordering::SeqCst)),
            Kind::Real { ahead } => {
                #[expect(clippy::disallowed_methods, reason = "here tests get the real time from")]
                let now = SystemTime::now();
                let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).expect("the clock is set");
                Timestamp::from_millis(0)
                    .plus(since_epoch)
                    .plus(Duration::from_millis(ahead.load(Ordering::SeqCst).unsigned_abs()))
            }
        }
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        match &*self.0 {
            Kind::Foretold { chance, .. } => {
                let mut chance = chance.lock().unwrap_or_else(PoisonError::into_inner);
                for chunk in bytes.chunks_mut(8) {
                    chunk.copy_from_slice(&chance.number().to_le_bytes()[..chunk.len()]);
                }
            }
            Kind::Real { .. } => getrandom::fill(bytes).expect("the system has randomness"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_starts_ticks_and_is_put_forward() {
        let environment = TestEnvironment::new();
        assert_eq!(environment.now().to_string(), "2024-12-11T08:54:03.000Z");
        assert_eq!(environment.now().to_string(), "2024-12-11T08:54:03.001Z");
        environment.clone().advance(Duration::from_mins(1));
        assert_eq!(environment.now().to_string(), "2024-12-11T08:55:03.002Z");
    }

    #[test]
    fn chance_is_that_of_the_seed() {
        // The first numbers of the reference implementation for seed 0.
        let mut chance = Chance::new(0);
        assert_eq!(chance.number(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(chance.number(), 0x6e78_9e6a_a1b9_65f4);

        let (one, same, other) = (TestEnvironment::new(), TestEnvironment::seeded(0), TestEnvironment::seeded(1));
        let id = one.new_uuid();
        assert_eq!(id.get_version_num(), 4);
        assert_eq!(id, same.new_uuid());
        assert_ne!(id, other.new_uuid());
        assert_ne!(id, one.new_uuid());
        let mut odd = [0; 11];
        one.fill_random(&mut odd);
        assert_ne!(odd[8..], [0; 3]);
    }

    #[test]
    fn real_time_goes_on_by_itself() {
        let environment = TestEnvironment::real_time();
        let before = environment.now();
        assert!(before > TestEnvironment::START);
        environment.advance(Duration::from_hours(1));
        assert!(environment.now().since(before) >= Duration::from_hours(1));
        assert_ne!(environment.new_uuid(), environment.new_uuid());
    }
}
