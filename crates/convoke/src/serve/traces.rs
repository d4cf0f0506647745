//! Traces, handed to a collector by OTLP over HTTP: as Protocol Buffers, in batches, beside everything else. Spans wait in a
//! queue that has an end; a collector that is away or slow costs spans, never requests.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use convoke_outbound::Caller;
use hyper::{Request, Uri, body::Bytes, header::CONTENT_TYPE};
use opentelemetry::{KeyValue, global};
use opentelemetry_proto::{
    tonic::collector::trace::v1::ExportTraceServiceRequest,
    transform::{common::tonic::ResourceAttributesWithSchema, trace::tonic::group_spans_by_resource_and_scope},
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    propagation::TraceContextPropagator,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter},
};
use prost::Message as _;
use tokio::{runtime::Handle, task};

use crate::{
    failure::Failure,
    settings::{Layers, Traces as Settings},
};

/// How long a collector may take to take a batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// How large its answer may be, which nobody reads.
const LARGEST: usize = 64 * 1024;
/// How long spans wait for others to go with.
const GATHERING: Duration = Duration::from_secs(1);
/// How many wait at most; those beyond are dropped.
const WAITING: usize = 4096;
/// How many go together at most.
const AT_ONCE: usize = 512;
/// How long the stop waits for the last ones to be taken: what is left of its 10 s.
const LAST_WAIT: Duration = Duration::from_millis(750);

/// Requests, and the work that they lead to, being traced.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins to trace, if it is said where to; `instance` is the name of this process.
    pub fn start(layers: &Layers, settings: &Settings, instance: String) -> Result<Option<Self>, Failure> {
        let Some(endpoint) = &settings.endpoint else { return Ok(None) };
        let caller = Caller::new(&endpoint.0, PATIENCE, LARGEST);
        let caller =
            caller.map_err(|error| Failure::new(format!("{}: {error}", layers.name_of_key("traces.endpoint"))))?;
        let mut request = Request::post(&endpoint.0).header(CONTENT_TYPE, "application/x-protobuf");
        for (name, value) in settings.headers.iter().flat_map(|headers| &headers.0) {
            request = request.header(name, value);
        }
        let request = request.body(()).map_err(|error| Failure::new(format!("traces: {error}")))?;
        let exporter = Collector {
            line: Arc::new(Line { caller, request, is_silent: AtomicBool::new(false) }),
            resource: ResourceAttributesWithSchema::default(),
            runtime: Handle::current(),
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING)
            .with_max_export_batch_size(AT_ONCE)
            .with_scheduled_delay(GATHERING)
            .build();
        let resource = Resource::builder()
            .with_service_name("convoke")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", instance))
            .build();
        let begun_here = Sampler::TraceIdRatioBased(settings.sample_ratio.0);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(config).build())
            // Whoever began a trace has decided about it.
            .with_sampler(Sampler::ParentBased(Box::new(begun_here)))
            .with_resource(resource)
            .build();
        global::set_text_map_propagator(TraceContextPropagator::new());
        global::set_tracer_provider(provider.clone());
        Ok(Some(Self(provider)))
    }

    /// Hands on what is left, as far as there is time.
    pub async fn stop(self) {
        // It waits for a thread of its own.
        let stopped = task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_WAIT)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("not all traces could be handed on");
        }
    }
}

/// Who takes the traces.
struct Collector {
    line: Arc<Line>,
    resource: ResourceAttributesWithSchema,
    /// Where calls are made: the queue is emptied by a thread that is none of the runtime's.
    runtime: Handle,
}

/// The way to a collector.
struct Line {
    caller: Caller,
    /// What every request begins with.
    request: Request<()>,
    /// Whether the last batch was not taken.
    is_silent: AtomicBool,
}

impl Line {
    async fn send(&self, body: Bytes) -> OTelSdkResult {
        let outcome = match self.caller.call(self.request.clone().map(|()| body)).await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answers {}", answer.status())),
            Err(error) => Err(error.to_string()),
        };
        // Told when it changes: else there would be a line a second for as long as the collector is away.
        let was_silent = self.is_silent.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Err(error) if !was_silent => {
                tracing::warn!(collector = %self.address(), error, "traces are not taken; they are dropped until they are");
            }
            Ok(()) if was_silent => tracing::info!(collector = %self.address(), "traces are taken again"),
            _ => {}
        }
        outcome.map_err(OTelSdkError::InternalFailure)
    }

    fn address(&self) -> &Uri {
        self.request.uri()
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Collector").field(self.line.address()).finish()
    }
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let line = Arc::clone(&self.line);
        let sent = self.runtime.spawn(async move { line.send(body.into()).await });
        sent.await.map_err(|error| OTelSdkError::InternalFailure(error.to_string()))?
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}
