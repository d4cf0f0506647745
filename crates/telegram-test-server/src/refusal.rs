//! Telegram's errors.

use std::fmt;

use grammers_tl_types::{self as tl, Serializable};

/// An error of Telegram's: a code like HTTP's, and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 400 for a call that is wrong, 401 for one without a login, 406, 420 to wait, 500 for trouble of the server's own.
    pub code: i32,
    /// As `FLOOD_WAIT_7` or `CHANNEL_PRIVATE`.
    pub name: String,
}

impl Refusal {
    /// A refusal of this code and name.
    #[must_use]
    pub fn new(code: i32, name: &str) -> Self {
        Self { code, name: name.to_owned() }
    }

    /// A refusal of a call that is wrong.
    pub(crate) fn bad(name: &str) -> Self {
        Self::new(400, name)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        tl::enums::RpcError::Error(tl::types::RpcError { error_code: self.code, error_message: self.name.clone() })
            .to_bytes()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} {}", self.code, self.name)
    }
}

impl std::error::Error for Refusal {}
