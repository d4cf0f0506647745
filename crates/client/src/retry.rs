//! Whether, and when, a request is sent once more.

use std::time::Duration;

use crate::Error;

/// How often and how patiently a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a request is sent at most, the first time included; 1 repeats nothing.
    pub attempts: u32,
    /// The pause before the first repetition, where the service does not name one; it doubles with each further one.
    pub first_pause: Duration,
    /// The longest pause. A `Retry-After` that asks for more ends the attempts.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    /// Four attempts, pauses from 200 ms to 30 s.
    fn default() -> Self {
        Self { attempts: 4, first_pause: Duration::from_millis(200), longest_pause: Duration::from_secs(30) }
    }
}

impl RetryPolicy {
    /// Sends everything once.
    #[must_use]
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// After how long to try again when `attempt` (from 1) has failed; nothing if that was the last one. `chance` is
    /// between 0 and 1: clients that failed together shall not come back together.
    pub(crate) fn pause_after(&self, attempt: u32, error: &Error, chance: f64) -> Option<Duration> {
        if attempt >= self.attempts || !error.is_retryable() {
            return None;
        }
        match error.retry_after() {
            Some(asked) if asked > self.longest_pause => None,
            // Never earlier than asked for, up to a tenth later.
            Some(asked) => Some(asked + asked.mul_f64(chance / 10.0)),
            None => {
                let doublings = (attempt - 1).min(16);
                let full = self.first_pause.saturating_mul(1 << doublings).min(self.longest_pause);
                Some(full / 2 + (full / 2).mul_f64(chance))
            }
        }
    }
}

/// A number between 0 and 1 that nobody can foretell.
pub(crate) fn chance() -> f64 {
    // Without randomness all wait alike, which is no harm in itself.
    f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Problem;

    const POLICY: RetryPolicy =
        RetryPolicy { attempts: 4, first_pause: Duration::from_millis(100), longest_pause: Duration::from_secs(1) };

    fn problem(status: u16, retryable: bool, retry_after: Option<Duration>) -> Error {
        Error::Problem { problem: Box::new(Problem { status, retryable, ..Problem::default() }), retry_after }
    }

    fn millis(pause: Option<Duration>) -> Option<u128> {
        pause.map(|pause| pause.as_millis())
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_the_attempts_end() {
        let error = problem(503, true, None);
        let pauses = [1, 2, 3, 4].map(|attempt| millis(POLICY.pause_after(attempt, &error, 1.0)));
        assert_eq!(pauses, [Some(100), Some(200), Some(400), None]);
        let patient = RetryPolicy { attempts: u32::MAX, ..POLICY };
        assert_eq!(millis(patient.pause_after(u32::MAX - 1, &error, 1.0)), Some(1000));
        assert_eq!(millis(POLICY.pause_after(1, &error, 0.0)), Some(50), "chance takes up to half");
    }

    #[test]
    fn retry_after_is_never_undercut_and_too_long_a_one_ends_the_attempts() {
        let asked = |seconds| problem(429, true, Some(Duration::from_secs(seconds)));
        assert_eq!(millis(POLICY.pause_after(1, &asked(1), 0.0)), Some(1000));
        assert_eq!(millis(POLICY.pause_after(1, &asked(1), 1.0)), Some(1100));
        assert_eq!(POLICY.pause_after(1, &asked(0), 1.0), Some(Duration::ZERO));
        assert_eq!(POLICY.pause_after(1, &asked(2), 0.0), None);
    }

    #[test]
    fn only_what_may_succeed_later_is_repeated() {
        let is_repeated = |error: &Error| POLICY.pause_after(1, error, 0.5).is_some();
        // chat-not-ready, request-in-progress; internal-error; a proxy that knows nothing of `retryable`.
        for (status, retryable) in [(409, true), (500, true), (429, false), (503, false)] {
            assert!(is_repeated(&problem(status, retryable, None)), "{status}");
        }
        for status in [400, 401, 403, 404, 409, 410, 422, 500] {
            assert!(!is_repeated(&problem(status, false, None)), "{status}");
        }
        let page = |status| Error::UnexpectedAnswer { status, reason: String::new(), retry_after: None };
        assert!(is_repeated(&page(503)) && !is_repeated(&page(200)) && !is_repeated(&page(500)));
        assert!(!is_repeated(&Error::Settings(String::new())));
        assert_eq!(RetryPolicy::never().pause_after(1, &problem(503, true, None), 0.5), None);
    }

    #[test]
    fn chance_is_between_0_and_1() {
        assert!((0..100).all(|_| (0.0..=1.0).contains(&chance())));
    }
}
