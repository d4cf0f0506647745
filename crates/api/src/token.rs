//! Bearer tokens: their text, how one is made, and how one is recognised.
//!
//! A token is `cvk_<prefix>_<secret>`: by the prefix it is found, the secret proves it. Only the SHA-256 of the whole
//! is kept, which is enough for 256 bits of chance.

use std::{fmt, time::Duration};

use convoke_domain::{Environment, Scope, TenantId, TokenId};
use convoke_store::NewToken;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

const MARK: &str = "cvk_";
const PREFIX_LENGTH: usize = 12;
/// 43 characters out of 62 are 256 bits.
const SECRET_LENGTH: usize = 43;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The text of a new token: shown once, then forgotten. `Debug` hides it.
pub struct PlainToken(SecretString);

impl PlainToken {
    /// The text, for whoever is to hold it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainToken(…)")
    }
}

/// Makes a token for `subject`, which opens what is the tenant's as far as `scopes` allow, for `ttl` or without end.
/// The second value is what the store keeps ([`convoke_store::SystemRepository::create_token`]).
#[must_use]
pub fn mint(
    environment: &dyn Environment,
    tenant: TenantId,
    subject: String,
    scopes: Vec<Scope>,
    ttl: Option<Duration>,
) -> (PlainToken, NewToken) {
    let prefix = random_text(environment, PREFIX_LENGTH);
    let plain = format!("{MARK}{prefix}_{}", random_text(environment, SECRET_LENGTH));
    let created_at = environment.now();
    let token = NewToken {
        id: TokenId(environment.new_uuid()),
        tenant,
        subject,
        scopes,
        prefix,
        hash: hash(&plain),
        created_at,
        expires_at: ttl.map(|ttl| created_at.plus(ttl)),
    };
    (PlainToken(plain.into()), token)
}

/// What is kept of a token, and compared.
pub(crate) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The prefix of what has the shape of a token.
pub(crate) fn prefix_of(token: &str) -> Option<&str> {
    let (prefix, secret) = token.strip_prefix(MARK)?.split_once('_')?;
    let is_text = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_text(prefix, PREFIX_LENGTH) && is_text(secret, SECRET_LENGTH)).then_some(prefix)
}

/// Letters and digits, each as likely as any other.
fn random_text(environment: &dyn Environment, length: usize) -> String {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut chance = [0; 64];
        environment.fill_random(&mut chance);
        // Of 256 values, 248 are four times the alphabet; the rest would favour its beginning.
        let fair = chance.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        text.extend(fair.take(length - text.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use convoke_domain::Timestamp;

    use super::*;

    /// Chance that counts upwards: every value comes up, those that would not be fair too.
    #[derive(Debug, Default)]
    struct Counting(AtomicU8);

    impl Environment for Counting {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_000)
        }

        fn fill_random(&self, bytes: &mut [u8]) {
            bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    fn minted(ttl: Option<Duration>) -> (PlainToken, NewToken) {
        mint(&Counting::default(), "acme".parse().unwrap(), "ann".to_owned(), vec![Scope::ChatsRead], ttl)
    }

    #[test]
    fn a_token_has_its_shape_and_its_hash() {
        let (plain, token) = minted(Some(Duration::from_mins(1)));
        assert_eq!(plain.expose().len(), 4 + 12 + 1 + 43);
        assert_eq!(prefix_of(plain.expose()), Some(token.prefix.as_str()));
        assert_eq!(hash(plain.expose()), token.hash);
        assert_eq!(token.expires_at, Some(Timestamp::from_millis(61_000)));
        assert_eq!(minted(None).1.expires_at, None);
    }

    #[test]
    fn a_token_does_not_print_itself() {
        let (plain, _) = minted(None);
        assert_eq!(format!("{plain:?}"), "PlainToken(…)");
    }

    #[test]
    fn anything_else_has_no_prefix() {
        let (plain, _) = minted(None);
        let plain = plain.expose();
        for wrong in ["", "cvk_", "cvk__", &plain[1..], &plain[..59], &format!("{plain}x"), &plain.replace('_', "-")] {
            assert_eq!(prefix_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_letter_is_as_likely_as_any_other() {
        let environment = Counting::default();
        let mut counts = std::collections::HashMap::new();
        for letter in random_text(&environment, 62 * 40).chars() {
            *counts.entry(letter).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 62);
        let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
        assert!(most - least <= 1, "{least}..{most}");
    }
}
