//! The log for programs: one JSON document in each line.

use std::fmt;
use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::cli::terminal::escaped;
use crate::error::redact;

/// Writes each event as a line.
pub(super) struct JsonLines;

/// A line. `docs/guides/operate.md` describes it.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: Timestamp,
    level: &'a str,
    target: &'a str,
    message: String,
    fields: Map<String, Value>,
}

/// The message and the fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    fields: Map<String, Value>,
}

impl Fields {
    fn text(&mut self, field: &Field, text: &str) {
        let text = redact(text).into_owned();
        match field.name() {
            "message" => self.message = text,
            // An absent help or resource.
            _ if text.is_empty() => {}
            name => drop(self.fields.insert(name.to_owned(), text.into())),
        }
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field, &value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut found = Fields::default();
        event.record(&mut found);
        let metadata = event.metadata();
        let line = Line {
            timestamp: Timestamp::now(),
            level: level(*metadata.level()),
            target: metadata.target(),
            message: found.message,
            fields: found.fields,
        };
        let Ok(line) = serde_json::to_string(&line) else { return };
        // One write, so that lines of several threads do not mix. If standard error is gone, there is nowhere to report to.
        let _ = io::stderr().write_all((escaped(line) + "\n").as_bytes());
    }
}

fn level(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warn",
        tracing::Level::INFO => "info",
        tracing::Level::DEBUG => "debug",
        tracing::Level::TRACE => "trace",
    }
}
