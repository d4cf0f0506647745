//! Everything that the service measures, each thing described once: what `/metrics` says of it, docs/metrics.md, and the
//! buckets of durations and sizes. Where something is measured, its name stands again, and the labels.
//!
//! Names, labels and buckets are those of OpenTelemetry's conventions where these have a word for it. Each label has a
//! handful of values: never an id, never what somebody typed.

use std::fmt::Write as _;

use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Something that is measured.
struct Measurement {
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    meaning: &'static str,
}

enum Kind {
    /// Grows from the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many were at most so much.
    Histogram(&'static [f64]),
}

use Kind::{Counter, Gauge, Histogram};

impl Kind {
    const fn as_str(&self) -> &'static str {
        match self {
            Counter => "counter",
            Gauge => "gauge",
            Histogram(_) => "histogram",
        }
    }
}

const fn one(name: &'static str, kind: Kind, labels: &'static [&'static str], meaning: &'static str) -> Measurement {
    Measurement { name, kind, labels, meaning }
}

/// Of OpenTelemetry's conventions for HTTP.
const REQUESTS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Of its conventions for databases.
const CALLS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// Messengers answer in fractions of a second or have one wait.
const MESSENGERS: &[f64] = &[0.05, 0.25, 1.0, 5.0, 30.0];
/// From what is done at once to what waits for the next day.
const OPERATIONS: &[f64] = &[0.1, 1.0, 10.0, 60.0, 600.0, 86_400.0];
const DELAYS: &[f64] = &[1.0, 10.0, 60.0, 300.0, 600.0, 3_600.0];
const SIZES: &[f64] = &[1.0, 8.0, 64.0, 512.0];

/// Everything that is measured.
const MEASUREMENTS: &[Measurement] = &[
    one("convoke_build_info", Gauge, &["version"], "The version that runs: always 1."),
    one("convoke_ready", Gauge, &[], "Whether `/readyz` says yes."),
    one(
        "convoke_http_requests_total",
        Counter,
        &["http_request_method", "http_route", "http_response_status_code"],
        "Requests that were answered. Routes are templates; what no route takes, for want of a token too, is `unmatched`, \
         whatever its method. HEAD counts as GET, the admin listener's are not among them.",
    ),
    one(
        "http_server_request_duration_seconds",
        Histogram(REQUESTS),
        &["http_request_method", "http_route", "convoke_waited"],
        "How long answers of the API take. `convoke_waited`: whether the client asked to wait for a chat.",
    ),
    one(
        "convoke_http_refusals_total",
        Counter,
        &["reason"],
        "Requests that were refused although nothing is wrong with them: 429, since their tenant made too many \
         (`rate_limit`), or 503, since more came than can be worked on (`load`).",
    ),
    one("http_server_active_requests", Gauge, &[], "Requests that are being answered, those that wait included."),
    one(
        "convoke_token_checks_total",
        Counter,
        &["outcome"],
        "Requests by what became of their token: `accepted`, `refused`, or `undecided` while the database or an issuer \
         can't be asked.",
    ),
    one(
        "convoke_operations_open",
        Gauge,
        &["type", "status"],
        "Operations that have not ended. Every process tells the same of a database: take the maximum.",
    ),
    one(
        "convoke_operations_oldest_due_seconds",
        Gauge,
        &["type"],
        "For how long the oldest operation that could be carried out has been waiting for a worker; 0 if none is. Every \
         process tells the same.",
    ),
    one(
        "convoke_operations_attempts_total",
        Counter,
        &["service", "outcome"],
        "Attempts at operations: `succeeded`, `failed` for good, `postponed`, `moved` to another account, `interrupted` \
         by the database, `lease_lost` to another worker.",
    ),
    one(
        "convoke_operations_ended_total",
        Counter,
        &["service", "type", "outcome"],
        "Operations `succeeded` or `failed`.",
    ),
    one(
        "convoke_operations_duration_seconds",
        Histogram(OPERATIONS),
        &["service", "type", "outcome"],
        "How long operations took from the request to their end.",
    ),
    one(
        "convoke_operations_leases_lost_total",
        Counter,
        &[],
        "Operations that another worker took over, since this one could not extend its lease in time.",
    ),
    one(
        "convoke_provider_call_duration_seconds",
        Histogram(MESSENGERS),
        &["service", "call", "outcome"],
        "How long calls of messengers take: `ok`, `retry_after` (told to wait), `unknown` (no answer), `rejected`, \
         `account_unusable`.",
    ),
    one(
        "convoke_provider_events_total",
        Counter,
        &["service", "source"],
        "Events that messengers told and that were taken in, repeats included.",
    ),
    one(
        "convoke_provider_event_delay_seconds",
        Histogram(DELAYS),
        &["service", "source"],
        "How long after an event it was taken in.",
    ),
    one(
        "convoke_provider_events_refused_total",
        Counter,
        &["service"],
        "Events that the database would not take: they are in the log alone.",
    ),
    one("convoke_accounts", Gauge, &["service", "state"], "Accounts of messengers, by how they are."),
    one(
        "convoke_account_cooldown_seconds",
        Gauge,
        &["service", "account"],
        "For how long the account takes no calls; 0 if it takes them.",
    ),
    one("convoke_account_groups", Gauge, &["service", "account"], "How many groups the account has."),
    one(
        "convoke_account_feed_lag_seconds",
        Gauge,
        &["service", "account"],
        "How long ago the account's feed was last known to be taken in.",
    ),
    one(
        "convoke_account_creations_left",
        Gauge,
        &["service", "account"],
        "How many more groups the account may make for now: of its budget for 24 hours, and of the groups that it may have.",
    ),
    one("convoke_account_held", Gauge, &["service", "account"], "Whether a process holds the account."),
    one(
        "convoke_counts_rolled_up_total",
        Counter,
        &[],
        "Changes of the numbers of chats that were added to the sums (PostgreSQL).",
    ),
    one(
        "db_client_operation_duration_seconds",
        Histogram(CALLS),
        &["db_operation_name", "error_type"],
        "How long calls of the database take, waiting included: `read`, `long_read` (PostgreSQL), `write`. `error_type` \
         is there if the call failed: `unavailable`, `inconsistent`, `refused` by the server (and tried otherwise).",
    ),
    one(
        "convoke_database_reads_total",
        Counter,
        &["source"],
        "Reads that a replica may answer, by who did: `replica`, or `primary`. 0 without a replica.",
    ),
    one(
        "convoke_database_replica_lag_seconds",
        Gauge,
        &[],
        "How old at most is what can be read from replicas; it grows while none answers. 0 without a replica.",
    ),
    one(
        "convoke_database_batch_size",
        Histogram(SIZES),
        &[],
        "How many writes (SQLite) or registrations (PostgreSQL) shared a commit.",
    ),
    one(
        "db_client_connections",
        Gauge,
        &["db_client_connection_state"],
        "Connections to PostgreSQL for transactions, `used` and `idle`.",
    ),
    one("db_client_connection_max", Gauge, &[], "How many of them there are at most."),
    one("db_client_connection_pending_requests", Gauge, &[], "How many calls wait for one of them."),
    one("db_client_connection_timeouts_total", Counter, &[], "Calls that waited for one of them in vain."),
    one("process_cpu_seconds_total", Counter, &[], "Time of the processor that was used, in whole seconds."),
    one("process_resident_memory_bytes", Gauge, &[], "Memory that is resident."),
    one("process_virtual_memory_bytes", Gauge, &[], "Memory that is mapped."),
    one("process_virtual_memory_max_bytes", Gauge, &[], "How much may be mapped at most; 0 if there is no limit."),
    one("process_open_fds", Gauge, &[], "Files and sockets that are open."),
    one("process_max_fds", Gauge, &[], "How many may be open at most."),
    one("process_threads", Gauge, &[], "Threads."),
    one("process_start_time_seconds", Gauge, &[], "When the process was started, in seconds since 1970."),
];

/// Where everything ends up that a process measures.
#[derive(Debug, Clone)]
pub struct Recorder(PrometheusHandle);

impl Recorder {
    /// The process's only one. What was got ready to measure before it is there is never told.
    ///
    /// # Errors
    /// [`BuildError`] if there is one already.
    pub fn install() -> Result<Self, BuildError> {
        let recorder = Self(builder().install_recorder()?);
        describe();
        Ok(recorder)
    }

    /// To be called every few seconds: sums up what has come in, so that it takes no room.
    pub fn sum_up(&self) {
        self.0.run_upkeep();
    }

    /// What was measured so far, as Prometheus reads it.
    pub(crate) fn render(&self) -> String {
        self.0.render()
    }
}

/// What `measure` sets, and nothing else, as Prometheus reads it.
pub(crate) fn of_this_moment(measure: impl FnOnce()) -> String {
    let recorder = builder().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        measure();
    });
    recorder.handle().render()
}

