//! Which tables a connector creates, and how often.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, EnableRequest, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::{
    Commit, CommitReport, LiveRows, Mode, OutstandingRejects, RejectQuery, RunStatus, Sink, StoredRecord, UnseenQuery,
};

use crate::support::{Scripted, Step, resource};

/// A sink that notes the streams of each call of `ensure_streams`; the next one fails if `fails` is set.
#[derive(Debug, Clone, Default)]
struct Noted {
    memory: Memory,
    calls: Arc<Mutex<Vec<Vec<String>>>>,
    fails: Arc<Mutex<bool>>,
}

impl Noted {
    fn connector(&self, source: &Scripted) -> Connector {
        let memory = Arc::new(self.memory.clone());
        Connector::with_stores(source.clone(), Arc::new(self.clone()), memory.clone(), memory)
    }

    fn calls(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

#[async_trait]
impl Sink for Noted {
    async fn ensure_streams(&self, resource: &Resource, streams: &[StreamSpec]) -> Result<()> {
        self.calls.lock().unwrap().push(streams.iter().map(|stream| stream.name.clone()).collect());
        // The other runs come meanwhile.
        tokio::task::yield_now().await;
        let fails = std::mem::take(&mut *self.fails.lock().unwrap());
        if fails {
            return Err(Error::unavailable("no tables now"));
        }
        self.memory.ensure_streams(resource, streams).await
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        self.memory.commit(commit).await
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        self.memory.unseen(query).await
    }

    async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows> {
        self.memory.live_rows(query).await
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        Sink::rejects(&self.memory, query).await
    }
}

/// A source with three streams, two of which are default ones.
fn source() -> Scripted {
    let mut source = Scripted::with_streams(["a", "b", "c"]);
    source.streams[2].1 = false;
    for stream in ["a", "b", "c"] {
        for name in ["r", "s"] {
            source.script_stream(name, stream, vec![Step::Batch(&["1"], 1)]);
        }
    }
    source
}

#[tokio::test]
async fn the_streams_of_a_resource_create_their_tables_together_and_once() {
    let noted = Noted::default();
    let connector = noted.connector(&source());
    let both = || IngestRequest::new([resource("r"), resource("s")]);
    let report = connector.ingest(both()).await.unwrap();
    assert_eq!((report.status(), report.runs.len()), (RunStatus::Complete, 4));
    assert_eq!(noted.calls(), [["a", "b"], ["a", "b"]], "once for each resource");
    connector.ingest(IngestRequest::new([resource("r")]).streams(["c"]).mode(Mode::Reconcile)).await.unwrap();
    assert_eq!(noted.calls(), [["c"]], "only what is read");
    connector.enable(EnableRequest::new(resource("r")).streams(["c", "a"])).await.unwrap();
    assert_eq!(noted.calls(), [["a", "c"]]);
}

#[tokio::test]
async fn a_run_whose_tables_could_not_be_created_leaves_it_to_the_next_one() {
    let noted = Noted::default();
    *noted.fails.lock().unwrap() = true;
    let report = noted.connector(&source()).ingest(IngestRequest::new([resource("r")])).await.unwrap();
    let mut statuses: Vec<_> = report.runs.iter().map(|run| run.status.as_str()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["complete", "failed"]);
    assert_eq!(noted.calls(), [["a", "b"], ["a", "b"]]);
}
