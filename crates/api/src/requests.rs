//! What is measured of every request. The ways to the figures are kept by each thread, so that an answer costs two
//! look-ups, of its route and its kind.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use actix_web::http::{Method, StatusCode};
use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};

use crate::frame::PRIVATE;

/// The route of what no route takes.
const UNMATCHED: &str = "unmatched";

/// A request that is being answered, for as long as this lives.
pub(crate) struct UnderWay(Gauge);

impl UnderWay {
    pub fn begin() -> Self {
        thread_local! {
            static REQUESTS: Gauge = gauge!("http_server_active_requests");
        }
        let requests = REQUESTS.with(Gauge::clone);
        requests.increment(1);
        Self(requests)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// What became of a request's token: the word for it in `convoke_token_checks_total`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TokenCheck {
    Accepted,
    Refused,
    Undecided,
}

impl TokenCheck {
    /// Counts it.
    pub fn count(self) {
        thread_local! {
            static CHECKS: [Counter; 3] = ["accepted", "refused", "undecided"]
                .map(|outcome| counter!("convoke_token_checks_total", "outcome" => outcome));
        }
        CHECKS.with(|checks| checks[self as usize].increment(1));
    }
}

/// A request that was answered.
pub(crate) struct Answered<'a> {
    pub method: &'a Method,
    /// The template of its path, if a route has taken it.
    pub route: Option<&'a str>,
    pub status: StatusCode,
    /// Whether the client asked to wait.
    pub waited: bool,
}

impl Answered<'_> {
    /// Counts it, and tells how long it took.
    pub fn measure(&self, took: Duration) {
        thread_local! {
            /// By route; of each there are few kinds of answers.
            static FIGURES: RefCell<HashMap<String, Vec<(Kind, Figures)>>> = RefCell::default();
        }
        let route = taken(self.route, self.status).unwrap_or(UNMATCHED);
        let kind = Kind {
            method: if route == UNMATCHED { OTHER } else { method_name(self.method) },
            status: self.status.as_u16(),
            waited: self.waited,
        };
        FIGURES.with_borrow_mut(|figures| {
            if !figures.contains_key(route) {
                figures.insert(route.to_owned(), Vec::new());
            }
            let Some(kinds) = figures.get_mut(route) else { return };
            let place = kinds.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
                kinds.push((kind, Figures::new(route, kind)));
                kinds.len() - 1
            });
            kinds[place].1.add(took);
        });
    }
}

/// What tells answers of a route apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    method: &'static str,
    status: u16,
    waited: bool,
}

struct Figures {
    number: Counter,
    /// Of the API alone: pages are looked at now and then.
    duration: Option<Histogram>,
}

impl Figures {
    fn new(route: &str, kind: Kind) -> Self {
        let method = Label::from_static_parts("http_request_method", kind.method);
        let labels = vec![method, Label::new("http_route", route.to_owned())];
        let status = Label::new("http_response_status_code", kind.status.to_string());
        let waited = Label::from_static_parts("convoke_waited", if kind.waited { "true" } else { "false" });
        let with = |label| [labels.clone(), vec![label]].concat();
        Self {
            number: counter!("convoke_http_requests_total", with(status)),
            duration: route
                .starts_with(PRIVATE)
                .then(|| histogram!("http_server_request_duration_seconds", with(waited))),
        }
    }

    fn add(&self, took: Duration) {
        self.number.increment(1);
        if let Some(duration) = &self.duration {
            duration.record(took);
        }
    }
}

/// The route that has taken a request. Its path may be known, and still no route has: for its method, or for want of a
/// token.
pub(crate) fn taken(route: Option<&str>, status: StatusCode) -> Option<&str> {
    route.filter(|_| ![StatusCode::METHOD_NOT_ALLOWED, StatusCode::UNAUTHORIZED].contains(&status))
}

/// A method that has no route anywhere; OpenTelemetry's word for it.
pub(crate) const OTHER: &str = "_OTHER";

/// `HEAD` is `GET` without the body.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => OTHER,
    }
}