fn builder() -> PrometheusBuilder {
    MEASUREMENTS.iter().fold(PrometheusBuilder::new(), |builder, measurement| match measurement.kind {
        Histogram(buckets) => builder
            .set_buckets_for_metric(Matcher::Full(measurement.name.to_owned()), buckets)
            .expect("every histogram has buckets"),
        Counter | Gauge => builder,
    })
}

fn describe() {
    for Measurement { name, kind, meaning, .. } in MEASUREMENTS {
        match kind {
            Counter => describe_counter!(*name, *meaning),
            Gauge => describe_gauge!(*name, *meaning),
            Histogram(_) => describe_histogram!(*name, *meaning),
        }
    }
}

/// What is measured, for people: docs/metrics.md.
#[must_use]
pub fn metrics_reference() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         <!-- Written by `cargo run -p convoke -- metrics > docs/metrics.md`: not by hand. -->\n\n\
         What `/metrics` on the admin listener tells, whatever the role of the process, as Prometheus reads it. Names, labels \
         and buckets are\nthose of OpenTelemetry where its conventions have a word for it. No label holds an id or what \
         somebody typed, but for the\naccounts' names, which operators chose: a process has fewer than 300 series, and five \
         for each account.\n\n\
         The alerts, and what to do about them: [runbook.md](runbook.md). A dashboard: \
         `deploy/components/dashboard/convoke.json`.\n\n\
         | name | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for Measurement { name, kind, labels, meaning } in MEASUREMENTS {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a string can't fail.
        let _ = writeln!(text, "| `{name}` | {} | {} | {meaning} |", kind.as_str(), labels.join(", "));
    }
    text
}
