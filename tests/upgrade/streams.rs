//! Files from before each stream had a state of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use snowfeed::backends::Sqlite;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::merge::content_hash;
use snowfeed::prelude::*;
use snowfeed::{RejectQuery, RunQuery, RunRecord, RunStatus, StateKey, StateStore, VerifyRequest};

/// The tables of a file of version 1.
const TABLES: &str = include_str!("../../src/backends/sqlite/v1.sql");

/// The run that a process of the old version died in.
const RUN: &str = "01a2210d-c480-76e4-9c84-359fa12ae522";

/// Each stream's records: the version by key.
type Listing = BTreeMap<&'static str, BTreeMap<String, i64>>;

/// The stream and the checkpoint of a read.
type Read = (String, Option<i64>);

/// A source that lists what is newer than its checkpoint.
#[derive(Debug, Clone)]
struct ListingSource {
    listing: Arc<Mutex<Listing>>,
    reads: Arc<Mutex<Vec<Read>>>,
}

fn document(key: &str, version: i64) -> String {
    format!(r#"{{"key":"{key}","version":{version}}}"#)
}

#[async_trait]
impl Source for ListingSource {
    fn spec(&self) -> SourceSpec {
        let listing = self.listing.lock().unwrap();
        listing.keys().fold(SourceSpec::new("listing", "1"), |spec, name| spec.stream(StreamSpec::new(*name)))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }

    fn subject(&self, _: &str, text: &str) -> Option<String> {
        serde_json::from_str::<Value>(text).ok()?["key"].as_str().map(str::to_owned)
    }
}

#[async_trait]
impl Reader for ListingSource {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let since = request.checkpoint.map(|checkpoint| checkpoint.parse::<i64>().unwrap());
        self.reads.lock().unwrap().push((request.stream.clone(), since));
        let listing = self.listing.lock().unwrap();
        let listed = &listing[request.stream.as_str()];
        let newest = listed.values().copied().max().unwrap_or(0).max(since.unwrap_or(0));
        let newer = listed.iter().filter(|(_, version)| since.is_none_or(|since| **version > since));
        let records = newer.map(|(key, version)| Record::upsert(key, Version(*version), document(key, *version)));
        stream::iter([Ok(Batch::new().records(records).checkpoint(Checkpoint::new(&newest).unwrap()))]).boxed()
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        let listing = self.listing.lock().unwrap();
        let listed = &listing[request.stream.as_str()];
        let verify = |record: snowfeed::StoredRecord| match listed.get(&record.key) {
            Some(version) => Record::upsert(&record.key, Version(*version), document(&record.key, *version)),
            None => Record::delete(record.key, record.version),
        };
        Ok(request.records.into_iter().map(verify).collect())
    }
}

/// A file of version 1 with one resource `r`, whose run was killed in the middle of a reconciliation.
struct OldFile {
    folder: tempfile::TempDir,
    source: ListingSource,
}

