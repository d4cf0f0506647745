//! Whether a request whose sender is known may go on: within the tenant's limit, if there is one, and within what can be
//! worked on at once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use actix_web::{
    HttpMessage as _, HttpRequest,
    http::{Method, header::HeaderMap},
};
use metrics::{Counter, counter};
use tokio::time::Instant;

use crate::{
    auth::Caller,
    gate::{Gate, Place},
    hold_off::HoldOff,
    problem::Problem,
    rate_limit::{Left, RateLimit, RateLimits, TenantLimit},
};

/// How much is taken on.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many requests each tenant may make, if that is limited.
    pub rate: Option<RateLimit>,
    /// How many requests that only read are worked on at once.
    pub reads: usize,
    /// How many requests that change something are worked on at once.
    pub writes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rate: None, reads: 64, writes: 256 }
    }
}

/// How often at most the log says that requests are refused, in seconds.
const TELLING_INTERVAL: u64 = 10;

/// Decides who may go on.
#[derive(Debug)]
pub(crate) struct Admission {
    pub rate_limits: Option<RateLimits>,
    reads: Arc<Gate>,
    writes: Arc<Gate>,
    refusals: Refusals,
    /// Counted from the start, so that the first of them is seen to be one more.
    refused_for_rate: Counter,
    refused_for_load: Counter,
}

/// What is left of a tenant's limit after a request.
#[derive(Debug)]
pub(crate) struct Counted {
    limit: Arc<TenantLimit>,
    left: Left,
}

impl Admission {
    pub fn new(limits: &Limits) -> Self {
        Self {
            rate_limits: limits.rate.map(RateLimits::new),
            reads: Gate::new(limits.reads),
            writes: Gate::new(limits.writes),
            refusals: Refusals::new(),
            refused_for_rate: counter!("convoke_http_refusals_total", "reason" => "rate_limit"),
            refused_for_load: counter!("convoke_http_refusals_total", "reason" => "load"),
        }
    }

    /// Counts the request and, if its body is not to be read first, waits for its turn ([`Self::enter`]).
    ///
    /// # Errors
    /// 429 if it is beyond the tenant's limit, 503 if there is too much to do.
    pub async fn admit(&self, request: &HttpRequest, caller: &Caller) -> Result<(), Problem> {
        if let Some(limit) = &caller.limit {
            let counted = limit.count();
            let left = counted.unwrap_or(Left::NONE);
            request.extensions_mut().insert(Counted { limit: limit.clone(), left });
            if let Err(wait) = counted {
                self.refused_for_rate.increment(1);
                hold_off(request);
                return Err(limit.refusal(wait).quietly());
            }
        }
        // Whoever sends slowly is not to keep a place from others meanwhile.
        if request.method() == Method::POST { Ok(()) } else { self.enter(request, caller).await }
    }

    /// Waits until the request is worked on; it has its place until [`Self::leave`] or its end.
    ///
    /// # Errors
    /// 503 if there is too much to do.
    pub async fn enter(&self, request: &HttpRequest, caller: &Caller) -> Result<(), Problem> {
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        let gate = if reads { &self.reads } else { &self.writes };
        if let Ok(place) = gate.enter(&caller.tenant).await {
            request.extensions_mut().insert(place);
            return Ok(());
        }
        Err(self.refuse(request))
    }

    /// Refuses a request because there is too much to do.
    pub fn refuse(&self, request: &HttpRequest) -> Problem {
        self.refused_for_load.increment(1);
        self.refusals.tell();
        hold_off(request);
        Problem::overloaded()
    }

    /// From here on the request only waits for something to happen: others may take its place.
    pub fn leave(request: &HttpRequest) {
        request.extensions_mut().remove::<Place>();
    }
}

impl Counted {
    /// What was counted for this request, if there is a limit; to be asked for once.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions_mut().remove()
    }

    /// Tells the client of it.
    pub fn tell(&self, headers: &mut HeaderMap) {
        self.limit.tell(self.left, headers);
    }
}

/// Leaves the connection alone for a while, if whoever serves provides for it.
fn hold_off(request: &HttpRequest) {
    if let Some(hold_off) = request.conn_data::<HoldOff>() {
        hold_off.begin(Instant::now());
    }
}

/// How many requests were refused for want of room: a line in the log for each would only add to the load.
#[derive(Debug)]
struct Refusals {
    started: Instant,
    untold: AtomicU64,
    /// When the log may tell of it again, in seconds since the start.
    next_told: AtomicU64,
}

impl Refusals {
    fn new() -> Self {
        Self { started: Instant::now(), untold: AtomicU64::new(0), next_told: AtomicU64::new(0) }
    }

    fn tell(&self) {
        self.untold.fetch_add(1, Ordering::Relaxed);
        let now = self.started.elapsed().as_secs();
        let next = self.next_told.load(Ordering::Relaxed);
        let then = now + TELLING_INTERVAL;
        if now >= next && self.next_told.compare_exchange(next, then, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let requests = self.untold.swap(0, Ordering::Relaxed);
            tracing::warn!(requests, "requests are refused: more come than can be worked on");
        }
    }
}
