//! The forms that values have. Each is read from text, the same in file, environment and flags; when a text won't do, it
//! says why. What would do is told by the setting itself (`takes` in [`super::KEYS`]).

use std::{fmt::Display, str::FromStr};

use convoke_sandbox::Fault;
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use tracing_subscriber::{EnvFilter, filter};

/// Reads a value from its text.
pub fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

/// The same for a value that need not be there.
pub fn parsed_option<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    parsed(deserializer).map(Some)
}

/// Reads a value of a type whose own words don't say what was given.
pub fn plain<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| de::Error::custom(format!("'{text}' won't do")))
}

/// The same for a value that need not be there.
pub fn plain_option<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
{
    plain(deserializer).map(Some)
}

/// Reads faults: a list of texts, or one text with commas.
pub fn faults<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Fault>>, D::Error> {
    struct Faults;

    impl<'de> Visitor<'de> for Faults {
        type Value = Vec<Fault>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<Fault>, E> {
            let parts = text.split(',').map(str::trim).filter(|_| !text.trim().is_empty());
            parts.map(|part| part.parse().map_err(E::custom)).collect()
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Fault>, A::Error> {
            let mut faults = Vec::new();
            while let Some(text) = list.next_element::<String>()? {
                faults.push(text.trim().parse().map_err(de::Error::custom)?);
            }
            Ok(faults)
        }
    }

    deserializer.deserialize_any(Faults).map(Some)
}

/// The audit log, whatever else is logged.
pub const AUDIT: &str = "convoke::audit=info";

/// A duration as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duration(pub std::time::Duration);

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text).map(Self).map_err(|_| format!("'{text}' is no duration"))
    }
}

/// A duration that is not too short to do anything in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongerDuration(pub std::time::Duration);

impl FromStr for LongerDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Duration(duration) = text.parse()?;
        if duration < std::time::Duration::from_millis(1) {
            return Err(format!("'{text}' is too short"));
        }
        Ok(Self(duration))
    }
}

/// The id of an application of Telegram. What is said about one that won't do does not show it: the hash, which is secret,
/// stands beside it wherever it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiId(pub i32);

impl FromStr for ApiId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().ok().filter(|id| *id > 0).map(Self).ok_or_else(|| "is no id of an application".to_owned())
    }
}

/// How long idempotency keys are kept: at least as long as the contract promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyRetention(pub std::time::Duration);

impl FromStr for IdempotencyRetention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const PROMISED: std::time::Duration = std::time::Duration::from_hours(24);
        let Duration(duration) = text.parse()?;
        if duration < PROMISED {
            return Err(format!("'{text}' is less than the 24h that are promised to clients"));
        }
        Ok(Self(duration))
    }
}

/// Where clients reach the service: without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// That of a service that is reached where it listens.
    #[must_use]
    pub fn of(address: std::net::SocketAddr) -> Self {
        if address.ip().is_unspecified() {
            Self(format!("http://localhost:{}", address.port()))
        } else {
            Self(format!("http://{address}"))
        }
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = |why: &str| format!("'{text}' {why}");
        let uri: actix_web::http::Uri = text.parse().map_err(|_| refused("is no URL"))?;
        let authority = match (uri.scheme_str(), uri.authority()) {
            (Some("http" | "https"), Some(authority)) if !authority.host().is_empty() => authority,
            _ => return Err(refused("is no http or https URL with a host")),
        };
        if authority.as_str().contains('@') {
            // Not shown: it may be a password.
            return Err("a public URL holds no user".to_owned());
        }
        if text.contains(['?', '#']) {
            return Err(refused("holds a query or fragment, which a public URL can't"));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

/// Whether the schema is brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrate(pub convoke_store::Migrate);

impl FromStr for Migrate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self(convoke_store::Migrate::Auto)),
            "off" => Ok(Self(convoke_store::Migrate::Off)),
            _ => Err(format!("'{text}' won't do")),
        }
    }
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// A JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(format!("'{text}' won't do")),
        }
    }
}

/// What is logged: a filter of `tracing`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// The filter. Libraries that tell much of little interest are quieter (what is no HTTP is a client's mistake, and no
    /// error), and the audit log is there, unless it names them.
    #[must_use]
    pub fn to_env_filter(&self) -> EnvFilter {
        let quieter =
            "actix_server=warn,actix_http=warn,actix_http::h1::dispatcher=off,grammers=warn,tokio_postgres=warn";
        Self::builder().parse_lossy(format!("{quieter},{AUDIT},{}", self.0))
    }

    /// Values of fields are compared as they are: to make a pattern of a short text may take minutes.
    fn builder() -> filter::Builder {
        EnvFilter::builder().with_regex(false)
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // With blanks around a directive `EnvFilter` cuts it in the wrong places, inside a character too.
        let text = text.split(',').map(str::trim).collect::<Vec<_>>().join(",");
        // It takes any word for a target, so a mistyped level would silently log nothing.
        let is_level = |level: &str| !level.is_empty() && level.parse::<filter::LevelFilter>().is_ok();
        let is_directive = |part: &str| is_level(part) || part.contains(['=', '[']);
        if !text.split(',').all(is_directive) || Self::builder().parse(&text).is_err() {
            return Err(format!("'{text}' is no log filter"));
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_a_plain_one() {
        let url = |text: &str| text.parse::<PublicUrl>().map(|url| url.0);
        assert_eq!(url("https://chats.example.org/"), Ok("https://chats.example.org".to_owned()));
        assert_eq!(url("http://h:1/base/"), Ok("http://h:1/base".to_owned()));
        for wrong in ["", "chats.example.org", "/x", "ftp://x", "http://", "http:///x", "http://h/?a", "http://h/#a"] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
        assert!(!url("http://ann:secret@h").unwrap_err().contains("secret"));
    }

    #[test]
    fn without_one_it_is_where_the_service_listens() {
        let of = |address: &str| PublicUrl::of(address.parse().unwrap()).0;
        assert_eq!(of("127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(of("[::1]:80"), "http://[::1]:80");
        assert_eq!(of("0.0.0.0:8080"), "http://localhost:8080");
        assert_eq!(of("[::]:8080"), "http://localhost:8080");
    }

    #[test]
    fn a_mistyped_level_is_no_filter() {
        for good in ["info", "WARN", "off", "info,convoke_store=debug", "convoke_api[request]=trace"] {
            assert!(good.parse::<Filter>().is_ok(), "{good}");
        }
        for wrong in ["", "inof", "info,", "info,convoke_store", "convoke=loud"] {
            assert!(wrong.parse::<Filter>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn blanks_around_directives_mean_nothing() {
        let filter = |text: &str| text.parse::<Filter>();
        assert_eq!(filter(" info, convoke_store=debug\n"), filter("info,convoke_store=debug"));
        // Cut by a byte too few, this ends inside of a character.
        assert_eq!(filter(" [ab€{c}]=info"), filter("[ab€{c}]=info"));
    }

    #[test]
    fn values_of_fields_are_no_patterns() {
        assert!("[request{path=(}]=trace".parse::<Filter>().is_ok());
    }
}
