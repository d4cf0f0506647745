//! Opening connections.

use std::{
    fmt::Display,
    net::IpAddr,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use diesel_async::AsyncPgConnection;
use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use tokio::{task::AbortHandle, time::timeout};
use tokio_postgres::{
    Config, Socket,
    config::{Host, LoadBalanceHosts, TargetSessionAttrs},
    error::SqlState,
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    settings::{Settings, SslMode, with_causes},
    tls,
};
use crate::StoreError;

/// How long one host keeps the next one waiting: one that is dead must not use up the time of a whole request.
const NEXT_HOST_AFTER: Duration = Duration::from_millis(300);

/// The two halves of a connection, as tokio-postgres gives them.
pub type Halves =
    (tokio_postgres::Client, tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>);

/// Knows how to open a connection to the database.
pub struct Connector {
    config: Config,
    targets: Vec<Target>,
    ssl_mode: SslMode,
    tls: MakeRustlsConnect,
    timeout: Duration,
    /// Where the next one begins, should the load be spread over the hosts.
    next: AtomicUsize,
    /// Grows when all connections are to be opened anew.
    generation: AtomicU64,
}

/// A host, as it is configured.
struct Target {
    host: Option<Host>,
    address: Option<IpAddr>,
    port: u16,
}

/// One address of a host.
struct Address<'a> {
    target: &'a Target,
    ip: Option<IpAddr>,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// Waiting does not help: somebody must look at the configuration, here or there.
    Refused(String),
    /// It may help.
    Unreachable(String),
}

impl From<ConnectError> for StoreError {
    fn from(error: ConnectError) -> Self {
        let (ConnectError::Refused(reason) | ConnectError::Unreachable(reason)) = error;
        Self::Unavailable(reason)
    }
}

/// A connection whose driver runs on the runtime that opened it.
pub struct Connection {
    /// For queries; several at once are pipelined.
    pub queries: AsyncPgConnection,
    /// Whether it is still there.
    pub life: Life,
    generation: u64,
}

/// Knows whether a connection is there, and ends it when it is dropped.
pub struct Life(Lifeline);

/// Knows whether a connection is there, and can end it.
#[derive(Clone)]
pub struct Lifeline {
    is_over: Arc<AtomicBool>,
    driver: AbortHandle,
}

impl Life {
    /// Runs what drives a connection until it ends or this is dropped.
    pub fn drive(driver: impl Future<Output = ()> + Send + 'static) -> Self {
        struct OverAtLast(Arc<AtomicBool>);
        impl Drop for OverAtLast {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        let is_over = Arc::new(AtomicBool::new(false));
        // Dropped with the task, however that ends: when it is done, when it is aborted, when its runtime is gone.
        let over_at_last = OverAtLast(is_over.clone());
        let task = tokio::spawn(async move {
            let _over_at_last = over_at_last;
            driver.await;
        });
        Self(Lifeline { is_over, driver: task.abort_handle() })
    }

    pub fn line(&self) -> Lifeline {
        self.0.clone()
    }
}

impl Deref for Life {
    type Target = Lifeline;

    fn deref(&self) -> &Lifeline {
        &self.0
    }
}

impl Lifeline {
    /// Whether the connection is gone.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Ends the connection: whoever waits for an answer on it gets an error at once.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.driver.abort();
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Connector {
    /// Reads a database URL.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        Self::with(url.parse().map_err(misconfigured)?).map_err(misconfigured)
    }

    /// Reads the URL of a replica: only a server that takes no writes is one.
    pub fn to_replica(url: &str) -> Result<Self, StoreError> {
        let misconfigured = |mistake| StoreError::Open(format!("the URL of the read replica can't be used: {mistake}"));
        let mut settings: Settings = url.parse().map_err(misconfigured)?;
        settings.config.target_session_attrs(TargetSessionAttrs::ReadOnly);
        Self::with(settings).map_err(misconfigured)
    }

