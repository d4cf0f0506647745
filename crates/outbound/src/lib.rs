//! Calls of other servers over HTTP/1.1: of issuers for their keys, of a collector of traces. A connection each, over TLS
//! where the address says so; no redirects, no proxies, little patience and no more bytes than expected.

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, Response, Uri,
    body::Bytes,
    client::conn::http1,
    header::{HOST, HeaderValue, USER_AGENT},
    rt::{Read, Write},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// Why a call was not answered: in words for the log, without anything that was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CallError(String);

/// Calls servers.
#[derive(Debug, Clone)]
pub struct Caller {
    tls: Option<Arc<ClientConfig>>,
    /// How long a call may take, from the connection to the last byte.
    patience: Duration,
    /// How large an answer may be.
    largest: usize,
}

impl Caller {
    /// One for the server of this address: over TLS, and then never without, if that is `https`.
    ///
    /// # Errors
    /// If this machine knows no certificate authority by which a server could be checked.
    pub fn new(server: &Uri, patience: Duration, largest: usize) -> Result<Self, CallError> {
        let tls = is_tls(server).then(tls).transpose()?;
        Ok(Self { tls, patience, largest })
    }

    /// Sends a request, whose URI is the whole address, and reads the answer to its end, whatever its status.
    ///
    /// # Errors
    /// If there is no answer, or none in time, or it is larger than expected.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
        let answer = timeout(self.patience, self.exchange(request)).await;
        answer.map_err(|_| CallError("it takes too long".to_owned()))?.map_err(|error| CallError(error.to_string()))
    }

    async fn exchange(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        let address = request.uri().clone();
        let authority = address.authority().ok_or("it has no address")?;
        let path = address.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse()?;
        request.headers_mut().insert(HOST, authority.as_str().parse()?);
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("convoke"));
        let request = request.map(Full::new);

        let stream = TcpStream::connect((host(&address), port(&address))).await?;
        if !is_tls(&address) {
            return self.send(request, TokioIo::new(stream)).await;
        }
        let tls = self.tls.clone().ok_or("a server that is reached without TLS has nothing elsewhere")?;
        let name = ServerName::try_from(host(&address).to_owned())?;
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        self.send(request, TokioIo::new(stream)).await
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
        connection: impl Read + Write + Send + Unpin + 'static,
    ) -> Result<Response<Bytes>, Error> {
        let (mut sender, connection) = http1::handshake(connection).await?;
        let asking = async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, self.largest).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        // The connection is driven beside the request, and ends with it. What goes wrong there, the request is told.
        let (answer, _) = tokio::join!(asking, connection);
        answer
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Whether the server of this address is reached over TLS.
#[must_use]
pub fn is_tls(address: &Uri) -> bool {
    address.scheme_str() == Some("https")
}

/// The host of an address, an IPv6 address without its brackets.
#[must_use]
pub fn host(address: &Uri) -> &str {
    address.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

fn port(address: &Uri) -> u16 {
    address.port_u16().unwrap_or(if is_tls(address) { 443 } else { 80 })
}

fn tls() -> Result<Arc<ClientConfig>, CallError> {
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if authorities.is_empty() {
        return Err(CallError("this machine knows no certificate authority to check a server by".to_owned()));
    }
    // Said here, because rustls panics where it is left to find a default among several.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| CallError(error.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(authorities).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_address_are_told() {
        let parts = |address: &'static str| {
            let address = Uri::from_static(address);
            (host(&address).to_owned(), port(&address), is_tls(&address))
        };
        assert_eq!(parts("https://[::1]:8443/realms/a/"), ("::1".to_owned(), 8443, true));
        assert_eq!(parts("https://h"), ("h".to_owned(), 443, true));
        assert_eq!(parts("http://localhost"), ("localhost".to_owned(), 80, false));
    }
}
