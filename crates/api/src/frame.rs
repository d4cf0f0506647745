//! What stands around every request, whatever it asks for: its name, the log line, `HEAD`, time for the body, the
//! headers that every answer has, and the form of every error. Nothing that goes wrong within leaves in another form.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use actix_web::{
    Error, HttpMessage, HttpResponse, HttpResponseBuilder,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        ConnectionType, Method, StatusCode, Uri, Version,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};
use convoke_domain::Environment;
use convoke_store::Origin;
use futures_util::FutureExt as _;
use tokio::time::Instant;
use tracing::{Instrument as _, field::Empty};

use crate::{
    admin,
    admission::Counted,
    auth::Caller,
    prefer::Wait,
    problem::{PROBLEM_JSON, Problem, ProblemKind},
    problem_page,
    request_id::{RequestId, X_REQUEST_ID},
    requests::{self, Answered, UnderWay},
    state::{ApiState, Lifecycle},
    timed_payload,
    traces::{self, Traced},
};

/// Where private operations are.
pub(crate) const PRIVATE: &str = "/api/v1/private";
/// Where the sandbox's pages are: for people, so errors there are pages too.
const SANDBOX: &str = "/sandbox/";

/// Stands around every request of the public and of the admin listener: `App::new().wrap(from_fn(frame))`, together with
/// [`crate::configure`], [`crate::configure_admin`] or [`crate::configure_stand_in`].
///
/// # Errors
/// Never any that is not a whole answer already.
///
/// # Panics
/// If none of them is there.
pub async fn frame(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let surroundings = Surroundings::of(&request);
    let asked = Asked::of(&request, &surroundings);
    let _under_way = asked.is_measured.then(UnderWay::begin);
    prepare(&mut request, &surroundings);
    // For what is mounted beside the API and knows nothing of it: there, too, a request has one name only.
    request.headers_mut().insert(X_REQUEST_ID, asked.request_id.header_value());
    request.extensions_mut().insert(asked.request_id.clone());
    let method = requests::method_name(&asked.method);
    let traced =
        (surroundings.traces && asked.is_measured).then(|| Traced::begin(method, request.headers(), &asked.request_id));

    let span = tracing::info_span!("request", request_id = asked.request_id.as_str(), trace_id = Empty);
    if let Some(traced) = &traced {
        span.record("trace_id", tracing::field::display(traced.id()));
        request.extensions_mut().insert(traced.clone());
    }
    let outcome = AssertUnwindSafe(async { next.call(request).await }).catch_unwind().instrument(span.clone()).await;
    let _entered = span.enter();
    match outcome {
        Ok(Ok(response)) => {
            let response = response.map_into_boxed_body();
            let problem = response.response().error().and_then(Error::as_error::<Problem>);
            let is_quiet = problem.is_some_and(|problem| problem.is_quiet);
            let mut response = in_our_form(response, &asked);
            asked.finish(response.response_mut(), &surroundings);
            if let Some(counted) = Counted::of(response.request()) {
                counted.tell(response.headers_mut());
            }
            let (route, caller) = (response.request().match_pattern(), Caller::of(response.request()));
            let waited = Wait::was_asked_by(response.request());
            let answered = (response.status(), is_quiet);
            tell(&asked, route.as_deref(), answered, waited, caller.as_deref(), started);
            if let Some(traced) = traced {
                let tenant = caller.as_deref().map(|caller| caller.tenant.as_str());
                traced.answered(method, route.as_deref(), response.status(), tenant);
            }
            Ok(response)
        }
        // The request is gone with the panic or the error, so the answer has to be whole.
        broken => {
            let problem = match broken {
                Ok(Err(error)) => problem_of(&error),
                // The hook of panics told of it, with this request's name.
                Err(_) => Problem::internal(),
                Ok(Ok(_)) => unreachable!("handled above"),
            };
            let mut response = asked.answer(&problem);
            asked.finish(&mut response, &surroundings);
            tell(&asked, None, (response.status(), false), false, None, started);
            if let Some(traced) = traced {
                traced.answered(method, None, response.status(), None);
            }
            Err(InternalError::from_response(problem, response).into())
        }
    }
}

/// What [`frame()`] goes by, whatever it stands around.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub environment: Arc<dyn Environment>,
    pub lifecycle: Arc<Lifecycle>,
    pub body_timeout: Duration,
    pub traces: bool,
}

impl Surroundings {
    fn of(request: &ServiceRequest) -> Self {
        request.app_data::<Self>().expect("`configure` mounts them").clone()
    }
}

/// What was asked for, kept for the answer.
struct Asked {
    method: Method,
    version: Version,
    /// As it was sent.
    uri: Uri,
    /// What routes are found by: `%70rivate` is `private` there.
    path: String,
    request_id: RequestId,
    wants_page: bool,
    /// Not what machines ask the admin listener every few seconds.
    is_measured: bool,
}

