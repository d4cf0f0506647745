//! Problems: how the service says that something went wrong (RFC 9457).

use std::fmt;

use serde::Deserialize;

/// A problem, as the service told it. Whatever an answer leaves out is empty here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Problem {
    /// The kind of problem: a path of the service, which explains it.
    pub r#type: String,
    /// The kind of problem, in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This very case, in a sentence.
    pub detail: String,
    /// The path of the request.
    pub instance: String,
    /// The kind of problem, as a name: `chat-not-found` and so on.
    pub code: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// The request, as it is called in the service's log.
    pub request_id: String,
    /// Every mistake in the request, if that is what is wrong.
    pub errors: Vec<InputError>,
}

/// A mistake in a request: where it is, and what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct InputError {
    /// Where in the body: a JSON pointer (RFC 6901).
    pub pointer: Option<String>,
    /// Which parameter of the path or the query.
    pub parameter: Option<String>,
    /// Which header.
    pub header: Option<String>,
    /// What kind of mistake: `required`, `tooLong` and so on. A later service may know more of them, so it is a text.
    pub code: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl Problem {
    /// Reads the body of an answer; nothing if it is no problem.
    pub(crate) fn read(status: u16, body: &[u8]) -> Option<Self> {
        let problem: Self = serde_json::from_slice(body).ok()?;
        // Any JSON object reads as a problem in which everything is missing: one that is meant names its kind.
        (!problem.code.is_empty() || !problem.r#type.is_empty()).then_some(Self { status, ..problem })
    }

    /// Whether it is of this kind, for instance `chat-not-found`.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.title, self.status, self.detail)?;
        for error in &self.errors {
            let place = error.pointer.as_ref().or(error.parameter.as_ref()).or(error.header.as_ref());
            write!(f, " [{}: {}]", place.map_or("", String::as_str), error.detail)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_with_its_mistakes_and_what_is_not_known_is_passed_over() {
        let body = br#"{"type":"/problems/invalid-request","title":"Invalid request","status":400,"detail":"One mistake.",
            "instance":"/api/v1/private/chats","code":"invalid-request","retryable":false,"requestId":"r1","weather":"fine",
            "errors":[{"pointer":"/title","code":"required","detail":"must not be blank","since":1}]}"#;
        let problem = Problem::read(400, body).unwrap();
        assert!(problem.is("invalid-request") && !problem.retryable);
        assert_eq!((problem.request_id.as_str(), problem.errors.len()), ("r1", 1));
        assert_eq!(problem.errors[0].pointer.as_deref(), Some("/title"));
        assert_eq!(problem.to_string(), "Invalid request (400): One mistake. [/title: must not be blank]");
    }

    #[test]
    fn what_is_no_problem_is_not_taken_for_one() {
        for body in ["", "<html>", "{}", "[]", r#"{"status":503}"#] {
            assert_eq!(Problem::read(503, body.as_bytes()), None, "{body}");
        }
    }
}
