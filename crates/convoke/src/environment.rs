//! The real clock and real chance: the one place where the program asks the system for them.

use std::time::SystemTime;

use convoke_domain::{Environment, Timestamp};

/// What time it really is, and what nobody can foretell.
#[derive(Debug, Clone, Copy)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is where the Environment that others ask gets its time")]
        let now = SystemTime::now();
        // A clock that stands before 1970 is as wrong as one that stands at it.
        Timestamp::from_millis(0).plus(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the system has randomness");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_ids_differ() {
        let before: Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
        assert!(SystemEnvironment.now() > before);
        assert_ne!(SystemEnvironment.new_uuid(), SystemEnvironment.new_uuid());
    }
}
