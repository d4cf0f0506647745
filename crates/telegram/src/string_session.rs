//! A session as the Telegram world hands it around: Telethon's `StringSession`.
//!
//! `'1'`, then in base64url: the data centre (one byte), its address (4 bytes, or 16 for IPv6), the port (2 bytes, big
//! endian) and the auth key (256 bytes). Source: `telethon/sessions/string.py`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use data_encoding::{BASE64URL, BASE64URL_NOPAD};
use secrecy::SecretString;

/// The only version there is.
const VERSION: char = '1';

/// How long a key is, in bytes.
pub(crate) const KEY_LENGTH: usize = 256;

/// A data centre, and the key by which it knows us. Whoever has it is logged in: it does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct StringSession {
    /// The data centre's number.
    pub dc_id: u8,
    /// Where it is reached.
    pub address: SocketAddr,
    /// The auth key.
    pub auth_key: Box<[u8; KEY_LENGTH]>,
}

/// A text is no session; it is not repeated here, for it may be one that is mistyped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StringSessionError {
    /// It begins otherwise.
    #[error("a session begins with {VERSION}: this is none, or of another version")]
    Version,
    /// It is no base64.
    #[error("a session is base64url after its first character: this one has other characters or was cut")]
    Encoding,
    /// It does not hold what it should.
    #[error("a session holds a data centre, its address and a key of 256 bytes: this one is too long or was cut")]
    Length,
}

impl StringSession {
    /// The text that is handed around.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        let mut bytes = vec![self.dc_id];
        match self.address.ip() {
            IpAddr::V4(ip) => bytes.extend(ip.octets()),
            IpAddr::V6(ip) => bytes.extend(ip.octets()),
        }
        bytes.extend(self.address.port().to_be_bytes());
        bytes.extend(*self.auth_key);
        format!("{VERSION}{}", BASE64URL.encode(&bytes)).into()
    }
}

impl FromStr for StringSession {
    type Err = StringSessionError;

    /// Takes it with or without padding, and with white space wherever a terminal or a mail put it.
    fn from_str(text: &str) -> Result<Self, StringSessionError> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let text = text.strip_prefix(VERSION).ok_or(StringSessionError::Version)?;
        let bytes =
            BASE64URL_NOPAD.decode(text.trim_end_matches('=').as_bytes()).map_err(|_| StringSessionError::Encoding)?;
        read(&bytes).ok_or(StringSessionError::Length)
    }
}

fn read(bytes: &[u8]) -> Option<StringSession> {
    let (&dc_id, bytes) = bytes.split_first()?;
    let (bytes, auth_key) = bytes.split_last_chunk::<KEY_LENGTH>()?;
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    let ip = if let Ok(ip) = <[u8; 4]>::try_from(ip) {
        IpAddr::from(ip)
    } else {
        IpAddr::from(<[u8; 16]>::try_from(ip).ok()?)
    };
    let address = SocketAddr::new(ip, u16::from_be_bytes(*port));
    Some(StringSession { dc_id, address, auth_key: Box::new(*auth_key) })
}

impl fmt::Debug for StringSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dc_id, address, auth_key: _ } = self;
        f.debug_struct("StringSession").field("dc_id", dc_id).field("address", address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn session(address: &str) -> StringSession {
        let auth_key = std::array::from_fn(|i| u8::try_from(i).unwrap());
        StringSession { dc_id: 2, address: address.parse().unwrap(), auth_key: Box::new(auth_key) }
    }

    fn text(session: &StringSession) -> String {
        session.to_text().expose_secret().to_owned()
    }

    #[test]
    fn is_written_as_telethon_does() {
        // struct.pack('>B4sH256s', 2, inet_aton('149.154.167.51'), 443, bytes(range(256)))
        let text = text(&session("149.154.167.51:443"));
        assert!(text.starts_with("1ApWapzMBuwABAgMEBQYHCAkKCwwNDg8Q"), "{text}");
        assert!(text.ends_with("-Pn6-_z9_v8="), "{text}");
        assert_eq!(text.len(), 353);
    }

    #[test]
    fn is_read_as_it_was_written() {
        for address in ["149.154.167.51:443", "127.0.0.1:40001", "[2001:67c:4e8:f002::a]:443"] {
            let session = session(address);
            let text = text(&session);
            assert_eq!(text.parse(), Ok(session.clone()));
            assert_eq!(text.trim_end_matches('=').parse(), Ok(session.clone()));
            let spread = format!(" \n{} {}\r\n", &text[..100], &text[100..]);
            assert_eq!(spread.parse(), Ok(session));
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_repeated() {
        let text = text(&session("149.154.167.51:443"));
        let cases = [
            (String::new(), StringSessionError::Version),
            (text[1..].to_owned(), StringSessionError::Version),
            (format!("2{}", &text[1..]), StringSessionError::Version),
            (text.replace('-', "+"), StringSessionError::Encoding),
            (text[..201].to_owned(), StringSessionError::Length),
            (format!("1{}", BASE64URL.encode(&[7; 270])), StringSessionError::Length),
            ("1".to_owned(), StringSessionError::Length),
        ];
        for (wrong, error) in cases {
            assert_eq!(wrong.parse::<StringSession>(), Err(error));
            assert!(!format!("{error} {error:?}").contains("ApWap"));
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let shown = format!("{:?}", session("149.154.167.51:443"));
        assert_eq!(shown, "StringSession { dc_id: 2, address: 149.154.167.51:443, .. }");
    }
}
