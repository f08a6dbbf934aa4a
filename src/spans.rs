//! The spans of the library (`tracing`), all in one place: their names, levels and fields. `docs/guides/operate.md` lists them,
//! which a test compares.
//!
//! A run is at the level `info`, what it consists of at `debug`. A span that no subscriber wants costs one comparison. No field has a
//! secret, a query, a value of a record, or a text of a server. Names of HTTP and of databases are those of OpenTelemetry's semantic
//! conventions; `otel.*` tells the bridge to OpenTelemetry a span's name, kind and status.

use std::fmt::Display;

use tracing::field::Empty;
use tracing::{Span, debug_span, info_span};

/// A run of a stream of a resource.
pub(crate) fn run(run: &impl Display, resource: &impl Display, stream: &str, mode: &impl Display) -> Span {
    info_span!(
        "run",
        %run,
        %resource,
        stream,
        %mode,
        status = Empty,
        inserted = Empty,
        updated = Empty,
        unchanged = Empty,
        deleted = Empty,
        skipped = Empty,
        rejected = Empty,
        requests = Empty,
        "error.type" = Empty,
        "otel.status_code" = Empty
    )
}

/// A commit of this number of records to the destination. `bytes` is their size, if they are in memory.
pub(crate) fn commit(records: u64, bytes: impl FnOnce() -> Option<u64>) -> Span {
    debug_span!(
        "commit",
        records = number(records),
        bytes = bytes().map(number),
        inserted = Empty,
        updated = Empty,
        unchanged = Empty,
        deleted = Empty,
        rejected = Empty,
        "error.type" = Empty,
        "otel.status_code" = Empty
    )
}

/// One attempt at a request to the source, from the connection to the end of the body. `template` is the path with placeholders in
/// place of values.
#[cfg(feature = "http")]
pub(crate) fn request(method: &str, host: &str, port: Option<u16>, template: Option<&str>, attempt: u32) -> Span {
    debug_span!(
        "request",
        otel.name = template.map_or_else(|| method.to_owned(), |template| format!("{method} {template}")),
        otel.kind = "client",
        http.request.method = method,
        http.request.resend_count = (attempt > 1).then(|| i64::from(attempt) - 1),
        http.response.status_code = Empty,
        server.address = host,
        server.port = port.map(i64::from),
        url.template = template,
        bytes = Empty,
        "error.type" = Empty,
        "otel.status_code" = Empty
    )
}

/// A statement on Snowflake, from sending it to its result. `operation` is its first word.
#[cfg(feature = "snowflake")]
pub(crate) fn statement(operation: &str) -> Span {
    debug_span!(
        "statement",
        otel.name = operation,
        otel.kind = "client",
        db.system.name = "snowflake",
        db.operation.name = operation,
        db.response.status_code = Empty,
        query_id = Empty,
        "error.type" = Empty,
        "otel.status_code" = Empty
    )
}

/// The upload of a file to a stage.
#[cfg(feature = "snowflake")]
pub(crate) fn upload() -> Span {
    debug_span!("upload", otel.kind = "client", bytes = Empty, "error.type" = Empty, "otel.status_code" = Empty)
}

/// A wait for a limit, or before another attempt.
#[cfg(any(feature = "http", feature = "snowflake"))]
pub(crate) fn wait(reason: &'static str) -> Span {
    debug_span!("wait", reason)
}

/// Notes in a span how many records a run or a commit has changed.
pub(crate) fn count(span: &Span, inserted: u64, updated: u64, unchanged: u64, deleted: u64, rejected: u64) {
    span.record("inserted", number(inserted)).record("updated", number(updated)).record("unchanged", number(unchanged));
    span.record("deleted", number(deleted)).record("rejected", number(rejected));
}

/// A number as the bridge to OpenTelemetry, which has signed ones only, passes it on as a number.
pub(crate) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Notes in a span that it has failed. `kind` is a fixed word.
pub(crate) fn fail(span: &Span, kind: impl Display) {
    if !span.is_disabled() {
        span.record("error.type", kind.to_string()).record("otel.status_code", "ERROR");
    }
}

#[cfg(all(test, feature = "cli", feature = "http", feature = "snowflake"))]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const GUIDE: &str = include_str!("../docs/guides/operate.md");

    /// The names in backquotes.
    fn quoted(text: &str) -> BTreeSet<&str> {
        text.split('`').skip(1).step_by(2).collect()
    }

    #[test]
    fn the_guide_lists_each_span_with_its_level_and_fields() {
        let table =
            GUIDE.split_once("| span | level | fields |\n|---|---|---|\n").unwrap().1.split("\n\n").next().unwrap();
        let subscriber = tracing_subscriber::registry();
        let spans = tracing::subscriber::with_default(subscriber, || {
            [
                run(&"id", &"acme/widgets", "issues", &"incremental"),
                request("GET", "localhost", Some(80), Some("issues/{id}"), 1),
                commit(1, || None),
                statement("SELECT"),
                upload(),
                wait("retry"),
            ]
        });
        assert_eq!(table.lines().count(), spans.len(), "{table}");
        for (row, span) in table.lines().zip(&spans) {
            let mut cells = row.split(" | ");
            let metadata = span.metadata().unwrap();
            assert_eq!(cells.next(), Some(&*format!("| `{}`", metadata.name())));
            assert_eq!(cells.next(), Some(&*metadata.level().as_str().to_lowercase()), "{row}");
            let mut fields: BTreeSet<&str> = metadata.fields().iter().map(|field| field.name()).collect();
            for common in ["otel.name", "otel.kind", "otel.status_code", "error.type"] {
                assert!(quoted(GUIDE).contains(common), "{common}");
                fields.remove(common);
            }
            let mut documented = quoted(cells.next().unwrap());
            if metadata.name() == "wait" {
                documented.retain(|name| *name == "reason");
            }
            assert_eq!(documented, fields, "{row}");
        }
    }
}
