//! The issuers that are trusted, with the keys that are known of each.
//!
//! Keys are fetched in the background, so that no request waits for an issuer and an issuer that is away is not missed
//! for long. In between they are asked for where a token names a key that is not known, as it does after a rotation: but
//! at most once in 30 s, for anybody can make up such a name.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use convoke_domain::{Environment, Timestamp};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tracing::Instrument as _;

use crate::{
    address::Address,
    fetch::{KeySource, Published, SourceError},
    issuer::Issuer,
    refusal::Refusal,
    token::{Claimed, Principal, Token, Unproven},
};

/// How often keys are fetched without anybody asking.
const REFRESH: Duration = Duration::from_mins(5);
/// How soon after an attempt that failed, at first and at last.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// How often keys may be fetched because a token names one that is not known.
const ASKING: Duration = Duration::from_secs(30);
/// How long keys are believed while the issuer is away: long enough to mend it, not so long that a key which the issuer
/// has withdrawn opens doors for ever.
const KEPT: Duration = Duration::from_hours(24);

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It won't do, whoever asks how often.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Whether it will do can't be told without the issuer, which does not answer or was asked a moment ago.
    #[error("the issuer's keys are not known")]
    Unavailable,
}

/// The issuers that are trusted.
#[derive(Debug, Default)]
pub struct Issuers(Vec<Arc<Watched>>);

/// How people log in at an issuer, in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// As which client.
    pub client: String,
    /// For whom the token is to be.
    pub audience: String,
    /// Where they log in.
    pub authorization_endpoint: Address,
    /// Where what the log-in gave is exchanged for a token.
    pub token_endpoint: Address,
}

impl Issuers {
    /// Begins to watch these issuers, each at its source, until this is dropped.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn watch(
        issuers: impl IntoIterator<Item = (Issuer, Box<dyn KeySource>)>,
        environment: &Arc<dyn Environment>,
    ) -> Self {
        let watch = |(issuer, source)| {
            let watched = Arc::new(Watched {
                issuer,
                source,
                environment: environment.clone(),
                known: RwLock::default(),
                fetching: Arc::default(),
                task: RwLock::default(),
            });
            watched.start();
            watched
        };
        Self(issuers.into_iter().map(watch).collect())
    }

    /// Whether there are none, so that no token of this kind can be any good.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says who holds a token.
    ///
    /// # Errors
    /// If nobody does, or if that can't be told.
    pub async fn verify(&self, text: &str, now: Timestamp) -> Result<Principal, VerifyError> {
        let token = Token::read(text)?;
        let named = |watched: &&Arc<Watched>| token.issuer() == Some(watched.issuer.address.as_str());
        let watched = self.0.iter().find(named).ok_or(Refusal::Issuer)?;
        // Before the key: nobody is asked about a token that won't do anyway.
        watched.prove(token.check(&watched.issuer, now)?).await
    }

    /// How people log in with Swagger UI: at the first issuer that lets them, once it was reached.
    #[must_use]
    pub fn login(&self) -> Option<Login> {
        self.0.iter().find_map(|watched| {
            let client = watched.issuer.swagger_ui_client.clone()?;
            let known = watched.known()?;
            let (authorization_endpoint, token_endpoint) =
                (known.published.authorization_endpoint.clone()?, known.published.token_endpoint.clone()?);
            let audience = watched.issuer.audience.clone();
            Some(Login { client, audience, authorization_endpoint, token_endpoint })
        })
    }
}

impl Drop for Issuers {
    fn drop(&mut self) {
        for watched in &self.0 {
            watched.stop();
        }
    }
}

