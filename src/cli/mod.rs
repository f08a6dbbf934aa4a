//! The command line that any connector gets.
//!
//! ```no_run
//! # use futures::{StreamExt, stream};
//! # use snowfeed::prelude::*;
//! # #[derive(Debug)]
//! # struct Planets;
//! # #[async_trait::async_trait]
//! # impl Source for Planets {
//! #     fn spec(&self) -> SourceSpec { SourceSpec::new("planets", "1").stream(StreamSpec::new("planets")) }
//! #     async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> { Ok(Box::new(Planets)) }
//! # }
//! # #[async_trait::async_trait]
//! # impl Reader for Planets {
//! #     async fn check(&self) -> Result<()> { Ok(()) }
//! #     fn discover(&self) -> ResourceStream { stream::empty().boxed() }
//! #     fn read(&self, _: ReadRequest) -> BatchStream { stream::empty().boxed() }
//! # }
//! #[tokio::main]
//! async fn main() -> std::process::ExitCode {
//!     snowfeed::cli::run(Planets).await
//! }
//! ```
//!
//! The destination of [`run`] is one SQLite file (feature `sqlite`) or, with `--to snowflake`, a Snowflake database (feature
//! `snowflake`). [`run_with`] takes any other backend. The feature `cli` alone includes no destination.
//!
//! Results go to standard output, progress and errors to standard error. With `--json`, standard output is one JSON document
//! (`run`: one line per finished run), for an error too; `docs/json.md` describes it. The exit code is an [`Exit`].
//!
//! # Settings
//! A later source overrides an earlier one: defaults; the values that `configure` stored; the TOML file of `--config`; the environment
//! (`PLANETS_PAGE_SIZE` sets `page_size`; for a secret, the setting is a reference to its variable); `--set`. Empty variables are ignored.
//! An unknown or malformed setting is an error that names it and its origin, before anything else happens.
//!
//! # Cancellation
//! On the first Ctrl-C or SIGTERM an ingestion commits what it has read and ends. On another one, at least a second later, the program
//! drops its work and returns at once. Neither loses data: the next run continues from the last commit.

mod age;
mod args;
mod commands;
mod completion;
mod confirm;
mod core_files;
mod destination;
mod exit;
#[cfg(fuzzing)]
pub mod fuzzing;
mod interrupt;
mod invocation;
mod labels;
mod log;
mod notify;
#[cfg(feature = "otlp")]
mod otlp;
mod output;
#[cfg(all(feature = "github", feature = "rest", any(feature = "snowflake", feature = "sqlite")))]
pub mod program;
mod progress;
mod settings;
mod terminal;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use destination::Destinations;
pub use exit::Exit;
use interrupt::Interrupt;
use invocation::Invocation;
use output::Output;
use terminal::plain_lines;

use crate::error::redact;
use crate::{Backend, Result, Source};

/// Runs the command that the process's arguments name, and returns the exit code for `main` to return. The destination is a SQLite file
/// or, with the feature `snowflake` and `--to snowflake`, a Snowflake database.
///
/// A process that crashes leaves no core file, which would hold its secrets.
#[cfg(any(feature = "snowflake", feature = "sqlite"))]
pub async fn run(source: impl Source) -> ExitCode {
    prepare_process();
    run_from(source, std::env::args_os()).await.into()
}

/// Runs the command that these arguments name; the first one is the program's name. The process's own arguments are not read, its
/// environment and working directory are.
#[cfg(any(feature = "snowflake", feature = "sqlite"))]
pub async fn run_from<T: Into<OsString>>(source: impl Source, args: impl IntoIterator<Item = T>) -> Exit {
    execute(source, Destinations::BuiltIn, Invocation::default(), args.into_iter().map(Into::into).collect()).await
}

