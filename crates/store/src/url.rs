//! Where a database is. A mistyped URL is refused; it never makes a new, empty database.

use std::{fmt, path::PathBuf, str::FromStr};

use secrecy::{ExposeSecret, SecretString};

/// A database URL: `sqlite://PATH` or `postgres://…`.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// The file of a SQLite database.
    Sqlite(PathBuf),
    /// A libpq URL, which may hold a password.
    Postgres(SecretString),
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected sqlite://PATH or postgres://USER@HOST/DATABASE";
        if let Some(path) = text.strip_prefix("sqlite://") {
            return match path {
                "" => Err(format!("the SQLite URL names no file; {EXPECTED}")),
                ":memory:" => Err(format!("a database in memory would keep no record; {EXPECTED}")),
                _ if path.contains(['?', '#', '\0']) => Err(format!("a SQLite URL takes no parameters; {EXPECTED}")),
                _ if path.ends_with('/') => Err(format!("the SQLite URL names a folder, not a file; {EXPECTED}")),
                _ => Ok(Self::Sqlite(path.into())),
            };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            check_postgres(text)?;
            return Ok(Self::Postgres(SecretString::from(text)));
        }
        Err(match text.split_once(':') {
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                format!("'{scheme}' is no kind of database that is known, or lacks '//'; {EXPECTED}")
            }
            _ => EXPECTED.to_owned(),
        })
    }
}

/// What can be seen to be wrong without connecting. What is said about it never holds a password.
fn check_postgres(url: &str) -> Result<(), String> {
    let (before, after) = after_scheme(url).split_once('@').unwrap_or(("", after_scheme(url)));
    let hosts = after.split(['/', '?']).next().unwrap_or_default();
    // As in libpq. Read otherwise, a part of the password would be taken, and shown, as the name of a host.
    if before.contains('/') || hosts.contains('@') {
        return Err("an @ or / in a user's name or a password is written %40 or %2F".to_owned());
    }
    url.parse::<crate::postgres::settings::Settings>().map(|_| ())
}

fn after_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

impl fmt::Display for DatabaseUrl {
    /// The URL without anything secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => {
                let url = url.expose_secret();
                let rest = after_scheme(url);
                let place = rest.split_once('@').map_or(rest, |(_, place)| place);
                // Parameters may hold a password too.
                write!(f, "postgres://{}", place.split('?').next().unwrap_or(place))
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_url_is_refused() {
        for wrong in [
            "",
            "convoke.db",
            "sqlite:convoke.db",
            "sqlite://",
            "sqlite://data/",
            "sqlite://:memory:",
            "sqlite://a.db?mode=ro",
            "postgress://x",
            "postgres:/x",
            "mysql://x",
            "/tmp/x.db",
            "SQLITE://x",
        ] {
            assert!(wrong.parse::<DatabaseUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_postgres_url_is_seen_without_connecting() {
        for (wrong, named) in [
            ("postgres://u:secret@h/d?sslmode=foo", "sslmode"),
            ("postgres://u:secret@h/d?sslmode=verify-full&sslrootcert=%2", "hexadecimal"),
            ("postgres://u:secret@h/d?pool=5", "pool"),
            ("postgres://u:secret@/d", "host"),
            ("postgres://h/d?password=se@cret", "%40"),
            ("postgres://u:se@cret@h/d", "%40"),
            ("postgres://u:se/cret@h/d", "%2F"),
            ("postgres://u:s@h?secret@db/d", "no value"),
        ] {
            let mistake = wrong.parse::<DatabaseUrl>().unwrap_err();
            assert!(mistake.contains(named) && !mistake.contains("cret"), "{wrong}: {mistake}");
        }
        for right in
            ["postgres://h/d", "postgresql://u:s%40t@h1,h2:5433/d?sslmode=require", "postgres:///d?host=%2Frun"]
        {
            assert!(right.parse::<DatabaseUrl>().is_ok(), "{right}");
        }
    }

    #[test]
    fn what_is_shown_holds_no_password() {
        let url: DatabaseUrl = "postgresql://u:se%40cret@db1,db2:5433/convoke?password=hid@den".parse().unwrap();
        assert_eq!(url.to_string(), "postgres://db1,db2:5433/convoke");
        let url: DatabaseUrl = "sqlite://convoke-data/convoke.db".parse().unwrap();
        assert_eq!(url.to_string(), "sqlite://convoke-data/convoke.db");
    }
}
