//! Several streams of one resource: each has its own state, runs, conflicts, reconciliation, rejects and view.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, stream};
use snowfeed::engine::{Connector, EnableRequest, IngestRequest, StreamSelection};
use snowfeed::internals::snowflake::Statement;
use snowfeed::prelude::*;
use snowfeed::{
    Commit, ErrorKind, Mode, Reject, RejectQuery, RunId, RunQuery, RunStatus, Sink, StalePolicy, StateKey, StateStore,
    StateVersion, StreamCommit, Sweep, UnseenQuery,
};

use crate::bad_input::{cell, edit};
use crate::mocks::{InterceptingClient, Outcome};
use crate::support::{TestDatabase, change_of, commit_of, resource};

/// A source with two streams, whose records are numbers with versions. Each read returns all records of the stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Planets(Arc<Mutex<Records>>);

/// The numbers and versions of records, by resource and stream.
type Records = BTreeMap<(String, String), Vec<(i64, i64)>>;

impl Planets {
    pub(crate) fn set(&self, resource: &str, stream: &str, records: impl IntoIterator<Item = (i64, i64)>) {
        let records = records.into_iter().collect();
        self.0.lock().unwrap().insert((resource.to_owned(), stream.to_owned()), records);
    }
}

#[async_trait]
impl Source for Planets {
    fn spec(&self) -> SourceSpec {
        let stream = |name: &str| StreamSpec::new(name).column("id", "id", ColumnType::Integer);
        SourceSpec::new("planets", "1").authoritative().stream(stream("planets")).stream(stream("moons"))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Planets {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let key = (request.resource.name().to_owned(), request.stream);
        let records = self.0.lock().unwrap().get(&key).cloned().unwrap_or_default();
        let records = records.into_iter().map(|(number, version)| upsert(number, version));
        let batch = Checkpoint::new(&1).map(|checkpoint| Batch::new().records(records).checkpoint(checkpoint));
        stream::iter([batch]).boxed()
    }
}

fn upsert(number: i64, version: i64) -> Record {
    Record::upsert(number.to_string(), Version(version), format!("{{\"id\":{number}}}"))
}

fn key(stream: &str) -> StateKey {
    StateKey::new("r", stream)
}

/// A part with one row, that changes the state of its stream.
fn part(stream: &str, number: i64, base: u64) -> StreamCommit {
    let change = change_of(key(stream), StateVersion(base));
    StreamCommit::new(stream, change.run.as_ref().unwrap().id).records([upsert(number, 1)]).change(change)
}

/// A database in which both streams of the resource `r` have their tables.
async fn ensured(max_bind_bytes: usize) -> TestDatabase {
    let db = TestDatabase::new(max_bind_bytes);
    db.snowflake.ensure_streams(&resource("r"), &Planets::default().spec().streams).await.unwrap();
    db
}

/// The number of rows of a stream, and the version of its state.
async fn stored(db: &TestDatabase, stream: &str) -> (String, u64) {
    let count = format!("SELECT COUNT(*)::VARCHAR AS N FROM DB.PUBLIC_RAW.\"r/{stream}\"");
    let latest = db.another_process().latest(&key(stream)).await.unwrap();
    (cell(db, &count).await, latest.map_or(0, |entry| entry.version.0))
}

#[tokio::test]
async fn each_stream_has_its_own_versions_history_and_runs() {
    let db = ensured(usize::MAX).await;
    let one = resource("r");
    for (stream, base, expected) in [("planets", 0_u64, 1), ("moons", 0, 1), ("planets", 1, 2)] {
        let report = db.snowflake.commit(commit_of(&one, part(stream, base.cast_signed(), base))).await.unwrap();
        assert_eq!(report.streams.keys().collect::<Vec<_>>(), [stream]);
        assert_eq!(report.streams[stream].version, Some(StateVersion(expected)));
    }
    let refused = db.snowflake.commit(commit_of(&one, part("planets", 9, 1))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused:?}");
    assert!(refused.message().contains("r (planets)"), "{refused}");
    let keys = [key("moons"), key("planets"), key("comets")];
    db.recording.take();
    let statuses = db.snowflake.latest_many(&keys).await.unwrap();
    assert_eq!(db.recording.statements().len(), 1);
    for (key, status, versions) in [(&keys[0], &statuses[0], &[1][..]), (&keys[1], &statuses[1], &[2, 1])] {
        let history = db.snowflake.history(key, 9).await.unwrap();
        assert_eq!(history.iter().map(|entry| entry.version.0).collect::<Vec<_>>(), versions);
        assert_eq!(status.entry.as_ref(), history.first());
        let runs = db.snowflake.runs(RunQuery::new(9).key(key)).await.unwrap();
        assert_eq!(runs.len(), versions.len());
        assert!(runs.iter().all(|run| run.stream == key.stream) && status.run.as_ref() == runs.first(), "{runs:?}");
    }
    assert_eq!((&statuses[2].entry, &statuses[2].run), (&None, &None));
    assert_eq!(db.snowflake.runs(RunQuery::new(9).stream("moons")).await.unwrap().len(), 1);
    assert_eq!(db.snowflake.runs(RunQuery::new(9).resource("r")).await.unwrap().len(), 3);
    assert_eq!(db.snowflake.prune(&keys[1], 1).await.unwrap(), 2, "an entry and a run");
    assert_eq!(db.snowflake.history(&keys[0], 9).await.unwrap().len(), 1);
    assert_eq!(db.snowflake.runs(RunQuery::new(9)).await.unwrap().len(), 2);
}

/// An older version recorded runs for all streams of a resource. They have no stream, or the empty one.
#[tokio::test]
async fn a_run_without_a_stream_is_pruned_with_the_runs_of_its_time() {
    let db = ensured(usize::MAX).await;
    for (base, stream) in [(0, "planets"), (1, "planets"), (0, "moons")] {
        db.snowflake.commit(commit_of(&resource("r"), part(stream, 1, base))).await.unwrap();
    }
    for (resource, id, stream, year) in [
        ("r", "old", "NULL", 1999),
        ("r", "empty", "''", 1999),
        ("r", "new", "NULL", 2999),
        ("s", "other", "NULL", 1999),
    ] {
        let insert = format!(
            "INSERT INTO STATE.\"SNOWFEED_RUN\" (\"ID\", \"RECORDED_AT\", \"RESOURCE\", \"STREAM\", \"STATUS\", \"STARTED_AT\", \
             \"DOCUMENT\") SELECT '{id}', '{year}-01-02 03:04:05', '{resource}', {stream}, 'complete', '{year}-01-02 03:04:05', '{{}}'"
        );
        edit(&db, &insert).await;
    }
    let left = async || {
        let ids = "SELECT LISTAGG(\"ID\", ' ') WITHIN GROUP (ORDER BY \"ID\") AS N FROM DB.STATE.\"SNOWFEED_RUN\" WHERE \
                   LENGTH(\"ID\") < 9";
        (cell(&db, ids).await, db.snowflake.runs(RunQuery::new(9).resource("r")).await.unwrap().len())
    };
    assert_eq!(db.snowflake.prune(&key("comets"), 1).await.unwrap(), 0, "it has no run of its own");
    assert_eq!(db.snowflake.prune(&key("planets"), 3).await.unwrap(), 0);
    assert_eq!(left().await, ("empty new old other".to_owned(), 3));
    assert_eq!(db.snowflake.prune(&key("planets"), 2).await.unwrap(), 2);
    assert_eq!(left().await, ("new other".to_owned(), 3), "two newer runs of the stream are left");
    assert_eq!(db.snowflake.prune(&key("moons"), 1).await.unwrap(), 0);
    assert_eq!(db.snowflake.prune(&key("planets"), 1).await.unwrap(), 2, "an entry and a run");
    assert_eq!(left().await, ("new other".to_owned(), 2));
}

#[tokio::test]
async fn a_run_is_interrupted_only_by_one_of_its_own_stream() {
    let db = ensured(usize::MAX).await;
    let one = resource("r");
    let mut running = part("planets", 1, 0);
    let change = running.change.as_mut().unwrap();
    let record = change.run.as_mut().unwrap();
    (record.status, record.ended_at) = (RunStatus::Running, None);
    db.snowflake.commit(commit_of(&one, running)).await.unwrap();
    let status = async || {
        let runs = db.snowflake.runs(RunQuery::new(9).key(&key("planets"))).await.unwrap();
        runs.last().unwrap().status
    };
    db.snowflake.commit(commit_of(&one, part("moons", 1, 0))).await.unwrap();
    assert_eq!(status().await, RunStatus::Running);
    // A part without a state, beside one with a state, ends no run.
    let mut only_run = part("planets", 2, 1);
    only_run.change.as_mut().unwrap().state = None;
    db.snowflake.commit(commit_of(&one, only_run).part(part("moons", 2, 1))).await.unwrap();
    assert_eq!(status().await, RunStatus::Running);
    db.snowflake.commit(commit_of(&one, part("planets", 3, 1))).await.unwrap();
    assert_eq!(status().await, RunStatus::Interrupted);
}

#[tokio::test]
async fn parts_of_two_streams_are_committed_in_one_transaction_behind_one_fence() {
    for max_bind_bytes in [usize::MAX, 0] {
        let db = ensured(max_bind_bytes).await;
        db.recording.take();
        let commit = commit_of(&resource("r"), part("planets", 1, 0)).part(part("moons", 2, 0));
        let report = db.snowflake.commit(commit).await.unwrap();
        let of: Vec<_> = report.streams.iter().map(|(name, of)| (&**name, of.counts.inserted, of.version)).collect();
        assert_eq!(of, [("moons", 1, Some(StateVersion(1))), ("planets", 1, Some(StateVersion(1)))]);
        let sent = db.recording.statements();
        let count = |text: &str| sent.iter().filter(|statement| statement.sql.starts_with(text)).count();
        assert_eq!((count("BEGIN"), count("COMMIT"), count("UPDATE \"")), (1, 1, 1), "{sent:?}");
        for stream in ["planets", "moons"] {
            assert_eq!(stored(&db, stream).await, ("1".to_owned(), 1));
        }
    }
}

#[tokio::test]
async fn a_conflict_in_one_part_stores_nothing_and_names_its_stream() {
    for max_bind_bytes in [usize::MAX, 0] {
        let db = ensured(max_bind_bytes).await;
        let one = resource("r");
        db.snowflake.commit(commit_of(&one, part("moons", 1, 0))).await.unwrap();
        let sweep = RunId::new();
        let marks = |part: StreamCommit| {
            part.sweep(Sweep::Mark(sweep, StalePolicy::Skip)).rejects([Reject::new("why", "what")])
        };
        // Its base is that of a run that has been overtaken.
        let stale = || part("moons", 2, 0);
        let fresh = || marks(part("planets", 1, 0));
        let both = |first: StreamCommit, second: StreamCommit| {
            Commit::new(one.clone(), jiff::Timestamp::now()).part(first).part(second)
        };
        for commit in [both(fresh(), stale()), both(stale(), fresh())] {
            let refused = db.snowflake.commit(commit).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused:?}");
            assert!(refused.message().contains("r (moons)"), "{refused}");
        }
        assert_eq!(stored(&db, "planets").await, ("0".to_owned(), 0));
        assert_eq!(stored(&db, "moons").await, ("1".to_owned(), 1));
        assert_eq!(db.snowflake.runs(RunQuery::new(9)).await.unwrap().len(), 1);
        assert_eq!(db.snowflake.rejects(RejectQuery::new(9)).await.unwrap().total(), 0);
        assert_eq!(cell(&db, "SELECT COUNT(*)::VARCHAR AS N FROM DB.STATE.\"SNOWFEED_SEEN\"").await, "0");
        db.snowflake.commit(both(fresh(), part("moons", 2, 1))).await.unwrap();
        assert_eq!(stored(&db, "moons").await, ("2".to_owned(), 2));
    }
}

