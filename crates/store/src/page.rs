//! What lists answer with.

use convoke_domain::WalkPosition;

/// A page of chats.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatPage {
    /// The finished JSON of each chat, with commas between: what an array holds.
    pub documents: String,
    /// How many chats match in all.
    pub total: u64,
}

/// The next chats of a walk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatWalk {
    /// The finished JSON of each chat, with commas between: what an array holds.
    pub documents: String,
    /// Where the walk goes on, if it does.
    pub next: Option<WalkPosition>,
}
