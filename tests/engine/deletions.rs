//! Deletions need evidence, and large ones a confirmation; a reconcile run of an authoritative source overrides versions.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::backends::{Memory, Sqlite};
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::{Backend, RunRecord, RunStatus, StateStore};
use tokio_util::sync::CancellationToken;

use crate::support::{Scripted, Step, batch, connector, ingest, key, keys, limits, live, resource};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|key| format!("{key:05}")).collect()
}

fn listing_all(names: &[String]) -> Vec<Step> {
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    vec![Step::Raw(batch(&refs, 1))]
}

/// A source with this many records, ingested, which then lists only the first of them and reports the others as gone.
async fn shrunk_source(count: usize, left: usize) -> (Scripted, Connector, Memory) {
    let names = names(count);
    let source = Scripted::new(listing_all(&names));
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    source.script("r", listing_all(&names[..left]));
    source.truth.lock().unwrap().extend(names[left..].iter().map(|key| (key.clone(), None)));
    (source, connector, memory)
}

async fn ingest_allowing_deletions(connector: &Connector) -> RunRecord {
    let request = IngestRequest::new([resource("r")]).mode(Mode::Reconcile).allow_deletions(true);
    connector.ingest(request).await.unwrap().runs.remove(0)
}

#[track_caller]
fn assert_needs_confirmation(run: &RunRecord) {
    assert_eq!((run.status, run.counts.deleted), (RunStatus::Partial, 0), "{run:?}");
    let error = run.error.as_ref().unwrap();
    assert!(error.message.contains("no row was marked deleted"), "{error:?}");
    assert!(error.help.as_ref().unwrap().contains("--allow-deletions"), "{error:?}");
}

#[tokio::test]
async fn a_large_share_is_deleted_only_after_confirmation() {
    let (source, connector, memory) = shrunk_source(50, 39).await;
    for _ in 0..2 {
        assert_needs_confirmation(&ingest(&connector, Mode::Reconcile).await);
        assert_eq!(live(&memory).len(), 50);
    }
    let state = memory.latest(&key("r")).await.unwrap().unwrap().state;
    assert_eq!(state.reconcile, None, "the next reconcile run starts over");
    assert!(state.message.is_some_and(|message| message.contains("no row was marked deleted")));
    assert_eq!(ingest(&connector, Mode::Incremental).await.status, RunStatus::Complete);
    assert_eq!(live(&memory).len(), 50);
    let run = ingest_allowing_deletions(&connector).await;
    assert_eq!((run.status, run.counts.deleted, live(&memory).len()), (RunStatus::Complete, 11, 39));
    drop(source);
}

#[tokio::test]
async fn a_false_alarm_leaves_no_trace() {
    let (source, connector, memory) = shrunk_source(500, 1).await;
    assert_needs_confirmation(&ingest(&connector, Mode::Reconcile).await);
    source.script("r", listing_all(&names(500)));
    source.truth.lock().unwrap().clear();
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.unchanged, live(&memory).len()), (RunStatus::Complete, 500, 500));
}

#[tokio::test]
async fn few_rows_and_small_shares_are_marked_at_once() {
    for (count, left) in [(12, 2), (200, 180), (3, 0)] {
        let (_source, connector, memory) = shrunk_source(count, left).await;
        let run = ingest(&connector, Mode::Reconcile).await;
        assert_eq!((run.status, live(&memory).len()), (RunStatus::Complete, left), "{count}");
    }
}

#[tokio::test]
async fn rows_that_verify_still_finds_do_not_count() {
    let (source, connector, memory) = shrunk_source(1_200, 5).await;
    source.truth.lock().unwrap().values_mut().skip(3).for_each(|version| *version = Some(1));
    let run = ingest(&connector, Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.deleted, live(&memory).len()), (RunStatus::Complete, 3, 1_197));
}

