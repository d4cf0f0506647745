//! How many requests a tenant may make in a time, if that is limited, and what its clients are told about it:
//! draft-ietf-httpapi-ratelimit-headers-11.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use convoke_domain::TenantId;
use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::StateInformationMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use tokio::time::Instant;

use crate::problem::{Problem, ProblemKind};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// What the policy is called in both headers: it counts the requests of a tenant.
const NAME: &str = "tenant";

/// How many requests a tenant may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many a second in the long run.
    pub requests_per_second: NonZeroU32,
    /// How many at once after a rest.
    pub burst: NonZeroU32,
}

impl RateLimit {
    /// How long it takes until as many as at once may be made again, in whole seconds.
    fn window(self) -> u32 {
        self.burst.get().div_ceil(self.requests_per_second.get())
    }

    fn quota(self) -> Quota {
        Quota::per_second(self.requests_per_second).allow_burst(self.burst)
    }
}

/// The limits of all tenants who came lately. Only who has a valid token is counted.
#[derive(Debug)]
pub(crate) struct RateLimits {
    limit: RateLimit,
    policy: HeaderValue,
    started: Instant,
    tenants: Mutex<HashMap<TenantId, Arc<TenantLimit>>>,
}

impl RateLimits {
    /// Of how many tenants it is known how much they have left.
    const CAPACITY: usize = 10_000;

    /// The same limit for every tenant.
    pub fn new(limit: RateLimit) -> Self {
        let policy = format!("\"{NAME}\";q={};w={}", limit.burst, limit.window());
        Self {
            limit,
            policy: HeaderValue::from_str(&policy).expect("a name and two numbers make a header"),
            started: Instant::now(),
            tenants: Mutex::default(),
        }
    }

    /// The limit of this tenant, to be kept by whoever acts for it.
    pub fn of(&self, tenant: &TenantId) -> Arc<TenantLimit> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tenants.get(tenant) {
            return known.clone();
        }
        if tenants.len() >= Self::CAPACITY {
            // Whoever has rested long enough is as good as new.
            tenants.retain(|_, known| Arc::strong_count(known) > 1 || !known.has_rested());
        }
        if tenants.len() >= Self::CAPACITY {
            // More than that come in the same moment: those whom nobody acts for now begin anew.
            tenants.retain(|_, known| Arc::strong_count(known) > 1);
        }
        let limiter = RateLimiter::direct_with_clock(self.limit.quota(), SinceStart(self.started)).with_middleware();
        let limit = Arc::new(TenantLimit {
            limit: self.limit,
            policy: self.policy.clone(),
            limiter,
            last_asked: AtomicU64::new(SinceStart(self.started).now().as_u64()),
        });
        if tenants.len() < Self::CAPACITY {
            tenants.insert(tenant.clone(), limit.clone());
        }
        limit
    }
}

/// The limit of one tenant, and how much of it is left.
#[derive(Debug)]
pub(crate) struct TenantLimit {
    limit: RateLimit,
    policy: HeaderValue,
    limiter: RateLimiter<NotKeyed, InMemoryState, SinceStart, StateInformationMiddleware>,
    /// When the last request came, in nanoseconds since the start.
    last_asked: AtomicU64,
}

impl TenantLimit {
    /// Counts a request.
    ///
    /// # Errors
    /// How long to wait for the next one, if it was one too many.
    pub fn count(&self) -> Result<Left, Duration> {
        let now = self.limiter.clock().now();
        self.last_asked.store(now.as_u64(), Ordering::Relaxed);
        match self.limiter.check() {
            Ok(state) => Ok(Left(state.remaining_burst_capacity())),
            Err(until) => Err(until.wait_time_from(now)),
        }
    }

