//! A time limit for bodies: actix-web has one for the head of a request only.

use std::{future::Future, io, pin::Pin, task::Poll, time::Duration};

use actix_web::{
    HttpMessage as _,
    dev::{Payload, ServiceRequest},
    error::PayloadError,
    http::header,
};
use futures_util::stream::{self, Stream};

/// Gives what is left of the request's body `limit` to arrive; then reading it fails with [`io::ErrorKind::TimedOut`].
pub(crate) fn limit(request: &mut ServiceRequest, limit: Duration) {
    let headers = request.headers();
    if !headers.contains_key(header::CONTENT_LENGTH) && !headers.contains_key(header::TRANSFER_ENCODING) {
        return;
    }
    let mut payload = request.take_payload();
    let mut deadline = Box::pin(tokio::time::sleep(limit));
    let timed = stream::poll_fn(move |context| {
        if let Poll::Ready(chunk) = Pin::new(&mut payload).poll_next(context) {
            return Poll::Ready(chunk);
        }
        deadline.as_mut().poll(context).map(|()| Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))))
    });
    request.set_payload(Payload::Stream { payload: Box::pin(timed) });
}
