//! What follows from a call that did not succeed.
//!
//! Sources: `telegram.md`; <https://core.telegram.org/api/errors>.

use std::time::Duration;

use convoke_provider::ProviderError;
use grammers_client::{InvocationError, sender::RpcError};
use grammers_mtproto::transport;

use crate::session::SessionError;

/// How long to wait where Telegram says to wait, but not for how long.
const UNTOLD_WAIT: Duration = Duration::from_mins(1);

/// How long to wait before a call that could not even be sent.
pub(crate) const RECONNECT: Duration = Duration::from_secs(2);

/// Why a call did not succeed. The texts hold Telegram's own names for errors, never secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing was done; the account is to wait this long.
    Wait(Duration),
    /// Nothing was done; the account can make no more groups.
    Full(String),
    /// Nothing was done; the account can't be used, but its session is good.
    Restricted(String),
    /// Nothing was done; the session opens nothing any more.
    SessionGone(String),
    /// Nothing was sent.
    NotSent(String),
    /// It may have been done, or not.
    Unknown(String),
    /// Nothing was done, for it is the affair of another data centre: this one.
    Elsewhere(i32),
    /// Nothing was done, and never will be: Telegram's name for the reason.
    Rejected(String),
}

impl Failure {
    /// Whether Telegram refused by this name.
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Self::Rejected(rejected) if rejected == name)
    }

    /// Whether the server has no such method, as others than Telegram itself may.
    pub fn is_unsupported(&self) -> bool {
        let names = ["INPUT_METHOD_INVALID", "METHOD_INVALID", "METHOD_NOT_FOUND"];
        matches!(self, Self::Rejected(rejected) if names.iter().any(|name| rejected.starts_with(name)))
    }

    /// Whether Telegram says that there is no such group, or none for us.
    pub fn is_group_gone(&self) -> bool {
        ["CHANNEL_PRIVATE", "CHANNEL_INVALID"].into_iter().any(|name| self.is(name))
    }
}

impl From<Failure> for ProviderError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Wait(time) => Self::RetryAfter(time),
            Failure::NotSent(_) => Self::RetryAfter(RECONNECT),
            Failure::Full(reason) | Failure::Restricted(reason) | Failure::SessionGone(reason) => {
                Self::AccountUnusable(reason)
            }
            Failure::Unknown(reason) => Self::Unknown(reason),
            Failure::Elsewhere(dc) => Self::Rejected(format!("it is the affair of data centre {dc}")),
            Failure::Rejected(name) => Self::Rejected(name),
        }
    }
}

impl From<InvocationError> for Failure {
    fn from(error: InvocationError) -> Self {
        match error {
            InvocationError::Rpc(error) => of_rpc(&error),
            InvocationError::Session(error) => match error.downcast_ref() {
                Some(SessionError::KeyRefused) => Self::SessionGone(error.to_string()),
                // The session is asked before anything is sent.
                _ => Self::NotSent(error.to_string()),
            },
            InvocationError::InvalidDc | InvocationError::Authentication(_) => Self::NotSent(error.to_string()),
            InvocationError::Transport(transport::Error::BadStatus { status: 404 }) => {
                Self::SessionGone("the key of the session is not known there".to_owned())
            }
            InvocationError::Io(_)
            | InvocationError::Deserialize(_)
            | InvocationError::Transport(_)
            | InvocationError::Dropped(_) => Self::Unknown(error.to_string()),
        }
    }
}

/// What failed before anything was sent.
pub(crate) fn not_sent(error: impl std::fmt::Display) -> Failure {
    Failure::NotSent(error.to_string())
}

