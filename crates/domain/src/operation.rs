//! Work that outlives the request that asked for it.

use serde::{Deserialize, Serialize};

use crate::{ChatId, OperationId, Timestamp};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum OperationType {
    /// Make the chat's group.
    CreateChat,
    /// Remove a person from the group.
    RemoveParticipant,
}

/// Where the work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum OperationStatus {
    /// Waits for a worker.
    Pending,
    /// A worker is at it.
    Running,
    /// Waits until the provider takes calls again, or for the next attempt.
    WaitingForProvider,
    /// Done.
    Succeeded,
    /// Given up; `error` says why.
    Failed,
}

macro_rules! names {
    ($type:ident: $($variant:ident = $name:literal),+) => {
        impl $type {
            /// Its name in the contract.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The one of this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

names!(OperationType: CreateChat = "createChat", RemoveParticipant = "removeParticipant");
names!(OperationStatus: Pending = "pending", Running = "running", WaitingForProvider = "waitingForProvider",
    Succeeded = "succeeded", Failed = "failed");

/// Why an operation was given up. The API shows it as a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationError {
    /// The kind of failure.
    pub code: OperationErrorCode,
    /// What happened, in a sentence without anything internal.
    pub detail: String,
}

/// The kinds of failure that end an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationErrorCode {
    /// The provider refused, and would refuse again.
    ProviderRejected,
    /// Every attempt failed.
    AttemptsExhausted,
}

/// A piece of work, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The operation.
    pub id: OperationId,
    /// What is to be done.
    pub kind: OperationType,
    /// Where it stands.
    pub status: OperationStatus,
    /// The chat it is about.
    pub chat_id: ChatId,
    /// How often a worker has tried; times that the provider itself put off do not count.
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
    pub error: Option<OperationError>,
}
