//! Telegram, by user accounts of the service: groups are supergroups that one of them owns.
//!
//! Nothing of Telegram's schema leaves this crate.

mod settings;

pub use settings::TelegramSettings;