fn of_rpc(error: &RpcError) -> Failure {
    let name = error.name.clone();
    match name.as_str() {
        "CHANNELS_TOO_MUCH" | "CHANNELS_ADMIN_PUBLIC_TOO_MUCH" | "USER_CHANNELS_TOO_MUCH" => Failure::Full(name),
        "PEER_FLOOD" | "USER_RESTRICTED" | "FROZEN_METHOD_INVALID" => Failure::Restricted(name),
        "AUTH_KEY_DUPLICATED"
        | "AUTH_KEY_INVALID"
        | "AUTH_KEY_UNREGISTERED"
        | "SESSION_EXPIRED"
        | "SESSION_REVOKED"
        | "USER_DEACTIVATED"
        | "USER_DEACTIVATED_BAN" => Failure::SessionGone(name),
        // Asked for by a login only, which goes on then.
        "SESSION_PASSWORD_NEEDED" => Failure::Rejected(name),
        _ => match error.code {
            303 => match error.value.and_then(|dc| i32::try_from(dc).ok()) {
                Some(dc) => Failure::Elsewhere(dc),
                None => Failure::Rejected(name),
            },
            401 => Failure::SessionGone(name),
            420 => Failure::Wait(error.value.map_or(UNTOLD_WAIT, |seconds| Duration::from_secs(seconds.into()))),
            // Telegram's own time-outs come as -503.
            code if code.unsigned_abs() >= 500 => Failure::Unknown(format!("{code} {name}")),
            _ => Failure::Rejected(name),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use convoke_provider::StorageError;
    use grammers_client::tl;

    use super::*;

    /// An error as it comes over the wire: grammers takes the number out of its name.
    fn rpc(code: i32, message: &str) -> InvocationError {
        let error = tl::types::RpcError { error_code: code, error_message: message.to_owned() };
        InvocationError::Rpc(RpcError::from(error).with_caused_by(0x9100_6707))
    }

    fn wait(seconds: u64) -> ProviderError {
        ProviderError::RetryAfter(Duration::from_secs(seconds))
    }

    fn rejected(name: &str) -> ProviderError {
        ProviderError::Rejected(name.to_owned())
    }

    fn unusable(name: &str) -> ProviderError {
        ProviderError::AccountUnusable(name.to_owned())
    }

    #[test]
    fn waits_are_exact() {
        for (message, seconds) in [
            ("FLOOD_WAIT_31", 31),
            ("FLOOD_WAIT_14229", 14_229),
            ("FLOOD_WAIT_0", 0),
            ("FLOOD_PREMIUM_WAIT_5", 5),
            ("SLOWMODE_WAIT_12", 12),
            ("FLOOD_WAIT", 60),
        ] {
            assert_eq!(ProviderError::from(Failure::from(rpc(420, message))), wait(seconds), "{message}");
        }
    }

    #[test]
    fn what_rpc_errors_mean() {
        let full = |name: &str| (Failure::Full(name.to_owned()), unusable(name));
        let restricted = |name: &str| (Failure::Restricted(name.to_owned()), unusable(name));
        let gone = |name: &str| (Failure::SessionGone(name.to_owned()), unusable(name));
        let refused = |name: &str| (Failure::Rejected(name.to_owned()), rejected(name));
        let unknown = |text: &str| (Failure::Unknown(text.to_owned()), ProviderError::Unknown(text.to_owned()));
        for (code, message, (failure, error)) in [
            (400, "CHANNELS_TOO_MUCH", full("CHANNELS_TOO_MUCH")),
            (400, "CHANNELS_ADMIN_PUBLIC_TOO_MUCH", full("CHANNELS_ADMIN_PUBLIC_TOO_MUCH")),
            (403, "USER_CHANNELS_TOO_MUCH", full("USER_CHANNELS_TOO_MUCH")),
            (400, "PEER_FLOOD", restricted("PEER_FLOOD")),
            (403, "USER_RESTRICTED", restricted("USER_RESTRICTED")),
            (420, "FROZEN_METHOD_INVALID", restricted("FROZEN_METHOD_INVALID")),
            (401, "AUTH_KEY_UNREGISTERED", gone("AUTH_KEY_UNREGISTERED")),
            (401, "AUTH_KEY_INVALID", gone("AUTH_KEY_INVALID")),
            (401, "AUTH_KEY_PERM_EMPTY", gone("AUTH_KEY_PERM_EMPTY")),
            (401, "SESSION_REVOKED", gone("SESSION_REVOKED")),
            (401, "SESSION_EXPIRED", gone("SESSION_EXPIRED")),
            (401, "USER_DEACTIVATED", gone("USER_DEACTIVATED")),
            (401, "USER_DEACTIVATED_BAN", gone("USER_DEACTIVATED_BAN")),
            (406, "AUTH_KEY_DUPLICATED", gone("AUTH_KEY_DUPLICATED")),
            (401, "SESSION_PASSWORD_NEEDED", refused("SESSION_PASSWORD_NEEDED")),
            (400, "CHAT_TITLE_EMPTY", refused("CHAT_TITLE_EMPTY")),
            (400, "CHANNEL_PRIVATE", refused("CHANNEL_PRIVATE")),
            (400, "INPUT_USER_DEACTIVATED", refused("INPUT_USER_DEACTIVATED")),
            (403, "CHAT_ADMIN_REQUIRED", refused("CHAT_ADMIN_REQUIRED")),
            (303, "USER_MIGRATE_4", (Failure::Elsewhere(4), rejected("it is the affair of data centre 4"))),
            (500, "RPC_CALL_FAIL", unknown("500 RPC_CALL_FAIL")),
            (503, "Timeout", unknown("503 Timeout")),
            (-503, "Timeout", unknown("-503 Timeout")),
        ] {
            let of_message = Failure::from(rpc(code, message));
            assert_eq!(of_message, failure, "{code} {message}");
            assert_eq!(ProviderError::from(of_message), error, "{code} {message}");
        }
    }

    #[test]
    fn what_other_errors_mean() {
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        for error in [
            InvocationError::Io(reset()),
            InvocationError::Dropped("the runner"),
            InvocationError::Transport(transport::Error::BadStatus { status: 429 }),
            InvocationError::Transport(transport::Error::BadCrc { expected: 1, got: 2 }),
            tl::deserialize::Error::UnexpectedEof.into(),
        ] {
            let shown = format!("{error:?}");
            assert!(matches!(Failure::from(error), Failure::Unknown(_)), "{shown}");
        }
        let gone = [
            InvocationError::Transport(transport::Error::BadStatus { status: 404 }),
            InvocationError::Session(SessionError::KeyRefused.into()),
        ];
        for error in gone {
            let shown = format!("{error:?}");
            assert!(matches!(Failure::from(error), Failure::SessionGone(_)), "{shown}");
        }
        let not_sent = [
            InvocationError::InvalidDc,
            InvocationError::Session(SessionError::Storage(StorageError(reset().into())).into()),
        ];
        for error in not_sent {
            let shown = format!("{error:?}");
            assert_eq!(ProviderError::from(Failure::from(error)), wait(2), "{shown}");
        }
    }

    #[test]
    fn names_are_told_apart() {
        let private = Failure::from(rpc(400, "CHANNEL_PRIVATE"));
        assert!(private.is("CHANNEL_PRIVATE") && private.is_group_gone());
        assert!(Failure::from(rpc(400, "CHANNEL_INVALID")).is_group_gone());
        assert!(!Failure::from(rpc(400, "USER_NOT_PARTICIPANT")).is_group_gone());
        assert!(!Failure::Unknown("CHANNEL_PRIVATE".into()).is_group_gone());
        assert!(Failure::from(rpc(400, "INPUT_METHOD_INVALID_1192227_X")).is_unsupported());
        assert!(!private.is_unsupported());
    }
}
