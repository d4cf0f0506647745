//! Telegram, by user accounts of the service: groups are supergroups that one of them owns.
//!
//! Nothing of Telegram's schema leaves this crate.
#![allow(dead_code, reason = "what holds accounts and connects them is to come")]

mod call;
mod connection;
mod context;
mod feed;
mod group_state;
mod person;
mod sealing;
mod session;
mod settings;
mod string_session;
mod wire;

pub use sealing::{SecretsKey, SecretsKeyError, UnsealError};
pub use settings::TelegramSettings;
pub use string_session::{StringSession, StringSessionError};
