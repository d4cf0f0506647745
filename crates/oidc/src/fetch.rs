//! Keys as they are fetched from an issuer: its metadata (OpenID Connect Discovery, section 4), then the key set that
//! the metadata names. A connection each, over TLS unless it stays on this machine; no redirects, no proxies, little
//! patience and no more bytes than such documents have.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{ACCEPT, HOST, USER_AGENT},
    rt::{Read, Write},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use serde::Deserialize;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

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
    tls: Option<Arc<ClientConfig>>,
}

impl HttpSource {
    /// The issuer at this address.
    ///
    /// # Errors
    /// If this machine knows no certificate authority by which a server could be checked.
    pub fn new(issuer: Address) -> Result<Self, SourceError> {
        let tls = issuer.is_tls().then(tls).transpose()?;
        Ok(Self { issuer, tls })
    }

    async fn get(&self, address: &Address) -> Result<Bytes, SourceError> {
        let failed = |what: &dyn fmt::Display| SourceError(format!("{address}: {what}"));
        let answer = timeout(PATIENCE, self.exchange(address)).await;
        answer.map_err(|_| failed(&"it takes too long"))?.map_err(|error| failed(&error))
    }

    async fn exchange(&self, address: &Address) -> Result<Bytes, Error> {
        let stream = TcpStream::connect((address.host(), address.port())).await?;
        if !address.is_tls() {
            return read(address, TokioIo::new(stream)).await;
        }
        let tls = self.tls.clone().ok_or("an issuer that is reached without TLS has nothing elsewhere")?;
        let name = ServerName::try_from(address.host().to_owned())?;
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        read(address, TokioIo::new(stream)).await
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

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

fn tls() -> Result<Arc<ClientConfig>, SourceError> {
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if authorities.is_empty() {
        return Err(SourceError::new("this machine knows no certificate authority to check an issuer by"));
    }
    // Said here, because rustls panics where it is left to find a default among several.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| SourceError(error.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(authorities).with_no_client_auth()))
}

/// Asks for a document over a connection, and reads it to its end.
async fn read(address: &Address, connection: impl Read + Write + Send + Unpin + 'static) -> Result<Bytes, Error> {
    let (mut sender, connection) = http1::handshake(connection).await?;
    let asking = async move {
        let host = address.uri().authority().map_or("", |authority| authority.as_str());
        let path = address.uri().path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(HOST, host)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, "convoke")
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answers {}", response.status()).into());
        }
        Ok(Limited::new(response.into_body(), LARGEST).collect().await?.to_bytes())
    };
    // The connection is driven beside the request, and ends with it. What goes wrong there, the request is told.
    let (answer, _) = tokio::join!(asking, connection);
    answer
}
