//! The messengers that a chat can be made on, and what each of them allows.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Mistake, MistakeCode};

/// A messenger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The messenger that lives in Convoke, for trying everything out.
    Sandbox,
    /// Telegram: the chat is a supergroup.
    Telegram,
}

/// A limit of a service on the length of a text, in its own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utf16Limit(pub usize);

impl Utf16Limit {
    /// Whether `text` is within the limit.
    #[must_use]
    pub fn admits(self, text: &str) -> bool {
        text.encode_utf16().count() <= self.0
    }
}

impl Service {
    /// Every service there is.
    pub const ALL: [Self; 2] = [Self::Sandbox, Self::Telegram];

    /// Its name in the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Telegram => "telegram",
        }
    }

    /// Its name as it writes it itself, for sentences.
    #[must_use]
    pub const fn display_name(self) -> &'static str {
        match self {
            Self::Sandbox => "the sandbox",
            Self::Telegram => "Telegram",
        }
    }

    /// How long a title it takes, where that is less than the contract's own limit (`contract.md`, `title`).
    #[must_use]
    pub const fn title_limit(self) -> Option<Utf16Limit> {
        match self {
            Self::Sandbox => None,
            Self::Telegram => Some(Utf16Limit(128)),
        }
    }

    /// How long a description it takes, where that is less than the contract's own limit.
    #[must_use]
    pub const fn description_limit(self) -> Option<Utf16Limit> {
        match self {
            Self::Sandbox => None,
            Self::Telegram => Some(Utf16Limit(255)),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Service {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        Self::ALL.into_iter().find(|service| service.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Mistake::new(MistakeCode::Unknown, format!("is no known service; known are: {known}"))
        })
    }
}
