//! Work that outlives the request that asked for it.

use convoke_domain::{ChatId, OperationId, OperationStatus, OperationType, Timestamp};
use serde::Deserialize;

use crate::Problem;

/// A piece of work, as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Operation {
    /// The operation.
    pub id: OperationId,
    /// What is to be done.
    #[serde(rename = "type")]
    pub kind: OperationType,
    /// Where it stands.
    pub status: OperationStatus,
    /// The chat it is about.
    pub chat_id: ChatId,
    /// How often it has been tried.
    pub attempts: u32,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it is tried next, while it waits.
    pub next_attempt_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Why it was given up.
    pub error: Option<Problem>,
}

impl Operation {
    /// Whether it has ended, well or not.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.status, OperationStatus::Succeeded | OperationStatus::Failed)
    }
}
