//! What people can do behind an invitation link.

use convoke_domain::{ChatTitle, ParticipantId};

/// What somebody does in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Comes in: by the link alone, or brought in by somebody who is in.
    Join {
        /// The handle: who it is, in all chats of the tenant.
        username: String,
        /// First name; where it is left out, what was known stays.
        firstname: Option<String>,
        /// Last name; where it is left out, what was known stays.
        lastname: Option<String>,
        /// Who brings them in.
        invited_by: Option<ParticipantId>,
    },
    /// Goes.
    Leave {
        /// Who.
        participant: ParticipantId,
    },
    /// Gives the group another title.
    Rename {
        /// Who does it.
        participant: ParticipantId,
        /// The title.
        title: ChatTitle,
    },
    /// Ends the group.
    Close {
        /// Who does it.
        participant: ParticipantId,
    },
}