    fn with(settings: Settings) -> Result<Self, String> {
        let tls = tls::connector(&settings)?;
        let Settings { config, ssl_mode, connect_timeout, .. } = settings;
        let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
        let count = hosts.len().max(addresses.len());
        if (!hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len())
            || (ports.len() > 1 && ports.len() != count)
        {
            return Err("hosts, addresses and ports are not equally many".to_owned());
        }
        let target = |place: usize| Target {
            host: hosts.get(place).cloned(),
            address: addresses.get(place).copied(),
            port: ports.get(place).or(ports.first()).copied().unwrap_or(5432),
        };
        let targets = (0..count).map(target).collect();
        let config_for_all = without_hosts(&config, connect_timeout);
        Ok(Self {
            config: config_for_all,
            targets,
            ssl_mode,
            tls,
            timeout: connect_timeout,
            next: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
        })
    }

    /// Has every connection opened anew: those there are lead to a server that takes no writes.
    pub fn renew(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a connection is there, and leads where a new one would.
    pub fn is_current(&self, connection: &Connection) -> bool {
        !connection.life.is_over() && connection.generation == self.generation.load(Ordering::Acquire)
    }

    /// Opens a connection for queries; its driver runs on this runtime.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let generation = self.generation.load(Ordering::Acquire);
        let (client, connection) = self.establish().await?;
        let driver = async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %with_causes(&error), "a connection to PostgreSQL ended");
            }
        };
        let life = Life::drive(driver);
        // It sets the time zone and the encoding: a last exchange that must not hang either.
        let queries = timeout(self.timeout, AsyncPgConnection::try_from(client)).await;
        let queries = queries.map_err(|_| ConnectError::Unreachable("no answer to the first statement".to_owned()))?;
        let queries = queries.map_err(|error| ConnectError::Unreachable(error.to_string()))?;
        Ok(Connection { queries, life, generation })
    }

    /// Opens a connection to the first host that takes it; its halves are the caller's to run.
    pub async fn establish(&self) -> Result<Halves, ConnectError> {
        let addresses = join_all(self.in_turn().map(|target| self.addresses(target))).await;
        let mut failures = Failures::default();
        let mut waiting = Vec::new();
        for found in addresses {
            match found {
                Ok(found) => waiting.extend(found),
                Err(error) => failures.push(error),
            }
        }
        let mut waiting = waiting.into_iter();
        let mut attempts = FuturesUnordered::new();
        loop {
            match waiting.next() {
                Some(address) => attempts.push(self.attempt(address)),
                None if attempts.is_empty() => return Err(failures.into()),
                None => {}
            }
            let patience = if waiting.len() == 0 { Duration::MAX } else { NEXT_HOST_AFTER };
            match timeout(patience, attempts.next()).await {
                Ok(Some(Ok(halves))) => return Ok(halves),
                Ok(Some(Err(error))) => failures.push(error),
                Ok(None) | Err(_) => {}
            }
        }
    }

    fn in_turn(&self) -> impl Iterator<Item = &Target> {
        let spread = self.config.get_load_balance_hosts() == LoadBalanceHosts::Random;
        let first = if spread { self.next.fetch_add(1, Ordering::Relaxed) % self.targets.len() } else { 0 };
        self.targets[first..].iter().chain(&self.targets[..first])
    }

    async fn addresses<'a>(&self, target: &'a Target) -> Result<Vec<Address<'a>>, ConnectError> {
        let name = match (&target.host, target.address) {
            (_, Some(ip)) => return Ok(vec![Address { target, ip: Some(ip) }]),
            (Some(Host::Tcp(name)), None) => name,
            (_, None) => return Ok(vec![Address { target, ip: None }]),
        };
        let unknown = |reason: String| ConnectError::Unreachable(format!("{}: {reason}", target.name()));
        let found = timeout(self.timeout, tokio::net::lookup_host((name.as_str(), target.port))).await;
        let found = found.map_err(|_| unknown("its name is not resolved in time".to_owned()))?;
        let found = found.map_err(|error| unknown(format!("its name can't be resolved: {error}")))?;
        Ok(found.map(|address| Address { target, ip: Some(address.ip()) }).collect())
    }

    async fn attempt(&self, address: Address<'_>) -> Result<Halves, ConnectError> {
        let name = address.target.name();
        let late = |_| ConnectError::Unreachable(format!("{name}: no answer within {:?}", self.timeout));
        timeout(self.timeout, self.attempt_modes(&address)).await.map_err(late)?.map_err(|error| {
            let reason = format!("{name}: {}", with_causes(&error));
            if is_refusal(&error) { ConnectError::Refused(reason) } else { ConnectError::Unreachable(reason) }
        })
    }

    async fn attempt_modes(&self, address: &Address<'_>) -> Result<Halves, tokio_postgres::Error> {
        use tokio_postgres::config::SslMode as Mode;
        let mut config = self.config.clone();
        config.port(address.target.port);
        match &address.target.host {
            Some(Host::Tcp(name)) => drop(config.host(name)),
            Some(Host::Unix(folder)) => drop(config.host_path(folder)),
            None => {}
        }
        if let Some(ip) = address.ip {
            config.hostaddr(ip);
        }
        let is_local = matches!(address.target.host, Some(Host::Unix(_)));
        let (first, second) = match self.ssl_mode {
            // There is nothing to encrypt within a machine: libpq does not either.
            _ if is_local => (Mode::Disable, None),
            SslMode::Disable => (Mode::Disable, None),
            SslMode::Allow => (Mode::Disable, Some(Mode::Require)),
            SslMode::Prefer => (Mode::Prefer, Some(Mode::Disable)),
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (Mode::Require, None),
        };
        match (config.ssl_mode(first).connect(self.tls.clone()).await, second) {
            (Err(error), Some(second)) if other_mode_may_help(&error) => {
                config.ssl_mode(second).connect(self.tls.clone()).await.map_err(|_| error)
            }
            (outcome, _) => outcome,
        }
    }
}