/// The test server behind a connection that breaks at the first COMMIT.
fn breaking(db: &TestDatabase, outcome: fn() -> Outcome) -> snowfeed::backends::Snowflake {
    let seen = AtomicUsize::new(0);
    let intercept = Arc::new(move |statement: &Statement| {
        let breaks = statement.sql == "COMMIT" && seen.fetch_add(1, Ordering::SeqCst) == 0;
        async move { if breaks { outcome() } else { Outcome::Runs } }.boxed()
    });
    db.over(InterceptingClient { client: Arc::new(db.recording.clone()), intercept })
}

#[tokio::test]
async fn a_commit_of_two_parts_without_a_response_is_retried_and_stored_once() {
    for outcome in [|| Outcome::Unanswered, || Outcome::Lost] {
        let db = ensured(usize::MAX).await;
        let commit = commit_of(&resource("r"), part("planets", 1, 0)).part(part("moons", 2, 0));
        let report = breaking(&db, outcome).commit(commit).await.unwrap();
        assert_eq!(report.counts().inserted, 2, "{report:?}");
        assert!(report.streams.values().all(|stream| stream.version == Some(StateVersion(1))), "{report:?}");
        for stream in ["planets", "moons"] {
            assert_eq!(stored(&db, stream).await, ("1".to_owned(), 1));
        }
        assert_eq!(db.snowflake.runs(RunQuery::new(9)).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_lost_response_does_not_hide_that_one_of_two_streams_was_overtaken() {
    let db = ensured(usize::MAX).await;
    let one = resource("r");
    let (other, begins) = (db.snowflake.clone(), Arc::new(AtomicUsize::new(0)));
    let intercept = Arc::new(move |statement: &Statement| {
        let (other, begins) = (other.clone(), begins.clone());
        let (is_begin, is_commit) = (statement.sql == "BEGIN TRANSACTION", statement.sql == "COMMIT");
        async move {
            if is_begin && begins.fetch_add(1, Ordering::SeqCst) == 1 {
                other.append(change_of(key("moons"), StateVersion::NONE)).await.unwrap();
            }
            if is_commit && begins.load(Ordering::SeqCst) == 1 { Outcome::Lost } else { Outcome::Runs }
        }
        .boxed()
    });
    let snowflake = db.over(InterceptingClient { client: Arc::new(db.recording.clone()), intercept });
    let commit = commit_of(&one, part("planets", 1, 0)).part(part("moons", 2, 0));
    let refused = snowflake.commit(commit).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused:?}");
    assert!(refused.message().contains("r (moons)"), "{refused}");
    assert_eq!(stored(&db, "planets").await, ("0".to_owned(), 0));
    assert_eq!(stored(&db, "moons").await, ("0".to_owned(), 1));
}

#[tokio::test]
async fn the_end_of_a_reconciliation_deletes_marks_and_rejects_of_its_stream_only() {
    let db = ensured(usize::MAX).await;
    let one = resource("r");
    let old = RunId::new();
    for stream in ["planets", "moons"] {
        let rejected = StreamCommit::new(stream, old).records([upsert(1, 1), upsert(2, 1)]);
        let rejected = rejected.rejects([Reject::new("why", stream)]);
        db.snowflake.commit(commit_of(&one, rejected)).await.unwrap();
    }
    let sweeps = BTreeMap::from([("planets", RunId::new()), ("moons", RunId::new())]);
    let mark = |stream: &'static str| part(stream, 1, 0).sweep(Sweep::Mark(sweeps[stream], StalePolicy::Skip));
    db.snowflake.commit(commit_of(&one, mark("planets")).part(mark("moons"))).await.unwrap();
    let unseen = async |stream: &str, sweep: RunId| {
        let query = UnseenQuery::new(one.clone(), stream, sweep, 9);
        let found = db.snowflake.unseen(query).await.unwrap();
        found.into_iter().map(|record| record.key).collect::<Vec<_>>()
    };
    assert_eq!(unseen("planets", sweeps["planets"]).await, ["2"]);
    assert_eq!(unseen("moons", sweeps["planets"]).await, ["1", "2"], "no other reconciliation has marked it");
    let mut finish = part("planets", 1, 1).sweep(Sweep::Finish(sweeps["planets"]));
    finish.records.clear();
    db.snowflake.commit(commit_of(&one, finish)).await.unwrap();
    assert_eq!(unseen("planets", sweeps["planets"]).await, ["1", "2"]);
    assert_eq!(unseen("moons", sweeps["moons"]).await, ["2"], "its marks stay");
    let left = db.snowflake.rejects(RejectQuery::new(9)).await.unwrap();
    assert_eq!(left.counts, BTreeMap::from([(key("moons"), 1)]));
    let of_planets = db.snowflake.rejects(RejectQuery::new(9).resource(one).stream("planets")).await.unwrap();
    assert_eq!((of_planets.total(), of_planets.rejects.len()), (0, 0));
}

/// The names of the views of the resource, by stream.
async fn views(db: &TestDatabase) -> String {
    let names = "SELECT LISTAGG(\"STREAM\" || ':' || \"NAME\", ' ') WITHIN GROUP (ORDER BY \"STREAM\") AS N FROM \
                 DB.STATE.\"SNOWFEED_TABLE\" WHERE \"RESOURCE\" = 'r'";
    cell(db, names).await
}

#[tokio::test]
async fn a_deselected_stream_keeps_its_rows_state_and_view() {
    let (db, source) = (TestDatabase::new(usize::MAX), Planets::default());
    source.set("r", "planets", [(1, 1)]);
    source.set("r", "moons", [(1, 1), (2, 1)]);
    let one = resource("r");
    let select = async |streams: &[&str]| {
        // In a process of its own, without a cached catalog.
        let connector = Connector::new(source.clone(), Arc::new(db.another_process()));
        let selection: StreamSelection = streams.iter().copied().collect();
        connector.enable(EnableRequest::new(one.clone()).streams(selection)).await.unwrap();
        db.recording.take();
        let request = IngestRequest::default().mode(Mode::Reconcile).allow_deletions(true);
        let report = connector.ingest(request).await.unwrap();
        assert_eq!(report.status(), RunStatus::Complete, "{report:?}");
        let sent = db.recording.statements();
        let made = sent.iter().filter(|statement| statement.sql.starts_with("CREATE OR REPLACE VIEW")).count();
        let counts: Vec<_> =
            report.runs.iter().map(|run| (run.stream.clone(), run.counts.inserted, run.counts.deleted)).collect();
        (counts, made)
    };
    let (counts, _) = select(&["moons"]).await;
    assert_eq!(counts, [("moons".to_owned(), 2, 0)]);
    assert_eq!(views(&db).await, "moons:r/moons", "the plain name stays free");
    let (counts, _) = select(&["planets", "moons"]).await;
    assert_eq!(counts, [("moons".to_owned(), 0, 0), ("planets".to_owned(), 1, 0)]);
    assert_eq!(views(&db).await, "moons:r/moons planets:r/planets");
    let state = db.another_process().latest(&key("moons")).await.unwrap();
    let (counts, made) = select(&["planets"]).await;
    assert_eq!((counts, made), (vec![("planets".to_owned(), 0, 0)], 0));
    assert_eq!(views(&db).await, "moons:r/moons planets:r/planets");
    assert_eq!(db.another_process().latest(&key("moons")).await.unwrap(), state);
    let live = "SELECT COUNT(*)::VARCHAR AS N FROM DB.PUBLIC.\"r/moons\" WHERE \"DELETED_AT\" IS NULL";
    assert_eq!(cell(&db, live).await, "2", "a stream that is not read is not swept");
}

#[tokio::test]
async fn a_view_keeps_its_name_whatever_streams_are_ensured_with_it() {
    let db = TestDatabase::new(usize::MAX);
    let one = resource("r");
    let [planets, moons] = Planets::default().spec().streams.try_into().unwrap();
    let rings = StreamSpec::new("rings");
    for (streams, expected) in [
        (vec![planets.clone()], "planets:r"),
        (vec![planets.clone(), moons.clone()], "moons:r/moons planets:r"),
        (vec![moons.clone()], "moons:r/moons planets:r"),
        // The plain name is taken.
        (vec![rings.clone()], "moons:r/moons planets:r rings:r/rings"),
        (vec![rings, planets], "moons:r/moons planets:r rings:r/rings"),
    ] {
        db.another_process().ensure_streams(&one, &streams).await.unwrap();
        assert_eq!(views(&db).await, expected);
    }
}
