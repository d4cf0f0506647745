//! Bodies: how much of one is read. How long one may take is up to the application that the pages are mounted in.

use actix_web::{
    http::header::{self, HeaderMap},
    web::{self, Bytes, BytesMut},
};
use futures_util::StreamExt as _;

use super::{form, problem::Problem};

/// The largest body that is taken (`contract.md`, "Rules for every operation").
const MAX_BYTES: usize = 64 * 1024;

/// How much of a larger one is read and thrown away, so that its sender gets to see the refusal.
const MAX_DISCARDED_BYTES: usize = 16 * 1024 * 1024;

/// Reads the body of a request that is to be a form: not too large (looked at first), and said to be one.
pub(super) async fn read(headers: &HeaderMap, payload: web::Payload) -> Result<Bytes, Problem> {
    let body = read_to_end(payload).await?;
    if is_form(headers) { Ok(body) } else { Err(Problem::unsupported_media_type()) }
}

async fn read_to_end(mut payload: web::Payload) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    let mut received = 0;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::broken_body())?;
        received += chunk.len();
        if received <= MAX_BYTES {
            body.extend_from_slice(&chunk);
        } else if received > MAX_DISCARDED_BYTES {
            break;
        }
    }
    if received > MAX_BYTES { Err(Problem::body_too_large(MAX_BYTES)) } else { Ok(body.freeze()) }
}

/// Whether exactly one type is given, that of a form, and the body is not compressed.
fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE);
    let is_form = types.next().and_then(|value| value.to_str().ok()).is_some_and(form::is_form);
    let mut codings = headers.get_all(header::CONTENT_ENCODING);
    is_form && types.next().is_none() && codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}
