//! Why something could not be done in the sandbox.

use convoke_provider::StorageError;

/// What the rules of a group refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The chat is closed, or it never came to be.
    #[error("The chat is closed.")]
    Closed,
    /// Whoever is to act is not in.
    #[error("This participant is not in the chat.")]
    NotIn,
    /// Whoever is said to bring somebody in is not in.
    #[error("must be a participant who is in the chat")]
    InviterNotIn,
    /// The account that made the group stays as long as there is one.
    #[error("The account that made the chat can't leave it, nor be removed.")]
    OwnerStays,
    /// Nobody else fits in.
    #[error("The chat is full: it takes at most {} people at a time.", crate::group::MAX_PEOPLE)]
    Full,
}

/// Why something could not be done in the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The storage could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Others changed the group each time it was about to be saved.
    #[error("the group is changed by too many at once")]
    Busy,
    /// What is stored is not what the sandbox writes.
    #[error("the state of a group can't be read")]
    Unreadable(#[from] serde_json::Error),
    /// No group has this code.
    #[error("there is no such group")]
    NoSuchGroup,
    /// The group's rules do not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}
