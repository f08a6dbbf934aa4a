//! The command line that any connector gets.
//!
//! ```no_run
//! # use futures::{StreamExt, stream};
//! # use snowfeed::prelude::*;
//! # #[derive(Debug)]
//! # struct Planets;
//! # #[async_trait::async_trait]
//! # impl Source for Planets {
//! #     fn spec(&self) -> SourceSpec { SourceSpec::new("planets", "1").table(TableSpec::new("planets")) }
//! #     async fn check(&self, _: &Config) -> Result<()> { Ok(()) }
//! #     async fn discover(&self, _: &Config) -> Result<Vec<Resource>> { Ok(vec![]) }
//! #     fn read(&self, _: ReadRequest) -> BatchStream { stream::empty().boxed() }
//! # }
//! #[tokio::main]
//! async fn main() -> std::process::ExitCode {
//!     snowfeed::cli::run(Planets).await
//! }
//! ```
//!
//! It keeps everything in one SQLite file or, with the feature `snowflake` and `--to snowflake`, in a Snowflake database. Results go to standard output, progress and errors to standard error; with
//! `--json` there is one JSON document on standard output (`run`: one line for each run that has ended), also for an error.
//! `docs/json.md` describes them. How it ended is the exit code: see [`Exit`].
//!
//! # Settings
//! The later go before the earlier: defaults; what `configure` has stored; the TOML file of `--config`; the
//! environment (`PLANETS_PAGE_SIZE` gives `page_size`; of a secret's variable only the name is taken); `--set`. Empty
//! variables are ignored. What is unknown or malformed is named, with where it was given, before anything else happens.
//!
//! # Cancellation
//! The first Ctrl-C or SIGTERM lets an ingestion commit what it has read and end; another one, at least a second later, drops
//! what is under way: [`run`] then returns at once. Neither loses anything: the next run goes on from the last commit.

mod args;
mod commands;
mod confirm;
mod core_files;
mod destination;
mod exit;
#[cfg(fuzzing)]
pub mod fuzzing;
mod interrupt;
mod log;
mod output;
mod progress;
mod settings;
mod terminal;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

pub use exit::Exit;
use interrupt::Interrupt;
use output::Output;
use terminal::plain_lines;

use crate::Source;
use crate::error::redact;

/// Does what the process's arguments say, and gives the exit code for `main` to return. A process that ends badly leaves no core
/// file, which would hold its secrets.
pub async fn run(source: impl Source) -> ExitCode {
    core_files::disable();
    log::report_panics();
    run_from(source, std::env::args_os()).await.into()
}

/// Does what these arguments say; the first one is the program's name. The process's environment and working directory
/// count, its arguments do not.
pub async fn run_from<T: Into<OsString>>(source: impl Source, args: impl IntoIterator<Item = T>) -> Exit {
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let json = args.iter().any(|arg| arg == "--json");
    let spec = source.spec();
    let program = args::program(&spec, &args);
    match args::parse(&spec, args) {
        Ok(args) => {
            let mut output = Output::new(args.global.json, args.global.quiet);
            if matches!(args.command, args::Command::Run { .. }) {
                output = output.in_lines();
            }
            let interrupt = Interrupt::default();
            let done = tokio::select! {
                biased;
                done = commands::execute(source, &program, args, output, &interrupt) => done,
                () = interrupt.at_once() => Ok(Exit::Interrupted),
            };
            done.unwrap_or_else(|error| {
                output.error(&error);
                Exit::from_kind(error.kind())
            })
        }
        Err(error) => {
            #[cfg(not(feature = "snowflake"))]
            if let Some(missing) = args::missing_feature(&error) {
                Output::new(json, false).error(&missing);
                return Exit::Usage;
            }
            explain(&error, json)
        }
    }
}

/// Writes help and versions to standard output, and what is wrong with the arguments to where errors go.
fn explain(error: &clap::Error, json: bool) -> Exit {
    if !error.use_stderr() {
        // Whoever has closed standard output does not want help.
        let _ = error.print();
        return Exit::Complete;
    }
    if json {
        let document = json!({"error": {"kind": "usage", "message": in_a_line(error), "causes": [], "help": "see `--help`", "unconfirmed_deletions": null}});
        // The exit code tells the same.
        let _ = Output::new(true, false).result(&document, String::new);
    } else {
        let text = error.render().to_string();
        let safe = plain_lines(&redact(&text));
        // Its own way of printing has colours, and repeats arguments as they are.
        let _ = if safe == text { error.print() } else { writeln!(anstream::stderr(), "{}", safe.trim_end()) };
    }
    Exit::Usage
}

/// What is wrong with the arguments, without what is said on how to do better.
fn in_a_line(error: &clap::Error) -> String {
    // Its text is the help of what the command belongs to.
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a command is missing".to_owned();
    }
    let text = error.render().to_string();
    let lines: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    redact(lines.join(" ").trim_start_matches("error: ")).into_owned()
}
