//! What values settings take: in words, for people, and as JSON Schema, for editors.

use serde_json::{Value, json};

/// What a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takes {
    /// In words.
    pub words: &'static str,
    /// As the file holds it.
    pub form: Form,
}

/// What a value looks like in the file. Whatever has one of these forms the program may still refuse; what has none, it
/// does refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Yes or no.
    Switch,
    /// A whole number from this one on.
    Number(u32),
    /// A number from 0 to 1.
    Share,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A text that this regular expression describes.
    Text(&'static str),
    /// A list of texts, or a text with commas, each part of which this regular expression describes.
    List(&'static str),
    /// The issuers of tokens.
    Issuers,
}

/// Yes or no.
pub const SWITCH: Takes = Takes { words: "true or false", form: Form::Switch };
/// Where to listen.
pub const ADDRESS: Takes =
    text("an IP address and a port, such as 127.0.0.1:8080 or [::]:8080", r"^([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$");
/// How long.
pub const DURATION: Takes = text("a duration, such as 0s, 1m 30s or 90d", DURATIONS);
/// How long, but not no time at all.
pub const LONGER_DURATION: Takes = text("a duration of at least 1ms, such as 1m 30s or 6h", DURATIONS);
/// A file.
pub const PATH: Takes = text("the path of a file", "^.+$");
/// How many.
pub const NUMBER: Takes = number("a number", 0);
/// How many, at least one.
pub const POSITIVE: Takes = number("a number from 1", 1);

/// Numbers with their units, one after the other.
pub const DURATIONS: &str = concat!(
    r"^\s*([0-9]+(\.[0-9]+)?\s*(",
    "nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m|hours|hour|hrs|hr|h|",
    r"days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y)\s*)+$"
);

/// A text.
pub const fn text(words: &'static str, pattern: &'static str) -> Takes {
    Takes { words, form: Form::Text(pattern) }
}

/// A whole number.
pub const fn number(words: &'static str, least: u32) -> Takes {
    Takes { words, form: Form::Number(least) }
}

/// One of several words.
pub const fn one_of(words: &'static str, which: &'static [&'static str]) -> Takes {
    Takes { words, form: Form::OneOf(which) }
}

impl Form {
    /// As JSON Schema. Switches and numbers may stand in quotes.
    pub fn schema(self) -> Value {
        match self {
            Self::Switch => json!({"enum": [true, false, "true", "false"]}),
            Self::Number(least) => json!({"type": ["integer", "string"], "minimum": least, "pattern": "^[0-9]+$"}),
            Self::Share => {
                json!({"type": ["number", "string"], "minimum": 0, "maximum": 1, "pattern": "^[-+0-9.eE]+$"})
            }
            Self::OneOf(words) => json!({"enum": words}),
            Self::Text(pattern) => json!({"type": "string", "pattern": pattern}),
            Self::List(pattern) => json!({
                "oneOf": [
                    {"type": "array", "items": {"type": "string", "pattern": format!(r"^\s*({pattern})\s*$")}},
                    {"type": "string", "pattern": format!(r"^\s*(({pattern})\s*(,\s*({pattern})\s*)*)?$")},
                ],
            }),
            Self::Issuers => json!({"type": "array", "items": issuer()}),
        }
    }

    /// A value of this form, as the environment says it, in its own type.
    pub fn value(self, text: &str) -> Value {
        match self {
            Self::Switch | Self::Number(_) | Self::Share => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            Self::OneOf(_) | Self::Text(_) | Self::List(_) | Self::Issuers => text.into(),
        }
    }
}

fn issuer() -> Value {
    let name = |description: &str| json!({"description": description, "type": "string", "pattern": r"\S"});
    json!({
        "type": "object",
        "required": ["issuer", "audience"],
        "additionalProperties": false,
        "properties": {
            "issuer": {
                "description": "The URL that the issuer calls itself.",
                "type": "string",
                "pattern": "^https?://[^?#@]+$",
            },
            "audience": name("What `aud` of a token has to hold."),
            "tenant_claim": name("The claim with the tenant; `tenant` if nothing is said."),
            "scope_claim": name("The claim with the scopes; `scope` if nothing is said."),
            "tenants": {
                "description": "The tenants that the issuer may speak for; else all.",
                "type": "array",
                "items": {"type": "string", "pattern": "^[A-Za-z0-9_.-]+$"},
            },
            "swagger_ui_client": name("The public client as which Swagger UI logs people in."),
        },
    })
}
