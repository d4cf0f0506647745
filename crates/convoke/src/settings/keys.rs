//! The names of all settings, with what a reader of a reference wants to know.

use super::form::{
    ADDRESS, DURATION, DURATIONS, Form, LONGER_DURATION, NUMBER, PATH, POSITIVE, SWITCH, Takes, number, one_of, text,
};

/// A setting's name and what is to be known about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name in the file: `section.key`.
    pub name: &'static str,
    /// Its value if nothing is said; if there is none, `what` says what happens then.
    pub default: Option<&'static str>,
    /// A value as it is written in the file: the default, if there is one.
    pub example: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// The same, as the file holds it.
    pub form: Form,
    /// What it does.
    pub what: &'static str,
    /// Whether its value may hold a secret, and so is never shown. What is secret can be given by a file too: there is a
    /// setting of the same name with `_file` behind it.
    pub secret: bool,
}

impl Key {
    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_uppercase().replace('.', "__"))
    }

    /// The setting of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// The setting that names a file with the value of this one, if this one is secret.
    #[must_use]
    pub fn file(&self) -> Option<&'static Self> {
        if self.secret { Self::find(&format!("{}_file", self.name)) } else { None }
    }
}

/// What the environment variables of all settings begin with.
pub const VARIABLE_PREFIX: &str = "CONVOKE__";

const fn key(name: &'static str, default: &'static str, takes: Takes, what: &'static str) -> Key {
    Key { name, default: Some(default), example: default, takes: takes.words, form: takes.form, what, secret: false }
}

/// A setting without a default.
const fn unset(name: &'static str, example: &'static str, takes: Takes, what: &'static str) -> Key {
    Key { name, default: None, example, takes: takes.words, form: takes.form, what, secret: false }
}

/// A secret without a default.
const fn secret(name: &'static str, example: &'static str, takes: Takes, what: &'static str) -> Key {
    Key { secret: true, ..unset(name, example, takes, what) }
}

/// The file of a secret.
const fn file_of_secret(name: &'static str, example: &'static str, what: &'static str) -> Key {
    unset(name, example, PATH, what)
}

/// What the sections are about, in the order in which the settings come.
pub const SECTIONS: &[(&str, &str)] = &[
    ("server", "the public listener"),
    ("admin", "the listener for operators"),
    ("database", "where everything is kept"),
    ("providers", "which messengers there are"),
    ("sandbox", "the messenger that lives in the service"),
    ("telegram", "the messenger, by user accounts of the service"),
    ("secrets", "what opens the secrets that are kept in the database"),
    ("auth", "who may come in"),
    ("limits", "how much is taken on"),
    ("retention", "what is kept for how long"),
    ("traces", "what requests lead to, told to a collector"),
    ("log", "what is told to operators"),
];

