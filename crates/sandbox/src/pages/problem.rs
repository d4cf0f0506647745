//! What can go wrong at a page, in the words of the contract's catalogue.

use actix_web::http::{
    StatusCode,
    header::{self, HeaderName},
};
use convoke_domain::{Mistake, MistakeCode};
use serde::Serialize;

use crate::{Refusal, SandboxError};

/// An entry of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub status: StatusCode,
    pub slug: &'static str,
    pub title: &'static str,
}

const fn kind(status: StatusCode, slug: &'static str, title: &'static str) -> Kind {
    Kind { status, slug, title }
}

static INVALID_REQUEST: Kind = kind(StatusCode::BAD_REQUEST, "invalid-request", "Invalid request");
static FORBIDDEN: Kind = kind(StatusCode::FORBIDDEN, "forbidden", "Forbidden");
static NOT_FOUND: Kind = kind(StatusCode::NOT_FOUND, "not-found", "Not found");
static PARTICIPANT_NOT_FOUND: Kind = kind(StatusCode::NOT_FOUND, "participant-not-found", "No such participant");
static METHOD_NOT_ALLOWED: Kind = kind(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed");
static PARTICIPANT_IS_OWNER: Kind = kind(StatusCode::CONFLICT, "participant-is-owner", "Participant owns the chat");
static CHAT_FULL: Kind = kind(StatusCode::CONFLICT, "chat-full", "Chat full");
static CHAT_CLOSED: Kind = kind(StatusCode::GONE, "chat-closed", "Chat closed");
static BODY_TOO_LARGE: Kind = kind(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large");
static UNSUPPORTED_MEDIA_TYPE: Kind =
    kind(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type");
static INTERNAL_ERROR: Kind = kind(StatusCode::INTERNAL_SERVER_ERROR, "internal-error", "Internal error");
static SERVICE_UNAVAILABLE: Kind = kind(StatusCode::SERVICE_UNAVAILABLE, "service-unavailable", "Service unavailable");

/// A mistake, and the field in which it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldMistake {
    pub field: String,
    pub mistake: Mistake,
}

impl FieldMistake {
    pub fn new(field: &str, code: MistakeCode, detail: impl Into<String>) -> Self {
        Self { field: field.to_owned(), mistake: Mistake::new(code, detail) }
    }

    /// The field as a JSON Pointer (RFC 6901) into the form, read as an object.
    fn pointer(&self) -> String {
        format!("/{}", self.field.replace('~', "~0").replace('/', "~1"))
    }
}

/// What is wrong with a request.
#[derive(Debug)]
pub(super) struct Problem {
    kind: &'static Kind,
    detail: String,
    mistakes: Vec<FieldMistake>,
    headers: Vec<(HeaderName, &'static str)>,
    way_back: Option<String>,
    /// Whether the body was not read to its end, so that no other request can follow on the connection.
    closes_connection: bool,
    /// What went wrong behind the scenes; for the log only.
    cause: Option<String>,
}

impl Problem {
    fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        let (mistakes, headers) = (Vec::new(), Vec::new());
        Self { kind, detail: detail.into(), mistakes, headers, way_back: None, closes_connection: false, cause: None }
    }

    pub fn not_found(detail: &str) -> Self {
        Self::new(&NOT_FOUND, detail)
    }

    pub fn method_not_allowed(allow: &'static str) -> Self {
        let problem = Self::new(&METHOD_NOT_ALLOWED, format!("Here only these methods are allowed: {allow}."));
        Self { headers: vec![(header::ALLOW, allow)], ..problem }
    }

    pub fn cross_site() -> Self {
        Self::new(&FORBIDDEN, "The form was sent from another site. Open the chat's own page and send it from there.")
    }

    pub fn body_too_large(max_bytes: usize) -> Self {
        let problem = Self::new(&BODY_TOO_LARGE, format!("A body may have at most {} KiB.", max_bytes / 1024));
        Self { closes_connection: true, ..problem }
    }

    pub fn broken_body() -> Self {
        let problem = Self::new(&INVALID_REQUEST, "The body did not arrive whole, or not in time.");
        Self { closes_connection: true, ..problem }
    }

    pub fn unsupported_media_type() -> Self {
        let detail = "The body must be a form: its Content-Type must be application/x-www-form-urlencoded, in UTF-8.";
        Self::new(&UNSUPPORTED_MEDIA_TYPE, detail)
    }

    pub fn invalid(mistakes: Vec<FieldMistake>) -> Self {
        Self { mistakes, ..Self::new(&INVALID_REQUEST, "The form has mistakes; errors names each of them.") }
    }

    pub fn internal(cause: &dyn std::error::Error) -> Self {
        let problem = Self::new(&INTERNAL_ERROR, "Something went wrong here. Trying again may help.");
        Self { cause: Some(chain(cause)), ..problem }
    }

    pub fn from_error(error: &SandboxError) -> Self {
        match error {
            SandboxError::Refused(refusal) => Self::from_refusal(*refusal),
            SandboxError::NoSuchGroup => Self::not_found("No chat has this link."),
            SandboxError::Unreadable(_) => Self::internal(error),
            SandboxError::Storage(_) | SandboxError::Busy => {
                let problem = Self::new(&SERVICE_UNAVAILABLE, "This can't be done at the moment. Please try again.");
                Self { headers: vec![(header::RETRY_AFTER, "1")], cause: Some(chain(error)), ..problem }
            }
        }
    }

    fn from_refusal(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::Closed => &CHAT_CLOSED,
            Refusal::NotIn => &PARTICIPANT_NOT_FOUND,
            Refusal::OwnerStays => &PARTICIPANT_IS_OWNER,
            Refusal::Full => &CHAT_FULL,
            Refusal::InviterNotIn => {
                return Self::invalid(vec![FieldMistake::new("invitedBy", MistakeCode::Unknown, refusal.to_string())]);
            }
        };
        Self::new(kind, refusal.to_string())
    }

    /// With a link back to the chat.
    pub fn with_way_back(self, path: &str) -> Self {
        Self { way_back: Some(path.to_owned()), ..self }
    }

    pub const fn kind(&self) -> &Kind {
        self.kind
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub fn mistakes(&self) -> &[FieldMistake] {
        &self.mistakes
    }

    pub fn headers(&self) -> Vec<(HeaderName, &'static str)> {
        self.headers.clone()
    }

    pub fn way_back(&self) -> Option<&str> {
        self.way_back.as_deref()
    }

    pub const fn closes_connection(&self) -> bool {
        self.closes_connection
    }

    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The problem as `application/problem+json`.
    pub fn to_json(&self, instance: &str, request_id: &str) -> String {
        let errors = self.mistakes.iter().map(|mistake| ErrorBody {
            pointer: mistake.pointer(),
            code: mistake.mistake.code,
            detail: &mistake.mistake.detail,
        });
        let body = ProblemBody {
            type_: format!("/problems/{}", self.kind.slug),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: &self.detail,
            instance,
            code: self.kind.slug,
            retryable: [&INTERNAL_ERROR, &SERVICE_UNAVAILABLE].contains(&self.kind),
            request_id,
            errors: errors.collect(),
        };
        serde_json::to_string(&body).expect("texts and numbers can be written")
    }
}

/// An error with all that it was caused by, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProblemBody<'a> {
    #[serde(rename = "type")]
    type_: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    code: &'a str,
    retryable: bool,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ErrorBody<'a>>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    pointer: String,
    code: MistakeCode,
    detail: &'a str,
}
