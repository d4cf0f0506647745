//! The server's clock: the real one, moved by tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The real clock and how far it was moved.
#[derive(Default)]
pub struct Clock {
    forward: Duration,
    back: Duration,
}

impl Clock {
    pub fn now(&self) -> i32 {
        i32::try_from((since_epoch() + self.forward).saturating_sub(self.back).as_secs()).unwrap_or(i32::MAX)
    }

    pub fn advance(&mut self, by: Duration) {
        self.forward += by;
    }

    pub fn set_back(&mut self, by: Duration) {
        self.back += by;
    }
}

/// A base for message ids, which are of real time whatever the clock says: seconds in the upper half, a fraction in the
/// lower, a multiple of four.
pub fn message_id() -> i64 {
    let now = since_epoch();
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX >> 32);
    (seconds << 32) | (i64::from(now.subsec_nanos()) << 2)
}

#[expect(clippy::disallowed_methods, reason = "the one place where the tests' server reads the clock; tests move it")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
