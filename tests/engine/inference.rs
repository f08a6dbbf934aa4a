//! Columns that are inferred from records.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, Event, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::testkit::fault_injection::{CrashPoint, CrashingBackend};
use snowfeed::{
    Column, Commit, CommitReport, RunQuery, RunRecord, RunStatus, Sink, SourceEvent, StoredRecord, UnseenQuery,
};

use crate::support::{Scripted, Step, limits, resource};

/// What a sink was asked for.
#[derive(Debug, PartialEq)]
enum Call {
    /// The columns of the stream, as `name type`.
    Ensure(Vec<String>),
    /// The number of records.
    Commit(usize),
}

/// A sink that notes its calls. It tells its columns if `tells` is set, and fails to ensure columns beyond the first time if `fails` is.
#[derive(Debug, Clone, Default)]
struct Noted {
    memory: Memory,
    calls: Arc<Mutex<Vec<Call>>>,
    tells: bool,
    fails: Arc<Mutex<bool>>,
}

impl Noted {
    fn connector(&self, source: &Scripted) -> Connector {
        let memory = Arc::new(self.memory.clone());
        Connector::with_stores(source.clone(), Arc::new(self.clone()), memory.clone(), memory)
    }

    fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

fn shown(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| format!("{} {:?}", column.name, column.kind)).collect()
}

fn ensure<const N: usize>(columns: [&str; N]) -> Call {
    Call::Ensure(columns.map(str::to_owned).to_vec())
}

#[async_trait]
impl Sink for Noted {
    async fn ensure_streams(&self, resource: &Resource, streams: &[StreamSpec]) -> Result<()> {
        assert_eq!(streams.len(), 1);
        self.calls.lock().unwrap().push(Call::Ensure(shown(&streams[0].columns)));
        if streams[0].columns.len() > 1 && *self.fails.lock().unwrap() {
            return Err(Error::unavailable("no columns now"));
        }
        self.memory.ensure_streams(resource, streams).await
    }

    async fn columns(&self, resource: &Resource, stream: &str) -> Result<Vec<Column>> {
        if self.tells { self.memory.columns(resource, stream).await } else { Ok(Vec::new()) }
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        let records = commit.parts.iter().map(|part| part.records.len()).sum();
        self.calls.lock().unwrap().push(Call::Commit(records));
        self.memory.commit(commit).await
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        self.memory.unseen(query).await
    }
}

