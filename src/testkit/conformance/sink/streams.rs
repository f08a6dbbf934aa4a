//! Several streams of one resource: what they share is the commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;

use super::super::Fresh;
use super::super::fixture::{
    TABLE, assert_refused, at, change, delete, document, key, must, resource, run_record, tables, upsert, widgets,
};
use super::{SinkProbe, Subject};
use crate::sink::{LiveRows, RejectQuery, StalePolicy, StreamCommit, Sweep, UnseenQuery};
use crate::state::{RunRecord, StateEntry};
use crate::{
    Commit, Counts, ErrorKind, Record, Reject, RunId, RunQuery, Sink, StateChange, StateKey, StateStore, StateVersion,
    StoredRow, StreamSpec,
};

const COMMENTS: &str = "comments";

fn comments() -> StateKey {
    StateKey::new("acme/widgets", COMMENTS)
}

fn issues() -> StateKey {
    key("acme/widgets")
}

/// A part without a change of state.
fn part(stream: &str, records: impl IntoIterator<Item = Record>) -> StreamCommit {
    StreamCommit::new(stream, RunId::new()).records(records)
}

/// A commit of these parts.
fn parts(seconds: i64, parts: impl IntoIterator<Item = StreamCommit>) -> Commit {
    parts.into_iter().fold(Commit::new(widgets(), at(seconds)), Commit::part)
}

fn reject(reason: &str) -> Reject {
    Reject::new(reason, "{}")
}

