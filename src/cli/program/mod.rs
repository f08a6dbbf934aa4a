//! The program `snowfeed`: the command line over a REST API that a TOML file describes, and over the built-in sources.
//!
//! * `snowfeed --source helpdesk.toml COMMAND`: every command of [`cli`](super), for what the file describes. Without `--source`, the
//!   environment variable `SNOWFEED_SOURCE` names the file.
//! * `snowfeed --source helpdesk.toml test`: reads the saved answers beside the file, and says what does not fit.
//! * `snowfeed github COMMAND`: the same for GitHub issues.
//! * `snowfeed new NAME` writes a description, `snowfeed try URL` shows what one answer of an API suggests, and `snowfeed schema` prints
//!   the JSON Schema of descriptions, for editors.

mod args;
mod create;
mod description;
mod files;
mod request;
mod sample;
mod test;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;

use self::args::{Command, Request};
use self::description::{Described, describe};
use super::completion;
use super::destination::Destinations;
use super::invocation::{Invocation, Selected};
use super::output::Output;
use super::{Exit, execute, explain, prepare_process};
use crate::rest::Api;
use crate::sources::github::GithubIssues;
use crate::{Error, Result, Source};

/// The variable that names the description, where no argument does.
const SOURCE: &str = "SNOWFEED_SOURCE";

/// Runs the command that the process's arguments name, and returns the exit code for `main` to return.
///
/// A process that crashes leaves no core file, which would hold its secrets.
pub async fn run() -> ExitCode {
    prepare_process();
    run_from(std::env::args_os()).await.into()
}

/// Runs the command that these arguments name; the first one is the program's name. The process's own arguments are not read, its
/// environment and working directory are.
pub async fn run_from<T: Into<OsString>>(args: impl IntoIterator<Item = T>) -> Exit {
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    if let Some(words) = completion::asked(&args) {
        completion::answer(completed(&words).await, words);
        return Exit::Complete;
    }
    let json = args.iter().any(|arg| arg == "--json");
    match args::split(args, std::env::var_os(SOURCE)) {
        Request::Github { program, args } => {
            let invocation = Invocation { program: Some(program), selected: Some(Selected::BuiltIn("github")) };
            execute(GithubIssues::default(), Destinations::BuiltIn, invocation, args).await
        }
        Request::Described { file, program, args } => match describe(Path::new(&file)) {
            Ok(Described { source, text, warnings }) => {
                let warnings = warnings.iter().map(|warning| format!("{warning}; {}", warning.help)).collect();
                let selected = Selected::Described { file: file.into(), text, warnings };
                let invocation = Invocation { program: Some(program), selected: Some(selected) };
                execute(source, Destinations::BuiltIn, invocation, args).await
            }
            Err(error) => failed(Output::new(json, false), &error),
        },
        Request::Test { file, args } => match args::parse(args) {
            Ok(args) => {
                let output = Output::new(args.json, args.quiet);
                test::test(Path::new(&file), output).unwrap_or_else(|error| failed(output, &error))
            }
            Err(error) => explain(&error, json),
        },
        Request::Own(args) => match args::parse(args) {
            Ok(args) => own(args).await,
            Err(error) => explain(&error, json),
        },
        Request::Failed(error) => failed(Output::new(json, false), &error),
    }
}

/// The command line whose words a shell completes.
async fn completed(words: &[OsString]) -> clap::Command {
    let own = args::Args::command();
    match args::split(words.to_vec(), std::env::var_os(SOURCE)) {
        Request::Github { program, args } => {
            let spec = GithubIssues::default().spec();
            let github = completion::command(&spec, &program, Destinations::BuiltIn, &args).await;
            clap::Command::new("snowfeed").subcommand(github.name("github"))
        }
        Request::Described { file, program, args } => match describe(Path::new(&file)) {
            Ok(Described { source, .. }) => {
                let source_option = own.get_arguments().find(|arg| arg.get_id() == "source").cloned();
                let command = completion::command(&source.spec(), &program, Destinations::BuiltIn, &args).await;
                command.args(source_option.map(|option| option.global(true)))
            }
            Err(_) => own,
        },
        Request::Test { .. } | Request::Own(_) | Request::Failed(_) => own,
    }
}

fn failed(output: Output, error: &Error) -> Exit {
    output.error(error);
    Exit::from_kind(error.kind())
}

async fn own(args: args::Args) -> Exit {
    let output = Output::new(args.json, args.quiet);
    let done = match &args.command {
        Command::Schema => schema(output),
        Command::Try(request) => sample::try_url(request, output).await,
        Command::New(new) => create::new(new, output).await,
        // Split off before.
        Command::Github | Command::Test => Ok(()),
    };
    match done {
        Ok(()) => Exit::Complete,
        Err(error) => failed(output, &error),
    }
}

fn schema(output: Output) -> Result<()> {
    let schema = Api::json_schema();
    output.foreign(&schema, || format!("{:#}", schema.as_value()))
}
