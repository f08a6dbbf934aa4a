//! A source whose versions are whole seconds, of which one is still in progress (rule 30).

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::prelude::*;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::conformance::suite::{Fresh, source};

use super::failing;

/// The second in progress: every change happens in it.
const NOW: i64 = 7;

/// A position in the order of version and key.
type Position = (i64, String);

/// Records by version and key. The list continues behind the last record that was read.
#[derive(Debug, Clone)]
struct Seconds {
    records: Arc<Mutex<Vec<Position>>>,
    /// Whether a checkpoint may be in the second in progress.
    passes_the_tick: bool,
}

impl Seconds {
    fn case(passes_the_tick: bool) -> SourceCase {
        let records = (1..=NOW).flat_map(|second| [(second, format!("k{second}")), (second, format!("m{second}"))]);
        let records = Arc::new(Mutex::new(records.collect::<Vec<_>>()));
        let source = Self { records: records.clone(), passes_the_tick };
        SourceCase::new(source, Settings::default(), Resource::new("r").unwrap()).changing(move || {
            let mut records = records.lock().unwrap();
            // Before the records of this second that were read already.
            let key = format!("a{}", records.len());
            records.push((NOW, key));
            async {}
        })
    }

    fn batch(&self, records: &[Position]) -> Result<Batch> {
        let position = match records.last() {
            // What this second still brings may have any key.
            Some((NOW, _)) if !self.passes_the_tick => (NOW, String::new()),
            Some(last) => last.clone(),
            None => return Ok(Batch::new()),
        };
        let batch = records.iter().fold(Batch::new(), |batch, (version, key)| {
            batch.record(Record::upsert(key.as_str(), Version(*version), format!(r#"{{"key":"{key}"}}"#)))
        });
        Ok(batch.checkpoint(Checkpoint::new(&position)?))
    }
}

#[async_trait]
impl Source for Seconds {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("seconds", "1").stream(StreamSpec::new("records"))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Seconds {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::iter([Resource::new("r")]).boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let after: Option<Position> = match request.checkpoint.map(|checkpoint| checkpoint.parse()).transpose() {
            Ok(after) => after,
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        let source = self.clone();
        stream::once(async move {
            let mut records = source.records.lock().unwrap().clone();
            records.sort();
            records.retain(|record| after.as_ref().is_none_or(|after| record > after));
            let batches: Vec<_> = records.chunks(3).map(|records| source.batch(records)).collect();
            stream::iter(batches)
        })
        .flatten()
        .boxed()
    }
}

mod correct {
    use super::Seconds;

    snowfeed::source_conformance!(Seconds::case(false));
}

#[test]
fn a_checkpoint_that_passes_the_second_in_progress_is_found() {
    let fresh = Fresh::new(|| async { Arc::new(Seconds::case(true)) });
    assert_eq!(failing(source(), &fresh), ["clause_4_changes_after_the_last_checkpoint_arrive"]);
}