impl Target {
    fn name(&self) -> String {
        match (&self.host, self.address) {
            (Some(Host::Tcp(name)), _) => format!("{name}:{}", self.port),
            (Some(Host::Unix(folder)), _) => folder.display().to_string(),
            (None, Some(ip)) => format!("{ip}:{}", self.port),
            (None, None) => self.port.to_string(),
        }
    }
}

/// What every host has in common.
fn without_hosts(config: &Config, connect_timeout: Duration) -> Config {
    let mut common = Config::new();
    common
        .ssl_negotiation(config.get_ssl_negotiation())
        .connect_timeout(connect_timeout)
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .load_balance_hosts(config.get_load_balance_hosts());
    config.get_user().map(|user| common.user(user));
    config.get_password().map(|password| common.password(password));
    config.get_dbname().map(|name| common.dbname(name));
    config.get_options().map(|options| common.options(options));
    config.get_application_name().map(|name| common.application_name(name));
    config.get_tcp_user_timeout().map(|time| common.tcp_user_timeout(*time));
    config.get_keepalives_interval().map(|time| common.keepalives_interval(time));
    config.get_keepalives_retries().map(|retries| common.keepalives_retries(retries));
    common
}

fn misconfigured(mistake: impl Display) -> StoreError {
    StoreError::Open(format!("the PostgreSQL URL can't be used: {mistake}"))
}

/// Whether the server, or its certificate, says that it won't have us like this.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    if let Some(code) = error.code() {
        // Class 28: who we are. Class 3D: which database.
        return code.code().starts_with("28") || *code == SqlState::UNDEFINED_DATABASE;
    }
    // The other kinds of errors are told apart by their words alone.
    let told = error.to_string();
    told.starts_with("invalid configuration") || told.starts_with("error performing TLS handshake")
}

/// Whether the server might take the same connection with TLS instead of without, or the other way round.
fn other_mode_may_help(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(code) => *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        None => error.to_string().starts_with("error performing TLS handshake"),
    }
}

/// What every host said.
#[derive(Default)]
struct Failures {
    reasons: Vec<String>,
    is_refused: bool,
}

impl Failures {
    fn push(&mut self, error: ConnectError) {
        let (is_refused, reason) = match error {
            ConnectError::Refused(reason) => (true, reason),
            ConnectError::Unreachable(reason) => (false, reason),
        };
        self.is_refused |= is_refused;
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}

impl From<Failures> for ConnectError {
    fn from(failures: Failures) -> Self {
        let reasons = failures.reasons.join("; ");
        if failures.is_refused { Self::Refused(reasons) } else { Self::Unreachable(reasons) }
    }
}
