//! JSON bodies: how much of one is read, and what of it can be named when it is wrong.

use std::{collections::HashSet, fmt, io};

use actix_web::{HttpRequest, error::PayloadError, http::header, web};
use bytes::{Bytes, BytesMut};
use convoke_domain::{Mistake, MistakeCode};
use futures_util::StreamExt as _;
use serde::{
    Deserializer as _,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    input::Mistakes,
    problem::{InputError, Problem, ProblemKind},
};

/// The largest body that is read.
pub(crate) const MAX_BYTES: usize = 64 * 1024;

/// How much of a body that is too large is thrown away before it is refused: a client that sends everything before it
/// reads would not see the answer otherwise.
const MAX_DISCARDED_BYTES: usize = 16 * 1024 * 1024;

/// Reads the body of a request that is to be JSON: it must not be too large (413, looked at first), must be said to be
/// JSON (415), and must arrive in time.
pub(crate) async fn read(request: &HttpRequest, mut payload: web::Payload) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    let mut received = 0;
    let mut too_large = announced_length(request).is_some_and(|length| length > MAX_BYTES as u64);
    while let Some(chunk) = payload.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(_) if too_large => break,
            Err(error) => return Err(not_read(&error)),
        };
        received += chunk.len();
        too_large |= received > MAX_BYTES;
        if !too_large {
            body.extend_from_slice(&chunk);
        } else if received > MAX_DISCARDED_BYTES {
            break;
        }
    }
    if too_large {
        return Err(Problem::new(ProblemKind::BodyTooLarge, "The body is larger than 64 KiB.").closing());
    }
    if !is_json(request) {
        let detail = "The body must be JSON, with the header `Content-Type: application/json`.";
        return Err(Problem::new(ProblemKind::UnsupportedMediaType, detail));
    }
    Ok(body.freeze())
}

fn announced_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_json(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let mut content_types = headers.get_all(header::CONTENT_TYPE);
    let essence = content_types.next().and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    let mut codings = headers.get_all(header::CONTENT_ENCODING);
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
        && content_types.next().is_none()
        && codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn not_read(error: &PayloadError) -> Problem {
    let detail = match error {
        PayloadError::Io(error) if error.kind() == io::ErrorKind::TimedOut => "did not arrive in time",
        _ => "could not be read to its end",
    };
    Problem::invalid(vec![InputError::at_pointer("", Mistake::new(MistakeCode::InvalidFormat, detail))]).closing()
}

/// The members of a JSON object, as they were sent: repeated ones are still there, values are not looked at yet.
#[derive(Debug)]
pub(crate) struct JsonObject<'a>(Vec<(String, &'a RawValue)>);

impl<'a> JsonObject<'a> {
    /// Reads a body that must be a JSON object (RFC 8259).
    pub fn parse(body: &'a [u8]) -> Result<Self, Mistake> {
        let invalid = |detail: &str| Mistake::new(MistakeCode::InvalidFormat, detail);
        let text = std::str::from_utf8(body).map_err(|_| invalid("must be JSON in UTF-8"))?;
        // Values are skipped, not descended into, so that no depth of nesting can exhaust the stack.
        let value: &RawValue = serde_json::from_str(text).map_err(|_| invalid("must be valid JSON"))?;
        if !value.get().starts_with('{') {
            return Err(invalid("must be a JSON object"));
        }
        let mut deserializer = serde_json::Deserializer::from_str(value.get());
        deserializer.deserialize_map(Members).map(Self).map_err(|_| invalid("must be valid JSON"))
    }

    /// The text of a member; nothing if it is not there, or has a mistake, which is noted.
    pub fn text(&self, name: &str, mistakes: &mut Mistakes) -> Option<String> {
        let mut values = self.0.iter().filter(|(member, _)| member == name).map(|(_, value)| *value);
        let value = values.next()?;
        let read = if values.next().is_some() {
            Err(Mistake::new(MistakeCode::Duplicate, "must not be given more than once"))
        } else {
            read_text(value)
        };
        mistakes.at_pointer(&pointer(name), read)
    }

