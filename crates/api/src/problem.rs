//! Every error that a client can see: the one place that knows which status, name and words it has (RFC 9457).
//!
//! What happened inside goes to the log; a [`Problem`] holds the client's words only, so nothing internal can leak.

use std::{borrow::Cow, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use convoke_domain::{Mistake, MistakeCode, OperationErrorCode};
use convoke_store::StoreError;
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

/// The media type of every error.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// What the catalogue says about a kind of problem.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its name: `code`, and the end of `type`.
    pub slug: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// A few words.
    pub title: &'static str,
    /// What happened.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

macro_rules! catalogue {
    ($($kind:ident: $slug:literal, $status:literal, $title:literal, $retryable:literal,
        $meaning:literal, $remedy:literal;)+) => {
        /// The kinds of problem that there are (`contract.md`, the table of slugs).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum ProblemKind { $($kind),+ }

        impl ProblemKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// What the catalogue says about it.
            pub const fn entry(self) -> &'static Entry {
                match self {
                    $(Self::$kind => &Entry {
                        slug: $slug,
                        status: $status,
                        title: $title,
                        meaning: $meaning,
                        remedy: $remedy,
                        retryable: $retryable,
                    }),+
                }
            }
        }
    };
}

catalogue! {
    InvalidRequest: "invalid-request", 400, "Invalid request", false,
        "Something in the path, the query, the headers or the body of the request is not as it has to be. The member `errors` names every mistake: `pointer` (a JSON pointer into the body), `parameter` or `header` says where, `code` and `detail` say what.",
        "Correct every mistake that is named and send the request again. The same request will fail again.";
    Unauthorized: "unauthorized", 401, "No valid token", false,
        "The request carries no token, or one that is unknown, has ended or was revoked.",
        "Send a valid token: `Authorization: Bearer <token>`. Whoever runs the service makes one with `convoke token create`.";
    Forbidden: "forbidden", 403, "Forbidden", false,
        "The token is valid, but does not have the scope that this operation needs. On a page of the sandbox: the form was sent from another site.",
        "Use a token with the scope that is named in the answer, or ask whoever runs the service for one. Send a form from the chat's own page.";
    NotFound: "not-found", 404, "Not found", false,
        "There is nothing under this path.",
        "Compare the path with the API's description, `/openapi.json`. Paths have no slash at the end.";
    ChatNotFound: "chat-not-found", 404, "No such chat", false,
        "There is no chat of this id, or it is not yours to see.",
        "Check the id, and that the token is one of the tenant that registered the chat.";
    ParticipantNotFound: "participant-not-found", 404, "No such participant", false,
        "Nobody of this id has ever been in this chat; on a page of the sandbox, nobody of this id is in it now. While a chat is being made, nobody is in it.",
        "Read the chat's detail and take the id from its `participants`.";
    OperationNotFound: "operation-not-found", 404, "No such operation", false,
        "There is no operation of this id, or it is not yours to see. Operations are deleted some time after their end, by default after 90 days.",
        "Check the id, and that the token is one of the tenant that asked for the operation.";
    MethodNotAllowed: "method-not-allowed", 405, "Method not allowed", false,
        "The path is known, but not with this method.",
        "Use one of the methods that the header `Allow` names.";
    ChatNotReady: "chat-not-ready", 409, "Chat not ready", true,
        "The chat is registered, but its group is still being made, so there is no invitation to it yet.",
        "Try again after the number of seconds in `Retry-After`, or send `Prefer: wait=30` and the answer waits for the chat.";
    ChatNotActive: "chat-not-active", 409, "Chat not active", false,
        "The chat is being made, was closed or has failed, so nobody can be removed from it.",
        "Read the chat's detail: only while its `status` is `active` can somebody be removed.";
    ChatIdTaken: "chat-id-taken", 409, "Chat id taken", false,
        "Another registration was accepted under this id before.",
        "Register with a new random UUID, or leave `id` out and the service makes one. To repeat a registration, send exactly what was sent then.";
    ParticipantIsOwner: "participant-is-owner", 409, "Participant owns the chat", false,
        "The participant is the account that made the group. It keeps the group going: it can't leave or be removed.",
        "Leave this participant in the chat.";
    ProviderNotConfigured: "provider-not-configured", 409, "Messenger not configured", false,
        "The service that is named is known, but this installation is not set up for it.",
        "Leave `service` out to use the default, or ask whoever runs the installation to configure the messenger.";
    RequestInProgress: "request-in-progress", 409, "Request in progress", true,
        "The first request under this idempotency key is still being worked on.",
        "Try again after the number of seconds in `Retry-After`.";
    Cancelled: "cancelled", 409, "Cancelled", false,
        "Whoever runs the service called the operation off before anything was done. This problem is shown as the `error` of an operation.",
        "Ask whoever runs the service why; they can have it tried again, or ask for it anew.";
    ChatFull: "chat-full", 409, "Chat full", false,
        "A chat of the sandbox takes up to 1,000 people, and this one has them.",
        "Somebody has to leave before somebody else can join.";
    ChatClosed: "chat-closed", 410, "Chat closed", false,
        "The chat has come to its end, or could never be made: there is no way into it any more.",
        "Register a new chat.";
    BodyTooLarge: "body-too-large", 413, "Body too large", false,
        "The body of the request is larger than 64 KiB.",
        "Send a smaller one.";
    UnsupportedMediaType: "unsupported-media-type", 415, "Unsupported media type", false,
        "The body of the request is not said to be JSON; on a page of the sandbox, not a form.",
        "Send JSON, with the header `Content-Type: application/json`; to a page of the sandbox, a URL-encoded form.";
    IdempotencyKeyReused: "idempotency-key-reused", 422, "Idempotency key reused", false,
        "Another request was made under this idempotency key before.",
        "Use a new key for every new request. To repeat a request, send exactly what was sent under its key.";
    TooManyRequests: "too-many-requests", 429, "Too many requests", true,
        "More requests came for your tenant than are allowed in the time. `RateLimit-Policy` says how many are, `RateLimit` how many are left.",
        "Try again after the number of seconds in `Retry-After`.";
    InternalError: "internal-error", 500, "Internal error", true,
        "Something went wrong inside the service. It is in the log, under the `requestId` of the answer.",
        "Try again later, with the same idempotency key if the request changes something. If it stays, tell whoever runs the service the `requestId`.";
    ProviderRejected: "provider-rejected", 502, "Messenger refused", false,
        "The messenger refused to do what it was asked for, and would refuse again. This problem is shown as the `error` of an operation.",
        "Read its `detail`; once the cause is gone, ask for the operation again.";
    ServiceUnavailable: "service-unavailable", 503, "Service unavailable", true,
        "The service can't answer right now: something that it needs does not answer, or more requests come than it can work on.",
        "Try again after the number of seconds in `Retry-After`, with the same idempotency key if the request changes something.";
    AttemptsExhausted: "attempts-exhausted", 504, "Attempts exhausted", false,
        "The messenger did not do what it was asked for in any of many attempts. This problem is shown as the `error` of an operation.",
        "Ask for the operation again once the messenger works.";
}

