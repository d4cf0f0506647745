//! What a database URL says, as libpq reads it (<https://www.postgresql.org/docs/current/libpq-connect.html>), of which
//! tokio-postgres knows a part.

use std::{path::PathBuf, str::FromStr, time::Duration};

use tokio_postgres::config::TargetSessionAttrs;

/// How long a connection may take, from the first packet to the last of the log-in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long sent bytes may go without the other machine's acknowledgement.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVES_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(5);

/// Whether TLS is used, and what is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// Only if the server insists.
    Allow,
    /// If the server can, unchecked: the default, as in libpq.
    Prefer,
    /// Always, but unchecked unless there is a `sslrootcert`.
    Require,
    /// Always, with a certificate of a known authority.
    VerifyCa,
    /// Always, with a certificate of a known authority for this host.
    VerifyFull,
}

/// Where the certificates of known authorities are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Those of the machine.
    System,
    /// Those in this file.
    File(PathBuf),
}

/// A database, and how to reach it.
#[derive(Debug)]
pub struct Settings {
    /// Everything that tokio-postgres knows.
    pub config: tokio_postgres::Config,
    /// Whether TLS is used.
    pub ssl_mode: SslMode,
    /// `sslrootcert`.
    pub roots: Option<Roots>,
    /// `sslcert` and `sslkey`.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// How long one attempt at one address may take.
    pub connect_timeout: Duration,
}

impl FromStr for Settings {
    type Err = String;

    /// Reads a URL. What is said about a mistake never holds the URL itself, which may hold a password.
    fn from_str(url: &str) -> Result<Self, String> {
        // As tokio-postgres does, everything up to the first @ is user and password.
        let authority = url.find('@').unwrap_or(0);
        let (address, query) = url[authority..].split_once('?').map_or((url, ""), |(address, query)| {
            let end = authority + address.len();
            (&url[..end], query)
        });
        let mut own = Own::default();
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| without_value(pair))?;
            if !own.take(name, &decoded(value)?)? {
                rest.push(pair);
            }
        }
        let known = if rest.is_empty() { address.to_owned() } else { format!("{address}?{}", rest.join("&")) };
        let mut config = tokio_postgres::Config::from_str(&known).map_err(|error| with_causes(&error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err("it names no host: write postgres://USER@HOST/DATABASE".to_owned());
        }
        config.target_session_attrs(own.session.unwrap_or(TargetSessionAttrs::ReadWrite));
        config.tcp_user_timeout(own.tcp_user_timeout.unwrap_or(TCP_USER_TIMEOUT));
        if !query.contains("keepalives") {
            config.keepalives(true).keepalives_idle(KEEPALIVES_IDLE).keepalives_interval(KEEPALIVES_INTERVAL);
        }
        if config.get_application_name().is_none() {
            config.application_name("convoke");
        }
        let connect_timeout = config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        own.settings(config, connect_timeout)
    }
}

/// The parameters that tokio-postgres does not know, or reads otherwise than libpq.
#[derive(Default)]
struct Own {
    ssl_mode: Option<SslMode>,
    roots: Option<Roots>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    session: Option<TargetSessionAttrs>,
    tcp_user_timeout: Option<Duration>,
}

impl Own {
    /// Whether `name` is one of them.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let path = || Some(PathBuf::from(value)).filter(|_| !value.is_empty());
        match name {
            "sslmode" => self.ssl_mode = Some(ssl_mode(value)?),
            "sslrootcert" if value == "system" => self.roots = Some(Roots::System),
            "sslrootcert" => self.roots = path().map(Roots::File),
            "sslcert" => self.certificate = path(),
            "sslkey" => self.key = path(),
            "target_session_attrs" => {
                self.session = Some(match value {
                    "any" | "prefer-standby" => TargetSessionAttrs::Any,
                    "read-write" | "primary" => TargetSessionAttrs::ReadWrite,
                    "read-only" | "standby" => TargetSessionAttrs::ReadOnly,
                    _ => return Err("target_session_attrs is none of any, read-write, primary, read-only".to_owned()),
                });
            }
            "tcp_user_timeout" => {
                let millis = value.parse().map_err(|_| "tcp_user_timeout is no number of milliseconds")?;
                self.tcp_user_timeout = Some(Duration::from_millis(millis));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn settings(self, config: tokio_postgres::Config, connect_timeout: Duration) -> Result<Settings, String> {
        let ssl_mode = match (&self.roots, self.ssl_mode) {
            // As in libpq: authorities that anybody can have a certificate of are worth nothing without the host's name.
            (Some(Roots::System), None | Some(SslMode::VerifyFull)) => SslMode::VerifyFull,
            (Some(Roots::System), _) => return Err("sslrootcert=system asks for sslmode=verify-full".to_owned()),
            (_, mode) => mode.unwrap_or(SslMode::Prefer),
        };
        let client_certificate = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("sslcert and sslkey go together".to_owned()),
        };
        Ok(Settings { config, ssl_mode, roots: self.roots, client_certificate, connect_timeout })
    }
}

/// Names the parameter if it is a name, for else it may be a part of a password.
fn without_value(pair: &str) -> String {
    let is_name = pair.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_name { format!("the parameter '{pair}' has no value") } else { "a parameter has no value".to_owned() }
}

fn ssl_mode(value: &str) -> Result<SslMode, String> {
    Ok(match value {
        "disable" => SslMode::Disable,
        "allow" => SslMode::Allow,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => return Err("sslmode is none of disable, allow, prefer, require, verify-ca, verify-full".to_owned()),
    })
}

/// Undoes percent-encoding.
fn decoded(value: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or("a % in a parameter is not followed by two hexadecimal digits")?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| "a parameter is not UTF-8".to_owned())
}

