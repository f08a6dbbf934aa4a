//! The engine's cost per record, beside a bare loop over the same batches.

#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up has nothing to measure")]

#[path = "data/mod.rs"]
mod data;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use divan::Bencher;
use divan::counter::ItemsCount;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::{Commit, CommitReport, Counts, RunId, Sink, StoredRecord, StreamCommit, StreamReport, UnseenQuery};
use tokio::runtime::Runtime;

const ROWS: u32 = 10_000;
const PAGE: usize = 100;
const TABLE: &str = "issues";

fn main() {
    divan::main();
}

fn batches() -> Vec<Batch> {
    let batch = |(index, issues): (usize, &[data::Issue])| {
        let records =
            issues.iter().map(|(id, version, text)| Record::upsert(id.to_string(), Version(*version), text.as_str()));
        Batch::new().records(records).checkpoint(Checkpoint::new(&index).unwrap())
    };
    data::issues(ROWS).chunks(PAGE).enumerate().map(batch).collect()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Accepts records and counts them.
#[derive(Debug)]
struct Null;

#[async_trait]
impl Sink for Null {
    async fn ensure_streams(&self, _: &Resource, _: &[StreamSpec]) -> Result<()> {
        Ok(())
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        let mut report = CommitReport::new();
        for part in &commit.parts {
            let records = part.records.len() as u64;
            let mut counts = Counts::default();
            (counts.offered, counts.inserted) = (records, records);
            report = report.stream(&*part.stream, StreamReport::new(counts, None));
        }
        divan::black_box_drop(commit);
        Ok(report)
    }

    async fn unseen(&self, _: UnseenQuery) -> Result<Vec<StoredRecord>> {
        Ok(Vec::new())
    }
}

/// Returns prepared batches.
#[derive(Debug, Clone)]
struct Prepared(Arc<Mutex<Vec<Batch>>>);

#[async_trait]
impl Source for Prepared {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("prepared", "1").stream(StreamSpec::new(TABLE))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Prepared {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        let batches = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        stream::iter(batches.into_iter().map(Ok)).boxed()
    }
}

fn resource() -> Resource {
    Resource::new("acme/widgets").unwrap()
}

fn measure(bencher: Bencher<'_, '_>, connect: impl Fn(Prepared) -> Connector) {
    let (runtime, batches) = (runtime(), batches());
    bencher
        .counter(ItemsCount::new(ROWS))
        .with_inputs(|| connect(Prepared(Arc::new(Mutex::new(batches.clone())))))
        .bench_local_values(|connector| {
            let report = runtime.block_on(connector.ingest(IngestRequest::new([resource()]))).unwrap();
            assert_eq!(report.counts().inserted, u64::from(ROWS));
            connector
        });
}

/// Each record is moved once and dropped.
#[divan::bench]
fn null_bare_loop(bencher: Bencher<'_, '_>) {
    let batches = batches();
    bencher.counter(ItemsCount::new(ROWS)).with_inputs(|| batches.clone()).bench_values(|batches| {
        for record in batches.into_iter().flat_map(|batch| batch.records) {
            divan::black_box_drop(record);
        }
    });
}

#[divan::bench]
fn null_engine(bencher: Bencher<'_, '_>) {
    measure(bencher, |source| {
        let memory = Arc::new(Memory::new());
        Connector::with_stores(source, Arc::new(Null), memory.clone(), memory)
    });
}

/// The same commits, made without an engine.
#[divan::bench]
fn memory_bare_loop(bencher: Bencher<'_, '_>) {
    let (runtime, batches) = (runtime(), batches());
    let commits = || -> Vec<Commit> {
        let commit = |batches: &[Batch]| {
            let records = batches.iter().flat_map(|batch| batch.records.clone());
            let part = StreamCommit::new(TABLE, RunId::new()).records(records);
            Commit::new(resource(), Timestamp::UNIX_EPOCH).part(part)
        };
        batches.chunks(10).map(commit).collect()
    };
    bencher.counter(ItemsCount::new(ROWS)).with_inputs(commits).bench_local_values(|commits| {
        let memory = Memory::new();
        runtime.block_on(async {
            memory.ensure_streams(&resource(), &[StreamSpec::new(TABLE)]).await.unwrap();
            for commit in commits {
                memory.commit(commit).await.unwrap();
            }
        });
        memory
    });
}

#[divan::bench]
fn memory_engine(bencher: Bencher<'_, '_>) {
    measure(bencher, |source| Connector::new(source, Arc::new(Memory::new())));
}