    /// Whether there is a member of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(member, _)| member == name)
    }

    /// Notes every member that is not one of `known`.
    pub fn refuse_unknown(&self, known: &[&str], mistakes: &mut Mistakes) {
        let mut refused = HashSet::new();
        for (name, _) in &self.0 {
            if !known.contains(&name.as_str()) && refused.insert(name) {
                let detail = format!("'{name}' is no member of this request; allowed are: {}", known.join(", "));
                mistakes.add(InputError::at_pointer(pointer(name), Mistake::new(MistakeCode::Unknown, detail)));
            }
        }
    }
}

/// The mistake of leaving out a mandatory member.
pub(crate) fn missing() -> Mistake {
    Mistake::new(MistakeCode::Required, "must be there")
}

fn read_text(value: &RawValue) -> Result<String, Mistake> {
    let text = value.get();
    serde_json::from_str(text).map_err(|_| {
        let detail = match text.as_bytes().first() {
            Some(b'"') => "must hold Unicode characters only",
            Some(b'n') => "must not be null; leave it out instead",
            _ => "must be a string",
        };
        Mistake::new(MistakeCode::InvalidFormat, detail)
    })
}

/// The JSON pointer to a member of the body (RFC 6901).
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(mistakes: Mistakes) -> Vec<(String, String)> {
        let problem = mistakes.accept(None::<()>).unwrap_err();
        let body = serde_json::to_value(problem.body("/", "r")).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| (text(&error["pointer"]), text(&error["code"]))).collect()
    }

    fn read_title(body: &str) -> (Option<String>, Vec<(String, String)>) {
        let mut mistakes = Mistakes::default();
        let object = JsonObject::parse(body.as_bytes()).unwrap();
        let title = object.text("title", &mut mistakes);
        object.refuse_unknown(&["title"], &mut mistakes);
        (title, errors(mistakes))
    }

    fn error(pointer: &str, code: &str) -> (String, String) {
        (pointer.to_owned(), code.to_owned())
    }

    #[test]
    fn texts_are_read() {
        assert_eq!(read_title(" {\"title\" : \"a\\u00e9\\ud83d\\ude00\"}\n"), (Some("aé😀".to_owned()), vec![]));
        assert_eq!(read_title("{\"\\u0074itle\":\"x\"}"), (Some("x".to_owned()), vec![]));
        assert_eq!(read_title("{}"), (None, vec![]));
    }

    #[test]
    fn wrong_members_are_named() {
        for wrong in ["null", "1", "1e999", "true", "[]", "{}", "\"\\ud800\""] {
            let body = format!("{{\"title\":{wrong}}}");
            assert_eq!(read_title(&body), (None, vec![error("/title", "invalidFormat")]), "{wrong}");
        }
        assert_eq!(read_title("{\"title\":\"a\",\"title\":\"a\"}"), (None, vec![error("/title", "duplicate")]));
        assert_eq!(
            read_title("{\"a/b~\":1,\"\":2,\"\":3}"),
            (None, vec![error("/a~1b~0", "unknown"), error("/", "unknown")])
        );
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        for wrong in [
            "",
            "x",
            "null",
            "[]",
            "\"a\"",
            "1",
            "{\"a\":1",
            "{\"a\":1} x",
            "{\"a\":1,}",
            "{'a':1}",
            "{\"a\":01}",
            "\u{feff}{}",
            "{\"\\ud800\":1}",
            &deep,
        ] {
            assert_eq!(JsonObject::parse(wrong.as_bytes()).unwrap_err().code, MistakeCode::InvalidFormat, "{wrong}");
        }
        assert!(JsonObject::parse(b"{\"a\":\"\xff\"}").is_err());
        assert!(JsonObject::parse(format!("{{\"a\":{deep}}}").as_bytes()).is_ok());
    }
}