/// All that a commit can change: rows and rejects by stream, and the states and runs of the resource.
type Contents = (BTreeMap<&'static str, (Vec<StoredRow>, Vec<Reject>)>, Vec<Option<StateEntry>>, Vec<RunRecord>);

impl Subject {
    /// A fresh sink with two tables of the default resource.
    async fn with_two_streams(fresh: &Fresh<dyn SinkProbe>) -> Self {
        let subject = Self::new(fresh).await;
        let mut both = tables();
        both.push(StreamSpec::new(COMMENTS));
        must(subject.sink.ensure_streams(&widgets(), &both).await);
        subject
    }

    /// The rows of a table, ordered by key.
    async fn rows_of(&self, table: &str) -> Vec<StoredRow> {
        let mut rows = self.probe.rows(&widgets(), table).await;
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    async fn contents(&self, states: &dyn StateStore) -> Contents {
        let mut tables = BTreeMap::new();
        for table in [TABLE, COMMENTS] {
            let mut rejects = self.probe.rejects(&widgets(), table).await;
            rejects.sort_by(|a, b| a.reason.cmp(&b.reason));
            tables.insert(table, (self.rows_of(table).await, rejects));
        }
        let entries = vec![must(states.latest(&issues()).await), must(states.latest(&comments()).await)];
        (tables, entries, must(states.runs(RunQuery::new(99)).await))
    }

    /// The keys that a reconcile run has not seen in a table, and the counts of the table's live rows.
    async fn unseen_of(&self, table: &str, sweep: RunId) -> (Vec<String>, LiveRows) {
        let query = UnseenQuery { resource: widgets(), table: table.into(), sweep, after: None, limit: 99 };
        let live = must(self.sink.live_rows(query.clone()).await);
        (must(self.sink.unseen(query).await).into_iter().map(|record| record.key).collect(), live)
    }
}

/// A commit stores the rows, rejects, state and run record of each of its streams, and reports each stream by itself.
pub(super) async fn clause_2_the_parts_of_several_streams_are_stored_and_reported_each(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::with_two_streams(&fresh).await;
    let states = subject.probe.states();
    let (mut base, mut expected_runs) = (StateVersion::NONE, Vec::new());
    let change = |key: &StateKey, base, seconds| {
        let record = RunRecord { counts: Counts::default(), ..run_record(key, RunId::new(), seconds) };
        change(key, base, seconds, &format!("{key} at {seconds}")).run(record)
    };
    if let Some(states) = &states {
        // The second stream has moved on, so that the versions of the two differ.
        base = must(states.append(change(&comments(), base, 0)).await);
        base = must(states.append(change(&comments(), base, 1)).await);
    }
    let mut issues_part =
        part(TABLE, [upsert("a", 1, "issue"), upsert("b", 1, "issue")]).rejects([reject("odd issue")]);
    let mut comments_part = part(COMMENTS, [upsert("a", 7, "comment"), delete("c", 1)]);
    if states.is_some() {
        issues_part.change = Some(change(&issues(), StateVersion::NONE, 2));
        comments_part.change = Some(change(&comments(), base, 3));
        expected_runs.extend([comments_part.change.clone(), issues_part.change.clone()]);
    }
    let report = must(subject.sink.commit(parts(5, [issues_part, comments_part])).await);
    assert_eq!(report.streams.keys().collect::<Vec<_>>(), [COMMENTS, TABLE], "a report has one entry for each part");
    let expected = BTreeMap::from([
        (TABLE, Counts { offered: 3, inserted: 2, rejected: 1, ..Counts::default() }),
        (COMMENTS, Counts { offered: 2, inserted: 1, deleted: 1, ..Counts::default() }),
    ]);
    for (stream, counts) in &expected {
        assert_eq!(report.streams[*stream].counts, *counts, "the counts of {stream}");
    }
    let titles = |rows: Vec<StoredRow>| -> Vec<_> { rows.into_iter().map(|row| (row.key, row.json)).collect() };
    let issue = Some(document("issue").into());
    let found = titles(subject.rows_of(TABLE).await);
    assert_eq!(found, [("a".to_owned(), issue.clone()), ("b".to_owned(), issue)]);
    let found = titles(subject.rows_of(COMMENTS).await);
    assert_eq!(found, [("a".to_owned(), Some(document("comment").into())), ("c".to_owned(), None)]);
    assert_eq!(subject.probe.rejects(&widgets(), TABLE).await, [reject("odd issue")]);
    assert_eq!(subject.probe.rejects(&widgets(), COMMENTS).await, []);
    let Some(states) = states else { return };
    for (key, message) in [(issues(), "at 2"), (comments(), "at 3")] {
        let entry = must(states.latest(&key).await).expect("the state of the commit");
        assert_eq!(report.streams[&key.stream].version, Some(entry.version), "the version of {key}");
        assert!(entry.state.message.is_some_and(|found| found.ends_with(message)), "the state of {key}");
    }
    assert_ne!(report.streams[TABLE].version, report.streams[COMMENTS].version);
    for change in expected_runs.into_iter().flatten() {
        let run = must(states.runs(RunQuery::new(1).key(&change.key)).await).remove(0);
        assert_eq!(Some(run.id), change.run.map(|run| run.id), "the newest run of {}", change.key);
        assert_eq!(run.counts, expected[change.key.stream.as_str()], "the counts in the run record of {}", change.key);
    }
}

/// If another run of one stream has moved on, nothing of the other streams is stored, wherever the stale part is.
pub(super) async fn clause_7_a_stale_part_is_refused_with_the_parts_of_all_streams(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::with_two_streams(&fresh).await;
    let Some(states) = subject.probe.states() else { return };
    let full = |key: &StateKey, base, title: &str| {
        let records = [upsert("a", 2, title), upsert(title, 1, title), delete("b", 3)];
        let rejected = part(&key.stream, records).rejects([reject(title)]).corrected([reject("first")]);
        rejected.change(change(key, base, 1, title))
    };
    for key in [issues(), comments()] {
        let first = part(&key.stream, [upsert("a", 1, "first"), upsert("b", 1, "first")]).rejects([reject("first")]);
        must(subject.sink.commit(parts(0, [first.change(change(&key, StateVersion::NONE, 0, "first"))])).await);
    }
    let base = must(states.latest(&issues()).await).expect("the first state").version;
    let reconciliation = RunId::new();
    let before = subject.contents(&*states).await;
    for (fresh, stale) in [(issues(), comments()), (comments(), issues())] {
        for is_fence in [false, true] {
            let valid = || full(&fresh, base, "valid").sweep(Sweep::Mark(reconciliation, StalePolicy::Skip));
            let mut late = full(&stale, StateVersion(99), "stale");
            late.sweep = is_fence.then_some(Sweep::Fence);
            for commit in [parts(1, [valid(), late.clone()]), parts(1, [late, valid()])] {
                assert_refused(subject.sink.commit(commit).await, ErrorKind::Conflict);
                assert_eq!(subject.contents(&*states).await, before, "a part of a refused commit was stored");
            }
        }
        let (unseen, live) = subject.unseen_of(&fresh.stream, reconciliation).await;
        assert_eq!((unseen.len(), live), (2, LiveRows { live: 2, unseen: 2 }), "a refused commit marked keys");
    }
    // Without the stale part, the other one is accepted.
    must(subject.sink.commit(parts(2, [full(&issues(), base, "valid")])).await);
    let (tables, ..) = subject.contents(&*states).await;
    assert_eq!((tables[COMMENTS].clone(), tables[TABLE].0.len()), (before.0[COMMENTS].clone(), 3));
}

/// A part that does not change a row fences nothing, also beside one that does.
pub(super) async fn clause_7_each_part_decides_for_itself_whether_it_fences(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::with_two_streams(&fresh).await;
    let Some(states) = subject.probe.states() else { return };
    must(subject.sink.commit(parts(0, [part(TABLE, [upsert("a", 1, "x")]), part(COMMENTS, [])])).await);
    let fence = |key: &StateKey, records: Vec<Record>| {
        part(&key.stream, records).sweep(Sweep::Fence).change(change(key, StateVersion::NONE, 1, "fence"))
    };
    let both = [fence(&comments(), vec![upsert("a", 1, "x")]), fence(&issues(), vec![upsert("a", 1, "x")])];
    let report = must(subject.sink.commit(parts(1, both)).await);
    assert_eq!(must(states.latest(&issues()).await), None, "a part without a changed row stored its state");
    assert_eq!(report.streams[TABLE].version, None);
    let entry = must(states.latest(&comments()).await).expect("a row changed, so the state was stored");
    assert_eq!(report.streams[COMMENTS].version, Some(entry.version));
    assert_eq!(must(states.runs(RunQuery::new(9)).await).len(), 1);
}

/// Commits of different streams of one resource do not supersede each other, also when they arrive at the same time.
pub(super) async fn clause_7_commits_of_different_streams_do_not_conflict(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let Some(states) = subject.probe.states() else { return };
    let names: Vec<String> = (0..4).map(|n| format!("stream_{n}")).collect();
    let specs: Vec<StreamSpec> = names.iter().map(StreamSpec::new).collect();
    must(subject.sink.ensure_streams(&widgets(), &specs).await);
    let mut tasks = Vec::new();
    for (n, name) in names.iter().cloned().enumerate() {
        let sink: Arc<dyn Sink> = if n % 2 == 0 { Arc::clone(&subject.sink) } else { subject.probe.another().await };
        tasks.push(tokio::spawn(async move {
            let key = StateKey::new("acme/widgets", &*name);
            let mut base = StateVersion::NONE;
            for round in 0..3 {
                let change: StateChange = change(&key, base, round, &name);
                let commit = parts(round, [part(&name, [upsert("a", round, &name)]).change(change)]);
                let report = must(sink.commit(commit).await);
                base = report.streams[&name].version.expect("the report has a version");
            }
        }));
    }
    for joined in join_all(tasks).await {
        joined.expect("a commit of one stream was refused because of another one");
    }
    for name in names {
        let history = must(states.history(&StateKey::new("acme/widgets", &*name), 9).await);
        assert_eq!(history.len(), 3, "the entries of {name}");
        let rows = subject.probe.rows(&widgets(), &name).await;
        assert_eq!(rows.iter().map(|row| row.version.0).collect::<Vec<_>>(), [2], "the rows of {name}");
    }
}

/// The same keys in two streams are two rows each: what one stream deletes stays in the other.
pub(super) async fn clause_8_streams_of_a_resource_do_not_share_rows(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::with_two_streams(&fresh).await;
    let keys = ["a", "b", "c"];
    let all = |title: &'static str| keys.map(|key| upsert(key, 5, title));
    must(subject.sink.commit(parts(0, [part(TABLE, all("issue")), part(COMMENTS, all("comment"))])).await);
    let untouched = subject.rows_of(COMMENTS).await;
    assert_eq!(untouched.len(), 3);
    assert!(untouched.iter().all(|row| row.json.as_deref() == Some(&*document("comment"))), "{untouched:?}");
    let changes = [delete("a", 9), upsert("b", 9, "changed"), upsert("d", 1, "new")];
    let report = must(subject.sink.commit(parts(1, [part(TABLE, changes), part(COMMENTS, [])])).await);
    assert_eq!(report.streams[COMMENTS].counts, Counts::default());
    assert_eq!(subject.rows_of(COMMENTS).await, untouched, "a commit changed the rows of another stream");
    // Versions are compared within a stream.
    let report = must(subject.sink.commit(parts(2, [part(COMMENTS, [delete("a", 7), upsert("b", 7, "text")])])).await);
    let counts = &report.streams[COMMENTS].counts;
    assert_eq!((counts.deleted, counts.updated), (1, 1), "{counts:?}");
}

/// The same reject in two streams is two rejects: a stream corrects and finishes only its own.
pub(super) async fn clause_9_streams_do_not_share_rejects(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::with_two_streams(&fresh).await;
    let odd = || [reject("corrected"), reject("not seen again")];
    must(subject.sink.commit(parts(0, [part(TABLE, []).rejects(odd()), part(COMMENTS, []).rejects(odd())])).await);
    let of = async |stream: &str| -> (Vec<String>, u64) {
        let query = RejectQuery { stream: Some(stream.into()), limit: 9, ..RejectQuery::default() };
        let found = must(subject.sink.rejects(query).await);
        assert!(found.rejects.iter().all(|reject| reject.table == stream), "{found:?}");
        let total = found.total();
        let mut reasons: Vec<_> = found.rejects.into_iter().map(|reject| reject.reason).collect();
        reasons.sort_unstable();
        (reasons, total)
    };
    let both = (vec!["corrected".to_owned(), "not seen again".to_owned()], 2);
    assert_eq!((of(TABLE).await, of(COMMENTS).await), (both.clone(), both.clone()));
    let all = must(subject.sink.rejects(RejectQuery { limit: 9, ..RejectQuery::default() }).await);
    assert_eq!((all.rejects.len(), all.counts), (4, [(issues(), 2), (comments(), 2)].into()));
    let correcting = part(TABLE, []).corrected([reject("corrected")]);
    must(subject.sink.commit(parts(1, [correcting, part(COMMENTS, [])])).await);
    assert_eq!(of(TABLE).await, (vec!["not seen again".to_owned()], 1));
    assert_eq!(of(COMMENTS).await, both, "a correction deleted another stream's reject");
    let mut finish = part(TABLE, []);
    finish.sweep = Some(Sweep::Finish(finish.run));
    must(subject.sink.commit(parts(2, [finish, part(COMMENTS, [])])).await);
    assert_eq!(of(TABLE).await, (vec![], 0));
    assert_eq!(of(COMMENTS).await, both, "the end of a reconcile run deleted another stream's rejects");
}

/// Marks belong to a stream of a resource, whatever the id: the end of a reconcile run deletes those of its own stream only.
pub(super) async fn clause_10_streams_do_not_share_marks_of_one_id(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::with_two_streams(&fresh).await;
    let (gadgets, id) = (resource("acme/gadgets"), RunId::new());
    must(subject.sink.ensure_streams(&gadgets, &tables()).await);
    let all = || ["a", "b"].map(|key| upsert(key, 1, "x"));
    must(subject.sink.commit(parts(0, [part(TABLE, all()), part(COMMENTS, all())])).await);
    must(subject.sink.commit(Commit::new(gadgets.clone(), at(0)).part(part(TABLE, all()))).await);
    let mark = |stream| part(stream, [upsert("a", 1, "x")]).sweep(Sweep::Mark(id, StalePolicy::Skip));
    must(subject.sink.commit(Commit::new(gadgets.clone(), at(1)).part(mark(TABLE))).await);
    let unseen_of_gadgets = async || {
        let query = UnseenQuery { resource: gadgets.clone(), table: TABLE.into(), sweep: id, after: None, limit: 9 };
        must(subject.sink.live_rows(query).await).unseen
    };
    for (seconds, end) in [(2, Sweep::Finish(id)), (3, Sweep::Abandon(id))] {
        must(subject.sink.commit(parts(seconds, [mark(TABLE), mark(COMMENTS)])).await);
        let counted = [subject.unseen_of(TABLE, id).await.1.unseen, subject.unseen_of(COMMENTS, id).await.1.unseen];
        assert_eq!((counted, unseen_of_gadgets().await), ([1, 1], 1));
        must(subject.sink.commit(parts(seconds, [part(TABLE, []).sweep(end)])).await);
        assert_eq!(subject.unseen_of(TABLE, id).await.1.unseen, 2, "{end:?} left its own marks");
        assert_eq!(subject.unseen_of(COMMENTS, id).await.0, ["b"], "{end:?} deleted the marks of another stream");
        assert_eq!(unseen_of_gadgets().await, 1, "{end:?} deleted the marks of another resource");
    }
}

/// The caller has a bug if it commits two parts of one stream: nothing is stored.
pub(super) async fn clause_11_two_parts_of_one_stream_are_refused(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::with_two_streams(&fresh).await;
    let states = subject.probe.states();
    let stored = async || match &states {
        Some(states) => must(states.latest(&comments()).await),
        None => None,
    };
    let twice = || {
        let first = part(TABLE, [upsert("a", 1, "x")]).rejects([reject("no id")]);
        let other = part(COMMENTS, [upsert("c", 1, "x")]).change(change(&comments(), StateVersion::NONE, 0, "first"));
        parts(0, [first, other, part(TABLE, [upsert("b", 1, "x")])])
    };
    assert_refused(subject.sink.commit(twice()).await, ErrorKind::Internal);
    assert_eq!((subject.rows_of(TABLE).await, subject.rows_of(COMMENTS).await), (vec![], vec![]));
    assert_eq!(subject.probe.rejects(&widgets(), TABLE).await, []);
    assert_eq!(stored().await, None);
}

/// A reconcile run of one stream neither marks nor finishes anything of another one, whether that one is in the same commit or not.
pub(super) async fn clause_10_a_reconcile_run_of_one_stream_leaves_the_others_alone(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::with_two_streams(&fresh).await;
    let (one, two) = (RunId::new(), RunId::new());
    let keys = ["a", "b", "c"];
    let all = || keys.map(|key| upsert(key, 1, "x"));
    must(subject.sink.commit(parts(0, [part(TABLE, all()), part(COMMENTS, all())])).await);
    let untouched = subject.rows_of(COMMENTS).await;
    let mark = |stream, run, keys: &[&str]| {
        let records = keys.iter().map(|key| upsert(key, 1, "x"));
        part(stream, records).sweep(Sweep::Mark(run, StalePolicy::Skip))
    };
    let counted = |keys: &[&str]| {
        let live = LiveRows { live: 3, unseen: keys.len() as u64 };
        (keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>(), live)
    };
    // The other stream is in the commit, but not in a reconcile run.
    let ordinary = part(COMMENTS, [upsert("a", 1, "x")]);
    must(subject.sink.commit(parts(1, [mark(TABLE, one, &["a"]), ordinary])).await);
    assert_eq!(subject.unseen_of(TABLE, one).await, counted(&["b", "c"]));
    assert_eq!(subject.unseen_of(COMMENTS, one).await, counted(&keys), "a mark reached another stream");
    // Both are in one, each in its own.
    must(subject.sink.commit(parts(2, [mark(TABLE, one, &["b"]), mark(COMMENTS, two, &["c"])])).await);
    assert_eq!(subject.unseen_of(TABLE, one).await, counted(&["c"]));
    assert_eq!(subject.unseen_of(TABLE, two).await, counted(&keys));
    assert_eq!(subject.unseen_of(COMMENTS, two).await, counted(&["a", "b"]));
    // One ends while the other one goes on.
    for end in [Sweep::Finish(one), Sweep::Abandon(one)] {
        must(subject.sink.commit(parts(3, [part(TABLE, []).sweep(end), mark(COMMENTS, two, &["a"])])).await);
        assert_eq!(subject.unseen_of(TABLE, one).await, counted(&keys));
        assert_eq!(subject.unseen_of(COMMENTS, two).await, counted(&["b"]), "{end:?} deleted another run's marks");
        assert_eq!(subject.rows_of(COMMENTS).await, untouched, "{end:?} changed another stream's rows");
        must(subject.sink.commit(parts(4, [mark(TABLE, one, &["a"])])).await);
    }
}
