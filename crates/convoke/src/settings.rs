//! The settings: what they are, and how they come together from defaults, file, environment and flags.

mod capacity;
mod form;
mod issuers;
mod keys;
mod layers;
mod reference;
mod schema;
mod secret;
mod traces;
mod value;

use std::{
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32},
};

use convoke_api::AccountLimits;
use convoke_domain::Service;
use convoke_oidc::Issuer;
use convoke_sandbox::Fault;
use convoke_store::{DatabaseUrl, ReplicaOptions};
use convoke_telegram::{SecretsKey, TelegramSettings};
use serde::Deserialize;

pub use capacity::Capacity;
pub use keys::{KEYS, Key};
pub use layers::{Layers, SettingsError, Source};
pub use reference::{example, reference};
pub use schema::schema;
pub use secret::{ApiHash, ReadUrl, Session};
pub use traces::{Share, TracesEndpoint, TracesHeaders};
pub use value::{AUDIT, ApiId, Duration, Filter, IdempotencyRetention, LogFormat, LongerDuration, Migrate, PublicUrl};

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
    /// The messenger, by user accounts of the service.
    pub telegram: Telegram,
    /// What opens the secrets that are kept in the database.
    #[serde(default)]
    pub secrets: Secrets,
    /// Who may come in.
    pub auth: Auth,
    /// How much is taken on.
    pub limits: Limits,
    /// What is kept for how long.
    pub retention: Retention,
    /// What is told of requests and of what they lead to.
    pub traces: Traces,
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
    /// A replica that may be read instead.
    #[serde(default, deserialize_with = "value::parsed_option")]
    pub read_url: Option<ReadUrl>,
    /// How old what is read there may be.
    #[serde(deserialize_with = "value::parsed")]
    pub read_max_lag: LongerDuration,
    /// Whether its schema is brought up to date.
    #[serde(deserialize_with = "value::parsed")]
    pub migrate: Migrate,
}

impl Database {
    /// The replica, if there is one.
    #[must_use]
    pub fn replica(&self) -> Option<ReplicaOptions> {
        let url = self.read_url.as_ref()?.0.clone();
        Some(ReplicaOptions { url, max_lag: self.read_max_lag.0 })
    }
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

/// The messenger, by user accounts of the service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telegram {
    /// The id of the application.
    #[serde(default, deserialize_with = "value::parsed_option")]
    pub api_id: Option<ApiId>,
    /// Its hash.
    #[serde(default, deserialize_with = "value::parsed_option")]
    pub api_hash: Option<ApiHash>,
    /// The session of an account that is not kept.
    #[serde(default, deserialize_with = "value::parsed_option")]
    pub session: Option<Session>,
    /// How many groups an account makes in 24 hours at most.
    #[serde(deserialize_with = "value::plain")]
    pub creation_budget: u32,
    /// How many groups an account has at most.
    #[serde(deserialize_with = "value::plain")]
    pub capacity: u32,
    /// How long after an unknown outcome a group may still turn up.
    #[serde(deserialize_with = "value::parsed")]
    pub settle_time: Duration,
    /// How long a call may take.
    #[serde(deserialize_with = "value::parsed")]
    pub call_timeout: LongerDuration,
    /// How long a group that can't be found any more is looked for again.
    #[serde(deserialize_with = "value::parsed")]
    pub missing_time: Duration,
    /// How often the admin log of a quiet group is read at least.
    #[serde(deserialize_with = "value::parsed")]
    pub log_interval: LongerDuration,
    /// How often the members of a group are compared with the record.
    #[serde(deserialize_with = "value::parsed")]
    pub members_interval: LongerDuration,
}

/// What opens the secrets that are kept in the database.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// The key; if nothing is said, see `crate::secrets`.
    #[serde(deserialize_with = "value::parsed_option")]
    pub key: Option<SecretsKey>,
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

/// How much is taken on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How many requests a second each tenant may make, if that is limited.
    #[serde(default, deserialize_with = "value::plain_option")]
    pub requests_per_second: Option<NonZeroU32>,
    /// How many at once, if not as many as in a second.
    #[serde(default, deserialize_with = "value::plain_option")]
    pub burst: Option<NonZeroU32>,
    /// How many reads are worked on at once, if not `READS_OF_A_THREAD` for each thread.
    #[serde(default, deserialize_with = "value::plain_option")]
    pub concurrent_reads: Option<NonZeroU32>,
    /// How many writes are worked on at once.
    #[serde(deserialize_with = "value::plain")]
    pub concurrent_writes: NonZeroU32,
    /// How many connections clients may have.
    #[serde(deserialize_with = "value::plain")]
    pub connections: NonZeroU32,
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

/// What is told of requests and of what they lead to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// Who takes traces; if nobody does, there are none.
    #[serde(default, deserialize_with = "value::parsed_option")]
    pub endpoint: Option<TracesEndpoint>,
    /// What it is told with every request.
    #[serde(default, deserialize_with = "value::parsed_option")]
    pub headers: Option<TracesHeaders>,
    /// How many of the traces that begin here are told.
    #[serde(deserialize_with = "value::parsed")]
    pub sample_ratio: Share,
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
        let sandbox = self.sandbox_is_on().then_some(Service::Sandbox);
        let telegram = self.telegram.application().map(|_| Service::Telegram);
        sandbox.into_iter().chain(telegram).collect()
    }

    /// What is no mistake, but hardly meant: one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<_> = self.telegram.missing().into_iter().collect();
        let default = self.providers.default;
        if !self.configured_services().contains(&default) {
            warnings.push(format!(
                "the default provider {default} is not configured: registrations that name no service are refused \
                 (providers.default)"
            ));
        }
        warnings
    }
}

impl Telegram {
    /// The application, if it is configured: then Telegram is there.
    #[must_use]
    pub fn application(&self) -> Option<(ApiId, &ApiHash)> {
        Some((self.api_id?, self.api_hash.as_ref()?))
    }

    /// What an account may do at most.
    #[must_use]
    pub fn account_limits(&self) -> AccountLimits {
        AccountLimits { budget: self.creation_budget, capacity: self.capacity }
    }

    /// How the connector works, if it is there; `owner` is the name under which this process holds accounts.
    #[must_use]
    pub fn connector(&self, owner: String) -> Option<TelegramSettings> {
        let (ApiId(api_id), ApiHash(api_hash)) = self.application()?;
        Some(TelegramSettings {
            session: self.session.as_ref().map(|session| session.0.clone()),
            creation_budget: self.creation_budget,
            capacity: self.capacity,
            settle_time: self.settle_time.0,
            call_timeout: self.call_timeout.0,
            missing_time: self.missing_time.0,
            log_interval: self.log_interval.0,
            members_interval: self.members_interval.0,
            ..TelegramSettings::new(api_id, api_hash.clone(), owner)
        })
    }

    /// What keeps Telegram from being there although something of it is configured.
    fn missing(&self) -> Option<String> {
        let missing = match (&self.api_id, &self.api_hash, &self.session) {
            (Some(_), None, _) => "telegram.api_hash",
            (None, Some(_), _) => "telegram.api_id",
            (None, None, Some(_)) => "telegram.api_id and telegram.api_hash",
            _ => return None,
        };
        Some(format!("Telegram is not there: {missing} must be set too, from https://my.telegram.org"))
    }
}
