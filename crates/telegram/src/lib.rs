//! Telegram, by user accounts of the service: groups are supergroups that one of them owns.
//!
//! Nothing of Telegram's schema leaves this crate.

mod about;
mod call;
mod connection;
mod context;
mod create;
mod feed;
mod group_state;
mod held;
mod hold;
mod holder;
mod invitation;
mod login;
mod marker;
#[doc(hidden)]
pub mod parsers;
mod person;
mod remove;
mod sealing;
mod session;
mod settings;
mod string_session;
mod telegram;
mod wire;

pub use login::{AccountName, LoggedIn, LoggedOut, Login, LoginError, LoginPrompt};
pub use sealing::{SecretsKey, SecretsKeyError, UnsealError};
pub use settings::TelegramSettings;
pub use string_session::{StringSession, StringSessionError};
pub use telegram::Telegram;
