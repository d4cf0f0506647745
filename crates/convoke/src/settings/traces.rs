//! The forms of what is said about traces.

use std::str::FromStr;

use hyper::{
    Uri,
    header::{HeaderName, HeaderValue},
};

/// Where a collector takes traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracesEndpoint(pub Uri);

impl FromStr for TracesEndpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        /// Where collectors take traces, if nothing else is said (OTLP specification, "OTLP/HTTP Request").
        const PATH: &str = "/v1/traces";
        let refused = |why: &str| format!("'{text}' {why}");
        let uri: Uri = text.parse().map_err(|_| refused("is no URL"))?;
        let authority = match (uri.scheme_str(), uri.authority()) {
            (Some("http" | "https"), Some(authority)) if !authority.host().is_empty() => authority,
            _ => return Err(refused("is no http or https URL with a host")),
        };
        if authority.as_str().contains('@') {
            // Not shown: it may be a password.
            return Err("a collector's URL holds no user: `traces.headers` is for that".to_owned());
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Ok(Self(uri));
        }
        let whole = format!("{}{PATH}", text.trim_end_matches('/'));
        whole.parse().map(Self).map_err(|_| refused("is no URL"))
    }
}

/// What a collector is told with every request, such as a key. What is said about it never shows it, nor does `Debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracesHeaders(pub Vec<(HeaderName, HeaderValue)>);

impl FromStr for TracesHeaders {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let header = |part: &str| {
            let (name, value) = part.split_once('=')?;
            let mut value: HeaderValue = value.trim().parse().ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse().ok()?, value))
        };
        let headers: Option<Vec<_>> = text.split(',').map(header).collect();
        headers.map(Self).ok_or_else(|| "is no list of headers".to_owned())
    }
}

/// A share, from none (0) to all (1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(pub f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.map(Self).ok_or_else(|| format!("'{text}' is no share"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_takes_traces_where_collectors_do() {
        let endpoint = |text: &str| text.parse::<TracesEndpoint>().map(|endpoint| endpoint.0.to_string());
        for (said, meant) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://h/otlp/v1/traces", "https://h/otlp/v1/traces"),
            ("https://h/?tenant=a", "https://h/?tenant=a"),
        ] {
            assert_eq!(endpoint(said), Ok(meant.to_owned()));
        }
        for wrong in ["", "collector:4318", "/v1/traces", "grpc://h", "http://"] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
        assert!(!endpoint("https://ann:secret@h").unwrap_err().contains("secret"));
    }

    #[test]
    fn headers_are_never_shown() {
        let headers: TracesHeaders = "api-key = s3cret,Authorization=Basic YTpi==".parse().unwrap();
        let told = headers.0.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        assert_eq!(told.collect::<Vec<_>>(), ["api-key: s3cret", "authorization: Basic YTpi=="]);
        assert!(!format!("{headers:?}").contains("s3cret"), "{headers:?}");
        for wrong in ["", "s3cret", "=s3cret", "a b=s3cret", "a=s3cret,", "a=s3\ncret"] {
            assert!(!wrong.parse::<TracesHeaders>().unwrap_err().contains("s3"), "{wrong}");
        }
    }

    #[test]
    fn a_share_is_between_none_and_all() {
        assert_eq!(["0", "0.25", "1"].map(|text| text.parse().map(|Share(share)| share)), [Ok(0.0), Ok(0.25), Ok(1.0)]);
        for wrong in ["", "-0.1", "1.1", "NaN", "all"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
