//! Everything that reads what a client sent, by itself: the very functions that the handlers call, for those who try
//! them with whatever there is (`crates/fuzz`). No part of what this crate promises.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use convoke_domain::{ChatStatus, Environment};
use convoke_store::ChatDocument;
use serde_json::Value;

pub use crate::chats::{list::Question, register::NewChatSent};
use crate::{
    auth::{self, Credentials},
    chats::{list, register},
    entity_tag::EntityTag,
    idempotency,
    input::Mistakes,
    position::{self, CONVOKE_POSITION},
    prefer::{PREFER, Wait},
    problem::Problem,
    request_id::{RequestId, X_REQUEST_ID},
    state::ApiSettings,
    token,
};

/// What the query of a list asks for, and the links of the answer, where so many pages match.
///
/// # Errors
/// The problem that is answered.
pub fn list(query: &str, pages: u64) -> Result<(Question, Value), Value> {
    let mut mistakes = Mistakes::default();
    let (query, question) = list::parse(query, &mut mistakes);
    mistakes.accept(Some(())).map_err(|problem| shown(&problem))?;
    let links = match &question {
        Question::Page(asked) => list::page_links(&query, asked.page, pages),
        Question::Walk { after, .. } => list::walk_links(&query, *after),
    };
    // The header holds them too, and not every text makes one.
    let _ = links.header_value();
    Ok((question, serde_json::json!(links)))
}

/// What a body says of a chat that is to be registered.
///
/// # Errors
/// The problem that is answered.
pub fn registration(body: &[u8], settings: &ApiSettings) -> Result<NewChatSent, Value> {
    register::read(body, settings, Mistakes::default()).map_err(|problem| shown(&problem))
}

/// The key in a header `Idempotency-Key`.
#[must_use]
pub fn idempotency_key(value: &[u8]) -> Option<String> {
    idempotency::read(value).ok()
}

/// For how many seconds headers `Prefer` ask to wait.
#[must_use]
pub fn wait(values: &[&[u8]]) -> Option<u64> {
    Wait::of(&headers(&PREFER, values)).map(|wait| wait.duration().as_secs())
}

/// Whether headers `If-None-Match` name this version of a document; and its tag.
#[must_use]
pub fn is_known(values: &[&[u8]], version: i64) -> (bool, String) {
    let document = ChatDocument { status: ChatStatus::Active, version, json: String::new() };
    let tag = EntityTag::of(&document);
    let known = tag.is_known_to(&headers(&header::IF_NONE_MATCH, values));
    (known, String::from_utf8_lossy(tag.header_value().as_bytes()).into_owned())
}

/// The position in headers `Convoke-Position`, as it is written; nothing without one.
///
/// # Errors
/// The problem that is answered.
pub fn position(values: &[&[u8]]) -> Result<Option<String>, Value> {
    let mut mistakes = Mistakes::default();
    let position = position::sent(&headers(&CONVOKE_POSITION, values), &mut mistakes);
    mistakes.accept(Some(position.map(|position| position.to_string()))).map_err(|problem| shown(&problem))
}

/// The name of a request with these headers `X-Request-Id`.
pub fn request_id(values: &[&[u8]], environment: &dyn Environment) -> String {
    RequestId::of(&headers(&X_REQUEST_ID, values), environment).as_str().to_owned()
}

/// The token in headers `Authorization`.
#[must_use]
pub fn bearer(values: &[&[u8]]) -> Option<String> {
    match auth::bearer(&headers(&header::AUTHORIZATION, values)) {
        Credentials::Token(token) => Some(token.to_owned()),
        Credentials::None | Credentials::Malformed => None,
    }
}

/// The prefix of what has the shape of a token of ours.
#[must_use]
pub fn token_prefix(token: &str) -> Option<&str> {
    token::prefix_of(token)
}

/// Headers of one name; what can't be a value is no header, and never gets past actix-web.
fn headers(name: &HeaderName, values: &[&[u8]]) -> HeaderMap {
    values.iter().filter_map(|value| Some((name.clone(), HeaderValue::from_bytes(value).ok()?))).collect()
}

fn shown(problem: &Problem) -> Value {
    serde_json::json!(problem.body("/", "r"))
}
