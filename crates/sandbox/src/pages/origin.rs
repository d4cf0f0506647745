//! Whether a post comes from the service's own pages.
//!
//! Browsers tell it in two headers that no page can forge: `Sec-Fetch-Site` (Fetch Metadata) and `Origin` (RFC 6454).
//! Whoever sends neither is no browser, and nobody's cookies or rights are at stake: such posts pass.

use actix_web::http::header::{self, HeaderMap, HeaderName};

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where the service is reached from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicUrl {
    origin: Option<Origin>,
    /// The path in front of the service's own paths, without a slash at its end.
    prefix: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    authority: String,
}

impl PublicUrl {
    pub fn new(url: &str) -> Self {
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.find('/').map_or("", |start| &rest[start..]);
        Self { origin: Origin::parse(url), prefix: path.trim_end_matches('/').to_owned() }
    }

    /// What comes before the service's own paths.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The path of a chat's page.
    pub fn path_of(&self, code: &str) -> String {
        format!("{}/sandbox/{code}", self.prefix)
    }
}

impl Origin {
    fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split('/').next().filter(|authority| !authority.is_empty())?;
        let scheme = scheme.to_ascii_lowercase();
        let authority = without_default_port(&scheme, authority);
        Some(Self { scheme, authority })
    }
}

/// A host with its port, in the one form that two of them are compared in.
fn without_default_port(scheme: &str, authority: &str) -> String {
    let default = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    authority.strip_suffix(default).unwrap_or(authority).to_ascii_lowercase()
}

/// Whether a post with these headers comes from a page of this service, or from no page at all.
pub(super) fn is_own(headers: &HeaderMap, public_url: &PublicUrl) -> bool {
    let fetch_site_is_own =
        headers.get_all(&SEC_FETCH_SITE).all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    let origin_is_own = headers.get_all(header::ORIGIN).all(|origin| {
        let origin = origin.to_str().ok().and_then(Origin::parse);
        origin.is_some_and(|origin| public_url.origin.as_ref() == Some(&origin) || is_host(&origin, headers))
    });
    fetch_site_is_own && origin_is_own
}

/// Whether the request was sent to this host. The scheme may differ: whoever ends TLS in front of us keeps the host.
fn is_host(origin: &Origin, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| without_default_port(&origin.scheme, host) == origin.authority)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn is_own_with(sent: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
        for (name, value) in sent {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        is_own(&headers, &PublicUrl::new("https://chat.example.com/convoke/"))
    }

    #[test]
    fn own_posts_pass() {
        for sent in [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://127.0.0.1:8080")],
            &[("origin", "https://127.0.0.1:8080")],
            &[("origin", "https://chat.example.com")],
            &[("origin", "https://Chat.Example.com:443")],
            &[("origin", "https://chat.example.com"), ("sec-fetch-site", "same-origin")],
        ] {
            assert!(is_own_with(sent), "{sent:?}");
        }
    }

    #[test]
    fn posts_from_elsewhere_do_not() {
        for sent in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "https://evil.example.com")],
            &[("origin", "http://chat.example.com")],
            &[("origin", "http://127.0.0.1:8081")],
            &[("origin", "http://127.0.0.1")],
            &[("origin", "http://127.0.0.1:8080.evil.example.com")],
            &[("origin", "https://evil.example.com"), ("sec-fetch-site", "same-origin")],
            &[("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!is_own_with(sent), "{sent:?}");
        }
    }

    #[test]
    fn a_public_url_may_have_a_path() {
        assert_eq!(PublicUrl::new("https://a.example/b/c/").path_of("x"), "/b/c/sandbox/x");
        assert_eq!(PublicUrl::new("http://localhost:8080").path_of("x"), "/sandbox/x");
    }
}
