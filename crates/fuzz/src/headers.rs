//! Headers. Bytes are the values of several of one name, a line each.

use convoke_api::parsers;
use convoke_domain::{Environment, Timestamp};

/// `Idempotency-Key`: taken as it is, or not at all.
pub fn idempotency_key(data: &[u8]) {
    let is_key = (1..=255).contains(&data.len()) && data.iter().all(u8::is_ascii_graphic);
    let expected = is_key.then(|| String::from_utf8_lossy(data).into_owned());
    assert_eq!(parsers::idempotency_key(data), expected);
}

/// `Prefer`: nobody waits for longer than the contract says.
pub fn prefer(data: &[u8]) {
    if let Some(seconds) = parsers::wait(&crate::lines(data)) {
        assert!(seconds <= 30);
        assert_eq!(parsers::wait(&[format!("wait={seconds}").as_bytes()]), Some(seconds));
    }
}

/// `If-None-Match`: nothing is known that is not named.
pub fn if_none_match(data: &[u8]) {
    const VERSION: i64 = 7;
    let (is_known, tag) = parsers::is_known(&crate::lines(data), VERSION);
    if is_known {
        let is_named = data.windows(tag.len()).any(|part| part == tag.as_bytes());
        assert!(is_named || data.contains(&b'*'));
    }
}

/// `Convoke-Position`: one or none, and only in the form in which it was told.
pub fn position(data: &[u8]) {
    let values = crate::lines(data);
    match parsers::position(&values) {
        Ok(Some(position)) => assert!(values.contains(&position.as_bytes())),
        Ok(None) => {}
        Err(problem) => crate::assert_refusal(&problem),
    }
}

/// `X-Request-Id`: a request has a name that fits a header and a line of the log, its own if that will do.
pub fn request_id(data: &[u8]) {
    let values = crate::lines(data);
    let id = parsers::request_id(&values, &Standing);
    assert!((1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
    let made = Standing.new_uuid().to_string();
    assert!(id == made || values.contains(&id.as_bytes()));
    assert_eq!(parsers::request_id(&[id.as_bytes()], &Standing), id);
}

/// `Authorization`: a token without what stands around it.
pub fn bearer(data: &[u8]) {
    if let Some(token) = parsers::bearer(&crate::lines(data)) {
        assert!(!token.is_empty() && token.trim() == token);
        assert_eq!(parsers::bearer(&[format!("Bearer {token}").as_bytes()]), Some(token));
    }
}

/// Time stands still, chance always falls the same way.
#[derive(Debug)]
struct Standing;

impl Environment for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}
