//! The history of runs, and the outstanding rejects.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::session::Session;
use crate::cli::Exit;
use crate::cli::args::Only;
use crate::cli::labels::Labels;
use crate::cli::output::{COUNTS, count, counts, duration, table, time};
use crate::cli::progress;
use crate::engine::{Connector, find_stream, unknown_resource};
use crate::{RejectQuery, Resource, Result, RunQuery, RunRecord, Source, SourceSpec, StoredReject};

pub(super) async fn runs<S: Source>(session: Session<S>, only: Only, limit: usize) -> Result<Exit> {
    let (output, spec) = (session.output, session.spec.clone());
    let (kind, labels) = (spec.resource_kind.clone(), Labels::new(&spec));
    let Only { resource, stream } = only;
    let connector = session.open_to_read()?;
    let resource = connector.resolve(resource).await?.pop();
    let name = resource.as_ref().map(|one| one.name().to_owned());
    let runs = connector.runs(RunQuery { resource: name, stream: stream.clone(), ..RunQuery::new(limit) }).await?;
    let now = Timestamp::now();
    let runs: Vec<RunRecord> = runs.into_iter().map(|run| RunRecord { status: run.status_at(now), ..run }).collect();
    if runs.is_empty() {
        check_known(&connector, resource.as_ref(), stream.as_deref(), &spec).await?;
        output.note("nothing has run yet");
    }
    output.result(&json!({"runs": runs}), || {
        let has_streams = labels.need_column(runs.iter().map(|run| run.stream.as_str()));
        let streams = if has_streams { &["stream"][..] } else { &[] };
        let numbers = [&COUNTS[..], &["took"]].concat();
        let header = [&["started", kind.as_str()], streams, &["mode", "status"], &numbers, &["error"]].concat();
        table(&header, &numbers, runs.iter().map(|run| row(run, has_streams)))
    })?;
    Ok(Exit::Complete)
}

/// Rejects an unknown resource or stream: reporting nothing for it would be misleading. A stream that has anything to report is known,
/// even if this version of the source no longer has it.
async fn check_known(
    connector: &Connector,
    resource: Option<&Resource>,
    stream: Option<&str>,
    spec: &SourceSpec,
) -> Result<()> {
    if let Some(stream) = stream {
        find_stream(spec, stream)?;
    }
    let Some(resource) = resource else { return Ok(()) };
    if connector.resources().await?.iter().any(|(known, _)| known == resource) {
        return Ok(());
    }
    Err(unknown_resource(spec, resource.name()))
}

fn row(run: &RunRecord, has_streams: bool) -> Vec<String> {
    let mut row = vec![time(run.started_at), run.resource.clone()];
    row.extend(has_streams.then(|| run.stream.clone()));
    row.extend([
        serde_json::to_value(run.mode).ok().as_ref().and_then(Value::as_str).unwrap_or_default().to_owned(),
        run.status.to_string(),
    ]);
    row.extend(counts(run));
    row.push(duration(run.timings.total_ms));
    let why = run.error.as_ref().map(|error| error.message.clone());
    row.push(why.or_else(|| (run.counts.rejected > 0).then(|| progress::rejected(run))).unwrap_or_default());
    row
}

/// The maximum length of a shown reject, in characters: as text, and in JSON.
const SHOWN: usize = 60;
const SHOWN_IN_JSON: usize = 2_000;

/// A reject in the JSON output.
#[derive(Debug, Serialize)]
struct Reject<'a> {
    resource: &'a str,
    stream: &'a str,
    reason: &'a str,
    first_seen: Timestamp,
    last_seen: Timestamp,
    /// The beginning of the received data.
    raw: String,
    raw_is_cut: bool,
}

impl<'a> Reject<'a> {
    fn new(reject: &'a StoredReject) -> Self {
        let (raw, raw_is_cut) = truncated(&reject.raw, SHOWN_IN_JSON);
        let StoredReject { resource, table, reason, first_seen, last_seen, .. } = reject;
        Self { resource, stream: table, reason, first_seen: *first_seen, last_seen: *last_seen, raw, raw_is_cut }
    }
}

/// The beginning of a text, and whether it was cut.
fn truncated(text: &str, characters: usize) -> (String, bool) {
    let end = text.char_indices().nth(characters).map(|(end, _)| end);
    (text[..end.unwrap_or(text.len())].to_owned(), end.is_some())
}

pub(super) async fn rejects<S: Source>(session: Session<S>, only: Only, limit: usize) -> Result<Exit> {
    let (output, spec) = (session.output, session.spec.clone());
    let kind = spec.resource_kind.clone();
    let Only { resource, stream } = only;
    let resource = resource.map(Resource::new).transpose()?;
    let connector = session.open_to_read()?;
    let query = RejectQuery { resource: resource.clone(), stream: stream.clone(), limit, ..RejectQuery::default() };
    let found = connector.rejects(query).await?;
    let total = found.total();
    if total == 0 {
        check_known(&connector, resource.as_ref(), stream.as_deref(), &spec).await?;
        output.note("no rejected records are outstanding");
    }
    let rejects: Vec<Reject<'_>> = found.rejects.iter().map(Reject::new).collect();
    output.result(&json!({"total": total, "rejects": rejects}), || {
        let row = |reject: &StoredReject| {
            let (mut raw, is_cut) = truncated(&reject.raw, SHOWN);
            raw.push_str(if is_cut { "…" } else { "" });
            let since = time(reject.first_seen);
            vec![reject.resource.clone(), reject.table.clone(), since, reject.reason.clone(), raw]
        };
        table(&[&kind, "stream", "since", "reason", "received"], &[], found.rejects.iter().map(row))
    })?;
    let shown = rejects.len() as u64;
    if shown < total {
        output.note(&format!("{} of {} are shown; `--limit` shows more", count(shown), count(total)));
    }
    if total > 0 {
        output.note("correct them at the source, then run `ingest --reconcile`: it reads everything again");
    }
    Ok(Exit::Complete)
}