/// An error with everything that led to it.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    // What a server says begins with how bad it is: that it is the server's is clear then.
    let mut text = Some(error.to_string()).filter(|text| text != "db error").unwrap_or_default();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        // Some errors tell their cause themselves.
        if !text.contains(&told) {
            text = if text.is_empty() { told } else { format!("{text}: {told}") };
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    fn read(url: &str) -> Settings {
        url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn what_tokio_postgres_does_not_know_is_read_here() {
        let settings =
            read("postgres://u:p%40%3F@db1,db2:5433/convoke?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem");
        assert_eq!(settings.ssl_mode, SslMode::VerifyFull);
        assert_eq!(settings.roots, Some(Roots::File("/etc/ca.pem".into())));
        assert_eq!(settings.config.get_password(), Some(b"p@?".as_slice()));
        assert_eq!(settings.config.get_hosts(), [Host::Tcp("db1".into()), Host::Tcp("db2".into())]);
        assert_eq!(settings.config.get_ports(), [5432, 5433]);
        assert_eq!(settings.config.get_dbname(), Some("convoke"));
        assert_eq!(settings.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(settings.config.get_application_name(), Some("convoke"));
    }

    #[test]
    fn what_it_knows_is_left_to_it() {
        let settings = read(
            "postgresql://u:a?b@h/d?application_name=x&sslmode=disable&connect_timeout=7&tcp_user_timeout=1500&target_session_attrs=any",
        );
        assert_eq!(settings.config.get_password(), Some(b"a?b".as_slice()));
        assert_eq!(settings.config.get_application_name(), Some("x"));
        assert_eq!(settings.connect_timeout, Duration::from_secs(7));
        assert_eq!(settings.config.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
        assert_eq!(settings.config.get_target_session_attrs(), TargetSessionAttrs::Any);
        assert_eq!(settings.ssl_mode, SslMode::Disable);
        assert_eq!(read("postgres:///d?host=%2Fvar%2Frun").config.get_hosts(), [Host::Unix("/var/run".into())]);
    }

    #[test]
    fn the_defaults_are_those_of_libpq() {
        assert_eq!(read("postgres://h/d").ssl_mode, SslMode::Prefer);
        assert_eq!(read("postgres://h/d").roots, None);
        assert_eq!(read("postgres://h/d?sslrootcert=system").ssl_mode, SslMode::VerifyFull);
    }

    #[test]
    fn mistakes_are_named_without_the_password() {
        for (url, expected) in [
            ("postgres://u:secret@h/d?sslmode=verify", "sslmode"),
            ("postgres://u:secret@h/d?sslmode", "sslmode"),
            ("postgres://u:secret@h/d?sslrootcert=system&sslmode=require", "verify-full"),
            ("postgres://u:secret@h/d?sslcert=x", "sslkey"),
            ("postgres://u:secret@h/d?target_session_attrs=rw", "target_session_attrs"),
            ("postgres://u:secret@h/d?tcp_user_timeout=5s", "tcp_user_timeout"),
            ("postgres://u:secret@h/d?ssl_mode=require", "ssl_mode"),
            ("postgres://u:secret@h:port/d", "port"),
            ("postgres://u:secret@/d", "host"),
            ("postgres://u:secret@h/d?sslrootcert=%2", "hexadecimal"),
        ] {
            let mistake = url.parse::<Settings>().unwrap_err();
            assert!(mistake.contains(expected) && !mistake.contains("secret"), "{url}: {mistake}");
        }
    }
}
