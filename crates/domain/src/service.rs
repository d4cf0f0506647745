//! The messengers that a chat can be made on, and what each of them allows.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Mistake, MistakeCode};

/// A messenger.
///
/// ```
/// use convoke_domain::Service;
///
/// assert_eq!("telegram".parse::<Service>()?, Service::Telegram);
/// # Ok::<(), convoke_domain::Mistake>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = "A messenger."))]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The messenger that lives in Convoke, for trying everything out.
    Sandbox,
    /// Telegram: the chat is a supergroup.
    Telegram,
}

/// A limit of a service on the length of a text, in its own unit.
///
/// ```
/// use convoke_domain::{Service, Utf16Limit};
///
/// assert_eq!(Service::Telegram.title_limit(), Some(Utf16Limit(128)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utf16Limit(pub usize);

impl Utf16Limit {
    /// Whether `text` is within the limit.
    ///
    /// ```
    /// use convoke_domain::Utf16Limit;
    ///
    /// // One character beyond the basic plane is two UTF-16 code units.
    /// assert!(Utf16Limit(2).admits("😀"));
    /// assert!(!Utf16Limit(2).admits("😀!"));
    /// ```
    #[must_use]
    pub fn admits(self, text: &str) -> bool {
        text.encode_utf16().count() <= self.0
    }
}

impl Service {
    /// Every service there is.
    ///
    /// ```
    /// use convoke_domain::Service;
    ///
    /// assert!(Service::ALL.contains(&Service::Sandbox));
    /// ```
    pub const ALL: [Self; 2] = [Self::Sandbox, Self::Telegram];

    /// Its name in the contract.
    ///
    /// ```
    /// use convoke_domain::Service;
    ///
    /// assert_eq!(Service::Sandbox.as_str(), "sandbox");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Telegram => "telegram",
        }
    }

    /// Its name as it writes it itself, for sentences.
    ///
    /// ```
    /// use convoke_domain::Service;
    ///
    /// assert_eq!(Service::Telegram.display_name(), "Telegram");
    /// ```
    #[must_use]
    pub const fn display_name(self) -> &'static str {
        match self {
            Self::Sandbox => "the sandbox",
            Self::Telegram => "Telegram",
        }
    }

    /// How long a title it takes, where that is less than the contract's own limit (`contract.md`, `title`).
    ///
    /// ```
    /// use convoke_domain::Service;
    ///
    /// assert_eq!(Service::Sandbox.title_limit(), None);
    /// ```
    #[must_use]
    pub const fn title_limit(self) -> Option<Utf16Limit> {
        match self {
            Self::Sandbox => None,
            Self::Telegram => Some(Utf16Limit(128)),
        }
    }

    /// How long a description it takes, where that is less than the contract's own limit.
    ///
    /// ```
    /// use convoke_domain::{Service, Utf16Limit};
    ///
    /// assert_eq!(Service::Telegram.description_limit(), Some(Utf16Limit(255)));
    /// ```
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
