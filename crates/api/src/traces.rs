//! Requests as spans: a part of the client's trace, if it told one (W3C Trace Context), and the beginning of what follows.

use std::collections::HashMap;

use actix_web::http::{StatusCode, header::HeaderMap};
use convoke_store::Origin;
use opentelemetry::{
    Context, KeyValue, global,
    trace::{SpanKind, Status, TraceContextExt as _, TraceId, Tracer as _},
};

use crate::{
    request_id::RequestId,
    requests::{self, OTHER},
};

/// Who tells the spans.
const SCOPE: &str = "convoke_api";

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// A `tracestate` may be longer than what has to be handed on (W3C Trace Context, section 3.3.1.5); a longer one is left
/// out whole.
const LONGEST_STATE: usize = 512;

/// A request that is traced; its span ends when the last copy is gone.
#[derive(Debug, Clone)]
pub(crate) struct Traced(Context);

impl Traced {
    /// Begins the request's span. It is told by its method until its route is known.
    pub fn begin(method: &'static str, headers: &HeaderMap, request_id: &RequestId) -> Self {
        let parent = global::get_text_map_propagator(|propagator| {
            propagator.extract_with_context(&Context::new(), &told(headers))
        });
        let tracer = global::tracer(SCOPE);
        let span = tracer
            .span_builder(span_name(method, None))
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("http.request.method", method),
                KeyValue::new("convoke.request_id", request_id.as_str().to_owned()),
            ])
            .start_with_context(&tracer, &parent);
        Self(parent.with_span(span))
    }

    /// The trace that it is a part of.
    pub fn id(&self) -> TraceId {
        self.0.span().span_context().trace_id()
    }

    /// What whoever goes on with the request's work has to know of the trace.
    fn handed_on(&self) -> HashMap<String, String> {
        let mut headers = HashMap::new();
        global::get_text_map_propagator(|propagator| propagator.inject_context(&self.0, &mut headers));
        headers.retain(|_, value| !value.is_empty());
        headers
    }

    /// The request was answered like this.
    pub fn answered(&self, method: &'static str, route: Option<&str>, status: StatusCode, tenant: Option<&str>) {
        let span = self.0.span();
        let route = requests::taken(route, status);
        span.update_name(span_name(method, route));
        if let Some(route) = route {
            span.set_attribute(KeyValue::new("http.route", route.to_owned()));
        }
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if let Some(tenant) = tenant {
            span.set_attribute(KeyValue::new("convoke.tenant", tenant.to_owned()));
        }
        // A mistake of the client is none of the server's (OpenTelemetry's semantic conventions for HTTP).
        if status.is_server_error() {
            span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// What of a request goes with the work that it asks for.
pub(crate) fn origin(request_id: &RequestId, traced: Option<&Traced>) -> Origin {
    Origin {
        request_id: Some(request_id.as_str().to_owned()),
        trace: traced.map(Traced::handed_on).unwrap_or_default(),
    }
}

/// Method and route, never the path: there are few of them. `HTTP` stands for methods that no route has.
fn span_name(method: &str, route: Option<&str>) -> String {
    let method = if method == OTHER { "HTTP" } else { method };
    route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"))
}

/// The trace that the client told; nothing, if it told none, or not as W3C Trace Context has it.
fn told(headers: &HeaderMap) -> HashMap<String, String> {
    let mut parents = headers.get_all(TRACEPARENT).map(|parent| parent.to_str().unwrap_or_default());
    let (Some(parent), None) = (parents.next(), parents.next()) else { return HashMap::new() };
    if !is_traceparent(parent) {
        return HashMap::new();
    }
    let mut told = HashMap::from([(TRACEPARENT.to_owned(), parent.to_owned())]);
    // Several headers are one list (section 3.3.1.1).
    let states: Vec<&str> = headers.get_all(TRACESTATE).filter_map(|state| state.to_str().ok()).collect();
    let state = states.join(",");
    if !state.is_empty() && state.len() <= LONGEST_STATE {
        told.insert(TRACESTATE.to_owned(), state);
    }
    told
}

/// Whether this is a `traceparent` (section 3.2): version, trace, parent and flags, in lower-case hexadecimal digits. Of a
/// version to come, more may follow. That ids of nothing but zeros are none is seen by whoever reads it.
fn is_traceparent(text: &str) -> bool {
    const LENGTHS: [usize; 4] = [2, 32, 16, 2];
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let mut parts = text.splitn(5, '-');
    let fits = LENGTHS.iter().all(|length| parts.next().is_some_and(|part| part.len() == *length && is_hex(part)));
    fits && !text.starts_with("ff") && (parts.next().is_none() || !text.starts_with("00"))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_as_w3c_has_it() {
        for good in [
            PARENT,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-be-like",
        ] {
            assert!(is_traceparent(good), "{good}");
        }
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902bé-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }

    fn headers(sent: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn what_is_told_of_a_trace_is_taken_whole_or_not_at_all() {
        let told = |sent: &[_]| {
            let mut told: Vec<(String, String)> = told(&headers(sent)).into_iter().collect();
            told.sort();
            told.into_iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(told(&[]), "");
        assert_eq!(told(&[(TRACEPARENT, PARENT)]), format!("traceparent: {PARENT}"));
        assert_eq!(told(&[(TRACESTATE, "a=1")]), "");
        assert_eq!(told(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)]), "");
        assert_eq!(told(&[(TRACEPARENT, "00-0-0-0"), (TRACESTATE, "a=1")]), "");
        let both = told(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1"), (TRACESTATE, "b=2")]);
        assert_eq!(both, format!("traceparent: {PARENT}; tracestate: a=1,b=2"));
        let long: &'static str = format!("a={}", "1".repeat(LONGEST_STATE)).leak();
        assert_eq!(told(&[(TRACEPARENT, PARENT), (TRACESTATE, long)]), format!("traceparent: {PARENT}"));
    }
}
