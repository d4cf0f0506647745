//! Where an issuer, or something of it, is found.

use std::{fmt, net::IpAddr, str::FromStr};

use hyper::Uri;

/// An address that keys may be fetched from: over TLS, or from this very machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    uri: Uri,
    /// As it was written: an issuer is compared letter by letter (RFC 8414, section 3.3).
    text: String,
}

/// Why an address won't do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no URL, or one with more than scheme, host, port and path.
    #[error("an issuer is a URL of scheme, host and path, such as https://login.example.org/realms/acme")]
    Form,
    /// Whoever is between could give keys of their own.
    #[error("an issuer is reached over https; http is for this machine alone (127.0.0.1, [::1], localhost)")]
    Plain,
}

impl Address {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scheme and the host with its port, as browsers write an origin.
    #[must_use]
    pub fn origin(&self) -> String {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}", self.uri.scheme_str().unwrap_or_default())
    }

    /// The address of what lies below this one.
    pub(crate) fn below(&self, path: &str) -> Result<Self, AddressError> {
        format!("{}{path}", self.text.trim_end_matches('/')).parse()
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(crate) fn is_tls(&self) -> bool {
        convoke_outbound::is_tls(&self.uri)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let uri: Uri = text.parse().map_err(|_| AddressError::Form)?;
        let authority = uri.authority().ok_or(AddressError::Form)?;
        if authority.as_str().contains('@') || authority.host().is_empty() || text.contains(['?', '#']) {
            return Err(AddressError::Form);
        }
        let host = convoke_outbound::host(&uri);
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if is_here => {}
            Some("http") => return Err(AddressError::Plain),
            _ => return Err(AddressError::Form),
        }
        Ok(Self { text: text.to_owned(), uri })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_or_this_machine() {
        for good in [
            "https://login.example.org",
            "https://h:8443/realms/a/",
            "http://127.0.0.1:1/x",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert_eq!(good.parse::<Address>().map(|address| address.text), Ok(good.to_owned()));
        }
        for (wrong, why) in [
            ("http://login.example.org", AddressError::Plain),
            ("http://localhost.example.org", AddressError::Plain),
            ("http://128.0.0.1", AddressError::Plain),
            ("https://ann:secret@h", AddressError::Form),
            ("http://localhost@example.org", AddressError::Form),
            ("https://h/?a", AddressError::Form),
            ("https://h/#a", AddressError::Form),
            ("ftp://h", AddressError::Form),
            ("h", AddressError::Form),
            ("/x", AddressError::Form),
            ("", AddressError::Form),
        ] {
            assert_eq!(wrong.parse::<Address>(), Err(why), "{wrong}");
        }
    }

    #[test]
    fn its_parts_are_told() {
        let address: Address = "https://[::1]:8443/realms/a/".parse().unwrap();
        assert_eq!(address.origin(), "https://[::1]:8443");
        assert_eq!(address.below("/.well-known/x").unwrap().as_str(), "https://[::1]:8443/realms/a/.well-known/x");
    }
}
