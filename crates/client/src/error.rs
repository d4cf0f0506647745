//! What can go wrong.

use std::time::Duration;

use convoke_domain::{ChatId, ChatStatus, OperationId};

use crate::Problem;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service answered with a problem, in the last attempt that was worth making.
    #[error("{problem}")]
    Problem {
        /// What it said.
        problem: Box<Problem>,
        /// For how long it asked not to be called again.
        retry_after: Option<Duration>,
    },
    /// Something answered, but not as the contract says: perhaps another program, or something in between.
    #[error("unexpected answer with status {status}: {reason}")]
    UnexpectedAnswer {
        /// The HTTP status.
        status: u16,
        /// What is wrong with it.
        reason: String,
        /// For how long it asked not to be called again.
        retry_after: Option<Duration>,
    },
    /// No answer came, in any attempt. Whether the service did what it was asked for is not known.
    #[error("no answer")]
    NoAnswer(#[source] reqwest::Error),
    /// The client can't be built like this.
    #[error("{0}")]
    Settings(String),
    /// The chat could not be made, or has come to its end already.
    #[error("the chat {id} is {}", .status.as_str())]
    ChatEnded {
        /// The chat.
        id: ChatId,
        /// Where it stands.
        status: ChatStatus,
        /// Why it failed, as its operation tells.
        problem: Option<Box<Problem>>,
    },
    /// The chat is still being made, and longer was not to be waited.
    #[error("the chat {0} is still being made")]
    StillProvisioning(ChatId),
    /// The operation has not ended, and longer was not to be waited.
    #[error("the operation {0} has not ended")]
    StillRunning(OperationId),
}

impl Error {
    /// The problem that the service told, if it did.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem { problem, .. } | Self::ChatEnded { problem: Some(problem), .. } => Some(problem),
            _ => None,
        }
    }

    /// Whether the service answered with a problem of this kind, for instance `chat-not-found`.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        matches!(self, Self::Problem { problem, .. } if problem.is(code))
    }

    /// Whether the same request may succeed when it is sent once more.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            // What was wrong with the request before it was sent stays wrong.
            Self::NoAnswer(error) => !error.is_builder(),
            // 429 and 503 mean "later" whoever says them, a proxy too.
            Self::Problem { problem, .. } => problem.retryable || matches!(problem.status, 429 | 503),
            Self::UnexpectedAnswer { status, .. } => matches!(status, 429 | 503),
            _ => false,
        }
    }

    /// For how long the service asked not to be called again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } | Self::UnexpectedAnswer { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
