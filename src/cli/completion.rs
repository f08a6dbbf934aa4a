//! Completion in the shell: commands, options, and the names of resources and streams.
//!
//! The script that `completions` prints asks the program itself at each press of the key: it sets [`VARIABLE`], and gives the words of
//! the line after `--`. The answer comes from the local file alone, and what fails answers nothing.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use clap::{Command, FromArgMatches};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::Shells;

use super::args;
use super::destination::{DestinationArgs, Destinations};
use crate::{Namespace, Result, SourceSpec};

/// The variable with the name of the shell that asks.
const VARIABLE: &str = "SNOWFEED_COMPLETE";

/// The longest time for reading the names.
const TIMEOUT: Duration = Duration::from_millis(80);

/// Prints the script of a shell for the program `program`, as the user types it.
pub(super) fn register(shell: &str, program: &str, script: &mut Vec<u8>) -> io::Result<()> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell).ok_or_else(|| io::Error::other("an unknown shell"))?;
    // `snowfeed github` is completed as part of `snowfeed`.
    let name = program.split(' ').next().unwrap_or(program);
    // What was started by its path is not found by its name.
    let started = std::env::args_os().next().filter(|started| Path::new(started).components().count() > 1);
    let path = started.and_then(|_| std::env::current_exe().ok()).map(|path| path.to_string_lossy().into_owned());
    shell.write_registration(VARIABLE, name, name, path.as_deref().unwrap_or(name), script)
}

/// The words of the line that a shell asks about, with the program's name.
pub(super) fn asked(args: &[OsString]) -> Option<Vec<OsString>> {
    std::env::var_os(VARIABLE).filter(|shell| !shell.is_empty())?;
    let words = args.iter().position(|arg| arg == "--")?;
    Some(args[words + 1..].to_vec())
}

/// Writes what can be next on the line.
pub(super) fn answer(mut command: Command, words: Vec<OsString>) {
    let shell = std::env::var(VARIABLE).unwrap_or_default();
    let shells = Shells::builtins();
    let Some(shell) = shells.completer(&shell) else { return };
    let mut answer = Vec::new();
    let folder = std::env::current_dir().ok();
    if shell.write_complete(&mut command, words, folder.as_deref(), &mut answer).is_ok() {
        // A shell that does not listen any more needs no answer.
        let _ = io::stdout().write_all(&answer);
    }
}

/// The command line of a source that completes names. `words` begin with the program's name and select the destination.
pub(super) async fn command(
    spec: &SourceSpec,
    program: &str,
    destinations: Destinations,
    words: &[OsString],
) -> Command {
    let command = args::command(spec, program, &destinations);
    let matches = command.clone().ignore_errors(true).try_get_matches_from(words);
    let given = matches.ok().and_then(|matches| DestinationArgs::from_arg_matches(&matches).ok()).unwrap_or_default();
    let known = tokio::time::timeout(TIMEOUT, names(spec, destinations, &given)).await;
    let known = known.ok().and_then(Result::ok).unwrap_or_default();
    let streams: Vec<String> = spec.streams.iter().map(|stream| stream.name.clone()).collect();
    command.mut_subcommands(|subcommand| {
        subcommand.mut_args(|arg| match arg.get_id().as_str() {
            "resource" | "resources" => arg.add(candidates(known.clone())),
            "stream" | "streams" => arg.add(candidates(streams.clone())),
            _ => arg,
        })
    })
}

/// The known resources, enabled or not, if the destination is a file.
async fn names(spec: &SourceSpec, destinations: Destinations, given: &DestinationArgs) -> Result<Vec<String>> {
    let destination = destinations.select(spec, given)?;
    if !destination.is_local() || destination.missing().is_some() {
        return Ok(Vec::new());
    }
    let known = destination.open_to_read()?.backend().list(Namespace::Resource).await?;
    Ok(known.into_iter().map(|(name, _)| name).filter(|name| is_plain(name)).collect())
}

/// Whether a name means itself on a line of a shell. Others are left out: shells do not quote what they are given.
fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || "-_./:@+,%".contains(c)) && !name.starts_with('-')
}

fn candidates(names: Vec<String>) -> ArgValueCandidates {
    ArgValueCandidates::new(move || names.iter().map(CompletionCandidate::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_mean_themselves_in_a_shell_are_offered() {
        for name in ["acme/widgets", "a:b", "ÜBER_1.2", "user@host"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["a b", "$(reboot)", "`x`", "a;b", "it's", "a\"b", "*", "~x", "-v", "a\nb", "#a", "a&b", "{a,b}"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
