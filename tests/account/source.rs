//! A source of numbered issues, and commits of documents.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use snowfeed::StreamState;
use snowfeed::prelude::*;
use snowfeed::{Commit, RunId, StateChange, StateKey, StateVersion, StreamCommit};

/// The table that all steps fill.
pub(crate) const TABLE: &str = "issues";

pub(crate) fn table() -> StreamSpec {
    StreamSpec::new(TABLE).column("id", "id", ColumnType::Integer).column("title", "title", ColumnType::Text)
}

/// The key of the table's state for a resource.
pub(crate) fn key(resource: &Resource) -> StateKey {
    StateKey::new(resource.name(), TABLE)
}

pub(crate) fn resource(name: &str) -> Resource {
    Resource::new(name).unwrap()
}

/// A resource with this many issues. More can be added at any time.
#[derive(Debug, Clone)]
pub(crate) struct Issues(Arc<AtomicU32>);

/// Issues of one page.
const PAGE: u32 = 1_000;

impl Issues {
    pub(crate) fn new(count: u32) -> Self {
        Self(Arc::new(AtomicU32::new(count)))
    }
}

/// An issue of about a kilobyte, which hardly compresses.
pub(crate) fn issue(number: u32) -> Record {
    let mut random = fastrand(u64::from(number));
    let body: String = std::iter::repeat_with(|| char::from(b'a' + random())).take(900).collect();
    let document = format!(r#"{{"id":{number},"title":"Issue {number}","body":"{body}"}}"#);
    Record::upsert(number.to_string(), Version(1), document)
}

/// Letters derived from a seed.
fn fastrand(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state % 26).unwrap()
    }
}

#[async_trait]
impl Source for Issues {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("acceptance", "1").stream(table())
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Issues {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let count = self.0.load(Ordering::SeqCst);
        let done: u32 = request.checkpoint.map_or(0, |checkpoint| checkpoint.parse().unwrap());
        let pages = (done..count).step_by(PAGE as usize).map(move |from| {
            let to = count.min(from + PAGE);
            Ok(Batch::new().records((from..to).map(issue)).checkpoint(Checkpoint::new(&to)?))
        });
        stream::iter(pages).boxed()
    }
}

/// A commit of these records.
pub(crate) fn commit(resource: &Resource, records: Vec<Record>) -> Commit {
    Commit::new(resource.clone(), Timestamp::now()).part(StreamCommit::new(TABLE, RunId::new()).records(records))
}

/// The same, with a new state of the stream on this base.
pub(crate) fn commit_with_state(resource: &Resource, records: Vec<Record>, base: StateVersion) -> Commit {
    let (run, at) = (RunId::new(), Timestamp::now());
    let mut state = StreamState::new(snowfeed::RunStatus::Running, run);
    state.checkpoint = Some(Checkpoint::new(&1).unwrap());
    let change = StateChange::new(key(resource), base, at).state(state);
    Commit::new(resource.clone(), at).part(StreamCommit::new(TABLE, run).records(records).change(change))
}
