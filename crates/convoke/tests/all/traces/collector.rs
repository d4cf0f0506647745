//! A collector of traces that keeps what it is told: over HTTP, as Protocol Buffers, like a real one.

use std::{
    fmt::Write as _,
    net::TcpListener,
    sync::{Arc, Mutex},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span as Told, span::SpanKind, status::StatusCode},
};
use prost::Message as _;

/// What a span is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Server,
    Consumer,
    Client,
}

/// A span, as it was told; ids in hexadecimal digits.
#[derive(Debug, Clone)]
pub struct Span {
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty, if it has none.
    pub parent: String,
    pub state: String,
    pub kind: Kind,
    pub is_error: bool,
    begun: u64,
    attributes: Vec<(String, String)>,
}

impl Span {
    pub fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(is, _)| is == name);
        found.map_or_else(|| panic!("no {name}: {self:#?}"), |(_, value)| value)
    }

    fn of(told: &Told) -> Self {
        Self {
            name: told.name.clone(),
            trace: hex(&told.trace_id),
            id: hex(&told.span_id),
            parent: hex(&told.parent_span_id),
            state: told.trace_state.clone(),
            kind: match told.kind() {
                SpanKind::Server => Kind::Server,
                SpanKind::Consumer => Kind::Consumer,
                SpanKind::Client => Kind::Client,
                other => panic!("{other:?}: {told:#?}"),
            },
            is_error: told.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error),
            begun: told.start_time_unix_nano,
            attributes: told.attributes.iter().map(attribute).collect(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn attribute(told: &KeyValue) -> (String, String) {
    let value = match told.value.as_ref().and_then(|value| value.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    };
    (told.key.clone(), value)
}

/// What came, in the order in which it came.
#[derive(Default)]
struct Kept {
    requests: Vec<ExportTraceServiceRequest>,
    headers: Vec<(String, String)>,
}

/// The collector; it ends with the test.
pub struct Collector {
    address: String,
    kept: Arc<Mutex<Kept>>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let state = web::Data::from(kept.clone());
        let app = move || App::new().app_data(state.clone()).route("/v1/traces", web::post().to(take));
        let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap();
        tokio::spawn(server.run());
        Self { address, kept }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// All spans, in the order in which they began.
    pub fn spans(&self) -> Vec<Span> {
        let kept = self.kept.lock().unwrap();
        let of_resources = kept.requests.iter().flat_map(|request| &request.resource_spans);
        let told = of_resources.flat_map(|spans| &spans.scope_spans).flat_map(|spans| &spans.spans);
        let mut spans: Vec<_> = told.map(Span::of).collect();
        spans.sort_by_key(|span| span.begun);
        spans
    }

    pub fn spans_of(&self, trace: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.trace == trace).collect()
    }

    /// What all spans were told to come from.
    pub fn resource(&self, name: &str) -> String {
        let kept = self.kept.lock().unwrap();
        let mut resources = kept.requests.iter().flat_map(|request| &request.resource_spans);
        let resource = resources.next().unwrap().resource.clone().unwrap();
        resource.attributes.iter().map(attribute).find(|(is, _)| is == name).unwrap().1
    }

    /// A header of the last request.
    pub fn header(&self, name: &str) -> String {
        let kept = self.kept.lock().unwrap();
        kept.headers.iter().find(|(is, _)| is == name).unwrap().1.clone()
    }
}

async fn take(kept: web::Data<Mutex<Kept>>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    assert_eq!(request.headers().get("content-type").unwrap(), "application/x-protobuf");
    let told = ExportTraceServiceRequest::decode(body).unwrap();
    let header = |(name, value): (&actix_web::http::header::HeaderName, &actix_web::http::header::HeaderValue)| {
        (name.as_str().to_owned(), value.to_str().unwrap().to_owned())
    };
    let mut kept = kept.lock().unwrap();
    kept.headers = request.headers().iter().map(header).collect();
    kept.requests.push(told);
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    HttpResponse::Ok().content_type("application/x-protobuf").body(answer)
}
