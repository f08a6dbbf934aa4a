//! The arguments that the program understands.

#[cfg(feature = "native-app")]
mod app;
mod help;
mod reading;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

#[cfg(any(feature = "snowflake", feature = "sqlite"))]
use clap::Args as _;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

#[cfg(feature = "native-app")]
pub(super) use app::{AppArgs, AppCommand, Deploy, Install, Operation, Uninstall, Upgrade};

#[cfg(any(feature = "snowflake", feature = "sqlite"))]
use self::help::SNOWFLAKE_EXAMPLES;
use self::help::{EXAMPLES, HelpVars, LONG_HELP, exit_codes};
pub(super) use self::reading::{Ingest, NotifyArgs, Run, Status};
use super::destination::{DestinationArgs, Destinations};
use super::invocation::Selected;
use super::terminal::plain;
use crate::SourceSpec;
use crate::engine::list_streams;

/// The command line. In help texts `{kind}` and `{KIND}` stand for the kind of resource, `{name}` and `{NAME}` for the name of
/// the source, `{streams}` for its streams, `{program}` for the name that the user types.
#[derive(Debug, Parser)]
#[command(about = "Ingests every {kind} that you enable from {name} into a database, and keeps it in sync")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
    /// Parsed separately, because a program with its own backend lacks these arguments.
    #[arg(skip)]
    pub(super) destination: DestinationArgs,
}

/// The name of the argument `--set`.
const SET: &str = "set";

