//! `Idempotency-Key`: the name under which a request may be repeated without being done twice.

use actix_web::http::header::{HeaderMap, HeaderName};
use convoke_domain::{Mistake, MistakeCode};
use convoke_store::IdempotencyKey;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    input::Mistakes,
    problem::{Problem, ProblemKind},
};

/// The header that carries it.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before.
pub(crate) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

const MAX_LENGTH: usize = 255;

/// The key that the client sent, if it sent one.
pub(crate) fn key(headers: &HeaderMap, mistakes: &mut Mistakes) -> Option<String> {
    let mut sent = headers.get_all(IDEMPOTENCY_KEY);
    let value = sent.next()?;
    let read = if sent.next().is_some() {
        Err(Mistake::new(MistakeCode::Duplicate, "must not be given more than once"))
    } else {
        read(value.as_bytes())
    };
    mistakes.at_header("Idempotency-Key", read)
}

/// Reads a key.
pub(crate) fn read(value: &[u8]) -> Result<String, Mistake> {
    if value.is_empty() {
        Err(Mistake::new(MistakeCode::Required, "must not be empty"))
    } else if !value.iter().all(u8::is_ascii_graphic) {
        Err(Mistake::new(MistakeCode::InvalidCharacter, "may hold visible ASCII characters only, and no blanks"))
    } else if value.len() > MAX_LENGTH {
        Err(Mistake::new(MistakeCode::TooLong, format!("must have at most {MAX_LENGTH} characters")))
    } else {
        Ok(String::from_utf8_lossy(value).into_owned())
    }
}

/// What the store keeps of a key: `request` is everything that makes the request this one and no other.
pub(crate) fn kept(key: Option<String>, route: &str, request: &impl Serialize) -> Option<IdempotencyKey> {
    let text = serde_json::to_vec(request).expect("texts and ids are always written");
    Some(IdempotencyKey { key: key?, route: route.to_owned(), request_hash: Sha256::digest(text).into() })
}

/// The answer where another request was made under the key.
pub(crate) fn reused() -> Problem {
    Problem::new(ProblemKind::IdempotencyKeyReused, "Another request was made under this idempotency key.")
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn code(sent: &[&[u8]]) -> Option<MistakeCode> {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).unwrap());
        }
        let mut mistakes = Mistakes::default();
        let key = key(&headers, &mut mistakes);
        let problem = mistakes.accept(key.or_else(|| sent.is_empty().then(String::new))).err()?;
        let body = serde_json::to_value(problem.body("/", "r")).unwrap();
        assert_eq!(body["errors"][0]["header"], "Idempotency-Key");
        serde_json::from_value(body["errors"][0]["code"].clone()).ok()
    }

    #[test]
    fn keys_are_visible_ascii_of_bounded_length() {
        let longest = [b'k'; 255];
        assert_eq!(code(&[]), None);
        assert_eq!(code(&[b"!key-1~"]), None);
        assert_eq!(code(&[&longest]), None);
        assert_eq!(code(&[&[b'k'; 256]]), Some(MistakeCode::TooLong));
        assert_eq!(code(&[b""]), Some(MistakeCode::Required));
        assert_eq!(code(&[b"a b"]), Some(MistakeCode::InvalidCharacter));
        assert_eq!(code(&["é".as_bytes()]), Some(MistakeCode::InvalidCharacter));
        assert_eq!(code(&[b"a", b"a"]), Some(MistakeCode::Duplicate));
    }
}
