//! `convoke serve`: from the start to the orderly stop.
//!
//! The order of the start: the database, so that nobody else serves it; the listeners, so that what is announced is
//! true; the first token; then requests and work.

mod announcement;
mod connection;
mod files;
mod listen;
mod servers;
pub mod signals;
mod stop;
mod traces;
mod work;

use std::{pin::pin, sync::Arc, time::Duration};

use convoke_api::{ApiSettings, ApiState, Lifecycle, Recorder};
use convoke_domain::Environment;
use convoke_oidc::{HttpSource, Issuer, Issuers, KeySource};
use convoke_sandbox::{Sandbox, SandboxPages, SandboxSettings};
use convoke_store::{DatabaseUrl, OpenOptions, ReplicaOptions, Store};
use convoke_telegram::Telegram;
use tokio::time::sleep;

use crate::{
    command_line::Role,
    environment::SystemEnvironment,
    failure::Failure,
    secrets,
    settings::{Layers, PublicUrl, Settings},
};
use listen::Listening;
use servers::Servers;
use signals::Signals;
use traces::Traces;
use work::Work;

/// How long a database may take to be opened before anybody wonders.
const SOON: Duration = Duration::from_millis(500);

/// How often is summed up what was measured.
const SUM_UP: Duration = Duration::from_secs(5);

/// Serves until a signal to stop comes.
pub async fn serve(layers: &Layers, settings: &Settings, role: Role) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let recorder = recorder()?;
    let instance = instance();
    let traces = Traces::start(layers, &settings.traces, instance.clone())?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    let mut listening = Listening::new(layers, settings);
    // Work is done where is written.
    let replica = settings.database.replica().filter(|_| role.answers());
    let Some(store) = open(layers, settings, replica.as_ref(), &mut listening, &recorder, &mut signals).await? else {
        return Ok(());
    };
    let telegram = if role.works() { telegram(&store, settings, instance).await? } else { None };
    let admin = listening.admin()?;
    let public = if role.answers() { Some(listening.public()?) } else { None };

    let environment = Arc::new(SystemEnvironment);
    let url = match (&settings.server.public_url, &public) {
        (Some(url), _) => url.clone(),
        (None, Some(public)) => PublicUrl::of(public.address),
        (None, None) => PublicUrl::of(settings.server.bind),
    };
    if let Some(public) = &public {
        let is_own = matches!(settings.database.url, DatabaseUrl::Sqlite(_)) && settings.auth.first_token;
        announcement::announce(&store, is_own, public.address, &url, settings.server.swagger_ui).await;
    }

    let capacity = settings.capacity(files::raise_limit());
    let lifecycle = Arc::new(Lifecycle::new());
    let state = Arc::new(ApiState::new(
        store.clone(),
        environment.clone(),
        ApiSettings {
            public_url: url.as_str().to_owned(),
            default_service: settings.providers.default,
            configured_services: settings.configured_services(),
            swagger_ui: settings.server.swagger_ui,
            limits: settings.taken_on(capacity.threads),
            issuers: Arc::new(if role.answers() { watch_issuers(layers, settings)? } else { Issuers::default() }),
            trusted_proxies: settings.server.trusted_proxies,
            account_limits: Some(settings.telegram.account_limits()),
            traces: traces.is_some(),
            recorder: Some(recorder),
            ..ApiSettings::default()
        },
        lifecycle.clone(),
    ));
    let sandbox = settings.sandbox_is_on().then(|| {
        let settings = SandboxSettings {
            delay: settings.sandbox.delay.map(|delay| delay.0).unwrap_or_default(),
            faults: settings.sandbox.faults.clone().unwrap_or_default(),
        };
        Arc::new(Sandbox::new(store.clone(), environment.clone(), settings))
    });
    let pages = sandbox.clone().map(|sandbox| SandboxPages::new(sandbox, url.as_str()));
    let servers = Servers::start(admin, public, &state, pages, capacity)?;
    // Whoever is to answer nobody is ready as it is.
    lifecycle.set_listening();

    let work = role.works().then(|| Work::start(store, sandbox, telegram, settings, traces.is_some()));
    tracing::info!(role = role.as_str(), version = env!("CARGO_PKG_VERSION"), database = %settings.database.url, "started");
    let stopped = stop::wait_and_stop(&mut signals, servers, work, &lifecycle, settings.server.drain.0).await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    stopped
}

/// Begins to measure: before anything is made ready that is to be measured.
fn recorder() -> Result<Recorder, Failure> {
    let recorder = Recorder::install().map_err(|error| Failure::new(format!("nothing can be measured: {error}")))?;
    let summing = recorder.clone();
    tokio::spawn(async move {
        loop {
            sleep(SUM_UP).await;
            summing.sum_up();
        }
    });
    Ok(recorder)
}

/// Begins to fetch the keys of the issuers whose tokens are taken.
fn watch_issuers(layers: &Layers, settings: &Settings) -> Result<Issuers, Failure> {
    let source = |issuer: &Issuer| {
        let source = HttpSource::new(issuer.address.clone());
        let source =
            source.map_err(|error| Failure::new(format!("{}: {error}", layers.name_of_key("auth.issuers"))))?;
        Ok::<_, Failure>((issuer.clone(), Box::new(source) as Box<dyn KeySource>))
    };
    let watched: Vec<_> = settings.auth.issuers.iter().map(source).collect::<Result<_, _>>()?;
    let environment: Arc<dyn Environment> = Arc::new(SystemEnvironment);
    Ok(Issuers::watch(watched, &environment))
}

/// Opens the database; nothing, if the signal to stop comes first. Should it take long (a server that is about to start, a
/// schema to be brought up to date), the admin listener tells meanwhile that the process lives and is not ready.
async fn open(
    layers: &Layers,
    settings: &Settings,
    replica: Option<&ReplicaOptions>,
    listening: &mut Listening<'_>,
    recorder: &Recorder,
    signals: &mut Signals,
) -> Result<Option<Arc<dyn Store>>, Failure> {
    let options = OpenOptions { url: settings.database.url.clone(), migrate: settings.database.migrate.0, serve: true };
    let opening = convoke_store::open_with_replica(&options, replica, Arc::new(SystemEnvironment));
    let mut opening = pin!(opening);
    tokio::select! {
        opened = &mut opening => return opened.map(Some).map_err(|error| Failure::of_database(layers, &error)),
        () = signals.next() => return Ok(None),
        () = sleep(SOON) => {}
    }
    tracing::warn!(database = %options.url, "the database takes its time");
    let stand_in = servers::start_stand_in(listening.admin()?, recorder)?;
    let opened = tokio::select! {
        opened = opening => opened.map_err(|error| Failure::of_database(layers, &error))?,
        () = signals.next() => return Ok(None),
    };
    stand_in.handle.stop(true).await;
    Ok(Some(opened))
}

/// The connector to Telegram, if it is configured.
async fn telegram(
    store: &Arc<dyn Store>,
    settings: &Settings,
    instance: String,
) -> Result<Option<Arc<Telegram>>, Failure> {
    let Some(connector) = settings.telegram.connector(instance) else { return Ok(None) };
    let key = secrets::key(settings, &**store, &SystemEnvironment).await?;
    Ok(Some(Telegram::new(store.clone(), Arc::new(SystemEnvironment), connector, key)))
}

/// The name of this process, under which it holds accounts: it tells operators where that is, and no other process has it.
fn instance() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    format!("{host}/{}/{}", std::process::id(), SystemEnvironment.new_uuid().simple())
}
