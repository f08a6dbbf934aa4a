//! The commands.

#[cfg(feature = "native-app")]
mod app;
mod estimate;
mod history;
mod ingest;
mod preview;
mod resources;
mod session;
mod setup;
mod status;
mod streams;

use std::sync::Arc;

use super::Exit;
use super::args::{Args, Command};
use super::destination::Destinations;
use super::interrupt::Interrupt;
use super::invocation::Selected;
use super::labels::Labels;
use super::log;
use super::output::{Output, counted};
use super::progress::Progress;
use crate::{Result, Source};
use session::{Session, read_settings};

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
            return setup::completions(program, *shell);
        }
        _ => {}
    }
    let filter = log::Filter::new(&args.global, output);
    let progress = Progress::new(output, filter.shows_runs(), Labels::new(&spec));
    #[cfg(feature = "otlp")]
    let traces = super::otlp::Traces::from_environment(&spec, output);
    #[cfg(feature = "otlp")]
    let exported = traces.as_ref().map(super::otlp::Traces::layer);
    #[cfg(not(feature = "otlp"))]
    let exported = None;
    log::start(filter, args.global.log_format, &progress, exported);
    let done = execute_logged(source, program, args, destinations, output, progress, interrupt).await;
    #[cfg(feature = "otlp")]
    if let Some(traces) = traces {
        traces.finish().await;
    }
    done
}

/// Executes a command that may need the destination.
async fn execute_logged(
    source: impl Source,
    program: &str,
    args: Args,
    destinations: Destinations,
    output: Output,
    progress: Progress,
    interrupt: &Interrupt,
) -> Result<Exit> {
    let spec = source.spec();
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
        let (spec, program) = app::packaged(spec, program, global.selected.as_ref());
        let context = app::CommandContext { spec: &spec, global, destination, progress: &progress, output, interrupt };
        return app::execute(&program, command, &context).await;
    }
    let given = read_settings(&spec, &args.global, output)?;
    let destination = destinations.select(&spec, &args.destination)?;
    let (source, interrupt) = (Arc::new(source), interrupt.clone());
    let warnings = args.global.selected.as_ref().map(|selected| selected.warnings().to_vec()).unwrap_or_default();
    match (&args.command, args.global.selected.as_ref(), warnings.len()) {
        (Command::Check, ..) => warnings.iter().for_each(|warning| output.note(&format!("warning: {warning}"))),
        // They are the same in each run.
        (Command::Ingest(_) | Command::Run(_), Some(Selected::Described { file, .. }), count @ 1..) => {
            let (counted, them) = (counted(count as u64, "warning"), if count == 1 { "it" } else { "them" });
            output.note(&format!("warning: {}: the description has {counted}; `check` shows {them}", file.display()));
        }
        _ => {}
    }
    let session = Session {
        source,
        spec,
        overrides: given,
        warnings,
        destination: destination.clone(),
        output,
        progress,
        interrupt,
    };
    let done = perform(session, args.command).await;
    destination.close().await;
    done
}

async fn perform(session: Session<impl Source>, command: Command) -> Result<Exit> {
    match command {
        Command::Check => setup::check(session).await,
        Command::Discover => setup::discover(session).await,
        Command::Configure(configure) => setup::configure(session, &configure).await,
        Command::Enable { resources, schedule, streams } => {
            resources::enable(session, &resources, schedule.as_deref(), streams).await
        }
        Command::Disable { resources } => resources::disable(session, &resources).await,
        Command::Reset { resource, streams, yes } => resources::reset(session, resource, streams, yes).await,
        Command::Remove { resources, yes } => resources::remove(session, &resources, yes).await,
        Command::Ingest(ingest) => ingest::ingest(session, ingest).await,
        Command::Run(args) => ingest::run(session, &args).await,
        Command::Status(args) => status::status(session, &args).await,
        Command::Runs { only, limit } => history::runs(session, only, limit.get()).await,
        Command::Rejects { only, limit } => history::rejects(session, only, limit.get()).await,
        Command::Preview { resource, limit, stream } => preview::preview(session, resource, limit.get(), stream).await,
        // Answered without a session.
        Command::Schema | Command::Completions { .. } => Ok(Exit::Complete),
        #[cfg(feature = "native-app")]
        Command::App(_) => Ok(Exit::Complete),
    }
}