impl OldFile {
    /// Every stream has the rows `a`, `b` and `c`, and the reconciliation has seen `a` only.
    fn new(streams: &[&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listing: Listing = streams
            .iter()
            .map(|name| (*name, ["a", "b", "c"].into_iter().zip(1..).map(|(key, n)| (key.to_owned(), n)).collect()))
            .collect();
        let this =
            Self { folder, source: ListingSource { listing: Arc::new(Mutex::new(listing)), reads: Arc::default() } };
        let file = Connection::open(this.path()).unwrap();
        file.execute_batch(TABLES).unwrap();
        file.execute_batch(&format!(
            "PRAGMA application_id = {}; PRAGMA user_version = 1;
             INSERT INTO RESOURCE_CONFIGURATION VALUES ('r', '{{\"enabled\":true}}');
             INSERT INTO snowfeed_resource VALUES (1, 'r');
             INSERT INTO snowfeed_sweep VALUES (7, '{RUN}');",
            0x534E_4F46
        ))
        .unwrap();
        for (name, id) in streams.iter().zip(1..) {
            this.add_stream(&file, name, id);
        }
        let reconcile = json!({"id": RUN, "started_at": "2026-11-28T07:28:00Z", "checkpoint": 1, "deleted": {"x": 2}});
        for version in 1..=3 {
            let mut state = json!({"status": "RUNNING", "run": RUN, "checkpoint": version});
            if version == 3 {
                state["reconcile"] = reconcile.clone();
            }
            file.execute(
                "INSERT INTO APP_STATE (timestamp, key, value, version) VALUES ('2026-11-28T07:28:00Z', 'r', ?1, ?2)",
                params![state.to_string(), version],
            )
            .unwrap();
        }
        this.record(&file, RUN).unwrap();
        this
    }

    fn add_stream(&self, file: &Connection, name: &str, id: i64) {
        file.execute_batch(&format!(
            "CREATE TABLE snowfeed_raw_{name} (id INTEGER PRIMARY KEY, resource_id INTEGER NOT NULL REFERENCES \
             snowfeed_resource (id), key TEXT NOT NULL, version INTEGER NOT NULL, hash BLOB, first_seen TEXT NOT NULL, \
             changed_at TEXT NOT NULL, deleted_at TEXT, raw TEXT);
             CREATE UNIQUE INDEX snowfeed_raw_{name}_by_key ON snowfeed_raw_{name} (resource_id, key);
             INSERT INTO snowfeed_stream VALUES ({id}, '{name}', '[]');
             INSERT INTO snowfeed_view VALUES ('r/{name}', 1, {id});
             CREATE VIEW \"r/{name}\" AS SELECT 1;
             INSERT INTO snowfeed_seen VALUES (7, {id}, 1);
             INSERT INTO REJECTED_RECORD VALUES ('r', '{name}', 'no version', '{{\"key\":\"d\"}}', '2026-11-28T07:28:00Z', \
             '2026-11-28T07:28:00Z', '{RUN}', x'00');"
        ))
        .unwrap();
        for (key, version) in ["a", "b", "c"].into_iter().zip(1_i64..) {
            let text = document(key, version);
            file.execute(
                &format!(
                    "INSERT INTO snowfeed_raw_{name} (resource_id, key, version, hash, first_seen, changed_at, raw) \
                     VALUES (1, ?1, ?2, ?3, '2026-11-28T07:28:00Z', '2026-11-28T07:28:00Z', ?4)"
                ),
                params![key, version, content_hash(&text), text],
            )
            .unwrap();
        }
        // The hash of a reject is that of its text.
        file.execute("UPDATE REJECTED_RECORD SET hash = ?1", [content_hash(r#"{"key":"d"}"#)]).unwrap();
    }

    /// Writes the record of a run under way as the old version does.
    fn record(&self, file: &Connection, id: &str) -> rusqlite::Result<usize> {
        let record = json!({
            "id": id, "resource": "r", "mode": "reconcile", "status": "running", "started_at": "2026-11-28T07:28:00Z",
            "ended_at": null, "interrupted": false, "commits": 1, "error": null,
            "counts": {"offered": 1, "inserted": 0, "updated": 0, "unchanged": 1, "deleted": 0, "rejected": 0},
            "traffic": {"requests": 1, "bytes": 2, "waited_ms": 0},
            "timings": {"total_ms": 1, "read_ms": 1, "commit_ms": 0, "verify_ms": 0},
        });
        file.execute(
            "INSERT OR REPLACE INTO INGESTION_RUN (id, resource, mode, status, started_at, ended_at, offered, inserted, \
             updated, unchanged, deleted, skipped, rejected, commits, requests, bytes, waited_ms, total_ms, error, record) \
             VALUES (?1, 'r', 'reconcile', 'running', '2026-11-28T07:28:00Z', NULL, 1, 0, 0, 1, 0, 0, 0, 1, 1, 2, 0, 1, NULL, ?2)",
            params![id, record.to_string()],
        )
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("old.db")
    }

    /// Removes a record from every stream of the source.
    fn remove(&self, key: &str) {
        self.source.listing.lock().unwrap().values_mut().for_each(|listed| listed.retain(|known, _| known != key));
    }

    /// Adds a record to every stream of the source.
    fn insert(&self, key: &str, version: i64) {
        self.source.listing.lock().unwrap().values_mut().for_each(|listed| listed.extend([(key.to_owned(), version)]));
    }

    fn open(&self) -> (Connector, Sqlite) {
        let sqlite = Sqlite::open(self.path()).unwrap();
        (Connector::new(self.source.clone(), Arc::new(sqlite.clone())), sqlite)
    }

    /// The reads since the last call.
    fn reads(&self) -> Vec<(String, Option<i64>)> {
        let mut reads = std::mem::take(&mut *self.source.reads.lock().unwrap());
        reads.sort();
        reads
    }
}

async fn ingest(connector: &Connector, mode: Mode) -> Vec<RunRecord> {
    let report = connector.ingest(IngestRequest::default().mode(mode)).await.unwrap();
    for run in &report.runs {
        assert_eq!(run.status, RunStatus::Complete, "{run:?}");
    }
    report.runs
}

fn query<T: rusqlite::types::FromSql>(path: &Path, sql: &str) -> Vec<T> {
    let reader = Connection::open(path).unwrap();
    let mut find = reader.prepare(sql).unwrap();
    find.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// All columns of the rows of a stream.
fn rows(path: &Path, stream: &str) -> Vec<String> {
    let all = "concat_ws('|', id, key, version, hex(hash), first_seen, changed_at, deleted_at, raw)";
    query(path, &format!("SELECT {all} FROM snowfeed_raw_{stream} ORDER BY id"))
}

#[tokio::test]
async fn a_reconciliation_under_way_and_its_marks_continue() {
    let old = OldFile::new(&["only"]);
    let before = rows(&old.path(), "only");
    let (connector, sqlite) = old.open();
    assert_eq!(rows(&old.path(), "only"), before);
    let key = StateKey::new("r", "only");
    let entry = sqlite.latest(&key).await.unwrap().unwrap();
    let reconcile = entry.state.reconcile.clone().unwrap();
    assert_eq!((entry.version.0, reconcile.id.to_string().as_str(), reconcile.deleted), (3, RUN, 2));
    assert_eq!(entry.state.checkpoint.unwrap().as_str(), "3");
    assert_eq!(sqlite.history(&key, 9).await.unwrap().len(), 3);
    // The run that was under way can commit no more.
    let run = connector.runs(RunQuery::new(9).key(&key)).await.unwrap().remove(0);
    assert_eq!((run.status, run.stream.as_str(), run.id.to_string().as_str()), (RunStatus::Interrupted, "only", RUN));

    // `a` was seen by the old version; `c` is deleted.
    old.remove("c");
    let run = ingest(&connector, Mode::Reconcile).await.remove(0);
    assert_eq!(old.reads(), [("only".to_owned(), Some(1))]);
    assert_eq!((run.counts.offered, run.counts.unchanged, run.counts.deleted), (2, 1, 1));
    assert_eq!(query::<i64>(&old.path(), "SELECT count(*) FROM snowfeed_seen"), [0]);
    assert_eq!(query::<String>(&old.path(), "SELECT key FROM snowfeed_raw_only WHERE deleted_at IS NULL"), ["a", "b"]);
}

#[tokio::test]
async fn an_outstanding_reject_is_still_cleared_by_its_record() {
    let old = OldFile::new(&["only"]);
    let (connector, _) = old.open();
    old.insert("d", 4);
    assert_eq!(connector.rejects(RejectQuery::new(9)).await.unwrap().total(), 1);
    ingest(&connector, Mode::Incremental).await;
    assert_eq!(old.reads(), [("only".to_owned(), Some(3))]);
    assert_eq!(connector.rejects(RejectQuery::new(9)).await.unwrap().total(), 0);
}

#[tokio::test]
async fn each_of_several_streams_is_read_from_the_start_and_no_row_changes() {
    let old = OldFile::new(&["first", "second"]);
    let before = ["first", "second"].map(|name| rows(&old.path(), name));
    let (connector, sqlite) = old.open();
    for name in ["first", "second"] {
        let state = sqlite.latest(&StateKey::new("r", name)).await.unwrap().unwrap().state;
        assert_eq!((state.checkpoint, state.reconcile, state.has_rejects), (None, None, true));
        assert!(state.message.unwrap().contains("reads from the start"));
    }
    let marks = "SELECT count(*) FROM snowfeed_seen UNION ALL SELECT count(*) FROM snowfeed_sweep";
    assert_eq!(query::<i64>(&old.path(), marks), [0, 0]);
    assert_eq!(query::<String>(&old.path(), "SELECT status FROM INGESTION_RUN"), ["interrupted"]);
    let known = connector.runs(RunQuery::new(9).resource("r")).await.unwrap();
    assert_eq!(
        known.iter().map(|run| (run.stream.as_str(), run.status)).collect::<Vec<_>>(),
        [("", RunStatus::Interrupted)]
    );

    for run in ingest(&connector, Mode::Incremental).await {
        assert_eq!((run.counts.offered, run.counts.unchanged), (3, 3), "{run:?}");
    }
    assert_eq!(old.reads(), [("first".to_owned(), None), ("second".to_owned(), None)]);
    assert_eq!(["first", "second"].map(|name| rows(&old.path(), name)), before);
    // A reconcile run starts over: the old marks and the old number of deletions do not count.
    for run in ingest(&connector, Mode::Reconcile).await {
        assert_eq!((run.counts.unchanged, run.counts.deleted), (3, 0), "{run:?}");
    }
    assert_eq!(["first", "second"].map(|name| rows(&old.path(), name)), before);
}

/// The statements are those of commit a091f45.
#[tokio::test]
async fn a_process_of_the_old_version_that_still_has_the_file_open_is_refused() {
    for streams in [&["only"][..], &["first", "second"]] {
        let old = OldFile::new(streams);
        let process = Connection::open(old.path()).unwrap();
        let newest = || {
            let find = "SELECT version FROM APP_STATE WHERE key = 'r' ORDER BY version DESC LIMIT 1";
            process.query_row(find, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(newest(), 3);
        let (connector, sqlite) = old.open();
        // A commit of a run under way builds on the third entry.
        assert_eq!(newest(), 4);
        let refused = |result: rusqlite::Result<usize>| {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("a newer version of this program has upgraded the database"), "{error}");
        };
        // A run that starts afterwards would build on the newest entry.
        let ensure = "INSERT INTO snowfeed_resource (name) VALUES (?1) ON CONFLICT DO NOTHING";
        refused(process.execute(ensure, ["r"]));
        refused(process.execute(ensure, ["new"]));
        for (key, version) in [("r", 5), ("new", 1)] {
            let insert =
                "INSERT INTO APP_STATE (timestamp, key, value, version) VALUES ('2026-11-28T07:28:00Z', ?1, '{}', ?2)";
            refused(process.execute(insert, params![key, version]));
        }
        refused(old.record(&process, RUN));
        refused(old.record(&process, "01a2210d-c480-76e4-9c84-359fa12ae523"));
        // The new version goes on.
        ingest(&connector, Mode::Incremental).await;
        let state = sqlite.latest(&StateKey::new("r", streams[0])).await.unwrap().unwrap().state;
        assert_eq!((state.status, state.checkpoint.unwrap().as_str()), (RunStatus::Complete, "3"));
    }
}

/// A process that dies in the middle of the upgrade leaves the file as it was: what its log has is not committed.
#[tokio::test]
async fn a_crash_in_the_middle_of_the_upgrade_leaves_the_old_version_and_the_next_start_repeats_it() {
    const STEP: &str = include_str!("../../src/backends/sqlite/v3.sql");
    let ends: Vec<usize> = STEP.match_indices("\n\n").map(|(end, _)| end).chain([STEP.len()]).collect();
    assert!(ends.len() > 5);
    for end in ends {
        let old = OldFile::new(&["first", "second"]);
        let before = ["first", "second"].map(|name| rows(&old.path(), name));
        // Without a cache, changed pages are written to the log at once.
        let process = Connection::open(old.path()).unwrap();
        process.execute_batch("PRAGMA journal_mode = wal; PRAGMA cache_size = 1; BEGIN IMMEDIATE").unwrap();
        process.execute_batch(&STEP[..end]).unwrap();
        process.execute_batch("PRAGMA user_version = 3").unwrap();
        let copy = OldFile { folder: tempfile::tempdir().unwrap(), source: old.source.clone() };
        for name in ["old.db", "old.db-wal"] {
            std::fs::copy(old.folder.path().join(name), copy.folder.path().join(name)).unwrap();
        }
        drop(process);
        assert_eq!(query::<i64>(&copy.path(), "SELECT user_version FROM pragma_user_version"), [1], "{end}");
        assert_eq!(query::<i64>(&copy.path(), "SELECT version FROM APP_STATE"), [1, 2, 3]);
        let (connector, _) = copy.open();
        ingest(&connector, Mode::Incremental).await;
        assert_eq!(copy.reads(), [("first".to_owned(), None), ("second".to_owned(), None)]);
        assert_eq!(["first", "second"].map(|name| rows(&copy.path(), name)), before);
    }
}

/// An unreadable state, edited by hand, stops neither the upgrade nor the other resources.
#[tokio::test]
async fn an_unreadable_state_does_not_stop_the_upgrade() {
    for streams in [&["only"][..], &["first", "second"]] {
        let old = OldFile::new(streams);
        let edit = "UPDATE APP_STATE SET value = '{'; UPDATE INGESTION_RUN SET record = '['";
        Connection::open(old.path()).unwrap().execute_batch(edit).unwrap();
        let before = rows(&old.path(), streams[0]);
        drop(old.open());
        assert_eq!(rows(&old.path(), streams[0]), before);
    }
}

/// The run of the old version is that of both streams.
#[tokio::test]
async fn a_run_of_several_streams_is_pruned_with_the_runs_of_its_time() {
    let old = OldFile::new(&["one", "two"]);
    let (connector, sqlite) = old.open();
    ingest(&connector, Mode::Incremental).await;
    let one = StateKey::new("r", "one");
    for (keep, left) in [(2, 3), (1, 2)] {
        sqlite.prune(&one, keep).await.unwrap();
        let runs = sqlite.runs(RunQuery::new(9)).await.unwrap();
        assert_eq!(runs.len(), left, "{runs:?}");
        assert_eq!(runs.iter().filter(|run| run.stream.is_empty()).count(), left - 2);
    }
}
