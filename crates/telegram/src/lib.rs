//! Telegram, by user accounts of the service: groups are supergroups that one of them owns.
//!
//! Nothing of Telegram's schema leaves this crate.

#[allow(dead_code, reason = "the feed, which is to come, uses it")]
mod group_state;
mod sealing;
mod settings;
mod string_session;

pub use sealing::{SecretsKey, SecretsKeyError, UnsealError};
pub use settings::TelegramSettings;
pub use string_session::{StringSession, StringSessionError};