    /// Tells a client of it.
    pub fn tell(&self, Left(left): Left, headers: &mut HeaderMap) {
        let used = self.limit.burst.get().saturating_sub(left);
        let seconds = used.div_ceil(self.limit.requests_per_second.get());
        let value = format!("\"{NAME}\";r={left};t={seconds}");
        headers.insert(LEFT, HeaderValue::from_str(&value).expect("a name and two numbers make a header"));
        headers.insert(POLICY, self.policy.clone());
    }

    /// Refuses a request that was one too many.
    pub fn refusal(&self, wait: Duration) -> Problem {
        let seconds = u64::try_from(wait.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX).max(1);
        let limit = self.limit;
        let detail = format!(
            "More than {} requests a second came for this tenant, and more than {} at once.",
            limit.requests_per_second, limit.burst
        );
        Problem::new(ProblemKind::TooManyRequests, detail).retry_after(seconds)
    }

    /// Whether so much time has gone by since the last request that as many as at once may be made again.
    fn has_rested(&self) -> bool {
        let rest = self.limiter.clock().now().as_u64().saturating_sub(self.last_asked.load(Ordering::Relaxed));
        Duration::from_nanos(rest) >= Duration::from_secs(self.limit.window().into())
    }
}

/// How many requests may be made at once by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left(u32);

impl Left {
    /// No more.
    pub const NONE: Self = Self(0);
}

/// The time that passes, as limits are told it.
#[derive(Debug, Clone, Copy)]
struct SinceStart(Instant);

impl Clock for SinceStart {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(requests_per_second: u32, burst: u32) -> RateLimits {
        let number = |number| NonZeroU32::new(number).unwrap();
        RateLimits::new(RateLimit { requests_per_second: number(requests_per_second), burst: number(burst) })
    }

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    fn told(limit: &TenantLimit, left: Left) -> (String, String) {
        let mut headers = HeaderMap::new();
        limit.tell(left, &mut headers);
        let header = |name| headers.get(name).unwrap().to_str().unwrap().to_owned();
        (header("ratelimit"), header("ratelimit-policy"))
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_at_once_and_then_so_many_a_second() {
        let limits = limits(2, 3);
        let (noisy, quiet) = (limits.of(&tenant("noisy")), limits.of(&tenant("quiet")));
        let left: Vec<_> = (0..3).map(|_| noisy.count().unwrap().0).collect();
        assert_eq!(left, [2, 1, 0]);
        assert_eq!(noisy.count(), Err(Duration::from_millis(500)));
        assert_eq!(quiet.count(), Ok(Left(2)));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(noisy.count(), Ok(Left(0)));
        assert!(noisy.count().is_err());
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(limits.of(&tenant("noisy")).count(), Ok(Left(2)));
    }

    #[test]
    fn clients_are_told_in_structured_fields() {
        let limits = limits(10, 25);
        let limit = limits.of(&tenant("a"));
        let policy = "\"tenant\";q=25;w=3".to_owned();
        assert_eq!(told(&limit, Left(25)), ("\"tenant\";r=25;t=0".to_owned(), policy.clone()));
        assert_eq!(told(&limit, Left(14)), ("\"tenant\";r=14;t=2".to_owned(), policy.clone()));
        assert_eq!(told(&limit, Left::NONE), ("\"tenant\";r=0;t=3".to_owned(), policy));
        let refusal = limit.refusal(Duration::from_millis(1_001));
        let retry_after = refusal.headers().iter().find(|(name, _)| name == "retry-after").unwrap();
        assert_eq!(retry_after.1, "2");
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_tenants_are_remembered() {
        let limits = limits(1, 1);
        let kept = limits.of(&tenant("kept"));
        kept.count().unwrap();
        for number in 0..3 * RateLimits::CAPACITY {
            limits.of(&tenant(&format!("t{number}"))).count().unwrap();
        }
        assert!(limits.tenants.lock().unwrap().len() <= RateLimits::CAPACITY);
        // Whoever is acted for keeps what is left.
        assert!(Arc::ptr_eq(&kept, &limits.of(&tenant("kept"))));
    }
}
