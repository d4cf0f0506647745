//! The HTTP servers: the public one, the one for operators, and the one that stands in for it while the database
//! is not open.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::{Server, ServerHandle},
    middleware::from_fn,
    web,
};
use convoke_api::ApiState;
use convoke_sandbox::SandboxPages;
use tokio::task::JoinHandle;

use crate::{failure::Failure, serve::listen::Bound};

/// How long requests under way may go on once the process stops, in seconds.
const GRACE_SECONDS: u64 = 5;

/// How long a connection may idle.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

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
    pub task: JoinHandle<std::io::Result<()>>,
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
        threads: Option<NonZeroU16>,
    ) -> Result<Self, Failure> {
        let public = public.map(|public| start_public(public, state.clone(), pages, threads)).transpose()?;
        Ok(Self { admin: start_admin(admin, state.clone())?, public })
    }
}

fn start_public(
    bound: Bound,
    state: Arc<ApiState>,
    pages: Option<SandboxPages>,
    threads: Option<NonZeroU16>,
) -> Result<Running, Failure> {
    let server = HttpServer::new(move || {
        let (state, pages) = (state.clone(), pages.clone());
        App::new()
            .wrap(from_fn(convoke_api::frame))
            .configure(|config| {
                if let Some(pages) = &pages {
                    pages.configure(config);
                }
            })
            .configure(convoke_api::configure(state))
    });
    let server = match threads {
        Some(threads) => server.workers(usize::from(threads.get())),
        None => server,
    };
    let server = server.disable_signals().shutdown_timeout(GRACE_SECONDS).keep_alive(KEEP_ALIVE);
    let server = server.listen(bound.listener).map_err(|error| failed(&error))?;
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
pub fn start_stand_in(bound: Bound) -> Result<Running, Failure> {
    let server = HttpServer::new(|| {
        App::new()
            .route("/livez", web::get().to(|| async { HttpResponse::Ok().json(serde_json::json!({"status": "ok"})) }))
            .default_service(web::to(|| async {
                let told = serde_json::json!({"status": "unavailable", "reason": "the database is not open yet"});
                HttpResponse::ServiceUnavailable().insert_header(("Retry-After", "1")).json(told)
            }))
    });
    // Every connection is closed after its answer, so that the next one finds the real server.
    let server =
        server.disable_signals().shutdown_timeout(1).workers(1).keep_alive(actix_web::http::KeepAlive::Disabled);
    Ok(Running::start(server.listen(bound.listener).map_err(|error| failed(&error))?.run()))
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::new(format!("the HTTP server can't be started: {error}"))
}
