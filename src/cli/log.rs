//! The program's log, on standard error.

use std::io::{self, Write};

use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::args::Global;
use super::progress::Progress;
use super::terminal::{plain, plain_but_for_colours, plain_lines};
use crate::error::redact;

/// Starts the log. Without `-v` it has the warnings that nothing else shows. The HTTP libraries stay at `info`: below it they log what
/// they send.
///
/// Logged values may come from a remote: they are redacted, and cannot control the terminal.
pub(super) fn start(global: &Global, progress: &Progress) {
    let level = match global.verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let mut targets = Targets::new().with_default(level);
    for library in ["h2", "hyper", "hyper_util", "object_store", "reqwest", "rustls", "snowflake_api"] {
        targets = targets.with_target(library, level.min(LevelFilter::INFO));
    }
    if progress.is_shown() || global.quiet {
        // The progress shows the same, or the user has asked for quiet.
        targets = targets.with_target("snowfeed::engine::event", LevelFilter::OFF);
    }
    let has_colours = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let fields = format::debug_fn(|writer, field, value| {
        let value = format!("{value:?}");
        let value = plain(&redact(&value));
        if field.name() == "message" { write!(writer, "{value}") } else { write!(writer, "{field}={value}") }
    });
    let progress = progress.clone();
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(fields.delimited(" "))
        .with_writer(move || SuspendWriter { progress: progress.clone(), has_colours })
        .with_ansi(has_colours);
    // A program that embeds this one may have its own log.
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
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
