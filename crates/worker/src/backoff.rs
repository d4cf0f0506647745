//! How long to wait before the next attempt: twice as long every time, and never all at once.

use std::time::Duration;

use convoke_domain::Environment;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_mins(5);

/// The wait after attempt number `attempt` (from 1): between half of it and the whole of what doubling gives.
pub fn wait_after(attempt: u32, environment: &dyn Environment) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    let whole = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let mut random = [0; 4];
    environment.fill_random(&mut random);
    let chance = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
    whole.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use convoke_test_support::TestEnvironment;

    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_differ() {
        let environment = TestEnvironment::new();
        for attempt in 1..=40 {
            let whole = FIRST.saturating_mul(1 << (attempt - 1).min(20)).min(LONGEST);
            let wait = wait_after(attempt, &environment);
            assert!(wait >= whole / 2 && wait <= whole, "{attempt}: {wait:?} of {whole:?}");
        }
        let waits: std::collections::BTreeSet<_> = (0..10).map(|_| wait_after(5, &environment)).collect();
        assert!(waits.len() > 5);
    }
}