impl Asked {
    fn of(request: &ServiceRequest, surroundings: &Surroundings) -> Self {
        let path = request.match_info().as_str().to_owned();
        Self {
            method: request.method().clone(),
            version: request.version(),
            uri: request.uri().clone(),
            request_id: RequestId::of(request.headers(), &*surroundings.environment),
            is_measured: !admin::PATHS.contains(&path.as_str()),
            wants_page: path.starts_with(SANDBOX) && !asks_for_json(request.headers()),
            path,
        }
    }

    /// The answer that a problem is.
    fn answer(&self, problem: &Problem) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(problem.kind.status());
        for (name, value) in problem.headers() {
            response.append_header((name.clone(), value.clone()));
        }
        if problem.closes_connection {
            response.force_close();
        }
        if self.wants_page {
            return response
                .insert_header((header::CONTENT_SECURITY_POLICY, problem_page::CONTENT_SECURITY_POLICY))
                .content_type("text/html; charset=utf-8")
                .body(problem_page::for_visitor(problem));
        }
        let body = problem.body(self.uri.path(), self.request_id.as_str());
        response.content_type(PROBLEM_JSON).body(serde_json::to_vec(&body).expect("texts are always written"))
    }

    /// Gives an answer what every answer has.
    fn finish(&self, response: &mut HttpResponse, surroundings: &Surroundings) {
        if surroundings.lifecycle.is_draining() && self.version >= Version::HTTP_10 {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, self.request_id.header_value());
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        set_default(headers, header::REFERRER_POLICY, "no-referrer");
        if self.path.starts_with(PRIVATE) {
            set_default(headers, header::CACHE_CONTROL, "no-store");
        }
        if !self.path.starts_with(SANDBOX) {
            set_default(headers, header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
        }
    }
}

fn set_default(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    if !headers.contains_key(&name) {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Makes of the request what the routes know.
fn prepare(request: &mut ServiceRequest, surroundings: &Surroundings) {
    timed_payload::limit(request, surroundings.body_timeout);
    // The connection remembers that it was `HEAD` and leaves the body out, with the length of the one it had.
    if request.method() == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    // The reference page writes the list's path with a slash at the end.
    if request.match_info().as_str().strip_prefix(PRIVATE) == Some("/chats/") {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let uri: Uri = format!("{PRIVATE}/chats{query}").parse().expect("a part of a URI makes one");
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}

/// Gives every error the form of a problem. The sandbox's own pages are left as they are.
fn in_our_form(response: ServiceResponse<BoxBody>, asked: &Asked) -> ServiceResponse<BoxBody> {
    let Some(error) = response.response().error() else { return response };
    if asked.path.starts_with(SANDBOX) && error.as_error::<Problem>().is_none() {
        return response;
    }
    let answer = asked.answer(&problem_of(error));
    response.into_response(answer)
}

/// The problem that an error is; one that is not ours becomes the kind that its status comes closest to.
fn problem_of(error: &Error) -> Problem {
    if let Some(problem) = error.as_error::<Problem>() {
        return problem.clone();
    }
    let kind = ProblemKind::from_status(error.as_response_error().status_code());
    if kind == ProblemKind::InternalError {
        tracing::error!(%error, "a request failed");
        return Problem::internal();
    }
    tracing::debug!(%error, "a request was refused");
    Problem::new(kind, kind.entry().meaning)
}

fn asks_for_json(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).filter_map(|value| value.to_str().ok()).any(|accept| {
        accept.split(',').filter_map(|range| range.split(';').next()).any(|range| {
            let range = range.trim();
            range.eq_ignore_ascii_case("application/json") || range.eq_ignore_ascii_case(PROBLEM_JSON)
        })
    })
}

/// Measures the request, and writes one line about it. That names the route, not the path: the path of an invitation is a
/// secret.
fn tell(
    asked: &Asked,
    route: Option<&str>,
    (status, is_quiet): (StatusCode, bool),
    waited: bool,
    caller: Option<&Caller>,
    started: Instant,
) {
    let took = started.elapsed();
    if asked.is_measured {
        Answered { method: &asked.method, route, status, waited }.measure(took);
    }
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let (method, status, route) = (&asked.method, status.as_u16(), route.unwrap_or("-"));
    if !asked.is_measured || is_quiet {
        tracing::debug!(%method, route, status, duration_ms, "answered");
        return;
    }
    let tenant = caller.map(|caller| caller.tenant.as_str());
    tracing::info!(%method, route, status, duration_ms, tenant, "answered");
}

/// The name of a request, for answers that hold it in their body.
pub(crate) fn request_id(request: &actix_web::HttpRequest) -> RequestId {
    request.extensions().get::<RequestId>().cloned().expect("`frame` names every request")
}

/// What of a request goes with the work that it asks for.
pub(crate) fn origin(request: &actix_web::HttpRequest) -> Origin {
    traces::origin(&request_id(request), request.extensions().get::<Traced>())
}

/// Lets the state be found by [`ApiState::of`], and by [`frame()`] what it goes by.
pub(crate) fn mount_state(config: &mut web::ServiceConfig, state: Arc<ApiState>) {
    config.app_data(Surroundings {
        environment: state.environment.clone(),
        lifecycle: state.lifecycle.clone(),
        body_timeout: state.settings.body_timeout,
        traces: state.settings.traces,
    });
    config.app_data(web::Data::from(state));
}
