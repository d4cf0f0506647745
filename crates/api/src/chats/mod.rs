//! Chats: registering, reading, listing and inviting, a file each.

pub(crate) mod detail;
pub(crate) mod invitation;
pub(crate) mod list;
pub(crate) mod register;

use convoke_domain::ChatId;

use crate::problem::{Problem, ProblemKind};

/// Where a chat is.
pub(crate) fn location(id: ChatId) -> String {
    format!("/api/v1/private/chats/{id}")
}

/// The answer where there is no such chat, or it is another tenant's.
pub(crate) fn not_found() -> Problem {
    Problem::new(ProblemKind::ChatNotFound, "There is no such chat.")
}
