//! What a token allows.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Mistake, MistakeCode};

/// One permission (`contract.md`, the scope beside each operation).
///
/// ```
/// use convoke_domain::Scope;
///
/// assert_eq!("chats:read".parse::<Scope>()?, Scope::ChatsRead);
/// # Ok::<(), convoke_domain::Mistake>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Reading chats, their invitations and operations.
    #[serde(rename = "chats:read")]
    ChatsRead,
    /// Registering chats and removing participants.
    #[serde(rename = "chats:write")]
    ChatsWrite,
}

impl Scope {
    /// Every scope there is.
    ///
    /// ```
    /// use convoke_domain::Scope;
    ///
    /// assert_eq!(Scope::ALL.map(Scope::as_str).join(" "), "chats:read chats:write");
    /// ```
    pub const ALL: [Self; 2] = [Self::ChatsRead, Self::ChatsWrite];

    /// Its name in the contract.
    ///
    /// ```
    /// use convoke_domain::Scope;
    ///
    /// assert_eq!(Scope::ChatsWrite.as_str(), "chats:write");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatsRead => "chats:read",
            Self::ChatsWrite => "chats:write",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Mistake::new(MistakeCode::Unknown, format!("is no known scope; known are: {known}"))
        })
    }
}