#[tokio::test]
async fn the_limit_is_configurable() {
    let (_source, connector, memory) = shrunk_source(50, 20).await;
    assert_needs_confirmation(&ingest(&connector.clone().max_deleted_percent(59), Mode::Reconcile).await);
    assert_eq!(ingest(&connector.max_deleted_percent(60), Mode::Reconcile).await.status, RunStatus::Complete);
    assert_eq!(live(&memory).len(), 20);
    let (_source, connector, _memory) = shrunk_source(5, 4).await;
    let strict = limits().max_deleted_rows(0);
    assert_needs_confirmation(&ingest(&connector.limits(strict), Mode::Reconcile).await);
}

/// The limit covers all runs of one reconciliation.
#[tokio::test]
async fn deletions_before_an_interruption_count_toward_the_limit() {
    let (source, connector, memory) = shrunk_source(10_000, 9_300).await;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let interrupted = connector.clone().observer(move |event: &snowfeed::engine::Event| {
        if let snowfeed::engine::Event::Verifying { .. } = event {
            stopped.cancel();
        }
    });
    let request = IngestRequest::new([resource("r")]).mode(Mode::Reconcile).cancel(stop);
    let run = interrupted.ingest(request).await.unwrap().runs.remove(0);
    assert!(run.status == RunStatus::Interrupted && run.counts.deleted == 500, "{run:?}");
    let reconcile = memory.latest(&key("r")).await.unwrap().unwrap().state.reconcile.unwrap();
    assert_eq!(reconcile.deleted, 500);
    // New records arrive meanwhile, and are gone before the reconciliation resumes: alone, they would be within the limit.
    let new: Vec<String> = (0..600).map(|key| format!("new {key}")).collect();
    source.script("r", listing_all(&new));
    ingest(&connector, Mode::Incremental).await;
    source.script("r", listing_all(&names(9_300)));
    source.truth.lock().unwrap().extend(new.into_iter().map(|key| (key, None)));
    assert_needs_confirmation(&ingest(&connector, Mode::Reconcile).await);
    assert_eq!(live(&memory).len(), 9_500 + 600);
}

/// A minimal source: exactly the records that it lists.
#[derive(Debug, Clone)]
struct Listing(&'static [(&'static str, i64)], bool);

