//! One run over all streams, measured by its own process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use snowfeed::backends::Sqlite;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{Backend, Resource, RunStatus, StateKey, StateStore};

use super::measure::{peak, processor_time};
use super::{Outcome, REPOSITORY, STREAMS};

/// A process's own measurements.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) streams: BTreeMap<String, StreamFigures>,
    /// User and system time, in seconds.
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
    /// The largest resident set, in MiB.
    pub(crate) peak: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StreamFigures {
    /// Rows that the run inserted or changed.
    pub(crate) rows: u64,
    pub(crate) requests: u64,
    /// The largest checkpoint of the stream so far, in bytes.
    pub(crate) checkpoint: usize,
    /// The largest state of the stream so far, in bytes.
    pub(crate) state: usize,
}

impl Figures {
    pub(crate) fn stream(&self, name: &str) -> Outcome<&StreamFigures> {
        self.streams.get(name).ok_or_else(|| format!("the stream {name} was not read").into())
    }
}

/// Reads all streams and prints the figures.
pub(crate) fn measure(url: &str, file: &Path) -> Outcome<()> {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let backend: Arc<dyn Backend> = Arc::new(Sqlite::open(file)?);
    let mut streams = runtime.block_on(ingest(url, backend.clone()))?;
    let (cpu, wall) = (processor_time().as_secs_f64(), began.elapsed().as_secs_f64());
    for (stream, figures) in &mut streams {
        let key = StateKey::new(REPOSITORY, stream.as_str());
        for entry in runtime.block_on(StateStore::history(backend.as_ref(), &key, usize::MAX))? {
            let checkpoint = entry.state.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.as_str().len());
            figures.checkpoint = figures.checkpoint.max(checkpoint);
            figures.state = figures.state.max(serde_json::to_string(&entry.state)?.len());
        }
    }
    println!("{}", serde_json::to_string(&Figures { streams, cpu, wall, peak: peak()? })?);
    Ok(())
}

async fn ingest(url: &str, backend: Arc<dyn Backend>) -> Outcome<BTreeMap<String, StreamFigures>> {
    let settings = [("api_url".to_owned(), Value::from(url))];
    let connector = Connector::new(GithubIssues::default(), backend).with_settings(settings);
    let request = IngestRequest::new([Resource::new(REPOSITORY)?]).streams(STREAMS);
    let report = connector.ingest(request).await?;
    if report.status() != RunStatus::Complete {
        return Err(format!("{:?}", report.runs).into());
    }
    let figures = report.runs.into_iter().map(|run| {
        let rows = run.counts.inserted + run.counts.updated;
        (run.stream, StreamFigures { rows, requests: run.traffic.requests, checkpoint: 0, state: 0 })
    });
    Ok(figures.collect())
}
