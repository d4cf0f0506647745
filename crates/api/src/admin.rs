//! The admin listener: whether the process lives, whether it can answer, and what was measured.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use convoke_domain::Environment;
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    accounts::{self, AccountReport},
    figures,
    frame::{self, Surroundings},
    measurements::Recorder,
    problem::{Problem, ProblemKind},
    state::{ApiSettings, ApiState},
};

/// What is on the admin listener.
pub(crate) const PATHS: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// How long the database may take to say that it is there.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// Mounts `/livez`, `/readyz` and `/metrics`; the application is to be wrapped in [`crate::frame()`].
pub fn configure_admin(state: Arc<ApiState>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config.service(livez).service(readyz).service(metrics).default_service(web::to(fallback));
        frame::mount_state(config, state);
    }
}

/// Mounts the same for as long as the database is not open: the process lives, and is not ready.
pub fn configure_stand_in(
    environment: Arc<dyn Environment>,
    recorder: Recorder,
) -> impl FnOnce(&mut web::ServiceConfig) {
    let ApiSettings { body_timeout, .. } = ApiSettings::default();
    move |config| {
        config.service(livez).service(not_open).service(early_metrics).default_service(web::to(fallback));
        config.app_data(web::Data::new(recorder));
        config.app_data(Surroundings { environment, lifecycle: Arc::default(), body_timeout, traces: false });
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(flatten)]
    details: Option<Details>,
}

/// What `/readyz?verbose` tells besides.
#[derive(Serialize)]
struct Details {
    /// `ok`, or what is wrong with it.
    database: &'static str,
    /// The accounts of messengers, by name; absent if the database does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<Vec<AccountReport>>,
}

/// The process lives: it answers. Nothing else is looked at.
#[get("/livez")]
async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "ok", reason: None, details: None })
}

/// The process can answer requests: it listens, is not about to stop, and the database is there with its schema. How
/// messengers and their accounts are makes no difference; with `?verbose` it is told.
#[get("/readyz")]
async fn readyz(request: HttpRequest, state: web::Data<ApiState>) -> HttpResponse {
    let verbose = is_verbose(&request);
    let own = own_problem(&state);
    let database = if own.is_none() || verbose { database_problem(&state).await } else { None };
    let details = if verbose {
        let accounts = if database.is_none() { accounts::reports(&state).await } else { None };
        Some(Details { database: database.unwrap_or("ok"), accounts })
    } else {
        None
    };
    match own.or(database) {
        None => HttpResponse::Ok().json(Health { status: "ok", reason: None, details }),
        reason => unavailable(reason, details),
    }
}

/// The database is not open yet.
#[get("/readyz")]
async fn not_open() -> HttpResponse {
    unavailable(Some("the database is not open yet"), None)
}

fn unavailable(reason: Option<&'static str>, details: Option<Details>) -> HttpResponse {
    HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE).insert_header((header::RETRY_AFTER, "1")).json(Health {
        status: "unavailable",
        reason,
        details,
    })
}

fn is_verbose(request: &HttpRequest) -> bool {
    request.query_string().split('&').any(|part| part.split('=').next() == Some("verbose"))
}

/// What keeps this process from answering.
fn own_problem(state: &ApiState) -> Option<&'static str> {
    if state.lifecycle.is_draining() {
        return Some("the process is about to stop");
    }
    if !state.lifecycle.is_listening() {
        return Some("the public listener is not bound yet");
    }
    None
}

async fn database_problem(state: &ApiState) -> Option<&'static str> {
    match timeout(READY_TIMEOUT, state.store.ready()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Some("the database does not answer, or its schema is not there")
        }
        Err(_) => Some("the database does not answer in time"),
    }
}

/// What was measured, in the text form of Prometheus.
#[get("/metrics")]
async fn metrics(state: web::Data<ApiState>) -> HttpResponse {
    let is_ready = own_problem(&state).is_none() && database_problem(&state).await.is_none();
    in_text_form(figures::all(&state, is_ready).await)
}

/// The same without what only the database knows.
#[get("/metrics")]
async fn early_metrics(recorder: web::Data<Recorder>) -> HttpResponse {
    in_text_form(figures::with(Some(&recorder), false, || {}))
}

fn in_text_form(figures: String) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(figures)
}

async fn fallback(request: HttpRequest) -> Result<HttpResponse, Problem> {
    if PATHS.contains(&request.match_info().as_str()) {
        let problem = Problem::new(ProblemKind::MethodNotAllowed, "This path takes GET, HEAD only.");
        return Err(problem.with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
    }
    Err(Problem::new(ProblemKind::NotFound, "There is nothing under this path."))
}