impl ProblemKind {
    /// The kind of this name.
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.entry().slug == slug)
    }

    /// Its status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.entry().status).expect("the catalogue's statuses are statuses")
    }

    /// `type`: a path of this service, which serves what the problem means.
    pub fn type_uri(self) -> String {
        format!("/problems/{}", self.entry().slug)
    }

    /// The kind that comes closest to a status that something else than us has answered with.
    pub fn from_status(status: StatusCode) -> Self {
        match status.as_u16() {
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            413 => Self::BodyTooLarge,
            415 => Self::UnsupportedMediaType,
            400..=499 => Self::InvalidRequest,
            _ => Self::InternalError,
        }
    }
}

impl From<OperationErrorCode> for ProblemKind {
    fn from(code: OperationErrorCode) -> Self {
        match code {
            OperationErrorCode::ProviderRejected => Self::ProviderRejected,
            OperationErrorCode::AttemptsExhausted => Self::AttemptsExhausted,
            OperationErrorCode::Cancelled => Self::Cancelled,
        }
    }
}

/// Where in a request a mistake is, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct InputError {
    /// Where in the body: a JSON pointer (RFC 6901); empty for the body as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Which parameter of the path or the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// Which header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// What kind of mistake it is.
    pub code: MistakeCode,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl InputError {
    fn new(mistake: Mistake) -> Self {
        Self { pointer: None, parameter: None, header: None, code: mistake.code, detail: mistake.detail }
    }

    /// A mistake in the body, at this JSON pointer.
    pub fn at_pointer(pointer: impl Into<String>, mistake: Mistake) -> Self {
        Self { pointer: Some(pointer.into()), ..Self::new(mistake) }
    }

    /// A mistake in this parameter of the path or the query.
    pub fn at_parameter(name: impl Into<String>, mistake: Mistake) -> Self {
        Self { parameter: Some(name.into()), ..Self::new(mistake) }
    }

    /// A mistake in this header.
    pub fn at_header(name: impl Into<String>, mistake: Mistake) -> Self {
        Self { header: Some(name.into()), ..Self::new(mistake) }
    }
}

