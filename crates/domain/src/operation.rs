//! Work that outlives the request that asked for it.

use serde::{Deserialize, Serialize};

use crate::{ChatId, OperationId, Timestamp};

/// What is to be done.
///
/// ```
/// use convoke_domain::OperationType;
///
/// assert_eq!(serde_json::to_value(OperationType::CreateChat)?, "createChat");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = "What is to be done."))]
#[serde(rename_all = "camelCase")]
pub enum OperationType {
    /// Make the chat's group.
    CreateChat,
    /// Remove a person from the group.
    RemoveParticipant,
}

/// Where the work stands.
///
/// ```
/// use convoke_domain::OperationStatus;
///
/// let status: OperationStatus = serde_json::from_str(r#""waitingForProvider""#)?;
/// assert_eq!(status, OperationStatus::WaitingForProvider);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = "Where the work stands."))]
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
            ///
            /// ```
            #[doc = concat!("use convoke_domain::", stringify!($type), ";")]
            ///
            $(#[doc = concat!("assert_eq!(", stringify!($type), "::", stringify!($variant), ".as_str(), \"", $name, "\");")])+
            /// ```
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The one of this name.
            ///
            /// ```
            #[doc = concat!("use convoke_domain::", stringify!($type), ";")]
            ///
            #[doc = concat!("assert_eq!(", stringify!($type), "::from_name(\"none\"), None);")]
            $(#[doc = concat!(
                "assert_eq!(", stringify!($type), "::from_name(\"", $name, "\"), Some(", stringify!($type), "::",
                stringify!($variant), "));"
            )])+
            /// ```
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
///
/// ```
/// use convoke_domain::{OperationError, OperationErrorCode};
///
/// let error = OperationError {
///     code: OperationErrorCode::ProviderRejected,
///     detail: "The messenger refused to make a group.".into(),
/// };
/// assert_eq!(serde_json::to_value(&error)?["code"], "provider-rejected");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationError {
    /// The kind of failure.
    pub code: OperationErrorCode,
    /// What happened, in a sentence without anything internal.
    pub detail: String,
}

/// The kinds of failure that end an operation.
///
/// ```
/// use convoke_domain::OperationErrorCode;
///
/// assert_eq!(serde_json::to_value(OperationErrorCode::AttemptsExhausted)?, "attempts-exhausted");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationErrorCode {
    /// The provider refused, and would refuse again.
    ProviderRejected,
    /// Every attempt failed.
    AttemptsExhausted,
    /// Whoever runs the service called it off before anything was done.
    Cancelled,
}

/// A piece of work, as it stands.
///
/// ```
/// use convoke_domain::{Operation, OperationStatus, OperationType, Timestamp};
///
/// let accepted_at = Timestamp::from_millis(1_733_907_243_000);
/// let operation = Operation {
///     id: "7d0f3f1c-5a0e-4d86-8a57-0d5d2f3b9c11".parse()?,
///     kind: OperationType::CreateChat,
///     status: OperationStatus::Pending,
///     chat_id: "9a983789-1709-4543-aa31-a02867680017".parse()?,
///     attempts: 0,
///     created_at: accepted_at,
///     updated_at: accepted_at,
///     next_attempt_at: None,
///     completed_at: None,
///     error: None,
/// };
/// assert_eq!(operation.kind.as_str(), "createChat");
/// # Ok::<(), convoke_domain::Mistake>(())
/// ```
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
