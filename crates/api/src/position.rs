//! `Convoke-Position`: where there are replicas, a client that has written sees what it wrote, whichever process and
//! whichever database answers.

use actix_web::{
    HttpResponse,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use convoke_domain::{Mistake, MistakeCode};
use convoke_store::{Freshness, Position};
use tokio::time::Instant;

use crate::{auth::Caller, input::Mistakes, state::ApiState};

/// The header of answers to writes, which reads send back.
pub(crate) const CONVOKE_POSITION: HeaderName = HeaderName::from_static("convoke-position");

/// The position that the client sent, if it sent one.
pub(crate) fn sent(headers: &HeaderMap, mistakes: &mut Mistakes) -> Option<Position> {
    let mut sent = headers.get_all(CONVOKE_POSITION);
    let value = sent.next()?;
    let read = if sent.next().is_some() {
        Err(Mistake::new(MistakeCode::Duplicate, "must not be given more than once"))
    } else {
        // What is no text is none of ours either.
        value.to_str().unwrap_or_default().parse()
    };
    mistakes.at_header("Convoke-Position", read)
}

/// How new what a read answers has to be.
pub(crate) fn freshness(state: &ApiState, caller: &Caller, sent: Option<Position>) -> Freshness {
    match sent {
        Some(position) => Freshness::AtLeast(position),
        None if state.recent_writes.has(caller, Instant::now()) => Freshness::Newest,
        None => Freshness::Recent,
    }
}

/// The caller has written, or may have: without a position, too, they are to see it for a while.
pub(crate) fn wrote(state: &ApiState, caller: &Caller) {
    if state.store.is_replicated() {
        state.recent_writes.note(caller, Instant::now());
    }
}

/// Gives the answer to a write its position, if it matters and is known.
pub(crate) async fn tell(state: &ApiState, answer: &mut HttpResponse) {
    if let Some(position) = state.store.position().await {
        let value = HeaderValue::from_str(&position.to_string()).expect("digits make a header value");
        answer.headers_mut().insert(CONVOKE_POSITION, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<String>, Vec<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONVOKE_POSITION, HeaderValue::from_bytes(value).unwrap());
        }
        let mut mistakes = Mistakes::default();
        let position = sent(&headers, &mut mistakes).map(|position| position.to_string());
        mistakes.accept(Some(position)).map_err(|problem| {
            let body = serde_json::to_value(problem.body("/", "r")).unwrap();
            let errors = body["errors"].as_array().unwrap().iter();
            errors.map(|error| format!("{} {}", error["header"].as_str().unwrap(), error["code"])).collect()
        })
    }

    #[test]
    fn a_position_is_sent_as_it_was_told() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"000000000301e5a8"]), Ok(Some("000000000301e5a8".to_owned())));
        let wrong = |code: &str| Err(vec![format!("Convoke-Position \"{code}\"")]);
        for value in [b"".as_slice(), b"0/301E5A8", "é".as_bytes()] {
            assert_eq!(read(&[value]), wrong("invalidFormat"));
        }
        assert_eq!(read(&[b"000000000301e5a8", b"000000000301e5a8"]), wrong("duplicate"));
    }
}
