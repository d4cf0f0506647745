//! Texts that clients send. Lengths count as sent, what is kept is trimmed, control characters are mistakes
//! (`contract.md`, "Rules for every operation").

use std::fmt;

use serde::Serialize;

use crate::{Mistake, MistakeCode, Service, service::Utf16Limit};

/// Checks `sent` and returns what is left of it once trimmed.
fn trimmed(sent: &str, max_chars: usize, allowed_controls: &[char]) -> Result<String, Mistake> {
    if sent.chars().count() > max_chars {
        return Err(Mistake::new(MistakeCode::TooLong, format!("must have at most {max_chars} characters")));
    }
    if let Some(control) = sent.chars().find(|c| c.is_control() && !allowed_controls.contains(c)) {
        return Err(Mistake::new(
            MistakeCode::InvalidCharacter,
            format!("must not hold the control character U+{:04X}", u32::from(control)),
        ));
    }
    Ok(sent.trim().to_owned())
}

fn check_service_limit(sent: &str, limit: Option<Utf16Limit>, service: Service) -> Result<(), Mistake> {
    match limit {
        Some(limit) if !limit.admits(sent) => Err(Mistake::new(
            MistakeCode::TooLong,
            format!("must have at most {} UTF-16 code units, the limit of {}", limit.0, service.display_name()),
        )),
        _ => Ok(()),
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $made:literal) => {
        $(#[$doc])*
        ///
        /// ```
        #[doc = concat!("let text = convoke_domain::", $made, ";")]
        /// assert_eq!(serde_json::to_value(&text)?, "Kick-off");
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text, trimmed.
            ///
            /// ```
            #[doc = concat!("let text = convoke_domain::", $made, ";")]
            /// assert_eq!(text.as_str(), "Kick-off");
            /// # Ok::<(), convoke_domain::Mistake>(())
            /// ```
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text! {
    /// The title that a chat is registered under: 1–255 characters, and within the service's own limit.
    ChatTitle, "ChatTitle::new(\" Kick-off \", convoke_domain::Service::Sandbox)?"
}
text! {
    /// Who had a chat registered, in the client's own words: at most 50 characters.
    CreatedBy, "CreatedBy::new(\" Kick-off \")?.expect(\"not blank\")"
}
text! {
    /// What a chat is about: at most 255 characters, line feed and tab allowed, and within the service's own limit.
    Description, "Description::new(\" Kick-off \", convoke_domain::Service::Sandbox)?.expect(\"not blank\")"
}

impl ChatTitle {
    /// The longest title, in characters as sent.
    ///
    /// ```
    /// use convoke_domain::{ChatTitle, Service};
    ///
    /// assert!(ChatTitle::new(&"x".repeat(ChatTitle::MAX_CHARS), Service::Sandbox).is_ok());
    /// ```
    pub const MAX_CHARS: usize = 255;

    /// Takes the title that a client sent for a chat on `service`.
    ///
    /// # Errors
    /// `tooLong`, `invalidCharacter`, or `required` if nothing but white space was sent.
    ///
    /// ```
    /// use convoke_domain::{ChatTitle, MistakeCode, Service};
    ///
    /// assert_eq!(ChatTitle::new("  Kick-off ", Service::Sandbox)?.as_str(), "Kick-off");
    /// assert_eq!(ChatTitle::new("  ", Service::Sandbox).unwrap_err().code, MistakeCode::Required);
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    pub fn new(sent: &str, service: Service) -> Result<Self, Mistake> {
        let title = trimmed(sent, Self::MAX_CHARS, &[])?;
        check_service_limit(sent, service.title_limit(), service)?;
        if title.is_empty() {
            return Err(Mistake::new(MistakeCode::Required, "must not be blank"));
        }
        Ok(Self(title))
    }
}

impl CreatedBy {
    /// The longest, in characters as sent.
    ///
    /// ```
    /// use convoke_domain::CreatedBy;
    ///
    /// assert!(CreatedBy::new(&"x".repeat(CreatedBy::MAX_CHARS + 1)).is_err());
    /// ```
    pub const MAX_CHARS: usize = 50;

    /// Takes what a client sent; blank is as if absent.
    ///
    /// # Errors
    /// `tooLong` or `invalidCharacter`.
    ///
    /// ```
    /// use convoke_domain::CreatedBy;
    ///
    /// assert_eq!(CreatedBy::new(" ada ")?.expect("not blank").as_str(), "ada");
    /// assert_eq!(CreatedBy::new("  ")?, None);
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    pub fn new(sent: &str) -> Result<Option<Self>, Mistake> {
        let text = trimmed(sent, Self::MAX_CHARS, &[])?;
        Ok((!text.is_empty()).then_some(Self(text)))
    }
}

impl Description {
    /// The longest, in characters as sent.
    ///
    /// ```
    /// use convoke_domain::{Description, Service};
    ///
    /// assert!(Description::new(&"x".repeat(Description::MAX_CHARS), Service::Telegram).is_ok());
    /// ```
    pub const MAX_CHARS: usize = 255;

    /// Takes what a client sent for a chat on `service`; blank is as if absent.
    ///
    /// # Errors
    /// `tooLong` or `invalidCharacter`.
    ///
    /// ```
    /// use convoke_domain::{Description, Service};
    ///
    /// let description = Description::new("First line\nSecond line", Service::Telegram)?;
    /// assert!(description.is_some());
    /// # Ok::<(), convoke_domain::Mistake>(())
    /// ```
    pub fn new(sent: &str, service: Service) -> Result<Option<Self>, Mistake> {
        let text = trimmed(sent, Self::MAX_CHARS, &['\n', '\t'])?;
        check_service_limit(sent, service.description_limit(), service)?;
        Ok((!text.is_empty()).then_some(Self(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_trimmed_but_counted_as_sent() {
        assert_eq!(ChatTitle::new("  Día 11 \u{2003}", Service::Sandbox).unwrap().as_str(), "Día 11");
        assert!(ChatTitle::new(&"é".repeat(255), Service::Sandbox).is_ok());
        let padded = format!("{} ", "x".repeat(255));
        assert_eq!(ChatTitle::new(&padded, Service::Sandbox).unwrap_err().code, MistakeCode::TooLong);
        assert_eq!(ChatTitle::new(" \u{a0} ", Service::Sandbox).unwrap_err().code, MistakeCode::Required);
    }

    #[test]
    fn control_characters_are_looked_for_before_trimming() {
        for sent in ["a\u{0}b", "a\n", "\tb", "a\u{85}", "\u{7f}"] {
            assert_eq!(
                ChatTitle::new(sent, Service::Sandbox).unwrap_err().code,
                MistakeCode::InvalidCharacter,
                "{sent:?}"
            );
            assert_eq!(CreatedBy::new(sent).unwrap_err().code, MistakeCode::InvalidCharacter, "{sent:?}");
        }
        assert_eq!(Description::new("one\n\ttwo\n", Service::Sandbox).unwrap().unwrap().as_str(), "one\n\ttwo");
        assert_eq!(Description::new("one\r\ntwo", Service::Sandbox).unwrap_err().code, MistakeCode::InvalidCharacter);
    }

    #[test]
    fn optional_texts_that_are_blank_are_absent() {
        assert_eq!(CreatedBy::new("  ").unwrap(), None);
        assert_eq!(Description::new(" \n ", Service::Telegram).unwrap(), None);
        assert_eq!(CreatedBy::new(&"x".repeat(51)).unwrap_err().code, MistakeCode::TooLong);
    }

    #[test]
    fn a_service_counts_in_its_own_unit_and_is_named() {
        // One character beyond the basic plane is two UTF-16 code units.
        let emoji = "😀".repeat(65);
        assert!(ChatTitle::new(&emoji, Service::Sandbox).is_ok());
        let mistake = ChatTitle::new(&emoji, Service::Telegram).unwrap_err();
        assert_eq!(mistake.code, MistakeCode::TooLong);
        assert!(mistake.detail.contains("128") && mistake.detail.contains("Telegram"), "{}", mistake.detail);
        assert!(ChatTitle::new(&"😀".repeat(64), Service::Telegram).is_ok());
        assert!(Description::new(&"😀".repeat(128), Service::Telegram).is_err());
    }
}
