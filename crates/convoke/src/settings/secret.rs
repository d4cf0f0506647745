//! The forms of values that are secret. What is said about one that won't do never shows it.

use std::str::FromStr;

use convoke_store::DatabaseUrl;
use convoke_telegram::{StringSession, StringSessionError};
use secrecy::SecretString;

/// The hash of an application of Telegram.
#[derive(Debug, Clone)]
pub struct ApiHash(pub SecretString);

impl FromStr for ApiHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const LENGTH: usize = 32;
        if text.len() != LENGTH || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("is no hash of an application".to_owned());
        }
        Ok(Self(text.into()))
    }
}

/// Where a read replica is.
#[derive(Debug, Clone)]
pub struct ReadUrl(pub SecretString);

impl FromStr for ReadUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse()? {
            DatabaseUrl::Postgres(url) => Ok(Self(url)),
            DatabaseUrl::Sqlite(_) => Err("only PostgreSQL has read replicas".to_owned()),
        }
    }
}

/// A session of Telegram, as Telethon writes it.
#[derive(Debug, Clone)]
pub struct Session(pub SecretString);

impl FromStr for Session {
    type Err = StringSessionError;

    fn from_str(text: &str) -> Result<Self, StringSessionError> {
        text.parse::<StringSession>()?;
        Ok(Self(text.into()))
    }
}
