//! Identifiers. Each kind is a type of its own, so that none is taken for another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::{Mistake, MistakeCode};

/// Reads a hyphenated UUID, in either case; the other forms that a UUID can be written in are mistakes (`contract.md`).
fn parse_hyphenated(text: &str) -> Result<Uuid, Mistake> {
    match Uuid::try_parse(text) {
        Ok(uuid) if text.len() == uuid::fmt::Hyphenated::LENGTH => Ok(uuid),
        _ => Err(Mistake::new(MistakeCode::InvalidFormat, "must be a hyphenated UUID")),
    }
}

macro_rules! uuid_id {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        ///
        /// ```
        #[doc = concat!("use convoke_domain::", stringify!($name), ";")]
        ///
        #[doc = concat!("let id: ", stringify!($name), " = \"9A983789-1709-4543-AA31-A02867680017\".parse()?;")]
        /// assert_eq!(id.to_string(), "9a983789-1709-4543-aa31-a02867680017");
        /// # Ok::<(), convoke_domain::Mistake>(())
        /// ```
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = $what))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = Mistake;

            fn from_str(text: &str) -> Result<Self, Mistake> {
                parse_hyphenated(text).map(Self)
            }
        }
    };
}

uuid_id!(ChatId, "A chat: given by the service at registration, or chosen by the client.");
uuid_id!(ParticipantId, "A person as the record shows them: the same in every chat of a tenant.");
uuid_id!(OperationId, "A piece of work that outlives the request that asked for it.");
uuid_id!(TokenId, "A bearer token, for listing and revoking it; it is no secret.");

impl ChatId {
    /// Takes a chat id that a client chose: a hyphenated UUID of version 4 (`contract.md`, `id`).
    ///
    /// # Errors
    /// `invalidFormat` for anything else.
    ///
    /// ```
    /// use convoke_domain::ChatId;
    ///
    /// assert!(ChatId::chosen_by_client("9a983789-1709-4543-aa31-a02867680017").is_ok());
    /// assert!(ChatId::chosen_by_client("00000000-0000-0000-0000-000000000000").is_err());
    /// ```
    pub fn chosen_by_client(text: &str) -> Result<Self, Mistake> {
        let uuid = parse_hyphenated(text)?;
        if uuid.get_version() == Some(uuid::Version::Random) && uuid.get_variant() == uuid::Variant::RFC4122 {
            Ok(Self(uuid))
        } else {
            Err(Mistake::new(MistakeCode::InvalidFormat, "must be a UUID of version 4"))
        }
    }
}

/// Whose data it is. Letters, digits, `-`, `_` and `.`; 1 to 64 of them.
///
/// ```
/// use convoke_domain::TenantId;
///
/// assert!("acme-2.eu".parse::<TenantId>().is_ok());
/// assert!("acme & sons".parse::<TenantId>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TenantId(String);

impl TenantId {
    /// The longest tenant name, in characters.
    ///
    /// ```
    /// use convoke_domain::TenantId;
    ///
    /// assert!("x".repeat(TenantId::MAX_LENGTH).parse::<TenantId>().is_ok());
    /// assert!("x".repeat(TenantId::MAX_LENGTH + 1).parse::<TenantId>().is_err());
    /// ```
    pub const MAX_LENGTH: usize = 64;

    /// The name.
    ///
    /// ```
    /// use convoke_domain::TenantId;
    ///
    /// let tenant: TenantId = "acme".parse()?;
    /// assert_eq!(tenant.as_str(), "acme");
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        if text.is_empty() {
            return Err(Mistake::new(MistakeCode::Required, "a tenant must have a name"));
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(Mistake::new(
                MistakeCode::TooLong,
                format!("must have at most {} characters", Self::MAX_LENGTH),
            ));
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return Err(Mistake::new(
                MistakeCode::InvalidCharacter,
                "may hold ASCII letters, digits, '-', '_' and '.'",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for TenantId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hyphenated_uuids_are_ids() {
        let text = "9a983789-1709-4543-aa31-a02867680017";
        assert_eq!(text.parse::<ChatId>().unwrap().to_string(), text);
        assert_eq!(text.to_uppercase().parse::<ChatId>().unwrap().to_string(), text);
        for wrong in [
            "",
            "9a98378917094543aa31a02867680017",
            "{9a983789-1709-4543-aa31-a02867680017}",
            "urn:uuid:9a983789-1709-4543-aa31-a02867680017",
            "1",
        ] {
            assert_eq!(wrong.parse::<ChatId>().unwrap_err().code, MistakeCode::InvalidFormat, "{wrong}");
        }
    }

    #[test]
    fn a_client_chooses_version_4_only() {
        assert!(ChatId::chosen_by_client("9a983789-1709-4543-aa31-a02867680017").is_ok());
        assert!(ChatId::chosen_by_client("9a983789-1709-7543-aa31-a02867680017").is_err());
        assert!(ChatId::chosen_by_client("00000000-0000-0000-0000-000000000000").is_err());
        assert!(ChatId::chosen_by_client("9a983789-1709-4543-ca31-a02867680017").is_err());
    }

    #[test]
    fn tenants_have_plain_names() {
        assert_eq!("acme-2.eu".parse::<TenantId>().unwrap().as_str(), "acme-2.eu");
        for wrong in ["", "a b", "ä", &"x".repeat(65)] {
            assert!(wrong.parse::<TenantId>().is_err(), "{wrong}");
        }
    }
}