/// A source whose reads return these documents, each page a batch.
fn source(pages: &[&[&'static str]]) -> Scripted {
    let batch = |(number, page): (usize, &&[&'static str])| {
        let records =
            page.iter().enumerate().map(|(index, text)| Record::upsert(format!("{number}-{index}"), 1, *text));
        Step::Raw(Batch::new().records(records).checkpoint(Checkpoint::new(&(number + 1)).unwrap()))
    };
    let mut source = Scripted::new(pages.iter().enumerate().map(batch).collect());
    source.infers = true;
    source
}

async fn run(connector: &Connector) -> RunRecord {
    let mut report = connector.ingest(IngestRequest::new([resource("r")])).await.unwrap();
    report.runs.remove(0)
}

fn commit_each_page(connector: Connector) -> Connector {
    connector.limits(limits())
}

#[tokio::test]
async fn the_view_is_extended_before_the_first_commit_that_needs_it_and_once() {
    let noted = Noted { tells: true, ..Noted::default() };
    let pages: &[&[&str]] = &[&[r#"{"key":"1","size":1}"#, r#"{"key":"2","size":2.5,"createdAt":"2026-01-31"}"#]];
    let found = run(&noted.connector(&source(pages))).await;
    assert_eq!(
        (found.status, &found.new_columns),
        (RunStatus::Complete, &vec!["t.size".into(), "t.created_at".into()])
    );
    let all = ["key Text", "size Float", "created_at Date"];
    assert_eq!(noted.calls(), [ensure(["key Text"]), ensure(all), Call::Commit(2)]);
    let stored = noted.connector(&source(pages)).runs(RunQuery::new(1)).await.unwrap();
    assert_eq!(stored[0].new_columns, found.new_columns);
    // A new process learns the same, and then more.
    let more: &[&[&str]] = &[pages[0], &[r#"{"size":7,"createdAt":"2026-02-28"}"#]];
    let found = run(&noted.connector(&source(more))).await;
    assert_eq!((found.new_columns, noted.calls()), (vec![], vec![ensure(["key Text"]), Call::Commit(1)]));
    let more: &[&[&str]] = &[pages[0], more[1], &[r#"{"size":"large","done":true}"#, r#"{"createdAt":null}"#]];
    let found = run(&noted.connector(&source(more))).await;
    assert_eq!(found.new_columns, ["t.size", "t.done"]);
    let all = ["key Text", "size Any", "done Boolean"];
    assert_eq!(noted.calls(), [ensure(["key Text"]), ensure(all), Call::Commit(2)]);
    let columns = noted.memory.columns(&resource("r"), "t").await.unwrap();
    assert_eq!(shown(&columns), ["key Text", "size Any", "created_at Date", "done Boolean"]);
}

#[tokio::test]
async fn a_sink_that_does_not_tell_its_columns_gets_all_of_them_once_in_a_run() {
    let noted = Noted::default();
    let pages: &[&[&str]] = &[&[r#"{"a":1}"#], &[r#"{"a":2}"#], &[r#"{"a":3,"b":1}"#]];
    for from in [1, 2] {
        let found = run(&commit_each_page(noted.connector(&source(&pages[..from])))).await;
        assert_eq!(found.new_columns, ["t.a"]);
        assert_eq!(noted.calls(), [ensure(["key Text"]), ensure(["key Text", "a Integer"]), Call::Commit(1)]);
    }
}

#[tokio::test]
async fn a_declared_stream_never_asks_for_columns() {
    let noted = Noted::default();
    let mut source = source(&[&[r#"{"a":1}"#]]);
    source.infers = false;
    assert_eq!(run(&noted.connector(&source)).await.new_columns, [""; 0]);
    assert_eq!(noted.calls(), [ensure(["key Text"]), Call::Commit(1)]);
}

#[tokio::test]
async fn nothing_is_committed_if_the_view_cannot_be_extended_and_the_next_run_tries_again() {
    let noted = Noted { tells: true, ..Noted::default() };
    *noted.fails.lock().unwrap() = true;
    let pages: &[&[&str]] = &[&[r#"{"a":1}"#]];
    let found = run(&noted.connector(&source(pages))).await;
    assert_eq!((found.status, found.new_columns), (RunStatus::Failed, vec![]));
    assert_eq!(noted.memory.rows(&resource("r"), "t"), []);
    *noted.fails.lock().unwrap() = false;
    let found = run(&noted.connector(&source(pages))).await;
    assert_eq!((found.status, found.new_columns), (RunStatus::Complete, vec!["t.a".to_owned()]));
    assert_eq!(noted.memory.rows(&resource("r"), "t").len(), 1);
}

#[tokio::test]
async fn members_beyond_the_limit_are_reported_once() {
    let page = |from: usize| {
        let members: Vec<String> = (from..from + 200).map(|n| format!("\"m{n}\":{n}")).collect();
        &*Box::leak(format!("{{{}}}", members.join(",")).into_boxed_str())
    };
    let pages: &[&[&str]] = &[&[page(0)], &[page(200)], &[page(400)]];
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let log = warnings.clone();
    let noted = Noted { tells: true, ..Noted::default() };
    let connector = commit_each_page(noted.connector(&source(pages))).observer(move |event: &Event| {
        if let Event::Source { event: SourceEvent::Warning(warning), .. } = event {
            log.lock().unwrap().push(warning.clone());
        }
    });
    let found = run(&connector).await;
    assert_eq!((found.status, found.new_columns.len()), (RunStatus::Complete, 300));
    assert_eq!(noted.memory.columns(&resource("r"), "t").await.unwrap().len(), 301);
    let warnings = warnings.lock().unwrap().clone();
    assert!(warnings.len() == 1 && warnings[0].contains("at most 300 columns"), "{warnings:?}");
    // What another run learns finds no room.
    let rest: &[&[&str]] = &[pages[0], pages[1], pages[2], &[page(600)]];
    let found = run(&noted.connector(&source(rest))).await;
    assert_eq!((found.status, found.new_columns), (RunStatus::Complete, vec![]));
}

#[tokio::test]
async fn a_run_that_dies_after_it_has_extended_the_view_leaves_only_an_empty_column() {
    let (memory, source) = (Memory::new(), source(&[&[r#"{"a":1}"#]]));
    let backend = CrashingBackend::new(memory.clone(), CrashPoint::BeforeCommit(0));
    let found = run(&Connector::new(source.clone(), Arc::new(backend))).await;
    assert_eq!((found.status, found.new_columns), (RunStatus::Failed, vec!["t.a".to_owned()]));
    assert_eq!(shown(&memory.columns(&resource("r"), "t").await.unwrap()), ["key Text", "a Integer"]);
    assert_eq!(memory.rows(&resource("r"), "t"), []);
    let found = run(&Connector::new(source, Arc::new(memory.clone()))).await;
    assert_eq!((found.status, found.new_columns), (RunStatus::Complete, vec![]));
    assert_eq!(memory.rows(&resource("r"), "t").len(), 1);
}
