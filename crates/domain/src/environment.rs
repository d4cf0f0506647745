//! The two things that no computation yields: what time it is, and chance. They are passed in, so that whatever uses
//! them can be told in a test what they are.

use std::fmt::Debug;

use uuid::Uuid;

use crate::Timestamp;

/// A clock and a source of randomness.
///
/// ```
/// use convoke_domain::{Environment, Timestamp};
///
/// /// Time stands still, chance always falls the same way.
/// #[derive(Debug)]
/// struct Standing;
///
/// impl Environment for Standing {
///     fn now(&self) -> Timestamp {
///         Timestamp::from_millis(0)
///     }
///
///     fn fill_random(&self, bytes: &mut [u8]) {
///         bytes.fill(7);
///     }
/// }
///
/// assert_eq!(Standing.now().to_string(), "1970-01-01T00:00:00.000Z");
/// ```
pub trait Environment: Send + Sync + Debug {
    /// What time it is.
    ///
    /// ```
    /// use convoke_domain::Environment;
    ///
    /// # use convoke_domain::Timestamp;
    /// #
    /// # /// Time stands still, chance always falls the same way.
    /// # #[derive(Debug)]
    /// # struct Standing;
    /// #
    /// # impl Environment for Standing {
    /// #     fn now(&self) -> Timestamp {
    /// #         Timestamp::from_millis(0)
    /// #     }
    /// #
    /// #     fn fill_random(&self, bytes: &mut [u8]) {
    /// #         bytes.fill(7);
    /// #     }
    /// # }
    /// fn is_over(deadline: Timestamp, environment: &dyn Environment) -> bool {
    ///     environment.now() >= deadline
    /// }
    /// assert!(is_over(Timestamp::MIN, &Standing));
    /// ```
    fn now(&self) -> Timestamp;

    /// Fills `bytes` with random ones, fit for secrets.
    ///
    /// ```
    /// use convoke_domain::Environment;
    ///
    /// # use convoke_domain::Timestamp;
    /// #
    /// # /// Time stands still, chance always falls the same way.
    /// # #[derive(Debug)]
    /// # struct Standing;
    /// #
    /// # impl Environment for Standing {
    /// #     fn now(&self) -> Timestamp {
    /// #         Timestamp::from_millis(0)
    /// #     }
    /// #
    /// #     fn fill_random(&self, bytes: &mut [u8]) {
    /// #         bytes.fill(7);
    /// #     }
    /// # }
    /// let mut secret = [0; 32];
    /// Standing.fill_random(&mut secret);
    /// assert_ne!(secret, [0; 32]);
    /// ```
    fn fill_random(&self, bytes: &mut [u8]);

    /// A new random UUID (version 4, RFC 9562).
    ///
    /// ```
    /// use convoke_domain::{ChatId, Environment};
    ///
    /// # use convoke_domain::Timestamp;
    /// #
    /// # /// Time stands still, chance always falls the same way.
    /// # #[derive(Debug)]
    /// # struct Standing;
    /// #
    /// # impl Environment for Standing {
    /// #     fn now(&self) -> Timestamp {
    /// #         Timestamp::from_millis(0)
    /// #     }
    /// #
    /// #     fn fill_random(&self, bytes: &mut [u8]) {
    /// #         bytes.fill(7);
    /// #     }
    /// # }
    /// let id = ChatId(Standing.new_uuid());
    /// assert_eq!(id.to_string(), "07070707-0707-4707-8707-070707070707");
    /// ```
    fn new_uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.fill_random(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A new UUID that sorts behind those made earlier, to the millisecond (version 7, RFC 9562): rows that are kept by
    /// such ids come to lie side by side. Whoever sees one sees when it was made.
    ///
    /// ```
    /// use convoke_domain::{Environment, OperationId};
    ///
    /// # use convoke_domain::Timestamp;
    /// #
    /// # /// Time stands still, chance always falls the same way.
    /// # #[derive(Debug)]
    /// # struct Standing;
    /// #
    /// # impl Environment for Standing {
    /// #     fn now(&self) -> Timestamp {
    /// #         Timestamp::from_millis(1_700_000_000_000)
    /// #     }
    /// #
    /// #     fn fill_random(&self, bytes: &mut [u8]) {
    /// #         bytes.fill(7);
    /// #     }
    /// # }
    /// let id = OperationId(Standing.new_ordered_uuid());
    /// assert_eq!(id.to_string(), "018bcfe5-6800-7707-8707-070707070707");
    /// ```
    fn new_ordered_uuid(&self) -> Uuid {
        let mut chance = [0; 10];
        self.fill_random(&mut chance);
        let millis = u64::try_from(self.now().as_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &chance).into_uuid()
    }
}
