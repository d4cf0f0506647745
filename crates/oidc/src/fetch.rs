//! Keys as they are fetched from an issuer: its metadata (OpenID Connect Discovery, section 4), then the key set that
//! the metadata names. A connection each, over TLS unless it stays on this machine; no redirects, no proxies, little
//! patience and no more bytes than such documents have.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use convoke_outbound::Caller;
use hyper::{Request, StatusCode, body::Bytes, header::ACCEPT};
use serde::Deserialize;

use crate::{address::Address, keys::KeySet};

/// How long one document may take, from the connection to the last byte.
const PATIENCE: Duration = Duration::from_secs(5);
/// How large a document may be.
const LARGEST: usize = 512 * 1024;

/// Why nothing was learnt from an issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(String);

impl SourceError {
    /// An error in these words.
    #[must_use]
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

/// What an issuer publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The keys that its tokens are signed by.
    pub keys: KeySet,
    /// Where people log in.
    pub authorization_endpoint: Option<Address>,
    /// Where what the log-in gave is exchanged for a token.
    pub token_endpoint: Option<Address>,
}

/// Where it is learnt what an issuer publishes.
#[async_trait]
pub trait KeySource: Send + Sync + fmt::Debug {
    /// Asks for it.
    async fn fetch(&self) -> Result<Published, SourceError>;
}

/// An issuer, asked over HTTP.
#[derive(Debug)]
pub struct HttpSource {
    issuer: Address,
    caller: Caller,
}

impl HttpSource {
    /// The issuer at this address.
    ///
    /// # Errors
    /// If this machine knows no certificate authority by which a server could be checked.
    pub fn new(issuer: Address) -> Result<Self, SourceError> {
        let caller = Caller::new(issuer.uri(), PATIENCE, LARGEST);
        let caller = caller.map_err(|error| SourceError(error.to_string()))?;
        Ok(Self { issuer, caller })
    }

    async fn get(&self, address: &Address) -> Result<Bytes, SourceError> {
        let failed = |what: &dyn fmt::Display| SourceError(format!("{address}: {what}"));
        let request = Request::get(address.uri()).header(ACCEPT, "application/json").body(Bytes::new());
        let request = request.map_err(|error| failed(&error))?;
        let answer = self.caller.call(request).await.map_err(|error| failed(&error))?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status => Err(failed(&format_args!("it answers {status}"))),
        }
    }
}

#[async_trait]
impl KeySource for HttpSource {
    async fn fetch(&self) -> Result<Published, SourceError> {
        #[derive(Deserialize)]
        struct Metadata {
            issuer: String,
            jwks_uri: String,
            authorization_endpoint: Option<String>,
            token_endpoint: Option<String>,
        }
        let at = self.issuer.below("/.well-known/openid-configuration");
        let at = at.map_err(|error| SourceError(error.to_string()))?;
        let wrong = |what: &str| SourceError(format!("{at}: {what}"));
        let metadata: Metadata =
            serde_json::from_slice(&self.get(&at).await?).map_err(|_| wrong("it is not the metadata of an issuer"))?;
        if metadata.issuer != self.issuer.as_str() {
            // Else one issuer could speak for another (OpenID Connect Discovery, section 4.3).
            return Err(wrong("it is the metadata of another issuer: `issuer` in it differs from the one configured"));
        }
        let keys_at: Address = metadata.jwks_uri.parse().map_err(|error| wrong(&format!("jwks_uri: {error}")))?;
        if self.issuer.is_tls() && !keys_at.is_tls() {
            return Err(wrong("jwks_uri leaves TLS"));
        }
        let keys = KeySet::read(&self.get(&keys_at).await?);
        let keys = keys.map_err(|error| SourceError(format!("{keys_at}: {error}")))?;
        let endpoint = |text: Option<String>| text.and_then(|text| text.parse().ok());
        Ok(Published {
            keys,
            authorization_endpoint: endpoint(metadata.authorization_endpoint),
            token_endpoint: endpoint(metadata.token_endpoint),
        })
    }
}
