//! Query strings, read strictly: what can't be understood is a mistake that is named, never a guess.

use std::{collections::HashSet, fmt::Write as _};

use actix_web::HttpRequest;
use convoke_domain::{Mistake, MistakeCode};
use percent_encoding::percent_decode;

use crate::{input::Mistakes, problem::InputError};

/// One parameter, as it was sent and as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// `name=value`, fit for a link.
    pub sent: String,
    /// The name.
    pub name: String,
    /// The value; empty if there is none.
    pub value: String,
}

/// A parameter that an operation knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// Its name.
    pub name: &'static str,
    /// Whether it may come more than once.
    pub repeatable: bool,
    /// Whether it may be empty.
    pub may_be_empty: bool,
}

impl Known {
    /// A parameter that comes once and is not empty.
    pub const fn once(name: &'static str) -> Self {
        Self { name, repeatable: false, may_be_empty: false }
    }

    /// One that may be repeated.
    pub const fn repeatable(name: &'static str) -> Self {
        Self { name, repeatable: true, may_be_empty: false }
    }
}

/// The parameters of a query, all of them known and each as often as it may be.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<Parameter>);

impl Query {
    /// Reads the query of a request, in which only `known` parameters may be.
    pub fn parse(text: &str, known: &[Known], mistakes: &mut Mistakes) -> Self {
        let mut parameters: Vec<Parameter> = Vec::new();
        let mut refused = HashSet::new();
        for sent in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = sent.split_once('=').unwrap_or((sent, ""));
            let (Some(decoded_name), decoded_value) = (decode(name), decode(value)) else {
                mistakes.add(InputError::at_parameter(name, not_decodable()));
                continue;
            };
            let Some(rule) = known.iter().find(|rule| rule.name == decoded_name) else {
                if refused.insert(decoded_name.clone()) {
                    mistakes.add(InputError::at_parameter(&decoded_name, unknown(&decoded_name, known)));
                }
                continue;
            };
            let Some(value) = decoded_value else {
                mistakes.add(InputError::at_parameter(rule.name, not_decodable()));
                continue;
            };
            if value.is_empty() && !rule.may_be_empty {
                mistakes
                    .add(InputError::at_parameter(rule.name, Mistake::new(MistakeCode::Required, "must not be empty")));
                continue;
            }
            parameters.push(Parameter { sent: for_link(sent), name: decoded_name, value });
        }
        for rule in known.iter().filter(|rule| !rule.repeatable) {
            if parameters.iter().filter(|parameter| parameter.name == rule.name).count() > 1 {
                let mistake = Mistake::new(MistakeCode::Duplicate, "must not be given more than once");
                mistakes.add(InputError::at_parameter(rule.name, mistake));
                parameters.retain(|parameter| parameter.name != rule.name);
            }
        }
        Self(parameters)
    }

    /// The value of a parameter that comes once.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.value.as_str())
    }

    /// The values of a parameter that may come more often.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |parameter| parameter.name == name).map(|parameter| parameter.value.as_str())
    }

    /// Reads the value of a parameter that comes once, if it is there.
    pub fn read_one<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, Mistake>,
        mistakes: &mut Mistakes,
    ) -> Option<T> {
        mistakes.at_parameter(name, read(self.get(name)?))
    }

    /// Every parameter but that of this name, as sent.
    pub fn sent_without<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |parameter| parameter.name != name).map(|parameter| parameter.sent.as_str())
    }
}

/// An operation that takes no parameters at all.
pub(crate) fn must_be_empty(request: &HttpRequest, mistakes: &mut Mistakes) {
    Query::parse(request.query_string(), &[], mistakes);
}

/// Reads `%XX` and `+` as forms do; nothing else than whole escapes of UTF-8.
fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let escapes_are_whole = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .all(|(at, _)| bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)));
    if !escapes_are_whole {
        return None;
    }
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// A parameter as it was sent, with what RFC 3986 does not allow in a query escaped.
fn for_link(sent: &str) -> String {
    let mut link = String::with_capacity(sent.len());
    for byte in sent.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte) {
            link.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(link, "%{byte:02X}");
        }
    }
    link
}

