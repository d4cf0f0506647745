//! Secrets at rest: sealed with a key that the configuration gives, so that the database alone opens no account.

use std::{fmt, str::FromStr};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use convoke_domain::{Environment, Service};
use data_encoding::BASE64;

/// How a sealed secret begins: the form it is in. What follows is the nonce, then the sealed bytes.
const FORM: u8 = 1;

/// How long a nonce is, in bytes: long enough to be drawn by chance.
const NONCE_LENGTH: usize = 24;

/// The key that secrets of accounts are sealed with. It does not print itself.
#[derive(Clone)]
pub struct SecretsKey(XChaCha20Poly1305);

/// A text is no key; it is not repeated here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secrets key is the base64 of 32 random bytes, as `openssl rand -base64 32` prints it")]
pub struct SecretsKeyError;

/// A secret can't be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret was sealed with another key, for another account, or was changed since")]
pub struct UnsealError;

impl SecretsKey {
    /// Seals what opens the account of this name, and of no other.
    ///
    /// # Panics
    /// If `secret` is longer than 256 GB.
    #[must_use]
    pub fn seal(&self, service: Service, account: &str, secret: &[u8], environment: &dyn Environment) -> Vec<u8> {
        let mut nonce = [0; NONCE_LENGTH];
        environment.fill_random(&mut nonce);
        let aad = associated_data(service, account);
        let payload = Payload { msg: secret, aad: aad.as_bytes() };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).expect("a secret is short");
        [&[FORM], nonce.as_slice(), &sealed].concat()
    }

    /// Opens what [`Self::seal`] sealed.
    ///
    /// # Errors
    /// If it is not what was sealed with this key for this account.
    pub fn open(&self, service: Service, account: &str, sealed: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let sealed = sealed.strip_prefix(&[FORM]).ok_or(UnsealError)?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LENGTH>().ok_or(UnsealError)?;
        let aad = associated_data(service, account);
        let payload = Payload { msg: sealed, aad: aad.as_bytes() };
        self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| UnsealError)
    }
}

/// What a sealed secret is bound to, so that it can't be put beside another account's name.
fn associated_data(service: Service, account: &str) -> String {
    format!("convoke {service} {account}")
}

impl FromStr for SecretsKey {
    type Err = SecretsKeyError;

    fn from_str(text: &str) -> Result<Self, SecretsKeyError> {
        let bytes = BASE64.decode(text.trim().as_bytes()).map_err(|_| SecretsKeyError)?;
        let key = XChaCha20Poly1305::new_from_slice(&bytes).map_err(|_| SecretsKeyError)?;
        Ok(Self(key))
    }
}

impl fmt::Debug for SecretsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretsKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use convoke_test_support::TestEnvironment;

    use super::*;

    const SECRET: &[u8] = b"what opens the account";

    fn key(byte: u8) -> SecretsKey {
        BASE64.encode(&[byte; 32]).parse().unwrap()
    }

    #[test]
    fn a_secret_is_opened_by_its_key_for_its_account_only() {
        let sealed = key(1).seal(Service::Telegram, "one", SECRET, &TestEnvironment::new());
        assert_eq!(key(1).open(Service::Telegram, "one", &sealed).as_deref(), Ok(SECRET));
        assert_eq!(key(2).open(Service::Telegram, "one", &sealed), Err(UnsealError));
        assert_eq!(key(1).open(Service::Telegram, "two", &sealed), Err(UnsealError));
        assert_eq!(key(1).open(Service::Sandbox, "one", &sealed), Err(UnsealError));
        assert!(!sealed.windows(SECRET.len()).any(|window| window == SECRET));
    }

    #[test]
    fn what_was_changed_or_cut_is_not_opened() {
        let sealed = key(1).seal(Service::Telegram, "one", SECRET, &TestEnvironment::new());
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(key(1).open(Service::Telegram, "one", &changed), Err(UnsealError), "byte {place}");
            assert_eq!(key(1).open(Service::Telegram, "one", &sealed[..place]), Err(UnsealError), "cut at {place}");
        }
    }

    #[test]
    fn a_secret_sealed_twice_looks_different() {
        let environment = TestEnvironment::new();
        let seal = || key(1).seal(Service::Telegram, "one", SECRET, &environment);
        assert_ne!(seal(), seal());
    }

    #[test]
    fn a_key_is_32_bytes_of_base64_and_is_not_shown() {
        let text = BASE64.encode(&[7; 32]);
        assert!(format!(" {text}\n").parse::<SecretsKey>().is_ok());
        assert_eq!(format!("{:?}", key(7)), "SecretsKey(..)");
        for wrong in ["", "secret", &BASE64.encode(&[7; 31]), &BASE64.encode(&[7; 33]), &text[1..]] {
            assert_eq!(wrong.parse::<SecretsKey>().unwrap_err(), SecretsKeyError, "{wrong}");
        }
    }
}
