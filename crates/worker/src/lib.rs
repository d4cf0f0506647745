//! Operations driven to their end, and what happened in groups taken into the record.
//!
//! A worker claims operations under a lease, calls providers without holding a transaction open, and ends each attempt in
//! one transaction. Whatever interrupts it, the next attempt, here or in another process, ends right.

mod again;
mod attempt;
mod backoff;
mod create_chat;
mod feed;
mod lanes;
mod leases;
mod measure;
mod traces;
mod upkeep;

use std::{collections::HashMap, sync::Arc, time::Duration};

use convoke_domain::{Environment, Service};
use convoke_provider::Provider;
use convoke_store::{Claim, Retention, Store};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use lanes::{BusyLanes, Turn};
use leases::Leases;
use measure::Measured;

/// How a worker works.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// How many operations it drives at once.
    pub concurrency: u32,
    /// How long an operation is leased.
    pub lease: Duration,
    /// How often leases are extended.
    pub heartbeat: Duration,
    /// How often expired leases are looked for.
    pub sweep: Duration,
    /// How long another process's operations may go unnoticed.
    pub poll: Duration,
    /// How often an operation is tried before it is given up.
    pub max_attempts: u32,
    /// How long attempts under way may go on once the worker is to stop.
    pub grace: Duration,
    /// How long things are kept.
    pub retention: Retention,
    /// Whether attempts are traced, by whatever is set up for the whole process.
    pub traces: bool,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            concurrency: 64,
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(10),
            sweep: Duration::from_secs(5),
            poll: Duration::from_millis(250),
            max_attempts: 25,
            grace: Duration::from_secs(3),
            retention: Retention { operations: 90 * DAY, idempotency_keys: 2 * DAY },
            traces: false,
        }
    }
}

/// How long a free place waits for company where all others are taken.
const COMPANY: Duration = Duration::from_millis(5);

/// A process's worker.
#[derive(Clone)]
pub struct Worker {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    providers: HashMap<Service, Arc<dyn Provider>>,
    environment: Arc<dyn Environment>,
    settings: WorkerSettings,
    owner: String,
    leases: Leases,
    busy_lanes: BusyLanes,
    free: Arc<Semaphore>,
}

impl Worker {
    /// A worker that drives the operations of these providers. Its leases go by a name of its own.
    pub fn new(
        store: Arc<dyn Store>,
        providers: Vec<Arc<dyn Provider>>,
        environment: Arc<dyn Environment>,
        settings: WorkerSettings,
    ) -> Self {
        let measured = |provider: Arc<dyn Provider>| -> (Service, Arc<dyn Provider>) {
            (provider.service(), Arc::new(Measured(provider)))
        };
        let providers: HashMap<_, _> = providers.into_iter().map(measured).collect();
        measure::begin(providers.keys().copied());
        let owner = environment.new_uuid().to_string();
        let free = Arc::new(Semaphore::new(settings.concurrency as usize));
        Self {
            inner: Arc::new(Inner {
                store,
                providers,
                environment,
                settings,
                owner,
                leases: Leases::default(),
                busy_lanes: BusyLanes::default(),
                free,
            }),
        }
    }

    /// Works until `stop` is cancelled; returns once its leases are given back.
    pub async fn run(&self, stop: CancellationToken) {
        let loops = TaskTracker::new();
        for provider in self.inner.providers.values() {
            let provider = Arc::clone(provider);
            self.spawn(&loops, "intake", &stop, move |inner| feed::take_in(inner, Arc::clone(&provider)));
        }
        self.spawn(&loops, "heartbeats", &stop, upkeep::heartbeats);
        self.spawn(&loops, "sweeps", &stop, upkeep::sweeps);
        self.spawn(&loops, "counts", &stop, upkeep::counts);
        self.spawn(&loops, "statistics", &stop, upkeep::statistics);
        self.spawn(&loops, "clean-up", &stop, upkeep::clean_up);
        let attempts = TaskTracker::new();
        again::after_panics("operations", &stop, || drive(&self.inner, &attempts, &stop)).await;
        attempts.close();
        if tokio::time::timeout(self.inner.settings.grace, attempts.wait()).await.is_err() {
            self.inner.leases.abort_all();
        }
        let now = self.inner.environment.now();
        match self.inner.store.release_leases(&self.inner.owner, now).await {
            Ok(0) => {}
            Ok(given_back) => tracing::info!(given_back, "leases given back"),
            Err(error) => tracing::warn!(%error, "leases could not be given back; they end by themselves"),
        }
        loops.close();
        loops.wait().await;
    }

    /// Starts one of the loops, which goes on until `stop` is cancelled, and ends there wherever it is: what it was at is
    /// done wholly or not at all, and whoever comes next goes on with it.
    fn spawn<F>(
        &self,
        loops: &TaskTracker,
        name: &'static str,
        stop: &CancellationToken,
        run: impl Fn(Arc<Inner>) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (inner, stop) = (Arc::clone(&self.inner), stop.clone());
        loops.spawn(async move {
            let again_and_again = again::after_panics(name, &stop, || run(Arc::clone(&inner)));
            stop.run_until_cancelled(again_and_again).await;
        });
    }
}

/// Claims what is due and lets each operation have its attempt, as many at once as there are places.
async fn drive(inner: &Arc<Inner>, attempts: &TaskTracker, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        // A place first: what is claimed is begun at once.
        tokio::select! {
            _ = inner.free.acquire() => {}
            () = stop.cancelled() => return,
        }
        // And a few more, if they come free soon: many are claimed, and go on together, at the cost of one.
        let few = (inner.settings.concurrency / 4).max(1);
        drop(tokio::time::timeout(COMPANY, inner.free.acquire_many(few)).await);
        let now = inner.environment.now();
        let claim = Claim {
            lanes: lanes::idle(inner),
            owner: inner.owner.clone(),
            limit: u32::try_from(inner.free.available_permits()).unwrap_or(u32::MAX).max(1),
            now,
            lease_until: now.plus(inner.settings.lease),
        };
        let claimed = match inner.store.claim_operations(&claim).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(%error, "operations could not be claimed");
                pause(Duration::from_secs(1), stop).await;
                continue;
            }
        };
        if claimed.is_empty() {
            tokio::select! {
                () = inner.store.changes().operations.notified() => {}
                () = pause(inner.settings.poll, stop) => {}
            }
        }
        for operation in claimed {
            let Ok(place) = Arc::clone(&inner.free).acquire_owned().await else { return };
            let lease = operation.lease.clone();
            let is_alone = claim.lanes.iter().any(|lane| lane.one_at_a_time && lane.name == operation.lane);
            let turn = is_alone.then(|| Turn::begin(inner, &operation.lane));
            let inner_of_task = Arc::clone(inner);
            let attempt = async move {
                attempt::run(&inner_of_task, operation).await;
                drop((place, turn));
            };
            inner.leases.keep(lease, || attempts.spawn(attempt));
        }
    }
}

/// Sleeps, but not beyond the stop.
async fn pause(duration: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(duration) => {}
        () = stop.cancelled() => {}
    }
}