/// An answer that is an error.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub kind: ProblemKind,
    detail: Cow<'static, str>,
    errors: Vec<InputError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the connection is of no more use, because what was sent on it was not read to its end.
    pub closes_connection: bool,
    /// Whether it is so frequent when it happens that the log is spared a line for each.
    pub is_quiet: bool,
}

impl Problem {
    /// A problem of this kind, told in this sentence.
    pub fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        let problem = Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            closes_connection: false,
            is_quiet: false,
        };
        // Where trying again helps, it is said when (`contract.md`); after a mishap of ours nobody knows.
        if kind.entry().retryable && kind != ProblemKind::InternalError {
            problem.with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
        } else {
            problem
        }
    }

    /// The mistakes of a request.
    pub fn invalid(errors: Vec<InputError>) -> Self {
        let detail = match errors.len() {
            1 => "The request has a mistake; `errors` names it.".to_owned(),
            count => format!("The request has {count} mistakes; `errors` names them."),
        };
        Self { errors, ..Self::new(ProblemKind::InvalidRequest, detail) }
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says to try again after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.headers.retain(|(name, _)| name != header::RETRY_AFTER);
        self.with_header(header::RETRY_AFTER, seconds.into())
    }

    /// Spares the log a line.
    #[must_use]
    pub fn quietly(mut self) -> Self {
        self.is_quiet = true;
        self
    }

    /// Closes the connection after the answer.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closes_connection = true;
        self
    }

    /// The headers of its own.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The sentence about this very case.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The whole problem, as an answer shows it.
    pub fn body<'a>(&'a self, instance: &'a str, request_id: &'a str) -> ProblemBody<'a> {
        ProblemBody::new(self.kind, &self.detail, instance, request_id).with_errors(&self.errors)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.entry().slug, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.status()
    }

    /// The status alone: `frame.rs`, which knows the request, makes the answer.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

impl From<StoreError> for Problem {
    /// Logs what happened; the client learns only whether to try again.
    fn from(error: StoreError) -> Self {
        let chain = chain(&error);
        match error {
            // Not a fault: `Admission::refuse` tells of it.
            StoreError::Busy => Self::overloaded(),
            StoreError::Unavailable(_) => {
                tracing::error!(error = chain, "the store is unavailable");
                Self::new(ProblemKind::ServiceUnavailable, "The service can't answer right now.")
            }
            StoreError::Open(_) | StoreError::Inconsistent(_) => {
                tracing::error!(error = chain, "the store failed");
                Self::internal()
            }
        }
    }
}

impl Problem {
    /// There is too much to do. That is no line of the log for each request: it would only add to the load.
    pub fn overloaded() -> Self {
        let detail = "More requests come than can be worked on right now.";
        Self::new(ProblemKind::ServiceUnavailable, detail).quietly()
    }

    /// Something went wrong inside; what it was is in the log.
    pub fn internal() -> Self {
        Self::new(ProblemKind::InternalError, "Something went wrong inside the service.")
    }
}

