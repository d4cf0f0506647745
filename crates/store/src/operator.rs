//! What operators are told of operations, and what becomes of what they do to them by hand.

use convoke_domain::{
    ChatStatus, Operation, OperationError, OperationErrorCode, OperationId, OperationStatus, OperationType,
    ParticipantId, TenantId, Timestamp,
};

/// Which operations are to be told.
#[derive(Debug, Clone)]
pub struct OperationFilter {
    /// Whose; nothing: everybody's.
    pub tenant: Option<TenantId>,
    /// Where they stand; nothing: those that have not ended.
    pub status: Option<OperationStatus>,
    /// How many at most.
    pub limit: u32,
}

/// An operation with what only operators are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationDetails {
    /// Whose it is.
    pub tenant: TenantId,
    /// What callers are told too.
    pub operation: Operation,
    /// Whom it is to remove.
    pub person: Option<ParticipantId>,
    /// Who can drive it.
    pub lane: String,
    /// Who drives it, and until when at least.
    pub lease: Option<(String, Timestamp)>,
    /// Whether something may have been done of it already; then it can't be cancelled.
    pub has_begun: bool,
}

/// What became of having an operation tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It is due at once.
    Accepted,
    /// There is no such operation.
    NotFound,
    /// It has not failed.
    NotFailed(OperationStatus),
    /// Its chat stands where nothing is to be done for it any more.
    ChatIs(ChatStatus),
    /// The same removal was asked for again and is under way.
    UnderWay(OperationId),
}

/// What became of cancelling an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancellation {
    /// It has failed, as cancelled.
    Cancelled,
    /// There is no such operation.
    NotFound,
    /// It does not wait.
    NotWaiting(OperationStatus),
    /// Something may have been done of it already.
    HasBegun,
}

/// What has not ended, in SQL; in the words of the partial indexes.
pub const OPEN: &str = "(state in ('pending', 'waitingForProvider') or state = 'running')";

/// What can be cancelled, in SQL. Progress is kept before a call whose outcome may have to be looked for; other calls keep
/// none, so that every attempt that counts may have been one.
pub const CANCELLABLE: &str = "state in ('pending', 'waitingForProvider') and progress is null and attempts = 0";

/// The same of an operation at hand, but for its status.
pub fn has_begun(operation: &Operation, progress: Option<&str>) -> bool {
    progress.is_some() || operation.attempts > 0
}

/// Why an operation that was cancelled has failed.
pub fn cancelled() -> OperationError {
    OperationError {
        code: OperationErrorCode::Cancelled,
        detail: "Whoever runs the service called it off before anything was done.".to_owned(),
    }
}

/// Why an operation could not be cancelled.
pub fn not_cancelled(found: Option<OperationDetails>) -> Cancellation {
    match found {
        None => Cancellation::NotFound,
        Some(found) => match found.operation.status {
            OperationStatus::Pending | OperationStatus::WaitingForProvider => Cancellation::HasBegun,
            status => Cancellation::NotWaiting(status),
        },
    }
}

/// What keeps an operation that failed from being tried again, while its chat stands there.
pub fn hindrance(kind: OperationType, chat: ChatStatus) -> Option<Retry> {
    let wanted = match kind {
        OperationType::CreateChat => ChatStatus::Failed,
        OperationType::RemoveParticipant => ChatStatus::Active,
    };
    (chat != wanted).then_some(Retry::ChatIs(chat))
}
