//! Fuzz targets: everything of ours that reads what others wrote, and what has to hold of whatever it reads.
//!
//! A target is a plain function: it is given bytes, and panics if something is wrong, be it in what it tries or in what
//! came of it. Mostly that is this: what was taken can be written, and is read back as the same. [`TARGETS`] lists them.
//!
//! The bytes come from two places. `cargo xtask fuzz` has libFuzzer choose them (`engine`), which sees what parts of the
//! program each of them reaches; what is worth keeping of them goes to `corpus/<target>`, and the test of this crate
//! tries all that is there, every time.

mod forms;
mod headers;
mod query;
mod registration;
mod settings;
mod telegram;
mod tokens;
mod values;

/// Something that reads what others wrote.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its folder in `corpus/` too.
    pub name: &'static str,
    /// Tries it with these bytes.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    target("bearer", headers::bearer),
    target("cursor", values::cursor),
    target("form", forms::form),
    target("id", values::id),
    target("idempotency-key", headers::idempotency_key),
    target("if-none-match", headers::if_none_match),
    target("issuer-keys", tokens::keys),
    target("jwt", tokens::jwt),
    target("jwt-claims", tokens::claims),
    target("position", headers::position),
    target("prefer", headers::prefer),
    target("query", query::list),
    target("registration", registration::registration),
    target("request-id", headers::request_id),
    target("settings", settings::file),
    target("settings-environment", settings::environment),
    target("telegram-error", telegram::error),
    target("telegram-invitation", telegram::invitation),
    target("telegram-log", telegram::log_entry),
    target("telegram-message", telegram::message),
    target("telegram-session", telegram::session),
    target("telegram-updates", telegram::updates),
    target("timestamp", values::timestamp),
    target("token", tokens::token),
];

/// The target of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Bytes as text, for what is given nothing else.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// Bytes as the values of headers of one name, a line each.
fn lines(data: &[u8]) -> Vec<&[u8]> {
    data.split(|byte| *byte == b'\n').collect()
}

/// A problem is one of a mistaken request, and names a mistake.
fn assert_refusal(problem: &serde_json::Value) {
    assert_eq!(problem["status"], 400, "{problem}");
    assert_eq!(problem["code"], "invalid-request", "{problem}");
    let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(!errors.is_empty(), "{problem}");
    assert!(errors.iter().all(|error| error["code"].is_string() && error["detail"].is_string()), "{problem}");
}
