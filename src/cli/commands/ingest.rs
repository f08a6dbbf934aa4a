//! Ingests once or on schedule.

use jiff::fmt::friendly::SpanPrinter;
use serde::Serialize;
use serde_json::json;

use super::estimate::estimate;
use super::session::{Session, with_heartbeat};
use super::streams::{note_required, selection};
use crate::cli::Exit;
use crate::cli::args::{Ingest, Run};
use crate::cli::destination::{Usage, check_cost};
use crate::cli::interrupt::STOPPING;
use crate::cli::labels::Labels;
use crate::cli::notify::Notifications;
use crate::cli::output::{COUNTS, Output, bytes, count, counts, duration, table, time};
use crate::cli::progress::{ended_because, new_columns, rejected};
use crate::engine::{CancellationToken, Event, IngestReport, IngestRequest, Observer};
#[cfg(feature = "metrics")]
use crate::metrics::{Listener, Metrics};
use crate::{Mode, Resource, Result, RunRecord, Source};

pub(super) async fn ingest<S: Source>(session: Session<S>, ingest: Ingest) -> Result<Exit> {
    let (output, progress) = (session.output, session.progress.clone());
    let destination = session.destination.clone();
    check_cost(&*destination, "--cost", ingest.cost())?;
    let spec = session.spec.clone();
    let (labels, streams, heartbeat) = (Labels::new(&spec), ingest.streams.clone(), ingest.heartbeat.get());
    let streams = streams.map(|names| selection(&session.spec, names)).transpose()?;
    streams.iter().try_for_each(|streams| note_required(&session.spec, streams, output))?;
    session.refuse(&ingest.resources)?;
    let named = ingest.resources.iter().map(Resource::new).collect::<Result<Vec<_>>>()?;
    let request = IngestRequest { streams, ..IngestRequest::new(named) }
        .mode(if ingest.reconcile { Mode::Reconcile } else { Mode::Incremental })
        .allow_deletions(ingest.allow_deletions)
        .concurrency(ingest.concurrency.get())
        .cancel(session.interrupt.listen(progress.clone(), STOPPING)?);
    if ingest.estimate {
        return estimate(session, request).await;
    }
    let notifications = Notifications::new(&ingest.notify, &session.spec.name)?;
    // Without a name there must be something enabled already, so there must be a database.
    let opened = if ingest.resources.is_empty() { session.open_existing() } else { session.open() };
    let (mut notifications, connector) = notifications.unless_outage(opened).await?;
    let connector = match ingest.max_deletions {
        Some(percent) => connector.max_deleted_percent(percent),
        None => connector,
    };
    let connector = with_heartbeat(connector, heartbeat);
    let connector = connector.observer(move |event: &Event| {
        progress.event(event);
        if let Event::Ended(run) = event {
            progress.ended(run);
        }
    });
    let begun = notifications.begin(&connector).await;
    let (notifications, ()) = notifications.unless_outage(begun).await?;
    let ingested = connector.ingest(request).await;
    // A run that could not begin has changed the health, too.
    if let Some(health) = connector.known_health() {
        notifications.tell(&connector, &health).await;
    }
    let report = ingested?;
    let usage = if ingest.cost() { destination.cost().await } else { destination.usage() };
    summarize(output, &labels, &report, usage.as_ref())?;
    Ok(Exit::from_report(&report, &spec))
}

fn summarize(output: Output, labels: &Labels, report: &IngestReport, usage: Option<&Usage>) -> Result<()> {
    let document =
        json!({"status": report.status(), "counts": report.counts(), "runs": report.runs, "destination": usage});
    output.result(&document, || {
        let has_streams = labels.need_column(report.runs.iter().map(|run| run.stream.as_str()));
        let streams = if has_streams { &["stream"][..] } else { &[] };
        let numbers = [&COUNTS[..], &["received", "waited", "took"]].concat();
        let header = [&["resource"], streams, &["status"], &numbers].concat();
        table(&header, &numbers, report.runs.iter().map(|run| row(run, has_streams)))
    })?;
    if !output.is_json() {
        for run in &report.runs {
            let label = labels.of(run);
            for (reason, skipped) in &run.counts.skipped {
                output.note(&format!("{label}: skipped {}: {}", count(*skipped), reason.replace('_', " ")));
            }
            if run.counts.rejected > 0 {
                output.note(&format!("{label}: {}", rejected(run)));
            }
            if !run.new_columns.is_empty() {
                output.note(&format!("{label}: {}", new_columns(run)));
            }
            if let Some(error) = &run.error {
                output.report(Some(&label), error);
            }
        }
        if report.interrupted() {
            output.note("interrupted; nothing is lost, the next `ingest` continues from there");
        }
        if let Some(usage) = usage {
            output.note(&usage.describe());
        }
    }
    Ok(())
}

