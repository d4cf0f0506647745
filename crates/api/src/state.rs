//! What every request can reach.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{HttpRequest, web};
use bytes::Bytes;
use convoke_domain::{Environment, Service};
use convoke_oidc::Issuers;
use convoke_store::{Account, AccountId, OpenOperations, Store};
use tokio::sync::{Semaphore, watch};

use crate::{
    admission::{Admission, Limits},
    fallback::KnownPaths,
    fresh::Fresh,
    measurements::Recorder,
    openapi,
    recent_writes::RecentWrites,
    token_cache::TokenCache,
};

/// What an account may do at most.
#[derive(Debug, Clone, Copy)]
pub struct AccountLimits {
    /// How many groups it makes in 24 hours.
    pub budget: u32,
    /// How many groups it has.
    pub capacity: u32,
}

/// What of the configuration the API goes by.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where clients reach the service, without a slash at the end; invitations of the sandbox begin with it.
    pub public_url: String,
    /// The messenger of a registration that names none.
    pub default_service: Service,
    /// The messengers that chats can be made on.
    pub configured_services: Vec<Service>,
    /// Whether Swagger UI is there.
    pub swagger_ui: bool,
    /// How many requests may wait (`Prefer: wait`) at once; those beyond are answered without waiting.
    pub wait_slots: usize,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
    /// How much is taken on.
    pub limits: Limits,
    /// The issuers whose tokens are taken beside our own.
    pub issuers: Arc<Issuers>,
    /// How many proxies in front of the service add to `X-Forwarded-For`.
    pub trusted_proxies: u8,
    /// What an account of a messenger may do at most, if that is to be told.
    pub account_limits: Option<AccountLimits>,
    /// Whether requests are traced, by whatever is set up for the whole process.
    pub traces: bool,
    /// Where everything that is measured ends up, if it is measured.
    pub recorder: Option<Recorder>,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            public_url: "http://127.0.0.1:8080".to_owned(),
            default_service: Service::Sandbox,
            configured_services: vec![Service::Sandbox],
            swagger_ui: true,
            wait_slots: 1024,
            body_timeout: Duration::from_secs(10),
            limits: Limits::default(),
            issuers: Arc::default(),
            trusted_proxies: 0,
            account_limits: None,
            traces: false,
            recorder: None,
        }
    }
}

/// Where the process stands between its start and its end.
#[derive(Debug)]
pub struct Lifecycle {
    listening: AtomicBool,
    draining: watch::Sender<bool>,
}

impl Lifecycle {
    /// Started, not yet listening.
    #[must_use]
    pub fn new() -> Self {
        Self { listening: AtomicBool::new(false), draining: watch::Sender::new(false) }
    }

    /// The public listener is bound (or this process needs none).
    pub fn set_listening(&self) {
        self.listening.store(true, Ordering::Release);
    }

    /// From now on answers close their connections, nobody is kept waiting, and `/readyz` says no.
    pub fn start_draining(&self) {
        self.draining.send_replace(true);
    }

    /// Whether the public listener is bound.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Acquire)
    }

    /// Whether the process is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Returns once the process is about to stop.
    pub async fn draining(&self) {
        // The sender is our own field, so it can't be gone.
        let _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

/// What every request can reach: one for all threads of a server.
pub struct ApiState {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) settings: ApiSettings,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) tokens: TokenCache,
    pub(crate) recent_writes: RecentWrites,
    pub(crate) accounts: Fresh<Account>,
    pub(crate) choices: Fresh<(AccountId, u32)>,
    pub(crate) open_operations: Fresh<OpenOperations>,
    pub(crate) wait_slots: Semaphore,
    pub(crate) admission: Admission,
    pub(crate) known_paths: KnownPaths,
    pub(crate) openapi_json: Bytes,
}

impl ApiState {
    /// The state of a server that answers from `store`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        environment: Arc<dyn Environment>,
        settings: ApiSettings,
        lifecycle: Arc<Lifecycle>,
    ) -> Self {
        Self {
            wait_slots: Semaphore::new(settings.wait_slots.min(Semaphore::MAX_PERMITS)),
            admission: Admission::new(&settings.limits),
            known_paths: KnownPaths::new(&openapi::openapi(), &settings),
            openapi_json: openapi::openapi_json().into(),
            tokens: TokenCache::default(),
            recent_writes: RecentWrites::default(),
            accounts: Fresh::default(),
            choices: Fresh::default(),
            open_operations: Fresh::default(),
            store,
            environment,
            settings,
            lifecycle,
        }
    }

    /// The state that `configure` mounted.
    pub(crate) fn of(request: &HttpRequest) -> &web::Data<Self> {
        request.app_data().expect("`configure` mounts the state")
    }
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState")
            .field("settings", &self.settings)
            .field("lifecycle", &self.lifecycle)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_is_seen_by_those_who_come_before_and_after() {
        let lifecycle = Arc::new(Lifecycle::new());
        let early = tokio::spawn({
            let lifecycle = lifecycle.clone();
            async move { lifecycle.draining().await }
        });
        tokio::task::yield_now().await;
        assert!(!lifecycle.is_draining());
        lifecycle.start_draining();
        early.await.unwrap();
        lifecycle.draining().await;
        assert!(lifecycle.is_draining());
    }
}