#[async_trait]
impl Source for Listing {
    fn spec(&self) -> SourceSpec {
        let spec = SourceSpec::new("listing", "1").stream(StreamSpec::new("t"));
        if self.1 { spec.authoritative() } else { spec }
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Listing {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::iter([Ok(resource("r"))]).boxed()
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        let records = self.0.iter().map(|(key, version)| {
            Record::upsert(*key, Version(*version), format!(r#"{{"key":"{key}","version":{version}}}"#))
        });
        stream::iter([Ok(Batch::new().records(records))]).boxed()
    }
}

async fn read(memory: &Memory, listing: Listing, mode: Mode) -> RunRecord {
    ingest(&Connector::new(listing, Arc::new(memory.clone())), mode).await
}

#[tokio::test]
async fn a_listing_that_is_not_authoritative_deletes_nothing() {
    let memory = Memory::new();
    read(&memory, Listing(&[("a", 1), ("b", 5)], false), Mode::Incremental).await;
    let run = read(&memory, Listing(&[("b", 2)], false), Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.deleted), (RunStatus::Complete, 0));
    assert_eq!(live(&memory), keys(&[("a", 1), ("b", 5)]), "the listing does not decide which version of b is current");
}

#[tokio::test]
async fn an_authoritative_listing_overrides_versions() {
    let memory = Memory::new();
    read(&memory, Listing(&[("a", 1), ("b", 5), ("c", 1)], true), Mode::Incremental).await;
    let run = read(&memory, Listing(&[("b", 2), ("c", 1)], true), Mode::Reconcile).await;
    assert_eq!((run.status, run.counts.deleted, run.counts.updated), (RunStatus::Complete, 1, 1));
    assert_eq!(live(&memory), keys(&[("b", 2), ("c", 1)]));
}

#[tokio::test]
async fn an_empty_authoritative_listing_deletes_nothing() {
    let memory = Memory::new();
    read(&memory, Listing(&[("a", 1)], true), Mode::Incremental).await;
    assert_needs_confirmation(&read(&memory, Listing(&[], true), Mode::Reconcile).await);
    assert_eq!(live(&memory).len(), 1);
    assert_eq!(
        ingest_allowing_deletions(&Connector::new(Listing(&[], true), Arc::new(memory.clone()))).await.counts.deleted,
        1
    );
}

/// A reset reads like a first read: no earlier version counts against a record, and nothing is deleted.
#[tokio::test]
async fn after_a_reset_read_rows_replace_stored_rows() {
    let backends: [Arc<dyn Backend>; 2] = [Arc::new(Memory::new()), Arc::new(Sqlite::in_memory().unwrap())];
    for backend in backends {
        let connector = |listing| Connector::new(listing, backend.clone());
        ingest(&connector(Listing(&[("a", 9), ("b", 9), ("gone", 9)], false)), Mode::Incremental).await;
        let lowered = connector(Listing(&[("a", 3), ("b", 9)], false));
        let run = ingest(&lowered, Mode::Incremental).await;
        assert_eq!((run.counts.updated, run.counts.skipped_total()), (0, 1), "an incremental run compares versions");
        lowered.reset(&resource("r")).await.unwrap();
        let run = ingest(&lowered, Mode::Incremental).await;
        let counts = (run.counts.updated, run.counts.unchanged, run.counts.deleted);
        assert_eq!((run.status, counts), (RunStatus::Complete, (1, 1, 0)));
        assert_eq!(backend.latest(&key("r")).await.unwrap().unwrap().state.reconcile, None);
        let run = ingest(&connector(Listing(&[("a", 2)], false)), Mode::Incremental).await;
        assert_eq!(
            (run.counts.updated, run.counts.skipped_total()),
            (0, 1),
            "only the first read after the reset ignores versions"
        );
    }
}

#[tokio::test]
async fn an_interrupted_read_after_a_reset_resumes() {
    let source = Scripted::new(vec![Step::Batch(&["a", "b"], 9)]);
    let (connector, memory) = connector(&source);
    ingest(&connector, Mode::Incremental).await;
    connector.reset(&resource("r")).await.unwrap();
    source.script("r", vec![Step::Batch(&["a"], 3), Step::Fail(ErrorKind::Unavailable, "down")]);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(live(&memory), keys(&[("a", 3), ("b", 9)]));
    source.script("r", vec![Step::Batch(&["a"], 3), Step::Batch(&["b"], 3), Step::Batch(&["a"], 2)]);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(live(&memory), keys(&[("a", 3), ("b", 3)]), "the newest of several versions in one read stays");
    assert_eq!(source.reads.lock().unwrap().last().unwrap(), &(Some(1), Mode::Incremental));
    source.script("r", vec![Step::Batch(&["a"], 3); 4]);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(source.reads.lock().unwrap().last().unwrap(), &(Some(3), Mode::Incremental));
}

/// The reconcile run has listed an old state; before it commits, an ordinary run stores the update, without a new checkpoint.
#[tokio::test]
async fn a_page_read_before_an_update_never_overwrites_it() {
    let memory = Memory::new();
    read(&memory, Listing(&[("a", 5)], true), Mode::Incremental).await;
    let mut source = Scripted::new(vec![Step::Batch(&["a"], 5)]);
    source.is_authoritative = true;
    let other = Connector::new(Listing(&[("a", 7)], true), Arc::new(memory.clone()));
    let meanwhile = move |event: &snowfeed::engine::Event| {
        if let snowfeed::engine::Event::Read { .. } = event {
            let other = other.clone();
            let run = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(ingest(&other, Mode::Incremental))
            });
            assert_eq!(run.join().unwrap().counts.updated, 1);
        }
    };
    let run = ingest(&Connector::new(source, Arc::new(memory.clone())).observer(meanwhile), Mode::Reconcile).await;
    assert_eq!(run.error.map(|error| error.kind), Some(ErrorKind::Conflict));
    assert_eq!(live(&memory), keys(&[("a", 7)]));
}
