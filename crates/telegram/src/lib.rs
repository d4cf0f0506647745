//! Telegram, by user accounts of the service: groups are supergroups that one of them owns.
//!
//! Nothing of Telegram's schema leaves this crate.

#[allow(dead_code, reason = "what drives it is to come")]
mod feed;
#[allow(dead_code, reason = "the feed, which is to come, uses it")]
mod group_state;
mod settings;

pub use settings::TelegramSettings;