/// An error with everything that caused it, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What went wrong (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// The kind of problem: a path of this service that explains it.
    #[schema(
        format = "uri-reference",
        pattern = "^/problems/[a-z-]+$",
        max_length = 64,
        example = "/problems/chat-not-found"
    )]
    r#type: String,
    /// The kind of problem, in a few words.
    #[schema(max_length = 64, example = "No such chat")]
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 404)]
    status: u16,
    /// This very case, in a sentence.
    #[schema(example = "There is no such chat.")]
    detail: &'a str,
    /// The path of the request.
    #[schema(format = "uri-reference", example = "/api/v1/private/chats/9a983789-1709-4543-aa31-a02867680017")]
    instance: &'a str,
    /// The kind of problem, as a name.
    #[schema(value_type = ProblemCode, example = "chat-not-found")]
    code: &'a str,
    /// Whether the same request may succeed later.
    #[schema(example = false)]
    retryable: bool,
    /// The request, as in the header `X-Request-Id` and in the log.
    #[schema(max_length = 64, pattern = "^[!-~]+$", example = "1f6c2f0e-7a52-4d0e-9d0b-6e1f5a0c1c1e")]
    request_id: &'a str,
    /// Every mistake in the request, if that is what is wrong.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Option<Vec<InputError>>)]
    errors: &'a [InputError],
}

/// The kinds of problem, as names.
pub(crate) struct ProblemCode;

impl ToSchema for ProblemCode {}

impl PartialSchema for ProblemCode {
    fn schema() -> RefOr<Schema> {
        let codes = ProblemKind::ALL.iter().map(|kind| kind.entry().slug);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes)).into()
    }
}

impl<'a> ProblemBody<'a> {
    /// A problem of this kind without mistakes of the request.
    pub fn new(kind: ProblemKind, detail: &'a str, instance: &'a str, request_id: &'a str) -> Self {
        let entry = kind.entry();
        Self {
            r#type: kind.type_uri(),
            title: entry.title,
            status: entry.status,
            detail,
            instance,
            code: entry.slug,
            retryable: entry.retryable,
            request_id,
            errors: &[],
        }
    }

    /// The same, with these mistakes of the request.
    pub fn with_errors(self, errors: &'a [InputError]) -> Self {
        Self { errors, ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_is_found_by_its_own_name() {
        let mut slugs = HashSet::new();
        for kind in ProblemKind::ALL.iter().copied() {
            let entry = kind.entry();
            assert!(slugs.insert(entry.slug), "{} twice", entry.slug);
            assert_eq!(ProblemKind::from_slug(entry.slug), Some(kind));
            assert!(entry.slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
        }
        assert_eq!(ProblemKind::from_slug("nothing"), None);
    }

    #[test]
    fn exactly_the_contracts_kinds_can_be_retried() {
        let retryable: Vec<_> = ProblemKind::ALL.iter().map(|k| k.entry()).filter(|e| e.retryable).collect();
        let slugs: Vec<_> = retryable.iter().map(|entry| entry.slug).collect();
        assert_eq!(
            slugs,
            ["chat-not-ready", "request-in-progress", "too-many-requests", "internal-error", "service-unavailable"]
        );
    }

    #[test]
    fn it_is_written_as_the_contract_has_it() {
        let problem = Problem::invalid(vec![InputError::at_pointer(
            "/title",
            Mistake::new(MistakeCode::Required, "must be there"),
        )]);
        let body = serde_json::to_value(problem.body("/api/v1/private/chats", "r-1")).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "/problems/invalid-request",
                "title": "Invalid request",
                "status": 400,
                "detail": "The request has a mistake; `errors` names it.",
                "instance": "/api/v1/private/chats",
                "code": "invalid-request",
                "retryable": false,
                "requestId": "r-1",
                "errors": [{"pointer": "/title", "code": "required", "detail": "must be there"}],
            })
        );
    }

    #[test]
    fn a_store_error_tells_the_client_nothing_but_whether_to_try_again() {
        let problem = Problem::from(StoreError::Unavailable("connect to 10.0.0.1".to_owned()));
        assert_eq!(problem.kind, ProblemKind::ServiceUnavailable);
        assert!(problem.headers().iter().any(|(name, _)| name == header::RETRY_AFTER));
        assert!(!problem.to_string().contains("10.0.0.1"));
        let problem = Problem::from(StoreError::Inconsistent("select 1".to_owned()));
        assert_eq!(problem.kind, ProblemKind::InternalError);
        assert!(!problem.to_string().contains("select"));
    }

    #[test]
    fn what_is_refused_for_load_is_told_to_the_client_and_is_no_line_of_the_log() {
        let problem = Problem::from(StoreError::Busy);
        assert_eq!((problem.kind, problem.is_quiet), (ProblemKind::ServiceUnavailable, true));
        assert!(problem.headers().iter().any(|(name, _)| name == header::RETRY_AFTER));
    }
}