/// Every setting there is.
pub const KEYS: &[Key] = &[
    key("server.bind", "127.0.0.1:8080", ADDRESS, "where the API listens"),
    unset(
        "server.public_url",
        "https://chats.example.org",
        text("an http or https URL, such as https://chats.example.org", "^https?://[^/?#@]+[^?#]*$"),
        "how the API is reached from outside; invitation pages of the sandbox begin with it. Without it: `http://` and \
         where the API listens, `localhost` for an unspecified address",
    ),
    key("server.drain", "0s", DURATION, "how long requests are still accepted after SIGTERM"),
    key("server.swagger_ui", "true", SWITCH, "whether Swagger UI is there"),
    key(
        "server.trusted_proxies",
        "0",
        number("a number from 0 to 255", 0),
        "how many proxies stand in front of the service and add to `X-Forwarded-For`: the audit log then names the address \
         that the outermost of them saw. With 0 it is that of the connection",
    ),
    unset("server.workers", "4", POSITIVE, "how many threads answer requests. Without it: one for each core"),
    key("admin.bind", "127.0.0.1:8081", ADDRESS, "where `/livez`, `/readyz` and `/metrics` are"),
    Key {
        secret: true,
        ..key(
            "database.url",
            "sqlite://convoke-data/convoke.db",
            text("sqlite://PATH or postgres://USER@HOST/DATABASE", "^(sqlite://[^?#]*[^?#/]|postgres(ql)?://.+)$"),
            "where everything is kept; `postgres://` takes several hosts, of which the one that takes writes is used, and \
             `sslmode`, as in libpq",
        )
    },
    file_of_secret("database.url_file", "/run/secrets/database-url", "a file that holds `database.url`"),
    secret(
        "database.read_url",
        "postgres://convoke@db-ro/convoke",
        text("postgres://USER@HOST/DATABASE", "^postgres(ql)?://.+$"),
        "a read replica of the PostgreSQL database, or several behind one address: chats, lists, invitations and operations \
         are read there, if it will do; docs/postgresql.md says when. Without it: everything is read where it is written",
    ),
    file_of_secret("database.read_url_file", "/run/secrets/database-read-url", "a file that holds `database.read_url`"),
    key(
        "database.read_max_lag",
        "10s",
        LONGER_DURATION,
        "how old what is read from a replica may be: one that lags more is not used",
    ),
    key(
        "database.migrate",
        "auto",
        one_of("auto or off", &["auto", "off"]),
        "whether the schema is brought up to date at the start",
    ),
    key(
        "providers.default",
        "sandbox",
        one_of("sandbox or telegram", &["sandbox", "telegram"]),
        "the messenger of registrations that name none",
    ),
    unset(
        "sandbox.enabled",
        "true",
        SWITCH,
        "whether the sandbox is there. Without it: if it is the default provider, or if anything else is said about it",
    ),
    unset("sandbox.delay", "200ms", DURATION, "how long each call of the sandbox takes at least, for tests"),
    unset(
        "sandbox.faults",
        "['lostAnswer', 'retryAfter:3']",
        Takes {
            words: "a list (in the environment: with commas) of retryAfter:SECONDS, lostAnswer and reject",
            form: Form::List("retryAfter:[0-9]+|lostAnswer|reject"),
        },
        "how the first calls of the sandbox go wrong, one after the other, for tests",
    ),
    unset(
        "telegram.api_id",
        "12345",
        POSITIVE,
        "the id of the application, from <https://my.telegram.org>. Telegram is there if this and `telegram.api_hash` are \
         set",
    ),
    secret(
        "telegram.api_hash",
        "0123456789abcdef0123456789abcdef",
        text("32 hexadecimal digits", "^[0-9A-Fa-f]{32}$"),
        "the hash of the application, from the same page",
    ),
    file_of_secret("telegram.api_hash_file", "/run/secrets/telegram-api-hash", "a file that holds `telegram.api_hash`"),
    secret(
        "telegram.session",
        "1AgAO...",
        text("a StringSession, as Telethon writes it", "^1.+$"),
        "the session of an account that is not kept in the database, for a service that is set up by its environment \
         alone; it goes by the name `configured`. Whoever knows it has the account",
    ),
    file_of_secret("telegram.session_file", "/run/secrets/telegram-session", "a file that holds `telegram.session`"),
    key(
        "telegram.creation_budget",
        "20",
        NUMBER,
        "how many groups an account makes in 24 hours at most; Telegram is said to take about 50 amiss",
    ),
    key(
        "telegram.capacity",
        "500",
        NUMBER,
        "how many groups an account has at most; Telegram allows 500, and 1000 with Premium",
    ),
    key(
        "telegram.settle_time",
        "60s",
        DURATION,
        "how long after a creation whose outcome is unknown its group may still turn up: no second one is made before",
    ),
    key("telegram.call_timeout", "15s", LONGER_DURATION, "how long a call of Telegram may take"),
    key(
        "telegram.missing_time",
        "60s",
        DURATION,
        "how long a group that can't be found any more is looked for again before its chat is closed",
    ),
    key(
        "telegram.log_interval",
        "6h",
        LONGER_DURATION,
        "how often the admin log of a quiet group is read at least; Telegram keeps it for 48 hours",
    ),
    key(
        "telegram.members_interval",
        "24h",
        LONGER_DURATION,
        "how often the members of a group are compared with the record",
    ),
    secret(
        "secrets.key",
        "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        text("the base64 of 32 random bytes, as `openssl rand -base64 32` prints it", "^[A-Za-z0-9+/]{43}=$"),
        "the key by which sessions of accounts are sealed in the database. Without it: on SQLite, a file `secrets.key` \
         beside the database, which is made when it is first needed; on PostgreSQL, none: accounts can't be kept",
    ),
    file_of_secret("secrets.key_file", "/run/secrets/convoke-secrets-key", "a file that holds `secrets.key`"),
    key("auth.first_token", "true", SWITCH, "whether a SQLite database without any token gets one"),
    unset(
        "auth.issuers",
        "[{ issuer = 'https://login.example.org/realms/acme', audience = 'convoke' }]",
        Takes {
            words: "a list of tables (in the environment: of JSON objects) with issuer and audience and, if need be, \
                    tenant_claim, scope_claim, tenants and swagger_ui_client",
            form: Form::Issuers,
        },
        "the OpenID Connect issuers whose tokens are taken beside our own: `issuer` is the URL that they call themselves, \
         `audience` what `aud` has to hold. `tenant_claim` (`tenant` if nothing is said) names the claim with the tenant, \
         `scope_claim` (`scope`) the one with the scopes, `tenants` the tenants that the issuer may speak for (else all), \
         `swagger_ui_client` the public client as which Swagger UI logs people in. docs/tokens.md says more. Without it: \
         none",
    ),
    unset(
        "limits.requests_per_second",
        "50",
        POSITIVE,
        "how many requests a second each tenant may make in the long run; those beyond are answered 429. Each process counts \
         by itself. Without it: any number",
    ),
    unset(
        "limits.burst",
        "100",
        POSITIVE,
        "how many requests a tenant may make at once after a rest, if `limits.requests_per_second` is set. Without it: as \
         many as in a second",
    ),
    unset(
        "limits.concurrent_reads",
        "64",
        POSITIVE,
        "how many requests that only read are worked on at once. Those beyond wait a little, the tenants taking turns; if \
         that does not help, they are answered 503. Without it: 32 for each thread of `server.workers`",
    ),
    key(
        "limits.concurrent_writes",
        "256",
        POSITIVE,
        "the same for requests that change something; those that only wait (`Prefer: wait`) don't count",
    ),
    key(
        "limits.connections",
        "16384",
        POSITIVE,
        "how many connections clients may have; more of them wait until one is closed. Fewer, if the process may not have \
         as many files open",
    ),
    key("retention.operations", "90d", DURATION, "how long operations are kept after their end"),
    key(
        "retention.idempotency_keys",
        "48h",
        text("a duration of at least 24h", DURATIONS),
        "how long the answers to requests with an `Idempotency-Key` are kept",
    ),
    unset(
        "traces.endpoint",
        "http://otel-collector:4318",
        text("an http or https URL, such as http://otel-collector:4318", "^https?://[^/?#@]+.*$"),
        "the collector that traces are sent to, by OTLP over HTTP (Protocol Buffers); `/v1/traces` is added where it has no \
         path. docs/traces.md says more. Without it: there are no traces",
    ),
    secret(
        "traces.headers",
        "api-key=0123456789abcdef",
        text("headers as NAME=VALUE, with commas between them", "^[^=]+=.*$"),
        "what the collector is told with every request, such as a key",
    ),
    file_of_secret("traces.headers_file", "/run/secrets/traces-headers", "a file that holds `traces.headers`"),
    key(
        "traces.sample_ratio",
        "1",
        Takes { words: "a number from 0 to 1", form: Form::Share },
        "how many of the traces that begin here are sent: 0.1 is one in ten. One that began elsewhere is sent if its \
         beginning was",
    ),
    key(
        "log.format",
        "auto",
        one_of("auto, human or json", &["auto", "human", "json"]),
        "the form of the log: for people, or a JSON object a line. `auto`: for people on a terminal",
    ),
    key(
        "log.level",
        "info",
        text("error, warn, info, debug or trace, or a tracing filter such as info,convoke_store=debug", "^.+$"),
        "how much is logged",
    ),
];
