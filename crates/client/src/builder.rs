//! Setting up a client.

use std::time::Duration;

use reqwest::{Url, redirect::Policy};
use secrecy::SecretString;

use crate::{Client, Error, RetryPolicy, send::Transport};

/// How a [`Client`] is set up. Begin with [`Client::builder`].
#[derive(Debug)]
#[must_use]
pub struct ClientBuilder {
    base_url: String,
    token: Option<SecretString>,
    timeout: Duration,
    connect_timeout: Duration,
    retry: RetryPolicy,
    http: reqwest::ClientBuilder,
}

impl ClientBuilder {
    pub(crate) fn new(base_url: &str) -> Self {
        Self {
            base_url: base_url.to_owned(),
            token: None,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            retry: RetryPolicy::default(),
            http: reqwest::Client::builder(),
        }
    }

    /// The bearer token that every request carries.
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// How long an attempt may take; 30 s where nothing is said. What a request asks the service to wait comes on top.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long connecting may take; 5 s where nothing is said.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How often and how patiently requests are repeated.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// What the connections are made with: for proxies and certificates of your own. Time limits and redirects (none are
    /// followed) are set by this builder all the same.
    pub fn http(mut self, http: reqwest::ClientBuilder) -> Self {
        self.http = http;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`Error::Settings`] if the base URL is none of `http` or `https`, or carries a query or a password; or if the token
    /// is missing or can't be sent in a header.
    pub fn build(self) -> Result<Client, Error> {
        let base = base_url(&self.base_url)?;
        let token = self.token.ok_or_else(|| Error::Settings("a token is needed".to_owned()))?;
        // A redirect would lead away from the contract, and perhaps take the token along.
        let http = self.http.connect_timeout(self.connect_timeout).redirect(Policy::none()).build();
        let http = http.map_err(|error| Error::Settings(format!("the HTTP client can't be built: {error}")))?;
        Ok(Client::over(Transport::new(http, base, &token, self.timeout, self.retry)?))
    }
}

fn base_url(text: &str) -> Result<Url, Error> {
    let refused = |reason: &str| Error::Settings(format!("the base URL {reason}"));
    let url = Url::parse(text).map_err(|_| refused("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("must begin with http:// or https://"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("must end with its path"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not hold a user name or a password"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_work_is_refused() {
        for url in ["", "localhost:8080", "ftp://localhost", "http://h/?a=b", "http://h/#a", "http://ann:x@h/"] {
            let built = Client::builder(url).token("t").build();
            assert!(matches!(built, Err(Error::Settings(_))), "{url}");
        }
        assert!(Client::builder("http://localhost").build().is_err(), "no token");
        assert!(Client::builder("http://localhost").token("a\nb").build().is_err(), "no header");
        assert!(Client::builder("http://localhost/convoke/").token("t").build().is_ok());
    }

    #[test]
    fn the_token_is_never_printed() {
        let builder = Client::builder("http://localhost").token("hunter2");
        assert!(!format!("{builder:?}").contains("hunter2"));
        let client = builder.build().unwrap();
        assert!(!format!("{client:?}").contains("hunter2"));
        let error = Client::builder("http://localhost").token("hunter2\n").build().unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}
