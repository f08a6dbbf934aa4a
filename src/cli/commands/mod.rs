//! The commands.

#[cfg(feature = "native-app")]
mod app;
mod history;
mod ingest;
mod preview;
mod resources;
mod setup;

use std::path::Path;
use std::sync::Arc;

use super::Exit;
use super::args::{Args, Command, Global};
use super::destination::{Destination, Destinations, Store};
use super::interrupt::Interrupt;
use super::log;
use super::output::Output;
use super::progress::Progress;
use super::settings::SettingsOverrides;
use crate::engine::Connector;
use crate::{Result, Settings, Source, SourceSpec};

/// Everything that a command works with.
struct Session<S> {
    source: Arc<S>,
    spec: SourceSpec,
    given: SettingsOverrides,
    destination: Arc<dyn Destination>,
    output: Output,
    progress: Progress,
    interrupt: Interrupt,
}

pub(super) async fn execute(
    source: impl Source,
    program: &str,
    args: Args,
    destinations: Destinations,
    output: Output,
    interrupt: &Interrupt,
) -> Result<Exit> {
    let spec = source.spec();
    spec.validate()?;
    match &args.command {
        Command::Schema => return setup::schema(&spec, output),
        Command::Completions { shell } => {
            return setup::completions(&spec, program, *shell, &destinations);
        }
        _ => {}
    }
    let progress = Progress::new(output, args.global.verbose > 0);
    log::start(&args.global, &progress);
    #[cfg(feature = "native-app")]
    if let Command::App(command) = &args.command {
        if let Destinations::Custom(_) = destinations {
            return Err(crate::Error::new(
                crate::ErrorKind::Unsupported,
                "the native app needs Snowflake as the destination",
            )
            .with_help("build the program with `cli::run`, whose destination can be Snowflake"));
        }
        let Args { global, destination, .. } = &args;
        let place = app::CommandContext { spec: &spec, global, destination, progress: &progress, output, interrupt };
        return app::execute(program, command, &place).await;
    }
    let given = read_settings(&spec, &args.global, output)?;
    let destination = destinations.select(&spec, &args.destination)?;
    let (source, interrupt) = (Arc::new(source), interrupt.clone());
    let session = Session { source, spec, given, destination: destination.clone(), output, progress, interrupt };
    let done = perform(session, args.command).await;
    destination.close().await;
    done
}

async fn perform(session: Session<impl Source>, command: Command) -> Result<Exit> {
    match command {
        Command::Check => setup::check(session).await,
        Command::Discover => setup::discover(session).await,
        Command::Configure { settings } if settings.is_empty() => setup::show_settings(session).await,
        Command::Configure { settings } => setup::configure(session, &settings).await,
        Command::Enable { resources, schedule } => resources::enable(session, &resources, schedule.as_deref()).await,
        Command::Disable { resources } => resources::disable(session, &resources).await,
        Command::Reset { resource, yes } => resources::reset(session, resource, yes).await,
        Command::Remove { resources, yes } => resources::remove(session, &resources, yes).await,
        Command::Ingest(ingest) => ingest::ingest(session, ingest).await,
        Command::Run { concurrency } => ingest::run(session, concurrency.get()).await,
        Command::Status => history::status(session).await,
        Command::Runs { resource, limit } => history::runs(session, resource, limit.get()).await,
        Command::Rejects { resource, limit } => history::rejects(session, resource, limit.get()).await,
        Command::Preview { resource, limit, table } => preview::preview(session, resource, limit.get(), table).await,
        // Answered without a session.
        Command::Schema | Command::Completions { .. } => Ok(Exit::Complete),
        #[cfg(feature = "native-app")]
        Command::App(_) => Ok(Exit::Complete),
    }
}

/// Reads the settings of this call. A file in the current folder is not read unless `--config` names it: its author would decide where
/// credentials go.
fn read_settings(spec: &SourceSpec, global: &Global, output: Output) -> Result<SettingsOverrides> {
    let file = format!("{}.toml", spec.name);
    if global.config.is_none() && Path::new(&file).exists() {
        let note = format!("the file {file} in the current folder is not loaded; `--config {file}` loads it");
        if output.is_json() { tracing::warn!("{note}") } else { output.note(&note) }
    }
    SettingsOverrides::read(spec, global.config.as_deref(), |name| std::env::var_os(name), &global.set)
}

impl<S: Source> Session<S> {
    /// Rejects invalid names before a command creates a database. An existing database may know a name in an older form.
    fn refuse(&self, names: &[String]) -> Result<()> {
        if self.destination.missing().is_none() {
            return Ok(());
        }
        let given: Settings = self.given.values().clone().into_iter().collect();
        names.iter().try_for_each(|name| self.source.resource(&given, name).map(drop))
    }

    /// The connector over the destination, which is created if it is missing.
    fn open(&self) -> Result<Connector> {
        let store = self.destination.open()?;
        Ok(self.connector(&*store))
    }

    /// The connector over the destination, or over an empty one if it is missing.
    fn look(&self) -> Result<Connector> {
        if let Some(missing) = self.destination.missing() {
            self.output.note(&missing);
        }
        let store = self.destination.open_existing()?;
        Ok(self.connector(&*store))
    }

    /// The connector over the destination, for a command that writes nothing: a write-protected file suffices.
    fn read(self) -> Result<Connector> {
        if let Some(missing) = self.destination.missing() {
            self.output.note(&missing);
        }
        let store = self.destination.open_to_read()?;
        Ok(self.connector(&*store))
    }

    fn connector(&self, store: &dyn Store) -> Connector {
        Connector::new(self.source.clone(), store.backend()).with_settings(self.given.values().clone())
    }
}
