//! Ingestion, once or on schedule.

use serde_json::json;

use super::{Session, resources};
use crate::cli::Exit;
use crate::cli::interrupt::cancel_on_signal;
use crate::cli::output::{COUNTS, Output, bytes, count, counts, duration, table, time};
use crate::cli::progress::{ended, status};
use crate::engine::{Event, IngestReport, IngestRequest};
use crate::{Mode, Result, RunRecord, Source};

pub(super) async fn ingest<S: Source>(
    session: Session<S>,
    names: &[String],
    reconcile: bool,
    concurrency: usize,
) -> Result<Exit> {
    let (output, progress) = (session.output, session.progress.clone());
    let request = IngestRequest::of(resources(names)?)
        .mode(if reconcile { Mode::Reconcile } else { Mode::Incremental })
        .concurrency(concurrency)
        .cancel(cancel_on_signal(progress.clone())?);
    // Without a name there must be something enabled already, so there must be a database.
    let connector = if names.is_empty() { session.look()? } else { session.open()? };
    let connector = connector.observer(move |event: &Event| {
        progress.event(event);
        if let Event::Ended(run) = event {
            progress.ended(run);
        }
    });
    let report = connector.ingest(request).await?;
    summarize(output, &report)?;
    Ok(Exit::of_report(&report))
}

fn summarize(output: Output, report: &IngestReport) -> Result<()> {
    let document = json!({
        "status": report.status(),
        "interrupted": report.interrupted(),
        "counts": report.counts(),
        "runs": report.runs,
    });
    output.result(&document, || {
        let header = [&["resource", "status"], &COUNTS[..], &["received", "waited", "took"]].concat();
        table(&header, &header[2..], report.runs.iter().map(row))
    })?;
    if !output.is_json() {
        for run in &report.runs {
            for (reason, skipped) in &run.counts.skipped {
                output.note(&format!("{}: skipped {}: {reason}", run.resource, count(*skipped)));
            }
            if let Some(error) = &run.error {
                output.report(Some(&run.resource), error);
            }
        }
        if report.interrupted() {
            output.note("interrupted; nothing is lost, the next `ingest` goes on from there");
        }
    }
    Ok(())
}

fn row(run: &RunRecord) -> Vec<String> {
    let mut row = vec![run.resource.clone(), status(run).into()];
    row.extend(counts(run));
    row.extend([bytes(run.traffic.bytes), duration(run.traffic.waited_ms), duration(run.timings.total_ms)]);
    row
}

pub(super) async fn run<S: Source>(session: Session<S>, concurrency: usize) -> Result<Exit> {
    let (output, progress, spec) = (session.output, session.progress.clone(), session.spec.clone());
    let cancel = cancel_on_signal(progress.clone())?;
    let watching = progress.clone();
    let connector = session.open()?.observer(move |event: &Event| {
        watching.event(event);
        if let Event::Ended(run) = event {
            let line = || output.series(run, || format!("{}  {}: {}", time(run.started_at), run.resource, ended(run)));
            if let Err(error) = watching.aside(line) {
                tracing::error!(%error, "the end of a run could not be reported");
            }
        }
    });
    let enabled = connector.resources().await?.into_iter().filter(|(_, config)| config.enabled).count();
    let kind = &spec.resource_kind;
    progress.note(&match enabled {
        0 => format!("no {kind} is enabled yet; one that gets enabled is noticed within 15 seconds"),
        n => format!("keeping each {kind} that is enabled on its schedule ({n} now); Ctrl-C stops"),
    });
    connector.serve(concurrency, cancel).await?;
    progress.note("stopped; nothing is lost");
    Ok(Exit::Complete)
}
