//! Estimates an ingestion.

use super::session::Session;
use crate::cli::Exit;
use crate::cli::labels::Labels;
use crate::cli::output::{bytes, count, counted, duration, table};
use crate::engine::{Event, IngestEstimate, IngestRequest, StreamEstimate};
use crate::{Result, Source};

/// The columns of numbers.
const NUMBERS: [&str; 3] = ["requests", "records", "size"];

pub(super) async fn estimate<S: Source>(session: Session<S>, request: IngestRequest) -> Result<Exit> {
    let (output, progress, name) = (session.output, session.progress.clone(), session.spec.name.clone());
    let labels = Labels::new(&session.spec);
    let watching = progress.clone();
    let connector = session.open_existing()?.observer(move |event: &Event| watching.event(event));
    let estimate = progress.watch(&name, connector.estimate(request)).await?;
    output.result(&estimate, || text(&estimate, &labels))?;
    if !output.is_json() {
        for StreamEstimate { resource, stream, error, .. } in &estimate.streams {
            if let Some(error) = error {
                output.report(Some(&labels.label(resource.name(), stream)), error);
            }
        }
        for line in summary(&estimate) {
            output.note(&line);
        }
    }
    let is_readable = |stream: &StreamEstimate| stream.error.is_none();
    let failed = estimate.streams.iter().find_map(|stream| stream.error.as_ref());
    Ok(match failed {
        None => Exit::Complete,
        Some(_) if estimate.streams.iter().any(is_readable) => Exit::Partial,
        Some(error) => Exit::from_kind(error.kind),
    })
}

fn text(estimate: &IngestEstimate, labels: &Labels) -> String {
    let has_streams = labels.need_column(estimate.streams.iter().map(|one| one.stream.as_str()));
    let stream = if has_streams { &["stream"][..] } else { &[] };
    let header = [&["resource"], stream, &NUMBERS].concat();
    let row = |one: &StreamEstimate| {
        let mut row = vec![one.resource.to_string()];
        row.extend(has_streams.then(|| one.stream.clone()));
        row.extend(match one.size {
            Some(size) => [count(size.requests), count(size.records), bytes(size.bytes)],
            None => ["unknown"; 3].map(str::to_owned),
        });
        row
    };
    table(&header, &NUMBERS, estimate.streams.iter().map(row))
}

/// What it takes, in sentences.
fn summary(estimate: &IngestEstimate) -> Vec<String> {
    let mut lines = Vec::new();
    let unknown = estimate.streams.iter().filter(|stream| stream.size.is_none()).count() as u64;
    if unknown > 0 {
        let streams = counted(unknown, "stream");
        lines.push(format!("the length of {streams} is not known before they are read; the rest takes:"));
    }
    lines.push(format!(
        "source: {}, {}, {} of documents, about {} one request after another",
        counted(estimate.requests, "request"),
        counted(estimate.records, "record"),
        bytes(estimate.bytes),
        duration(estimate.read_ms)
    ));
    if let Some(load) = &estimate.load {
        lines.push(format!(
            "Snowflake: about {} in {}, {} staged, {} credits",
            counted(load.statements, "statement"),
            counted(load.commits, "commit"),
            bytes(load.staged_bytes),
            load.credits
        ));
    }
    lines
}
