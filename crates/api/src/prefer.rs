//! `Prefer: wait=N` (RFC 7240).

use std::time::Duration;

use actix_web::{
    HttpMessage as _, HttpRequest,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};

/// The header that asks.
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The header that says what was done.
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// For how long a client would wait at most, in whole seconds; more than 30 counts as 30 (`contract.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait(u8);

impl Wait {
    const MAX_SECONDS: u8 = 30;

    /// What the headers ask for. What is malformed or not known is passed over; of several, the first counts.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        headers
            .get_all(PREFER)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| split_outside_quotes(value, ','))
            .find_map(Self::from_preference)
    }

    /// What a request asks for that may be kept waiting; from then on it is known as one.
    pub fn asked_by(request: &HttpRequest) -> Option<Self> {
        let wait = Self::of(request.headers())?;
        request.extensions_mut().insert(wait);
        Some(wait)
    }

    /// Whether the request asked to wait, where it could.
    pub fn was_asked_by(request: &HttpRequest) -> bool {
        request.extensions().contains::<Self>()
    }

    fn from_preference(preference: &str) -> Option<Self> {
        // What follows a semicolon are parameters of the preference; `wait` has none that mean anything.
        let preference = split_outside_quotes(preference, ';').next()?;
        let (name, value) = preference.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("wait") {
            return None;
        }
        let value = value.trim();
        let digits = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'))?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // Digits alone fail to parse only if there are too many of them.
        Some(Self(digits.parse().unwrap_or(u8::MAX).min(Self::MAX_SECONDS)))
    }

    /// How long that is.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }

    /// The value of `Preference-Applied`.
    pub fn applied(self) -> HeaderValue {
        HeaderValue::from_str(&format!("wait={}", self.0)).expect("digits make a header value")
    }
}

/// Splits at a separator, but not within quoted strings (RFC 9110, section 5.6.4).
pub(crate) fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let splits = c == separator && !quoted;
        if escaped {
            escaped = false;
        } else if quoted && c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        }
        splits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(sent: &[&str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(PREFER, HeaderValue::from_str(value).unwrap());
        }
        Wait::of(&headers).map(|wait| wait.duration().as_secs())
    }

    #[test]
    fn the_forms_of_rfc_7240_are_understood() {
        assert_eq!(seconds(&["wait=10"]), Some(10));
        assert_eq!(seconds(&["respond-async, WAIT = 5 ; x=\"a,b\""]), Some(5));
        assert_eq!(seconds(&["respond-async", "wait=\"7\""]), Some(7));
        assert_eq!(seconds(&["foo=\"wait=1, wait=2\", wait=3"]), Some(3));
        assert_eq!(seconds(&["foo=\"\\\"\", wait=4"]), Some(4));
        assert_eq!(seconds(&["wait=4, wait=9"]), Some(4));
        assert_eq!(seconds(&["wait=0"]), Some(0));
    }

    #[test]
    fn more_than_thirty_counts_as_thirty() {
        assert_eq!(seconds(&["wait=31"]), Some(30));
        assert_eq!(seconds(&["wait=99999999999999999999999999"]), Some(30));
        assert_eq!(seconds(&["wait=0000000030"]), Some(30));
    }

    #[test]
    fn what_is_malformed_or_unknown_is_passed_over() {
        for sent in
            ["", "wait", "wait=", "wait=-1", "wait=1.5", "wait=ten", "wait=\"5", "waits=5", "return=minimal", ";;=,"]
        {
            assert_eq!(seconds(&[sent]), None, "{sent}");
        }
        assert_eq!(seconds(&["wait=x", "wait=6"]), Some(6));
    }
}