/// The options of every command.
#[derive(Debug, clap::Args)]
pub(super) struct Global {
    /// A setting for this call only; may be repeated
    // Not `global`: clap drops the values before the command where a global argument is on both sides of it.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// A TOML file with settings; only you may have write permission
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Write results and errors to standard output as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Write a log to standard error; -vv for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub(super) verbose: u8,
    /// Write the log, notes and errors to standard error as text, or as one JSON document for each line
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t, hide_default_value = true)]
    pub(super) log_format: LogFormat,
    /// Write only results and errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// The source, if the program has several.
    #[arg(skip)]
    pub(super) selected: Option<Selected>,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the settings, the database, and that the remote answers
    Check,
    /// List each {kind} that the settings can access
    Discover,
    /// Store settings in the destination; without arguments, show the effective ones
    #[command(
        after_help = "`KEY=` removes a stored setting. A secret is given by reference: `env:NAME` or `file:PATH`.\n\
        `schema` lists the settings."
    )]
    Configure(Configure),
    /// Enable a {kind} and create its tables and views
    #[command(
        after_help = "A {kind} that is already known under another spelling of its name keeps that spelling, and one that was \
        enabled before keeps its schedule and its streams unless you give others. A stream that you add is read from its start; \
        one that you leave out keeps its rows and its checkpoint.\n\nStreams: {streams}"
    )]
    Enable {
        /// Each {kind} to enable
        #[arg(value_name = "{KIND}", required = true)]
        resources: Vec<String>,
        /// How often: an interval of at least one minute such as 30m, or a cron expression in UTC such as "15 2 * * *"
        #[arg(long, value_name = "SCHEDULE")]
        schedule: Option<String>,
        /// Which streams to read from now on, separated by commas; `default` for the default ones
        #[arg(long, value_name = "STREAMS", value_delimiter = ',')]
        streams: Option<Vec<String>>,
    },
    /// Disable a {kind}; its rows and state are kept
    Disable {
        /// Each {kind} to disable
        #[arg(value_name = "{KIND}", required = true)]
        resources: Vec<String>,
    },
    /// Ingest new and changed records once
    #[command(
        after_help = "Ctrl-C stops it and loses nothing: it commits what it has read, and the next run continues from \
        there. A second Ctrl-C, at least a second later, stops it at once and loses nothing either."
    )]
    Ingest(Ingest),
    /// Ingest each enabled {kind} on its schedule, until stopped
    #[command(
        after_help = "Without a schedule of its own, each is ingested every 30 minutes, on the hour and the half hour. Being stopped by Ctrl-C or \
        SIGTERM is the normal end: exit code 0."
    )]
    Run(Run),
    /// Show the status of each {kind}
    Status(Status),
    /// Show the history of runs, the newest first
    Runs {
        #[command(flatten)]
        only: Only,
        /// Show at most this many
        #[arg(long, value_name = "N", default_value = "20")]
        limit: NonZeroUsize,
    },
    /// List the outstanding rejected records, the most recent first
    #[command(
        after_help = "Correct it at the source, then run `ingest --reconcile`: it reads everything, and drops rejects that it no longer finds."
    )]
    Rejects {
        #[command(flatten)]
        only: Only,
        /// List at most this many; all are counted
        #[arg(long, value_name = "N", default_value = "20")]
        limit: NonZeroUsize,
    },
    /// Show some rows of a {kind}
    Preview {
        /// The {kind}
        #[arg(value_name = "{KIND}")]
        resource: String,
        /// Show at most this many rows
        #[arg(long, value_name = "N", default_value = "10")]
        limit: NonZeroUsize,
        /// The stream; by default, the first one that is read
        #[arg(long, value_name = "STREAM")]
        stream: Option<String>,
    },
    /// Forget the checkpoint of a {kind}, so that the next run reads it from the start; its rows are kept
    Reset {
        /// The {kind}
        #[arg(value_name = "{KIND}")]
        resource: String,
        /// Only these streams, separated by commas; by default, all
        #[arg(long, value_name = "STREAMS", value_delimiter = ',')]
        streams: Option<Vec<String>>,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Forget a {kind}, its schedule and its checkpoint; its rows are kept
    #[command(
        after_help = "Its views, its rows and the history of its runs stay. Enabled again, it is read from the start, and rows merge by \
        key. `disable` stops it and keeps its checkpoint."
    )]
    Remove {
        /// Each {kind} to remove
        #[arg(value_name = "{KIND}", required = true)]
        resources: Vec<String>,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Build, deploy and install the native app that runs this connector inside a Snowflake account
    #[cfg(feature = "native-app")]
    #[command(subcommand, after_long_help = app::EXAMPLES)]
    App(Box<AppCommand>),
    /// Print the JSON Schema of the settings
    Schema,
    /// Print a script for your shell that completes commands, options and names
    #[command(after_help = "For instance in ~/.bashrc: source <({program} completions bash)")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What to list.
#[derive(Debug, clap::Args)]
pub(super) struct Only {
    /// Only those of this {kind}
    #[arg(value_name = "{KIND}")]
    pub(super) resource: Option<String>,
    /// Only those of this stream
    #[arg(long, value_name = "STREAM")]
    pub(super) stream: Option<String>,
}

/// The arguments of `configure`.
#[derive(Debug, clap::Args)]
pub(super) struct Configure {
    /// The settings to store
    #[arg(value_name = "KEY=VALUE")]
    pub(super) settings: Vec<String>,
    /// Pause while this many of Snowflake's credits are used, as the program estimates them: 1.5/day, 20/month, or none
    #[cfg(feature = "snowflake")]
    #[arg(long, value_name = "BUDGET")]
    budget: Option<String>,
}

impl Configure {
    /// The budget to store, or `none`.
    pub(super) fn budget(&self) -> Option<&str> {
        #[cfg(feature = "snowflake")]
        return self.budget.as_deref();
        #[cfg(not(feature = "snowflake"))]
        return None;
    }
}

/// The command line of a source, for a user who types `program`.
pub(super) fn command(spec: &SourceSpec, program: &str, destinations: &Destinations) -> clap::Command {
    let streams = list_streams(spec);
    let vars = HelpVars { name: &spec.name, kind: &spec.resource_kind, streams: &streams, program };
    let (command, examples) = match destinations {
        #[cfg(any(feature = "snowflake", feature = "sqlite"))]
        Destinations::BuiltIn => {
            let command = DestinationArgs::augment_args(clap::Command::default());
            (Args::augment_args(command), EXAMPLES.to_owned() + SNOWFLAKE_EXAMPLES)
        }
        Destinations::Custom(_) => (without_snowflake_only(Args::command()), EXAMPLES.to_owned()),
    };
    let set = command.get_arguments().find(|arg| arg.get_id() == SET).cloned();
    let command = command
        .mut_subcommands(|subcommand| subcommand.args(set.clone()))
        .name(spec.name.clone())
        .version(spec.version.clone())
        .propagate_version(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_long_help(examples + LONG_HELP + &exit_codes())
        .after_help("`--help` shows examples, where settings come from, and the exit codes.");
    let command = if spec.streams.len() == 1 { without_streams(command) } else { command };
    vars.fill(command)
}

/// The options of every command that take a value as the next argument: `--db`, `--set` …
#[cfg(all(feature = "github", feature = "rest", any(feature = "snowflake", feature = "sqlite")))]
pub(super) fn value_options() -> Vec<String> {
    let command = Args::augment_args(DestinationArgs::augment_args(clap::Command::default()));
    let takes_value = command.get_arguments().filter(|argument| argument.get_action().takes_values());
    takes_value.filter_map(clap::Arg::get_long).map(|long| format!("--{long}")).collect()
}

/// Hides what only makes sense for a source with several streams.
fn without_streams(command: clap::Command) -> clap::Command {
    command.mut_subcommands(|subcommand| {
        subcommand.mut_args(|arg| {
            let is_for_streams = matches!(arg.get_id().as_str(), "streams" | "stream");
            if is_for_streams { arg.hide(true) } else { arg }
        })
    })
}

/// Hides what only works with Snowflake as the destination.
fn without_snowflake_only(command: clap::Command) -> clap::Command {
    #[cfg(feature = "snowflake")]
    let command = [
        ("ingest", "cost"),
        ("ingest", "heartbeat"),
        ("run", "heartbeat"),
        ("status", "cost"),
        ("status", "heartbeat"),
        ("configure", "budget"),
    ]
    .into_iter()
    .fold(command, |command, (subcommand, argument)| {
        command.mut_subcommand(subcommand, |subcommand| subcommand.mut_arg(argument, |arg| arg.hide(true)))
    });
    #[cfg(feature = "native-app")]
    let command = command.mut_subcommand("app", |app| app.hide(true));
    command
}

/// Reads a command line whose first element is the program's name.
pub(super) fn parse(
    spec: &SourceSpec,
    program: &str,
    args: Vec<OsString>,
    destinations: &Destinations,
) -> Result<Args, clap::Error> {
    let matches = command(spec, program, destinations).try_get_matches_from(args)?;
    let mut parsed = Args::from_arg_matches(&matches)?;
    #[cfg(any(feature = "snowflake", feature = "sqlite"))]
    if matches!(destinations, Destinations::BuiltIn) {
        parsed.destination = DestinationArgs::from_arg_matches(&matches)?;
    }
    if let Some((_, after)) = matches.subcommand() {
        parsed.global.set.extend(after.get_many::<String>(SET).into_iter().flatten().cloned());
    }
    Ok(parsed)
}

/// The name by which the user starts this program.
pub(super) fn program(spec: &SourceSpec, args: &[OsString]) -> String {
    let name = args.first().and_then(|program| Path::new(program).file_stem()?.to_str());
    // Help texts contain it.
    plain(name.unwrap_or(&spec.name))
}

/// The error, instead of clap's, for an argument of a feature that this program was built without.
#[cfg(all(feature = "sqlite", not(feature = "snowflake")))]
pub(super) fn missing_feature(error: &clap::Error, destinations: &Destinations) -> Option<crate::Error> {
    if !matches!(destinations, Destinations::BuiltIn) {
        return None;
    }
    use clap::error::{ContextKind, ContextValue, ErrorKind};

    const OF_SNOWFLAKE: [&str; 10] = [
        "--to",
        "--connection",
        "--database",
        "--schema",
        "--warehouse",
        "--role",
        "--warehouse-size",
        "--cost",
        "--budget",
        "--heartbeat",
    ];
    let ContextValue::String(argument) = error.get(ContextKind::InvalidArg)? else { return None };
    let name = argument.split(['=', ' ']).next().unwrap_or_default();
    (error.kind() == ErrorKind::UnknownArgument && OF_SNOWFLAKE.contains(&name))
        .then(|| super::destination::without_snowflake(name))
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::super::Exit;
    use super::*;

    fn spec() -> SourceSpec {
        SourceSpec::new("stars", "1.2.3").resource_kind("galaxy")
    }

    fn custom() -> Destinations {
        Destinations::Custom(Box::new(|| Err(crate::Error::internal("not opened here"))))
    }

    fn parse_for(args: &[&str], destinations: &Destinations) -> Result<Args, clap::Error> {
        let args = std::iter::once("stars").chain(args.iter().copied()).map(OsString::from);
        parse(&spec(), "stars", args.collect(), destinations)
    }

    fn parse_all(args: &[&str]) -> Result<Args, clap::Error> {
        parse_for(args, &Destinations::BuiltIn)
    }

    #[test]
    fn the_command_line_is_sound() {
        command(&spec(), "astro", &Destinations::BuiltIn).debug_assert();
    }

    #[test]
    fn a_program_with_a_custom_backend_has_no_destination_options() {
        command(&spec(), "astro", &custom()).debug_assert();
        let help = command(&spec(), "astro", &custom()).render_long_help().to_string();
        for name in ["--db", "--to ", "--connection", "--warehouse", "Snowflake"] {
            assert!(!help.contains(name), "{name}: {help}");
        }
        assert!(parse_for(&["--db", "x", "status"], &custom()).is_err());
        assert!(parse_for(&["--json", "status"], &custom()).unwrap().global.json);
    }

    #[test]
    fn help_names_the_source_and_its_resources() {
        let help = command(&spec(), "astro", &Destinations::BuiltIn).render_long_help().to_string();
        assert!(
            help.contains("Enable a galaxy") && help.contains("astro ingest") && help.contains("STARS_KEY"),
            "{help}"
        );
        assert!(!help.contains("{kind}") && !help.contains("{name}") && !help.contains("{NAME}"), "{help}");
        let mut command = command(&spec(), "astro", &Destinations::BuiltIn);
        let enable = command.find_subcommand_mut("enable").unwrap().render_long_help().to_string();
        assert!(enable.contains("<GALAXY>...") && enable.contains("A galaxy that is already known"), "{enable}");
        assert!(!enable.contains('{'), "{enable}");
    }

    #[test]
    fn help_lists_the_exit_codes() {
        let help = command(&spec(), "astro", &Destinations::BuiltIn).render_long_help().to_string();
        for (exit, meaning) in Exit::ALL {
            assert!(help.contains(&format!("{}  {meaning}", exit.code())), "{exit:?}: {help}");
        }
    }

    #[test]
    fn settings_are_taken_before_and_after_the_command() {
        let before = parse_all(&["--set", "a=1", "--set", "b=2", "--json", "status"]).unwrap();
        assert_eq!((before.global.set, before.global.json), (vec!["a=1".to_owned(), "b=2".to_owned()], true));
        let after = parse_all(&["status", "--set", "a=1", "--json"]).unwrap();
        assert_eq!((after.global.set, after.global.json), (vec!["a=1".to_owned()], true));
    }

    #[test]
    fn deletion_options_are_for_each_ingest_and_for_no_schedule() {
        assert!(parse_all(&["ingest", "--allow-deletions"]).is_ok());
        assert!(parse_all(&["ingest", "--max-deletions", "5"]).is_ok());
        assert!(parse_all(&["ingest", "--reconcile", "--max-deletions", "101"]).is_err());
        assert!(parse_all(&["run", "--allow-deletions"]).is_err());
        let parsed = parse_all(&["ingest", "--reconcile", "--allow-deletions", "--max-deletions", "5"]).unwrap();
        let Command::Ingest(ingest) = parsed.command else { panic!("{:?}", parsed.command) };
        assert_eq!((ingest.allow_deletions, ingest.max_deletions), (true, Some(5)));
    }

    #[test]
    fn settings_before_and_after_the_command_are_merged() {
        let both = parse_all(&["--set", "a=1", "status", "--set", "b=2"]).unwrap();
        assert_eq!(both.global.set, ["a=1", "b=2"]);
    }
}
