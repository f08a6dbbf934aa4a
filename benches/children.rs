//! The cost of a child stream: one list for each parent, beside the same rows in one list. The source answers at once.
//!
//! Prints the size of the state, too: it must not grow with the number of parents.

#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::sync::Arc;

use async_trait::async_trait;
use divan::Bencher;
use divan::counter::ItemsCount;
use futures::{StreamExt, stream};
use snowfeed::backends::{Memory, Sqlite};
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::{Backend, RunStatus, StateKey, StateStore};
use tokio::runtime::Runtime;

const PARENTS: [usize; 3] = [10, 1_000, 100_000];
const CHILDREN: usize = 3;
const PAGE: usize = 100;

fn main() {
    divan::main();
}

/// Parents with three children each; or the same children in one list.
#[derive(Debug, Clone)]
struct Reviews {
    parents: usize,
    are_children: bool,
}

fn record(number: usize) -> Record {
    let json = format!("{{\"id\":{number},\"state\":\"APPROVED\",\"body\":\"{}\"}}", "looks good ".repeat(40));
    Record::upsert(number.to_string(), 1, json).parsed()
}

#[async_trait]
impl Source for Reviews {
    fn spec(&self) -> SourceSpec {
        let children = match self.are_children {
            true => StreamSpec::child("reviews", "pulls").exact(),
            false => StreamSpec::new("reviews"),
        };
        SourceSpec::new("reviews", "1.0.0").stream(StreamSpec::new("pulls")).stream(children)
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Reviews {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let rows = match (request.stream.as_str(), &request.parent) {
            ("reviews", Some(pull)) => {
                let first = pull.key().parse::<usize>().unwrap() * CHILDREN;
                first..first + CHILDREN
            }
            ("reviews", None) => 0..self.parents * CHILDREN,
            // Read again, the parents have not changed.
            _ if request.checkpoint.is_some() => 0..0,
            _ => 0..self.parents,
        };
        let (pages, checkpoint) = (rows.clone().step_by(PAGE), Checkpoint::new(&true).unwrap());
        let page = move |from: usize| {
            let batch = Batch::new().records((from..rows.end.min(from + PAGE)).map(record));
            Ok(if request.parent.is_some() { batch } else { batch.checkpoint(checkpoint.clone()) })
        };
        stream::iter(pages).map(page).boxed()
    }
}

/// A new backend, whose parents are stored already.
fn with_parents(runtime: &Runtime, source: &Reviews, backend: Arc<dyn Backend>) -> Connector {
    let connector = Connector::new(source.clone(), backend);
    let report = runtime.block_on(connector.ingest(IngestRequest::new([all()]).streams(["pulls"]))).unwrap();
    assert_eq!(report.status(), RunStatus::Complete);
    connector
}

fn all() -> Resource {
    Resource::new("all").unwrap()
}

fn measure(bencher: Bencher, parents: usize, are_children: bool, backend: impl Fn() -> Arc<dyn Backend> + Sync) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let source = Reviews { parents, are_children };
    bencher
        .counter(ItemsCount::new(parents * CHILDREN))
        .with_inputs(|| {
            let backend = backend();
            (with_parents(&runtime, &source, backend.clone()), backend)
        })
        .bench_local_values(|(connector, backend)| {
            let report = runtime.block_on(connector.ingest(IngestRequest::new([all()]).streams(["reviews"]))).unwrap();
            let reviews = report.runs.iter().find(|run| run.stream == "reviews").unwrap();
            assert_eq!(reviews.counts.inserted, (parents * CHILDREN) as u64);
            print_state(&runtime, backend.as_ref(), parents, are_children);
        });
}

/// Prints the largest state of the children, once for each number of parents.
fn print_state(runtime: &Runtime, backend: &dyn Backend, parents: usize, are_children: bool) {
    static PRINTED: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());
    let mut printed = PRINTED.lock().unwrap();
    if are_children && !printed.contains(&parents) {
        printed.push(parents);
        let entries =
            runtime.block_on(StateStore::history(backend, &StateKey::new("all", "reviews"), usize::MAX)).unwrap();
        let size = entries.iter().map(|entry| serde_json::to_string(&entry.state).unwrap().len()).max().unwrap();
        println!("\n{parents} parents: a state of at most {size} bytes");
    }
}

#[divan::bench(args = PARENTS, max_time = 5)]
fn children_into_memory(bencher: Bencher, parents: usize) {
    measure(bencher, parents, true, || Arc::new(Memory::new()));
}

#[divan::bench(args = PARENTS, max_time = 5)]
fn one_list_into_memory(bencher: Bencher, parents: usize) {
    measure(bencher, parents, false, || Arc::new(Memory::new()));
}

#[divan::bench(args = PARENTS, max_time = 5)]
fn children_into_sqlite(bencher: Bencher, parents: usize) {
    measure(bencher, parents, true, || Arc::new(Sqlite::in_memory().unwrap()));
}

#[divan::bench(args = PARENTS, max_time = 5)]
fn one_list_into_sqlite(bencher: Bencher, parents: usize) {
    measure(bencher, parents, false, || Arc::new(Sqlite::in_memory().unwrap()));
}
