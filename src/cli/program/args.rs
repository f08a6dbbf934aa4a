//! The arguments of the program.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use super::request::RequestOptions;
use crate::Error;
use crate::cli::args::value_options;

/// Ingests a REST API that a TOML file describes into a database, and keeps it in sync
#[derive(Debug, Parser)]
#[command(
    name = "snowfeed",
    version,
    arg_required_else_help = true,
    after_help = "With --source, every command of a connector is there: `snowfeed --source FILE.toml --help` lists them.\n\n\
    Examples:\n  \
    snowfeed try https://api.example.com/v1/tickets --bearer env:TOKEN\n  \
    snowfeed new helpdesk --url https://api.example.com/v1/tickets --bearer env:TOKEN\n  \
    snowfeed --source helpdesk.toml test\n  \
    snowfeed --source helpdesk.toml check\n  \
    snowfeed --source helpdesk.toml ingest helpdesk\n  \
    snowfeed github ingest rust-lang/log"
)]
pub(super) struct Args {
    /// The description of the source; then give a command of a connector [environment: SNOWFEED_SOURCE]
    // For the help only: what has a source is not parsed here.
    #[arg(long, value_name = "FILE")]
    source: Option<PathBuf>,
    /// Write results and errors to standard output as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Write only results and errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send one request, show what its answer seems to hold, and propose the stream
    Try(Probe),
    /// Write a description, with comments, to NAME.toml
    New(New),
    /// Read the saved answers of the API beside the description, and say what does not fit; sends no request
    #[command(
        after_help = "For `--source helpdesk.toml`, the answer of the stream `tickets` is helpdesk.samples/tickets.json: the body of a page \
        that has records and is not the last one. `snowfeed new` saves the answer that it has asked for."
    )]
    Test,
    /// Print the JSON Schema of descriptions, for your editor
    Schema,
    /// Run the built-in source for GitHub issues: every command of a connector
    Github,
}

/// A request.
#[derive(Debug, clap::Args)]
pub(super) struct Probe {
    /// The URL of a list
    pub(super) url: String,
    #[command(flatten)]
    pub(super) options: RequestOptions,
}

/// A new description.
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// The name of the source: lower-case letters, digits and `_`
    pub(super) name: String,
    /// The URL of a list, which is asked once
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// A JSON file with one answer of the list; then no request is sent
    #[arg(long, value_name = "FILE")]
    pub(super) sample: Option<PathBuf>,
    #[command(flatten)]
    pub(super) options: RequestOptions,
}

/// Who parses the arguments.
#[derive(Debug)]
pub(super) enum Request {
    /// The command line of GitHub issues.
    Github { program: String, args: Vec<OsString> },
    /// The test of the description in this file.
    Test { file: OsString, args: Vec<OsString> },
    /// The command line of the source in this file.
    Described { file: OsString, program: String, args: Vec<OsString> },
    /// A command of this program.
    Own(Vec<OsString>),
    /// The arguments are invalid.
    Failed(Error),
}

/// Splits the arguments. Options of a connector's command line may stand before and after `github`, and `--source` anywhere.
pub(super) fn split(mut args: Vec<OsString>, variable: Option<OsString>) -> Request {
    match take_source(&mut args) {
        Ok(Some(file)) => return described(file, args),
        Ok(None) => {}
        Err(error) => return Request::Failed(error),
    }
    let word = command(&args).unwrap_or_default();
    if let Some(at) = first_word(&args).filter(|_| word == "github") {
        args.remove(at);
        return Request::Github { program: "snowfeed github".to_owned(), args };
    }
    let is_own = word == "help" || Args::command().get_subcommands().any(|command| command.get_name() == word);
    match variable.filter(|file| !file.is_empty()) {
        Some(file) if !matches!(&*word, "try" | "new") => described(file, args),
        _ if word.is_empty() || is_own && word != "test" => Request::Own(args),
        // What needs a description.
        _ if CONNECTOR.contains(&&*word) => Request::Failed(
            Error::configuration(format!("`{word}` needs a source")).with_help(format!(
                "write `snowfeed --source FILE.toml {word}` or `snowfeed github {word}`; `snowfeed new NAME` writes a description"
            )),
        ),
        _ => Request::Own(args),
    }
}

/// The commands for a source: those of every connector that the program itself does not have, and `test`.
const CONNECTOR: [&str; 16] = [
    "test",
    "check",
    "discover",
    "configure",
    "enable",
    "disable",
    "ingest",
    "run",
    "status",
    "runs",
    "rejects",
    "preview",
    "reset",
    "remove",
    "completions",
    "app",
];

fn described(file: OsString, args: Vec<OsString>) -> Request {
    if command(&args).as_deref() == Some("test") {
        return Request::Test { file, args };
    }
    let program = format!("snowfeed --source {}", file.to_string_lossy());
    Request::Described { file, program, args }
}

/// Removes `--source FILE`, which may stand anywhere before `--`.
fn take_source(args: &mut Vec<OsString>) -> Result<Option<OsString>, Error> {
    const HELP: &str = "write `--source FILE.toml`, once";
    let mut found = None;
    let mut at = 1;
    while at < args.len() && args[at] != "--" {
        let inline = args[at].to_str().and_then(|arg| arg.strip_prefix("--source=")).map(OsString::from);
        let file = match inline {
            Some(file) => file,
            None if args[at] == "--source" => {
                if at + 1 == args.len() {
                    return Err(Error::configuration("`--source` names no file").with_help(HELP));
                }
                args.remove(at + 1)
            }
            None => {
                at += 1;
                continue;
            }
        };
        args.remove(at);
        if found.replace(file).is_some() {
            return Err(Error::configuration("there are two sources").with_help(HELP));
        }
    }
    Ok(found)
}

/// The command that the arguments name.
pub(super) fn command(args: &[OsString]) -> Option<String> {
    first_word(args).and_then(|at| args[at].to_str().map(str::to_owned))
}

/// The index of the first argument that is no option, and no value of one.
fn first_word(args: &[OsString]) -> Option<usize> {
    let takes_value = value_options();
    let mut at = 1;
    while let Some(arg) = args.get(at) {
        match arg.to_str() {
            Some(arg) if takes_value.iter().any(|option| option == arg) => at += 2,
            Some(arg) if arg.starts_with('-') => at += 1,
            _ => return Some(at),
        }
    }
    None
}

/// Parses the arguments of a command of this program.
pub(super) fn parse(args: Vec<OsString>) -> Result<Args, clap::Error> {
    let mut args = args;
    if let Some(program) = args.first_mut() {
        *program = OsStr::new("snowfeed").to_owned();
    }
    Args::try_parse_from(args)
}
