//! The HTTP servers: the public one, the one for operators, and the one that stands in for it while the database
//! is not open.

use std::{io, sync::Arc, time::Duration};

use actix_http::{HttpService, Protocol};
use actix_server::{Server, ServerBuilder, ServerHandle};
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::{App, HttpServer, dev::AppConfig, middleware::from_fn};
use convoke_api::{ApiState, Recorder};
use convoke_sandbox::SandboxPages;
use tokio::{net::TcpStream, task::JoinHandle};

use crate::{
    environment::SystemEnvironment,
    failure::Failure,
    serve::{
        connection::{Connection, EXCHANGE},
        listen::Bound,
    },
    settings::Capacity,
};

/// How long requests under way may go on once the process stops, in seconds.
const GRACE_SECONDS: u64 = 5;

/// How long a connection may idle.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long the head of a connection's first request may take.
const FIRST_HEAD: Duration = Duration::from_secs(5);

/// The running servers. Their threads have a runtime each.
pub struct Servers {
    /// The one for operators.
    pub admin: Running,
    /// The public one, if there is one.
    pub public: Option<Running>,
}

/// A running server.
pub struct Running {
    /// By which it is told to stop.
    pub handle: ServerHandle,
    /// Ends with it.
    pub task: JoinHandle<io::Result<()>>,
}

impl Running {
    fn start(server: Server) -> Self {
        Self { handle: server.handle(), task: tokio::spawn(server) }
    }
}

impl Servers {
    /// Starts them on their listeners.
    pub fn start(
        admin: Bound,
        public: Option<Bound>,
        state: &Arc<ApiState>,
        pages: Option<SandboxPages>,
        capacity: Capacity,
    ) -> Result<Self, Failure> {
        let public = public.map(|public| start_public(public, state, pages, capacity)).transpose()?;
        Ok(Self { admin: start_admin(admin, state.clone())?, public })
    }
}

/// Not by `HttpServer`, for that has no place for our own [`Connection`]; otherwise it is done as there.
fn start_public(
    bound: Bound,
    state: &Arc<ApiState>,
    pages: Option<SandboxPages>,
    capacity: Capacity,
) -> Result<Running, Failure> {
    let Bound { listener, address } = bound;
    let builder = ServerBuilder::new();
    let stopping = builder.graceful_shutdown_signal();
    let (state, is_direct) = (state.clone(), capacity.is_direct);
    let service = move || {
        let (state, pages, stopping) = (state.clone(), pages.clone(), stopping.clone());
        let app = App::new()
            .wrap(from_fn(convoke_api::frame))
            .configure(|config| {
                if let Some(pages) = &pages {
                    pages.configure(config);
                }
            })
            .configure(convoke_api::configure(state));
        let app = app.into_factory().map_err(|error: actix_web::Error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(FIRST_HEAD)
            .client_disconnect_timeout(Duration::from_secs(1))
            .local_addr(address)
            .on_connect_ext(move |connection: &Connection<TcpStream>, data| {
                if is_direct {
                    data.insert(connection.hold_off());
                }
            })
            // It is asked for by who makes URLs of the server's name, which nobody here does.
            .finish(map_config(app, |()| AppConfig::default()));
        fn_service(|stream: TcpStream| async move {
            let peer = stream.peer_addr().ok();
            // Answers are written whole: there is nothing to wait for.
            stream.set_nodelay(true).map_err(actix_http::error::DispatchError::Io)?;
            Ok((Connection::new(stream, EXCHANGE), Protocol::Http1, peer))
        })
        .and_then(http)
    };
    let threads = capacity.threads.get();
    let server = builder
        .workers(threads)
        .max_concurrent_connections(capacity.connections.get().div_ceil(threads))
        .disable_signals()
        .shutdown_timeout(GRACE_SECONDS)
        .listen("public", listener, service)
        .map_err(|error| failed(&error))?;
    Ok(Running::start(server.run()))
}

fn start_admin(bound: Bound, state: Arc<ApiState>) -> Result<Running, Failure> {
    let server = HttpServer::new(move || {
        App::new().wrap(from_fn(convoke_api::frame)).configure(convoke_api::configure_admin(state.clone()))
    });
    let server = server.disable_signals().shutdown_timeout(1).workers(1);
    Ok(Running::start(server.listen(bound.listener).map_err(|error| failed(&error))?.run()))
}

/// Stands in for the admin listener's server while there is no database: the process lives, and is not ready.
pub fn start_stand_in(bound: Bound, recorder: &Recorder) -> Result<Running, Failure> {
    let (environment, recorder) = (Arc::new(SystemEnvironment), recorder.clone());
    let server = HttpServer::new(move || {
        let stand_in = convoke_api::configure_stand_in(environment.clone(), recorder.clone());
        App::new().wrap(from_fn(convoke_api::frame)).configure(stand_in)
    });
    // Every connection is closed after its answer, so that the next one finds the real server.
    let server =
        server.disable_signals().shutdown_timeout(1).workers(1).keep_alive(actix_web::http::KeepAlive::Disabled);
    Ok(Running::start(server.listen(bound.listener).map_err(|error| failed(&error))?.run()))
}

fn failed(error: &io::Error) -> Failure {
    Failure::new(format!("the HTTP server can't be started: {error}"))
}
