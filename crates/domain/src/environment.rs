//! The two things that no computation yields: what time it is, and chance. They are passed in, so that whatever uses
//! them can be told in a test what they are.

use std::fmt::Debug;

use uuid::Uuid;

use crate::Timestamp;

/// A clock and a source of randomness.
pub trait Environment: Send + Sync + Debug {
    /// What time it is.
    fn now(&self) -> Timestamp;

    /// Fills `bytes` with random ones, fit for secrets.
    fn fill_random(&self, bytes: &mut [u8]);

    /// A new random UUID (version 4, RFC 9562).
    fn new_uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.fill_random(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}
