//! Why a call to a messenger did not succeed, told as what to do about it.

use std::time::Duration;

/// What to do after a call that did not succeed. The texts are for operators and records, never secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// Call again after this time; nothing was done. Counts as no attempt.
    #[error("the provider takes no calls for {} s", .0.as_secs())]
    RetryAfter(Duration),
    /// It is not known whether the call was carried out: find out before trying again.
    #[error("the outcome of the call is not known: {0}")]
    Unknown(String),
    /// Refused, and would be refused again; nothing was done.
    #[error("the provider refused: {0}")]
    Rejected(String),
    /// The account can't be used any more; another one may.
    #[error("the provider's account can't be used: {0}")]
    AccountUnusable(String),
}
