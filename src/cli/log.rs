//! The program's log, on standard error.

mod json;

use std::io::{self, Write};

use tracing::Level;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::format;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use self::json::JsonLines;
use super::args::{Global, LogFormat};
use super::output::Output;
use super::progress::Progress;
use super::terminal::{plain, plain_but_for_colours, plain_lines};
use crate::error::redact;

/// The HTTP libraries. Below `info` they log what they send.
pub(super) const LIBRARIES: [&str; 7] =
    ["h2", "hyper", "hyper_util", "object_store", "reqwest", "rustls", "snowflake_api"];

/// The target of the events of runs.
const RUNS: &str = "snowfeed::engine::event";

/// The variable with a filter, as in many programs: `info`, `snowfeed=debug,hyper=warn`.
const VARIABLE: &str = "RUST_LOG";

/// What the log contains.
#[derive(Debug)]
pub(super) struct Filter(Targets);

impl Filter {
    /// By `-v`, or else by the variable. Without both, a log for people has the warnings that nothing else shows, and one for programs
    /// what happens.
    pub(super) fn new(global: &Global, output: Output) -> Self {
        let level = match global.verbose {
            0 if global.log_format == LogFormat::Text => LevelFilter::WARN,
            0 | 1 => LevelFilter::INFO,
            2 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        };
        let wanted = std::env::var(VARIABLE).ok().filter(|text| !text.trim().is_empty() && global.verbose == 0);
        let targets = match wanted.map(|text| text.parse::<Targets>()) {
            Some(Ok(targets)) => targets,
            Some(Err(_)) => {
                output.note(&format!("{VARIABLE} is not a filter such as `info` or `snowfeed=debug`; it is ignored"));
                Targets::new().with_default(level)
            }
            None => Targets::new().with_default(level),
        };
        let filter = Self(capped(&targets));
        if global.quiet || !(filter.shows_runs() || output.is_silent()) {
            // The progress shows the same, or the user has asked for quiet.
            return Self(filter.0.with_target(RUNS, LevelFilter::OFF));
        }
        filter
    }

    /// Whether the log shows each run, so that nothing else need do so.
    pub(super) fn shows_runs(&self) -> bool {
        self.0.would_enable(RUNS, &Level::INFO)
    }
}

/// The same targets, with the HTTP libraries at `info` at most.
fn capped(targets: &Targets) -> Targets {
    let cap = |target: &str, level: LevelFilter| {
        let is_of = |library: &str| target.strip_prefix(library).is_some_and(|rest| !rest.starts_with('_'));
        if LIBRARIES.iter().any(|library| is_of(library)) { level.min(LevelFilter::INFO) } else { level }
    };
    let default = targets.default_level().unwrap_or(LevelFilter::OFF);
    let libraries = LIBRARIES.map(|library| (library.to_owned(), default.min(LevelFilter::INFO)));
    let named = targets.iter().map(|(target, level)| (target.to_owned(), cap(target, level)));
    Targets::new().with_default(default).with_targets(libraries).with_targets(named)
}

/// What also gets the spans of the program.
pub(super) type Exported = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts the log, and what also gets the spans.
///
/// Logged values may come from a remote: they are redacted, and cannot control the terminal.
pub(super) fn start(Filter(targets): Filter, format: LogFormat, progress: &Progress, exported: Option<Exported>) {
    // The lines of the log name what they are about; spans would only repeat it.
    let targets = targets.and(filter_fn(|metadata| metadata.is_event()));
    let registry = tracing_subscriber::registry().with(exported);
    // A program that embeds this one may have its own log.
    let _ = match format {
        LogFormat::Json => registry.with(JsonLines.with_filter(targets)).try_init(),
        LogFormat::Text => registry.with(lines(progress.clone()).with_filter(targets)).try_init(),
    };
}

/// The log for people.
fn lines<S>(progress: Progress) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let has_colours = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let fields = format::debug_fn(|writer, field, value| {
        let value = format!("{value:?}");
        let value = plain(&redact(&value));
        if field.name() == "message" { write!(writer, "{value}") } else { write!(writer, "{field}={value}") }
    });
    tracing_subscriber::fmt::layer()
        .fmt_fields(fields.delimited(" "))
        .with_writer(move || SuspendWriter { progress: progress.clone(), has_colours })
        .with_ansi(has_colours)
}

/// Writes panics as the log is written: a panic's message may contain a secret.
pub(super) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::capture();
        let traced = trace.status() == std::backtrace::BacktraceStatus::Captured;
        let text = if traced { format!("{panic}\n{trace}") } else { panic.to_string() };
        // If standard error is gone, there is nowhere to report to.
        let _ = writeln!(io::stderr(), "{}", plain_lines(&redact(&text)));
    }));
}

/// A writer to standard error that does not disturb the bars.
struct SuspendWriter {
    progress: Progress,
    has_colours: bool,
}

impl Write for SuspendWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let safe = if self.has_colours { plain_but_for_colours(&text) } else { plain_lines(&text) };
        self.progress.suspend(|| io::stderr().write_all(safe.as_bytes()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_filter_shows_what_the_http_libraries_send() {
        for text in ["trace", "hyper=trace", "hyper::client=debug,h2=trace", "snowfeed=trace,reqwest=trace"] {
            let targets = capped(&text.parse().unwrap());
            for library in LIBRARIES {
                assert!(!targets.would_enable(&format!("{library}::client::conn"), &Level::DEBUG), "{text}, {library}");
            }
        }
        assert!(capped(&"hyper=info,warn".parse().unwrap()).would_enable("hyper::client", &Level::INFO));
        assert!(!capped(&"hyper=warn,info".parse().unwrap()).would_enable("hyper::client", &Level::INFO));
        assert!(capped(&"snowfeed=trace".parse().unwrap()).would_enable(RUNS, &Level::TRACE));
    }
}
