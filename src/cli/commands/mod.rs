//! What each command does.

#[cfg(feature = "native-app")]
mod app;
mod history;
mod ingest;
mod preview;
mod resources;
mod setup;

use std::path::PathBuf;
use std::sync::Arc;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Exit;
use super::args::{self, Args, Command, Global};
use super::output::Output;
use super::progress::Progress;
use super::settings::Given;
use crate::backends::Sqlite;
use crate::engine::Connector;
use crate::{Resource, Result, Source, SourceSpec};

/// Everything that a command works with.
struct Session<S> {
    source: S,
    spec: SourceSpec,
    given: Given,
    database: PathBuf,
    output: Output,
    progress: Progress,
}

pub(super) async fn execute(source: impl Source, program: &str, args: Args, output: Output) -> Result<Exit> {
    let spec = source.spec();
    match &args.command {
        Command::Schema => return setup::schema(&spec, output),
        Command::Completions { shell } => return setup::completions(&spec, program, *shell),
        #[cfg(feature = "native-app")]
        Command::App(command) => return app::execute(&spec, program, command, output),
        _ => {}
    }
    let progress = Progress::new(output, args.global.verbose > 0);
    log(args.global.verbose, &progress);
    let given = read_settings(&spec, &args.global)?;
    let database = database_path(&spec, &args.global);
    let session = Session { source, spec, given, database, output, progress };
    match args.command {
        Command::Check => setup::check(session).await,
        Command::Discover => setup::discover(session).await,
        Command::Configure { settings } if settings.is_empty() => setup::show_settings(session).await,
        Command::Configure { settings } => setup::configure(session, &settings).await,
        Command::Enable { resources, schedule } => resources::enable(session, &resources, schedule.as_deref()).await,
        Command::Disable { resources } => resources::disable(session, &resources).await,
        Command::Reset { resource, yes } => resources::reset(session, resource, yes).await,
        Command::Ingest { resources, reconcile, concurrency } => {
            ingest::ingest(session, &resources, reconcile, concurrency.get()).await
        }
        Command::Run { concurrency } => ingest::run(session, concurrency.get()).await,
        Command::Status => history::status(session).await,
        Command::Runs { resource, limit } => history::runs(session, resource, limit).await,
        Command::Preview { resource, limit, table } => preview::preview(session, resource, limit, table).await,
        // Answered above, without a session.
        Command::Schema | Command::Completions { .. } => Ok(Exit::Complete),
        #[cfg(feature = "native-app")]
        Command::App(_) => Ok(Exit::Complete),
    }
}

fn read_settings(spec: &SourceSpec, global: &Global) -> Result<Given> {
    let usual = PathBuf::from(format!("{}.toml", spec.name));
    let file = global.config.clone().or_else(|| usual.is_file().then_some(usual));
    Given::read(spec, file.as_deref(), |name| std::env::var_os(name), &global.set)
}

fn database_path(spec: &SourceSpec, global: &Global) -> PathBuf {
    let variable = || std::env::var_os("SNOWFEED_DB").filter(|path| !path.is_empty()).map(PathBuf::from);
    global.db.clone().or_else(variable).unwrap_or_else(|| format!("{}.db", spec.name).into())
}

/// Writes the program's log to standard error. Without `-v` it holds warnings that nothing else shows; the libraries
/// that speak HTTP stay at `info`, because beyond it they write what is sent.
fn log(verbose: u8, progress: &Progress) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let mut targets = Targets::new().with_default(level);
    for library in ["h2", "hyper", "hyper_util", "reqwest", "rustls"] {
        targets = targets.with_target(library, level.min(LevelFilter::INFO));
    }
    if verbose == 0 {
        // The progress shows the same.
        targets = targets.with_target("snowfeed::engine::event", LevelFilter::OFF);
    }
    let progress = progress.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || progress.stderr())
        .with_ansi(anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never);
    // A program that embeds this one may have a log of its own.
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
}

impl<S: Source> Session<S> {
    /// The connector over the database, which is made where there is none.
    fn open(self) -> Result<Connector> {
        let backend = Arc::new(Sqlite::open(&self.database)?);
        Ok(Connector::new(self.source, backend).overrides(self.given.values().clone()))
    }

    /// The connector over the database; where there is none, over nothing, because looking must not make one.
    fn look(self) -> Result<Connector> {
        if self.database.exists() {
            return self.open();
        }
        self.output
            .note(&format!("there is no database {} yet; `enable` and `ingest` make it", self.database.display()));
        Ok(Connector::new(self.source, Arc::new(Sqlite::in_memory()?)).overrides(self.given.values().clone()))
    }
}

fn resources(names: &[String]) -> Result<Vec<Resource>> {
    names.iter().map(Resource::new).collect()
}
