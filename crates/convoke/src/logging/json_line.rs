//! A JSON object a line, the one that `tracing_subscriber` writes. That one reads the fields of the span anew for each
//! line; here they are kept as they are to be written, for every request has a line.

use std::fmt::{self, Debug, Write};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

/// The form of events, and of the fields of spans: `,"name":value` for each.
pub struct JsonLine;

impl<S> FormatEvent<S, Self> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Self>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // What comes from the `log` crate has its own words for where it comes from.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "\",\"level\":\"{}\"", metadata.level())?;
        self.format_fields(writer.by_ref(), event)?;
        writer.write_str(",\"target\":")?;
        write_text(&mut writer, &metadata.target())?;
        if let Some(span) = context.parent_span() {
            writer.write_str(",\"span\":{\"name\":")?;
            write_text(&mut writer, &span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<Self>>() {
                writer.write_str(fields)?;
            }
            writer.write_char('}')?;
        }
        writer.write_str("}\n")
    }
}

impl<'w> FormatFields<'w> for JsonLine {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut members = Members { writer, outcome: Ok(()) };
        fields.record(&mut members);
        members.outcome
    }
}

/// Writes fields as members of an object, each behind a comma.
struct Members<'w> {
    writer: Writer<'w>,
    outcome: fmt::Result,
}

impl Members<'_> {
    fn write(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.outcome.is_ok() {
            let writer = &mut self.writer;
            self.outcome = writer
                .write_char(',')
                .and_then(|()| write_text(writer, &field.name()))
                .and_then(|()| writer.write_char(':'))
                .and_then(|()| value(writer));
        }
    }
}

impl Visit for Members<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write(field, |writer| write_text(writer, &format_args!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, |writer| write_text(writer, &value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON knows neither infinity nor what is no number.
        self.write(
            field,
            |writer| if value.is_finite() { write!(writer, "{value}") } else { writer.write_str("null") },
        );
    }
}

/// Writes a string of JSON.
fn write_text(writer: &mut Writer<'_>, text: &dyn fmt::Display) -> fmt::Result {
    writer.write_char('"')?;
    write!(Escaped(writer), "{text}")?;
    writer.write_char('"')
}

/// Escapes what may not stand in a string of JSON as it is (RFC 8259, section 7).
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let must_be_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
        let mut rest = text;
        // All of them are ASCII, so that no character is cut.
        while let Some(place) = rest.bytes().position(must_be_escaped) {
            let (before, after) = rest.split_at(place);
            self.0.write_str(before)?;
            match after.as_bytes()[0] {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                other => write!(self.0, "\\u{other:04x}")?,
            }
            rest = &after[1..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::{Value, json};
    use tracing_subscriber::{fmt, layer::SubscriberExt as _};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of what happens within, a line each.
    fn lines(happening: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let layer = fmt::layer().fmt_fields(JsonLine).event_format(JsonLine).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), happening);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        text.lines()
            .map(|line| {
                let mut line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                let at = line.as_object_mut().unwrap().remove("timestamp").unwrap();
                assert!(at.as_str().is_some_and(|at| at.len() == 27 && at.ends_with('Z')), "{at}");
                line
            })
            .collect()
    }

    #[test]
    fn every_kind_of_value_is_written_as_json_has_it() {
        let error = io::Error::other("it \"failed\"");
        let told = lines(|| {
            let error: &dyn std::error::Error = &error;
            let absent: Option<&str> = None;
            tracing::info!(text = "x", shown = %7, seen = ?Some("y"), is = true, less = -1, more = 2_u64, "said");
            tracing::warn!(error, half = 0.5, no_number = f64::NAN, absent, present = Some(3));
        });
        let target = module_path!();
        let said = json!({"level": "INFO", "message": "said", "text": "x", "shown": "7", "seen": "Some(\"y\")",
            "is": true, "less": -1, "more": 2, "target": target});
        let failed = json!({"level": "WARN", "error": "it \"failed\"", "half": 0.5, "no_number": null, "present": 3,
            "target": target});
        assert_eq!(told, [said, failed]);
    }

    #[test]
    fn nothing_that_is_said_breaks_out_of_its_line() {
        let everything: String = (0..0x300).filter_map(char::from_u32).chain(['🎉', '\u{2028}']).collect();
        let told = lines(|| tracing::error!(all = everything, "a\n\"{}\"\\", "b\r"));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0]["all"], everything);
        assert_eq!(told[0]["message"], "a\n\"b\r\"\\");
    }

    #[test]
    fn the_innermost_span_is_told_with_all_that_is_known_of_it() {
        let told = lines(|| {
            let _outer = tracing::info_span!("outer", id = 1).entered();
            tracing::info!("before");
            let inner = tracing::info_span!("inner", id = "a\"b", later = tracing::field::Empty).entered();
            tracing::info!("within");
            inner.record("later", 2);
            tracing::info!("then");
        });
        let spans: Vec<&Value> = told.iter().map(|line| &line["span"]).collect();
        let expected = [
            json!({"name": "outer", "id": 1}),
            json!({"name": "inner", "id": "a\"b"}),
            json!({"name": "inner", "id": "a\"b", "later": 2}),
        ];
        assert_eq!(spans, expected.iter().collect::<Vec<_>>());
    }
}
