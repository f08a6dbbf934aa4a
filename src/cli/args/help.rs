//! The texts of `--help`, and their placeholders.

use super::super::Exit;

pub(super) const EXAMPLES: &str = "\
Examples:
  {program} check                         check the settings and the connection
  {program} ingest NAME                   enable and ingest one {kind}
  {program} ingest                        ingest what is new in each enabled {kind}
  {program} ingest --reconcile            read everything, find deletions
  {program} ingest --reconcile --allow-deletions
                                          the same, after you have confirmed that many rows are gone
  {program} enable NAME --schedule 10m    then `{program} run` keeps it on schedule
  {program} --json status                 for programs
";

#[cfg(all(feature = "sqlite", not(feature = "snowflake")))]
pub(super) const SNOWFLAKE_EXAMPLES: &str = "";
#[cfg(feature = "snowflake")]
pub(super) const SNOWFLAKE_EXAMPLES: &str = "  {program} --to snowflake check          the same, and everything below, in a Snowflake database
  {program} --to snowflake --connection NAME ingest --cost

The destination is a file, or with `--to snowflake` a database of Snowflake. The connection is one of those that Snowflake's own
tools read: ~/.snowflake/connections.toml, or SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and so on.
";

pub(super) const LONG_HELP: &str = "
Settings; a later source overrides an earlier one:
  1. defaults, see `{program} schema`
  2. the values that `{program} configure KEY=VALUE` stored
  3. the file of --config; {name}.toml is not loaded unless --config names it
  4. the environment: {NAME}_KEY (for a secret, {NAME}_KEY holds it, and the setting is `env:{NAME}_KEY`)
  5. --set KEY=VALUE

A credential is sent only to the server it was given for: the default one, one that 3, 4 or 5 name, or one that `configure`
stored together with it. Otherwise the command fails, with the way to confirm the server.

Results go to standard output, progress and errors to standard error. With --json there is one JSON document on standard
output (`run`: one line for each run that has ended), also for an error; docs/json.md of snowfeed describes them.
It hides progress, and logs warnings and waits on standard error. NO_COLOR is honoured.

Exit codes:
";

pub(super) fn exit_codes() -> String {
    Exit::ALL.map(|(exit, meaning)| format!("  {:>3}  {meaning}", exit.code())).join("\n")
}

/// The values of the placeholders in help texts.
pub(super) struct HelpVars<'a> {
    pub(super) name: &'a str,
    pub(super) kind: &'a str,
    pub(super) streams: &'a str,
    pub(super) program: &'a str,
}

impl HelpVars<'_> {
    fn text(&self, text: &str) -> String {
        text.replace("{kind}", self.kind)
            .replace("{KIND}", &self.kind.to_uppercase())
            .replace("{name}", self.name)
            .replace("{NAME}", &self.name.to_uppercase())
            .replace("{streams}", self.streams)
            .replace("{program}", self.program)
    }

    pub(super) fn fill(&self, mut command: clap::Command) -> clap::Command {
        if let Some(text) = command.get_about().map(|text| self.text(&text.to_string())) {
            command = command.about(text);
        }
        if let Some(text) = command.get_after_help().map(|text| self.text(&text.to_string())) {
            command = command.after_help(text);
        }
        if let Some(text) = command.get_after_long_help().map(|text| self.text(&text.to_string())) {
            command = command.after_long_help(text);
        }
        command
            .mut_args(|mut arg| {
                if let Some(text) = arg.get_help().map(|text| self.text(&text.to_string())) {
                    arg = arg.help(text);
                }
                let names = arg.get_value_names().map(|names| names.iter().map(|name| self.text(name)).collect());
                match names {
                    Some::<Vec<String>>(names) => arg.value_names(names),
                    None => arg,
                }
            })
            .mut_subcommands(|subcommand| self.fill(subcommand))
    }
}