/// Runs the command that the process's arguments name, as `run` does, over a custom backend.
///
/// `open` is called when a command first needs the backend: not for `--help`, and not for invalid arguments. Options of the
/// built-in destinations, such as `--db` and `--to`, do not exist then, and `preview` is not supported.
///
/// ```no_run
/// # use futures::{StreamExt, stream};
/// # use snowfeed::prelude::*;
/// # #[derive(Debug)]
/// # struct Planets;
/// # #[async_trait::async_trait]
/// # impl Source for Planets {
/// #     fn spec(&self) -> SourceSpec { SourceSpec::new("planets", "1").stream(StreamSpec::new("planets")) }
/// #     async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> { Ok(Box::new(Planets)) }
/// # }
/// # #[async_trait::async_trait]
/// # impl Reader for Planets {
/// #     async fn check(&self) -> Result<()> { Ok(()) }
/// #     fn discover(&self) -> ResourceStream { stream::empty().boxed() }
/// #     fn read(&self, _: ReadRequest) -> BatchStream { stream::empty().boxed() }
/// # }
/// use snowfeed::backends::Memory;
///
/// #[tokio::main]
/// async fn main() -> std::process::ExitCode {
///     // `Memory` is a placeholder for your own backend.
///     snowfeed::cli::run_with(Planets, || Ok(Memory::new())).await
/// }
/// ```
pub async fn run_with<B: Backend + 'static>(
    source: impl Source,
    open: impl Fn() -> Result<B> + Send + Sync + 'static,
) -> ExitCode {
    prepare_process();
    run_with_from(source, open, std::env::args_os()).await.into()
}

/// Runs the command that these arguments name, as [`run_with`] does; the first one is the program's name.
pub async fn run_with_from<B: Backend + 'static, T: Into<OsString>>(
    source: impl Source,
    open: impl Fn() -> Result<B> + Send + Sync + 'static,
    args: impl IntoIterator<Item = T>,
) -> Exit {
    let open = Box::new(move || open().map(|backend| Arc::new(backend) as Arc<dyn Backend>));
    execute(source, Destinations::Custom(open), Invocation::default(), args.into_iter().map(Into::into).collect()).await
}

fn prepare_process() {
    core_files::disable();
    log::report_panics();
}

async fn execute(source: impl Source, destinations: Destinations, invocation: Invocation, args: Vec<OsString>) -> Exit {
    let json = args.iter().any(|arg| arg == "--json");
    let spec = source.spec();
    let program = invocation.program.clone().unwrap_or_else(|| args::program(&spec, &args));
    if let Some(words) = completion::asked(&args) {
        completion::answer(completion::command(&spec, &program, destinations, &words).await, words);
        return Exit::Complete;
    }
    match args::parse(&spec, &program, args, &destinations) {
        Ok(mut args) => {
            args.global.selected = invocation.selected;
            let mut output = Output::new(args.global.json, args.global.quiet);
            if matches!(args.command, args::Command::Run(_)) {
                output = output.in_lines();
            }
            if args.global.log_format == args::LogFormat::Json {
                output = output.in_log();
            }
            let interrupt = Interrupt::default();
            let done = tokio::select! {
                biased;
                done = commands::execute(source, &program, args, destinations, output, &interrupt) => done,
                () = interrupt.at_once() => Ok(Exit::Interrupted),
            };
            done.unwrap_or_else(|error| {
                output.error(&error);
                Exit::from_kind(error.kind())
            })
        }
        Err(error) => {
            #[cfg(all(feature = "sqlite", not(feature = "snowflake")))]
            if let Some(missing) = args::missing_feature(&error, &destinations) {
                Output::new(json, false).error(&missing);
                return Exit::Usage;
            }
            explain(&error, json)
        }
    }
}

/// Writes help and versions to standard output, and errors in the arguments as any other error.
fn explain(error: &clap::Error, json: bool) -> Exit {
    if !error.use_stderr() {
        // A closed standard output is not an error.
        let _ = error.print();
        return Exit::Complete;
    }
    if json {
        let document = json!({"error": {"kind": "usage", "message": first_paragraph(error), "causes": [], "help": "see `--help`", "unconfirmed_deletions": null}});
        // The exit code reports the same.
        let _ = Output::new(true, false).result(&document, String::new);
    } else {
        let text = error.render().to_string();
        let safe = plain_lines(&redact(&text));
        // clap's own output has colours and repeats arguments unescaped.
        let _ = if safe == text { error.print() } else { writeln!(anstream::stderr(), "{}", safe.trim_end()) };
    }
    Exit::Usage
}

/// The first paragraph of an error in the arguments, in one line.
fn first_paragraph(error: &clap::Error) -> String {
    // clap's text would be the help of the parent command.
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a command is missing".to_owned();
    }
    let text = error.render().to_string();
    let lines: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    redact(lines.join(" ").trim_start_matches("error: ")).into_owned()
}