fn row(run: &RunRecord, has_streams: bool) -> Vec<String> {
    let mut row = vec![run.resource.clone()];
    row.extend(has_streams.then(|| run.stream.clone()));
    row.push(run.status.to_string());
    row.extend(counts(run));
    row.extend([bytes(run.traffic.bytes), duration(run.traffic.waited_ms), duration(run.timings.total_ms)]);
    row
}

/// A finished run, and the total usage so far.
#[derive(Serialize)]
struct RunReport<'a> {
    #[serde(flatten)]
    run: &'a RunRecord,
    destination: Option<Usage>,
}

pub(super) async fn run<S: Source>(session: Session<S>, args: &Run) -> Result<Exit> {
    let (output, progress, spec) = (session.output, session.progress.clone(), session.spec.clone());
    let cancel = session.interrupt.listen(progress.clone(), STOPPING)?;
    let notifications = Notifications::new(&args.notify, &spec.name)?;
    let run_ends = notifications.run_ends();
    #[cfg(feature = "metrics")]
    let metrics = Metrics::new(&spec);
    #[cfg(feature = "metrics")]
    let observing = metrics.clone();
    #[cfg(feature = "metrics")]
    let listener = match args.listen {
        Some(address) => Some(Listener::bind(address).await?),
        None => None,
    };
    let (watching, destination) = (progress.clone(), session.destination.clone());
    let labels = Labels::new(&spec);
    let used = destination.clone();
    let (notifications, connector) = notifications.unless_outage(session.open()).await?;
    let connector = with_heartbeat(connector, args.heartbeat.get());
    let connector = connector.observer(move |event: &Event| {
        #[cfg(feature = "metrics")]
        observing.event(event);
        run_ends.event(event);
        watching.event(event);
        if let Event::Ended(run) = event {
            let text = || {
                let columns =
                    if run.new_columns.is_empty() { String::new() } else { format!("; {}", new_columns(run)) };
                let ended = ended_because(run);
                format!("{}  {}: {ended}{columns}", time(run.started_at), labels.of(run))
            };
            let line = || output.result(&RunReport { run, destination: used.usage() }, text);
            if let Err(error) = watching.suspend(line) {
                tracing::error!(%error, "the result of a run could not be reported");
            }
        }
    });
    let (mut notifications, resources) = notifications.unless_outage(connector.resources().await).await?;
    let enabled = resources.iter().filter(|(_, config)| config.enabled).count();
    let kind = &spec.resource_kind;
    let refresh = SpanPrinter::new().unsigned_duration_to_string(&connector.refresh_interval());
    progress.note(&match enabled {
        0 => format!("no {kind} is enabled yet; checking again every {refresh}"),
        n => format!("running each enabled {kind} on its schedule ({n} now); Ctrl-C stops"),
    });
    let stop_notifying = CancellationToken::new();
    let mut notifying = None;
    let begun = notifications.begin(&connector).await;
    let (notifications, ()) = notifications.unless_outage(begun).await?;
    if !notifications.is_empty() {
        notifying = Some(tokio::spawn(notifications.watch(connector.clone(), stop_notifying.clone())));
    }
    #[cfg(feature = "metrics")]
    let mut server = None;
    #[cfg(feature = "metrics")]
    if let Some(listener) = listener {
        progress.note(&format!("metrics and probes: http://{}/metrics", listener.address()));
        listener.ready();
        // The tables were read just now, so that the database answers at once.
        connector.current_health().await?;
        server = Some(tokio::spawn(listener.serve(metrics, connector.clone(), cancel.clone())));
    }
    let served = connector.serve(args.concurrency.get(), cancel).await;
    stop_notifying.cancel();
    if let Some(notifying) = notifying {
        // What is left is told once more, also if the settings are why nothing can run.
        let _ = notifying.await;
    }
    served?;
    #[cfg(feature = "metrics")]
    if let Some(server) = server {
        // It holds the database, and ends with `cancel`.
        let _ = server.await;
    }
    progress.note("stopped; nothing is lost");
    if let Some(usage) = destination.usage() {
        progress.note(&usage.describe());
    }
    Ok(Exit::Complete)
}
