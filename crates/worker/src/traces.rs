//! Attempts at operations, and the calls of messengers within them, as spans of the trace that the operation's request was
//! a part of.

use convoke_domain::Service;
use convoke_store::{ClaimedOperation, Work};
use opentelemetry::{
    Context, KeyValue, global,
    trace::{SpanKind, Status, TraceContextExt as _, Tracer as _, get_active_span},
};

/// Who tells the spans.
const SCOPE: &str = "convoke_worker";

/// An attempt at an operation, whenever and wherever that is: after a restart, and by another process, too.
pub fn attempt(operation: &ClaimedOperation) -> Context {
    let parent = match &operation.origin {
        Some(origin) => global::get_text_map_propagator(|propagator| {
            propagator.extract_with_context(&Context::new(), &origin.trace)
        }),
        None => Context::new(),
    };
    let kind = kind(&operation.work);
    let attributes = [
        KeyValue::new("convoke.operation.type", kind),
        KeyValue::new("convoke.operation.id", operation.lease.operation_id.to_string()),
        KeyValue::new("convoke.operation.attempt", i64::from(operation.attempts)),
        KeyValue::new("convoke.chat.id", operation.chat_id.to_string()),
        KeyValue::new("convoke.tenant", operation.lease.tenant.as_str().to_owned()),
        KeyValue::new("convoke.service", operation.service.as_str()),
    ];
    let tracer = global::tracer(SCOPE);
    // What was asked for is taken out of a queue that lasts.
    let span = tracer.span_builder(kind).with_kind(SpanKind::Consumer).with_attributes(attributes);
    let span = span.start_with_context(&tracer, &parent);
    parent.with_span(span)
}

/// The attempt that is being made has ended like this. Nothing, if none is traced.
pub fn attempt_ended(outcome: &'static str) {
    get_active_span(|span| {
        span.set_attribute(KeyValue::new("convoke.operation.outcome", outcome));
        if ["failed", "interrupted", "lease_lost"].contains(&outcome) {
            span.set_status(Status::error(outcome));
        }
    });
}

/// The kind of an operation, by the contract's name.
pub fn kind(work: &Work) -> &'static str {
    match work {
        Work::CreateChat { .. } => "createChat",
        Work::RemoveParticipant { .. } => "removeParticipant",
    }
}

/// A call of a messenger within an attempt that is traced.
#[derive(Debug)]
pub struct Call(Context);

impl Call {
    /// Begins the call; nothing, if no attempt is traced.
    pub fn begin(service: Service, call: &'static str) -> Option<Self> {
        let attempt = Context::current();
        if !attempt.has_active_span() {
            return None;
        }
        let attributes =
            [KeyValue::new("convoke.service", service.as_str()), KeyValue::new("convoke.provider.call", call)];
        let tracer = global::tracer(SCOPE);
        let span = tracer.span_builder(format!("{service} {call}")).with_kind(SpanKind::Client);
        let span = span.with_attributes(attributes).start_with_context(&tracer, &attempt);
        Some(Self(attempt.with_span(span)))
    }

    /// It was answered like this, or was not.
    pub fn ended(&self, outcome: &'static str, is_error: bool) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("convoke.provider.outcome", outcome));
        if is_error {
            span.set_attribute(KeyValue::new("error.type", outcome));
            span.set_status(Status::error(outcome));
        }
        span.end();
    }
}
