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
                _ if path.contains(['?', '#', '\0']) => Err(format!("a SQLite URL takes no parameters; {EXPECTED}")),
                _ if path.ends_with('/') => Err(format!("the SQLite URL names a folder, not a file; {EXPECTED}")),
                _ => Ok(Self::Sqlite(path.into())),
            };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
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

impl fmt::Display for DatabaseUrl {
    /// The URL without anything secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => {
                let url = url.expose_secret();
                let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
                let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                // Parameters may hold a password too.
                write!(f, "{scheme}://{}", place.split('?').next().unwrap_or(place))
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
    fn what_is_shown_holds_no_password() {
        let url: DatabaseUrl = "postgres://u:se@cret@db1,db2:5433/convoke?password=hidden".parse().unwrap();
        assert_eq!(url.to_string(), "postgres://db1,db2:5433/convoke");
        let url: DatabaseUrl = "sqlite://convoke-data/convoke.db".parse().unwrap();
        assert_eq!(url.to_string(), "sqlite://convoke-data/convoke.db");
    }
}
