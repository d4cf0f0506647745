//! The name of a request, by which a client and the log speak of the same one.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use convoke_domain::Environment;

/// The header that carries it, both ways.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of a request: 1–64 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// The client's own, if it sent one that will do, else a new one.
    pub fn of(headers: &HeaderMap, environment: &dyn Environment) -> Self {
        let mut sent = headers.get_all(X_REQUEST_ID);
        match (sent.next().and_then(Self::accept), sent.next()) {
            (Some(id), None) => id,
            _ => Self(environment.new_uuid().to_string()),
        }
    }

    fn accept(value: &HeaderValue) -> Option<Self> {
        let fits = (1..=64).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic);
        fits.then(|| value.to_str().ok().map(|id| Self(id.to_owned())))?
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a header's value.
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("visible ASCII makes a header value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed;

    impl Environment for Fixed {
        fn now(&self) -> convoke_domain::Timestamp {
            convoke_domain::Timestamp::MIN
        }

        fn fill_random(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    fn id(sent: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        }
        RequestId::of(&headers, &Fixed).as_str().to_owned()
    }

    #[test]
    fn a_good_one_is_taken_and_any_other_replaced() {
        let longest = "x".repeat(64);
        for good in ["a", "client-7/é".trim_end_matches('é'), "!~", &longest] {
            assert_eq!(id(&[good.as_bytes()]), good);
        }
        let too_long = "x".repeat(65);
        for bad in [&b""[..], b"a b", b"\xc3\xa9", b"a\tb", too_long.as_bytes()] {
            assert_eq!(id(&[bad]).len(), 36, "{bad:?}");
        }
        assert_eq!(id(&[]).len(), 36);
        assert_eq!(id(&[b"a", b"b"]).len(), 36);
    }
}
