//! The settings: what they are, and how they come together from defaults, file, environment and flags.

mod issuers;
mod keys;
mod layers;
mod reference;
mod value;

use std::{net::SocketAddr, num::NonZeroU16};

use convoke_domain::Service;
use convoke_oidc::Issuer;
use convoke_sandbox::Fault;
use convoke_store::DatabaseUrl;
use serde::Deserialize;

pub use keys::{KEYS, Key};
pub use layers::{Layers, SettingsError, Source};
pub use reference::{example, reference};
pub use value::{AUDIT, Duration, Filter, IdempotencyRetention, LogFormat, Migrate, PublicUrl};

/// Every setting. Its defaults are in [`KEYS`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The public listener.
    pub server: Server,
    /// The listener for operators.
    pub admin: Admin,
    /// Where everything is kept.
    pub database: Database,
    /// Which messengers there are.
    pub providers: Providers,
    /// The messenger that lives in the service.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// Who may come in.
    pub auth: Auth,
    /// What is kept for how long.
    pub retention: Retention,
    /// What is told to operators.
    pub log: Log,
}

/// The public listener.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Where it listens.
    #[serde(deserialize_with = "value::plain")]
    pub bind: SocketAddr,
    /// How it is reached from outside, if that is not told by `bind`.
    #[serde(default, deserialize_with = "value::parsed_option")]
    pub public_url: Option<PublicUrl>,
    /// How long requests are still accepted after the signal to stop.
    #[serde(deserialize_with = "value::parsed")]
    pub drain: Duration,
    /// Whether Swagger UI is there.
    #[serde(deserialize_with = "value::plain")]
    pub swagger_ui: bool,
    /// How many proxies in front of it add to `X-Forwarded-For`.
    #[serde(deserialize_with = "value::plain")]
    pub trusted_proxies: u8,
    /// How many threads answer requests, if not one for each core.
    #[serde(default, deserialize_with = "value::plain_option")]
    pub workers: Option<NonZeroU16>,
}

/// The listener for operators.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Where it listens.
    #[serde(deserialize_with = "value::plain")]
    pub bind: SocketAddr,
}

/// Where everything is kept.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Which database.
    #[serde(deserialize_with = "value::parsed")]
    pub url: DatabaseUrl,
    /// Whether its schema is brought up to date.
    #[serde(deserialize_with = "value::parsed")]
    pub migrate: Migrate,
}

/// Which messengers there are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Providers {
    /// That of a registration that names none.
    #[serde(deserialize_with = "value::plain")]
    pub default: Service,
}

/// The messenger that lives in the service.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sandbox {
    /// Whether it is there; if nothing is said, see [`Settings::sandbox_is_on`].
    #[serde(deserialize_with = "value::plain_option")]
    pub enabled: Option<bool>,
    /// How long each of its calls takes at least.
    #[serde(deserialize_with = "value::parsed_option")]
    pub delay: Option<Duration>,
    /// How its first calls go wrong.
    #[serde(deserialize_with = "value::faults")]
    pub faults: Option<Vec<Fault>>,
}

/// Who may come in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Whether a SQLite database without any token gets one.
    #[serde(deserialize_with = "value::plain")]
    pub first_token: bool,
    /// The issuers whose tokens are taken beside our own.
    #[serde(default, deserialize_with = "issuers::issuers")]
    pub issuers: Vec<Issuer>,
}

/// What is kept for how long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Operations, after their end.
    #[serde(deserialize_with = "value::parsed")]
    pub operations: Duration,
    /// Idempotency keys, after their request.
    #[serde(deserialize_with = "value::parsed")]
    pub idempotency_keys: IdempotencyRetention,
}

/// What is told to operators.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// In which form.
    #[serde(deserialize_with = "value::parsed")]
    pub format: LogFormat,
    /// How much of it.
    #[serde(deserialize_with = "value::parsed")]
    pub level: Filter,
}

impl Settings {
    /// Whether the sandbox is there: as `sandbox.enabled` says; if it says nothing, when it is the default provider or
    /// anything else is said about it (`contract.md`, "The sandbox provider").
    #[must_use]
    pub fn sandbox_is_on(&self) -> bool {
        let spoken_of = self.sandbox.delay.is_some() || self.sandbox.faults.is_some();
        self.sandbox.enabled.unwrap_or(self.providers.default == Service::Sandbox || spoken_of)
    }

    /// How the service is reached from outside, where it listens as it is told to.
    #[must_use]
    pub fn public_url(&self) -> PublicUrl {
        self.server.public_url.clone().unwrap_or_else(|| PublicUrl::of(self.server.bind))
    }

    /// The messengers that chats can be made on.
    #[must_use]
    pub fn configured_services(&self) -> Vec<Service> {
        if self.sandbox_is_on() { vec![Service::Sandbox] } else { Vec::new() }
    }

    /// What is no mistake, but hardly meant: one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let default = self.providers.default;
        if self.configured_services().contains(&default) {
            return Vec::new();
        }
        vec![format!(
            "the default provider {default} is not configured: registrations that name no service are refused \
             (providers.default)"
        )]
    }
}