/// An issuer and what is known of it.
struct Watched {
    issuer: Issuer,
    source: Box<dyn KeySource>,
    environment: Arc<dyn Environment>,
    known: RwLock<Option<Arc<Known>>>,
    /// Held while the issuer is asked, so that nobody asks at the same time; with when that may be done again for a key.
    fetching: Arc<Mutex<Attempts>>,
    task: RwLock<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Known {
    published: Published,
    at: Instant,
    /// The same by the clock that issuers have too.
    asked_at: Timestamp,
}

#[derive(Debug, Default)]
struct Attempts {
    /// The last attempt, whatever it was for, if it failed.
    failed: Option<Instant>,
    /// The last attempt for a key.
    for_a_key: Option<Instant>,
}

impl Watched {
    /// Fetches the keys now and again.
    fn start(self: &Arc<Self>) {
        let this = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            let mut retry = RETRY[0];
            loop {
                let Some(watched) = this.upgrade() else { return };
                let fetched = watched.fetch(&mut *watched.fetching.lock().await).await;
                drop(watched);
                if fetched.is_ok() {
                    retry = RETRY[0];
                    sleep(REFRESH).await;
                } else {
                    sleep(retry).await;
                    retry = (retry * 2).min(RETRY[1]);
                }
            }
        });
        *self.task.write().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    fn stop(&self) {
        if let Some(task) = self.task.write().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    async fn prove(self: &Arc<Self>, claimed: Claimed<'_>) -> Result<Principal, VerifyError> {
        let known = match self.known() {
            Some(known) => known,
            None => self.known_soon().await.ok_or(VerifyError::Unavailable)?,
        };
        let claimed = match claimed.prove(&known.published.keys) {
            Ok(principal) => return Ok(principal),
            Err(Unproven::Refused(refusal)) => return Err(refusal.into()),
            Err(Unproven::UnknownKey(claimed)) => claimed,
        };
        if let Some(newer) = self.newer_than(&known).await {
            return match claimed.prove(&newer.published.keys) {
                Ok(principal) => Ok(principal),
                Err(Unproven::Refused(refusal)) => Err(refusal.into()),
                Err(Unproven::UnknownKey(_)) => Err(Refusal::Key.into()),
            };
        }
        // A key that was in use when the issuer was last asked would have been among those that it gave. A key that came
        // into use since can't be told from one that is made up.
        if claimed.is_older_than(known.asked_at) { Err(Refusal::Key.into()) } else { Err(VerifyError::Unavailable) }
    }

    /// What is known, unless it is too old to be believed.
    fn known(&self) -> Option<Arc<Known>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.clone().filter(|known| known.at.elapsed() < KEPT)
    }

    /// What is known as soon as the issuer was asked for the first time.
    async fn known_soon(self: &Arc<Self>) -> Option<Arc<Known>> {
        let attempts = self.fetching.clone().lock_owned().await;
        if let Some(known) = self.known() {
            return Some(known);
        }
        if attempts.failed.is_some_and(|at| at.elapsed() < RETRY[0]) {
            return None;
        }
        self.ask(attempts).await
    }

    /// What is known now, if it was asked for since `old`; if not, asks, unless that was done too recently.
    async fn newer_than(self: &Arc<Self>, old: &Known) -> Option<Arc<Known>> {
        let mut attempts = self.fetching.clone().lock_owned().await;
        let newer = self.known().filter(|known| known.at > old.at);
        if newer.is_some() {
            return newer;
        }
        if attempts.for_a_key.is_some_and(|at| at.elapsed() < ASKING) {
            return None;
        }
        attempts.for_a_key = Some(Instant::now());
        self.ask(attempts).await
    }

    /// Fetches the keys because somebody waits for them, and goes on should they leave: the next may not ask for a while,
    /// so what is learnt is for everybody.
    async fn ask(self: &Arc<Self>, mut attempts: OwnedMutexGuard<Attempts>) -> Option<Arc<Known>> {
        let this = self.clone();
        let asking = async move { this.fetch(&mut attempts).await.ok() };
        tokio::spawn(asking.in_current_span()).await.ok().flatten()
    }

    async fn fetch(&self, attempts: &mut Attempts) -> Result<Arc<Known>, SourceError> {
        let asked_at = self.environment.now();
        match self.source.fetch().await {
            Ok(published) => {
                let known = Arc::new(Known { published, at: Instant::now(), asked_at });
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
                attempts.failed = None;
                Ok(known)
            }
            Err(error) => {
                let keys = if self.known().is_some() { "kept" } else { "none" };
                tracing::warn!(issuer = %self.issuer.address, %error, keys, "an issuer does not tell its keys");
                attempts.failed = Some(Instant::now());
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
