//! The program's warnings.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Stores each warning.
#[derive(Clone, Default)]
pub(crate) struct Warnings(Arc<Mutex<Vec<Warning>>>);

#[derive(Default)]
struct Warning {
    message: String,
    /// All fields, including the message.
    line: String,
}

impl Visit for Warning {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
        let _ = write!(self.line, "{field}={value:?} ");
    }
}

#[allow(dead_code, reason = "each suite looks at one of the two")]
impl Warnings {
    /// The warnings with their fields, one per line.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|warning| warning.line.clone()).collect()
    }

    /// The messages alone.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|warning| warning.message.clone()).collect()
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut warning = Warning::default();
        event.record(&mut warning);
        self.0.lock().unwrap().push(warning);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