fn not_decodable() -> Mistake {
    Mistake::new(MistakeCode::InvalidFormat, "must be percent-encoded UTF-8")
}

fn unknown(name: &str, known: &[Known]) -> Mistake {
    let detail = if known.is_empty() {
        format!("'{name}' is no parameter of this operation, which takes none in its query")
    } else {
        let allowed: Vec<_> = known.iter().map(|rule| rule.name).collect();
        format!("'{name}' is no parameter of this operation; allowed are: {}", allowed.join(", "))
    };
    Mistake::new(MistakeCode::Unknown, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Known; 3] = [
        Known::once("page"),
        Known::repeatable("sort"),
        Known { name: "cursor", repeatable: false, may_be_empty: true },
    ];

    fn mistakes_of(text: &str) -> serde_json::Value {
        let mut mistakes = Mistakes::default();
        Query::parse(text, &KNOWN, &mut mistakes);
        let problem = mistakes.accept(None::<()>).unwrap_err();
        let body = serde_json::to_value(problem.body("/", "r")).unwrap();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| serde_json::json!([error["parameter"], error["code"]])).collect()
    }

    #[test]
    fn parameters_are_decoded_as_forms_are() {
        let mut mistakes = Mistakes::default();
        let query = Query::parse("&sort=a%2Cb+c&%73ort=%C3%A9&cursor&page=1", &KNOWN, &mut mistakes);
        assert!(mistakes.is_empty());
        assert_eq!(query.get_all("sort").collect::<Vec<_>>(), ["a,b c", "é"]);
        assert_eq!((query.get("cursor"), query.get("page")), (Some(""), Some("1")));
        assert_eq!(query.sent_without("page").collect::<Vec<_>>(), ["sort=a%2Cb+c", "%73ort=%C3%A9", "cursor"]);
    }

    #[test]
    fn every_mistake_is_named() {
        let none: [(); 0] = [];
        assert_eq!(mistakes_of("page=1&sort=a&sort=a"), serde_json::json!(none));
        assert_eq!(mistakes_of("page=1&page=1"), serde_json::json!([["page", "duplicate"]]));
        assert_eq!(mistakes_of("page=&sort"), serde_json::json!([["page", "required"], ["sort", "required"]]));
        assert_eq!(
            mistakes_of("Page=1&Page=2&x=%zz&=1"),
            serde_json::json!([["Page", "unknown"], ["x", "unknown"], ["", "unknown"]])
        );
        for wrong in ["page=%", "page=%2", "page=%zz", "page=%ff", "page=%C3", "page=%+1"] {
            assert_eq!(mistakes_of(wrong), serde_json::json!([["page", "invalidFormat"]]), "{wrong}");
        }
        assert_eq!(mistakes_of("%ff=1"), serde_json::json!([["%ff", "invalidFormat"]]));
    }

    /// That they are also told in time that grows with their number alone can't be asserted without a clock.
    #[test]
    fn many_unknown_parameters_are_told_once_each_in_their_order() {
        let names: Vec<_> = (0..10_000).rev().map(|number| format!("x{number}")).collect();
        let expected: serde_json::Value = names.iter().map(|name| serde_json::json!([name, "unknown"])).collect();
        assert_eq!(mistakes_of(&[names.join("&"), names.join("&")].join("&")), expected);
    }

    #[test]
    fn an_unknown_parameter_is_told_what_is_allowed() {
        let mut mistakes = Mistakes::default();
        Query::parse("limit=5", &KNOWN, &mut mistakes);
        let problem = mistakes.accept(None::<()>).unwrap_err();
        let body = serde_json::to_string(&problem.body("/", "r")).unwrap();
        assert!(body.contains("'limit'") && body.contains("page, sort, cursor"), "{body}");
    }

    #[test]
    fn links_hold_nothing_that_breaks_them() {
        assert_eq!(for_link("title=\"<é>\"&x=a,b%2Cc"), "title=%22%3C%C3%A9%3E%22&x=a,b%2Cc");
    }
}
