//! The numbers of commits, and rows that are gone: clauses 14 and 15.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;

use super::super::Fresh;
use super::super::fixture::{
    ODD_TEXTS, TABLE, assert_refused, at, change, delete, document, key, must, resource, tables, upsert, widgets,
};
use super::SinkProbe;
use crate::sink::{RowQuery, RowSelection, SelectedRow, StalePolicy, StreamCommit, StreamReport, Sweep};
use crate::{
    Commit, ErrorKind, Position, Record, Reject, Resource, RowPath, RunId, Sequence, Sink, StateVersion, StreamSpec,
};

/// The child stream of the default stream.
pub(super) const CHILDREN: &str = "comments";

/// A sink with a parent stream and its child stream.
pub(super) struct Numbered {
    pub(super) probe: Arc<dyn SinkProbe>,
    pub(super) sink: Arc<dyn Sink>,
}

/// The streams of the checks.
pub(super) fn streams() -> Vec<StreamSpec> {
    let mut streams = tables();
    streams.push(StreamSpec::child(CHILDREN, TABLE));
    streams
}

/// A path.
pub(super) fn path(keys: &[&str]) -> RowPath {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

/// A part of a commit.
fn part(stream: &str, records: impl IntoIterator<Item = Record>) -> StreamCommit {
    StreamCommit::new(stream, RunId::new()).records(records)
}

/// A commit of the default resource with one part.
fn only(seconds: i64, part: StreamCommit) -> Commit {
    Commit::new(widgets(), at(seconds)).part(part)
}

impl Numbered {
    /// A fresh sink; `None` if it numbers no commits, and says so.
    pub(super) async fn new(fresh: &Fresh<dyn SinkProbe>) -> Option<Self> {
        let probe = fresh.make().await;
        let sink = probe.sink();
        if !probe.numbers_commits() {
            let everything = RowSelection::Paths(Vec::new());
            must(sink.ensure_streams(&widgets(), &tables()).await);
            assert_refused(sink.sequences(&widgets()).await, ErrorKind::Unsupported);
            assert_refused(
                sink.select_rows(RowQuery::new(widgets(), TABLE, everything, 1)).await,
                ErrorKind::Unsupported,
            );
            return None;
        }
        must(sink.ensure_streams(&widgets(), &streams()).await);
        Some(Self { probe, sink })
    }

    pub(super) async fn put(
        &self,
        seconds: i64,
        stream: &str,
        records: impl IntoIterator<Item = Record>,
    ) -> StreamReport {
        self.put_part(seconds, part(stream, records)).await
    }

    async fn put_part(&self, seconds: i64, part: StreamCommit) -> StreamReport {
        let stream = part.stream.clone();
        let mut report = must(self.sink.commit(only(seconds, part)).await);
        let report = report.streams.remove(&stream).unwrap_or_else(|| panic!("the report lacks the stream {stream}"));
        assert!(report.counts.add_up(), "the report does not add up: {:?}", report.counts);
        report
    }

    /// Selects rows of the default resource.
    pub(super) async fn select(&self, stream: &str, selection: RowSelection, limit: usize) -> Vec<SelectedRow> {
        let query = RowQuery::new(widgets(), stream, selection, limit).documents();
        must(self.sink.select_rows(query).await)
    }

    /// The rows that commits from `from` to `until` have changed.
    async fn changed(&self, stream: &str, [from, until]: [u64; 2], limit: usize) -> Vec<SelectedRow> {
        let (from, until) = (Sequence(from), Sequence(until));
        self.select(stream, RowSelection::Changed { from, after: None, until }, limit).await
    }

    /// The sequences of all rows of a stream.
    pub(super) async fn stamps(&self, stream: &str) -> BTreeMap<RowPath, u64> {
        let rows = self.changed(stream, [0, u64::MAX], usize::MAX).await.into_iter();
        rows.map(|row| (row.position.path, row.position.sequence.0)).collect()
    }

    /// The sequence of the only row of a stream.
    async fn stamp(&self, stream: &str) -> u64 {
        let stamps = self.stamps(stream).await;
        assert_eq!(stamps.len(), 1, "{stamps:?}");
        stamps.into_values().sum()
    }

    /// The number of a stream's newest commit; 0 without one.
    async fn number(&self, stream: &str) -> u64 {
        must(self.sink.sequences(&widgets()).await).get(stream).map_or(0, |sequence| sequence.0)
    }

    /// The titles of the live children of a row, by key.
    pub(super) async fn children(&self, parent: &RowPath) -> Vec<(String, String)> {
        let selection = RowSelection::Children { parents: vec![parent.clone()], after: None };
        let rows = self.select(CHILDREN, selection, usize::MAX).await.into_iter();
        rows.map(|row| (key_of(&row), row.json.map_or_else(String::new, |json| json.to_string()))).collect()
    }
}

/// The last key of a row's path.
fn key_of(row: &SelectedRow) -> String {
    row.position.path.key().unwrap_or_default().to_owned()
}

/// A query returns documents and fields only if it asks for them.
pub(super) async fn clause_14_documents_and_fields_come_with_the_rows(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    let json = r#"{"labels":[{"name":"x"},{"name":null}],"odd.key":1.5,"user":{"login":"ü"}}"#;
    subject.put(0, TABLE, [Record::upsert("a", 1, json), Record::upsert("b", 1, "[]"), delete("c", 1)]).await;
    subject.put(1, TABLE, [delete("a", 1)]).await;
    let paths = ["user.login", "labels[*].name", "\"odd.key\"", "missing.x"].map(|path| must(path.parse()));
    let everything = || RowSelection::Changed { from: Sequence(0), after: None, until: Sequence(u64::MAX) };
    let query = || RowQuery::new(widgets(), TABLE, everything(), 9);
    let mut rows = must(subject.sink.select_rows(query().fields(paths.clone())).await);
    rows.sort_by(|a, b| a.position.path.cmp(&b.position.path));
    let null = serde_json::Value::Null;
    assert_eq!(rows[0].fields, ["ü".into(), serde_json::json!(["x", null]), 1.5.into(), null.clone()]);
    assert_eq!(rows[1].fields, vec![null.clone(); 4]);
    assert_eq!(rows[2].fields, vec![null; 4], "a deletion of an unknown key has no document");
    assert!(rows.iter().all(|row| row.json.is_none()), "documents that the query does not ask for: {rows:?}");
    assert_eq!(rows.iter().map(|row| row.is_deleted).collect::<Vec<_>>(), [true, false, true]);
    let mut rows = must(subject.sink.select_rows(query().documents()).await);
    rows.sort_by(|a, b| a.position.path.cmp(&b.position.path));
    let documents = rows.iter().map(|row| row.json.as_deref()).collect::<Vec<_>>();
    assert_eq!(documents, [Some(json), Some("[]"), None]);
    assert!(rows.iter().all(|row| row.fields.is_empty()), "{rows:?}");
}

/// A commit that changes rows takes the next number; any other takes none. An insertion, a change, a deletion and a revival stamp the row.
pub(super) async fn clause_14_only_commits_that_change_rows_are_numbered(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    assert_eq!(must(subject.sink.sequences(&widgets()).await), BTreeMap::new());
    let run = RunId::new();
    let marked = |record| part(TABLE, [record]).sweep(Sweep::Mark(run, StalePolicy::Replace));
    let steps: [(&str, StreamCommit, u64); 16] = [
        ("an insertion", part(TABLE, [upsert("a", 5, "x")]), 1),
        ("the same again", part(TABLE, [upsert("a", 5, "x")]), 1),
        ("an older state", part(TABLE, [upsert("a", 4, "old")]), 1),
        ("nothing", part(TABLE, []), 1),
        ("a reject", part(TABLE, []).rejects([Reject::new("odd", "{}")]), 1),
        ("another text", part(TABLE, [upsert("a", 5, "y")]), 2),
        ("the same text with a newer version", part(TABLE, [upsert("a", 6, "y")]), 3),
        ("a mark", marked(upsert("a", 6, "y")), 3),
        ("a deletion at an equal version", part(TABLE, [delete("a", 6)]), 4),
        ("a second deletion", part(TABLE, [delete("a", 6)]), 4),
        ("a later second deletion", part(TABLE, [delete("a", 7)]), 4),
        ("an upsert older than the deletion", part(TABLE, [upsert("a", 6, "y")]), 4),
        ("a revival at an equal version", part(TABLE, [upsert("a", 7, "y")]), 5),
        ("an older state that replaces", marked_by(RunId::new(), upsert("a", 3, "z")), 6),
        ("a change back and forth in one commit", part(TABLE, [upsert("a", 8, "x"), upsert("a", 9, "z")]), 7),
        ("the end of a reconciliation", part(TABLE, []).sweep(Sweep::Finish(run)), 7),
    ];
    for (seconds, (what, part, expected)) in (0..).zip(steps) {
        subject.put_part(seconds, part).await;
        assert_eq!(subject.number(TABLE).await, expected, "after {what}");
        assert_eq!(subject.stamp(TABLE).await, expected, "the row's sequence after {what}");
    }
    subject.put(99, TABLE, [delete("unknown", 1)]).await;
    assert_eq!(subject.stamps(TABLE).await, [(path(&["a"]), 7), (path(&["unknown"]), 8)].into());
}

/// A part of a reconcile run in which older states replace newer ones.
fn marked_by(run: RunId, record: Record) -> StreamCommit {
    part(TABLE, [record]).sweep(Sweep::Mark(run, StalePolicy::Replace))
}

/// A commit stamps the rows that it changes with one number, and leaves the others, which it contains too.
pub(super) async fn clause_14_a_commit_stamps_only_the_rows_that_it_changes(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    subject.put(0, TABLE, ["a", "b", "c", "d", "e", "f"].map(|key| upsert(key, 5, key))).await;
    subject.put(1, TABLE, [delete("f", 5), delete("e", 5)]).await;
    let records = [
        upsert("a", 5, "a"),
        upsert("b", 4, "older"),
        upsert("c", 5, "changed"),
        delete("d", 6),
        delete("e", 7),
        upsert("f", 6, "revived"),
        upsert("g", 1, "new"),
    ];
    subject.put(2, TABLE, records).await;
    let expected = [("a", 1), ("b", 1), ("c", 3), ("d", 3), ("e", 2), ("f", 3), ("g", 3)];
    assert_eq!(subject.stamps(TABLE).await, expected.map(|(key, stamp)| (path(&[key]), stamp)).into());
    assert_eq!(subject.number(TABLE).await, 3);
}

/// The streams of a resource have numbers of their own, also in one commit, and so have the resources.
pub(super) async fn clause_14_streams_and_resources_are_numbered_separately(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    let gadgets = resource("acme/gadgets");
    must(subject.sink.ensure_streams(&gadgets, &streams()).await);
    for n in 0..3 {
        subject.put(n, TABLE, [upsert("a", n, "x")]).await;
    }
    let child = || upsert("k", 1, "x").of_parent(path(&["a"]));
    let both = only(3, part(TABLE, [upsert("b", 1, "x")])).part(part(CHILDREN, [child()]));
    must(subject.sink.commit(both).await);
    // The rows of the one part are unchanged.
    let both =
        only(4, part(TABLE, [upsert("b", 1, "x")])).part(part(CHILDREN, [delete("k", 1).of_parent(path(&["a"]))]));
    must(subject.sink.commit(both).await);
    let other = Commit { resource: gadgets.clone(), ..only(5, part(CHILDREN, [child()])) };
    must(subject.sink.commit(other).await);
    let numbers = async |resource: &Resource| {
        let numbers = must(subject.sink.sequences(resource).await).into_iter();
        numbers.map(|(stream, sequence)| (stream, sequence.0)).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&widgets()).await, [(CHILDREN.to_owned(), 2), (TABLE.to_owned(), 4)]);
    assert_eq!(numbers(&gadgets).await, [(CHILDREN.to_owned(), 1)]);
    assert_eq!(numbers(&resource("acme/unknown")).await, []);
    assert_eq!(subject.stamps(TABLE).await, [(path(&["a"]), 3), (path(&["b"]), 4)].into());
    assert_eq!(subject.stamps(CHILDREN).await, [(path(&["a", "k"]), 2)].into());
}

/// Ten commits of rows with odd keys, of which each also changes rows of earlier ones.
async fn ten_commits(subject: &Numbered) {
    for n in 0..10_usize {
        let own = ODD_TEXTS
            .iter()
            .skip(n * 3)
            .take(3)
            .map(|text| upsert(text, 1, "new").of_parent(path(&[if n % 2 == 0 { "1" } else { "a\"b" }])));
        let changed = ODD_TEXTS.iter().take(n * 3).step_by(5).map(|text| {
            let record = if n % 3 == 0 { delete(text, 1) } else { upsert(text, 1, &format!("changed {n}")) };
            record.of_parent(path(&["1"]))
        });
        subject.put(i64::try_from(n).unwrap_or_default(), CHILDREN, own.chain(changed)).await;
    }
}

/// `Changed` returns each row once, deleted ones too, in the order of the sequence, however it is paged.
pub(super) async fn clause_14_changed_rows_are_paged_once_each_in_order(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    ten_commits(&subject).await;
    let everything = subject.changed(CHILDREN, [0, u64::MAX], usize::MAX).await;
    let stored = subject.probe.rows(&widgets(), CHILDREN).await.len();
    let paths: BTreeSet<_> = everything.iter().map(|row| row.position.path.clone()).collect();
    assert_eq!((everything.len(), paths.len()), (stored, stored));
    assert!(everything.is_sorted_by_key(|row| row.position.sequence), "the rows are not in order: {everything:?}");
    assert!(everything.iter().any(|row| row.is_deleted) && everything.iter().any(|row| !row.is_deleted));
    for limit in [1, 2, 3, 7, 1_000] {
        let mut paged = Vec::new();
        let (mut from, mut after) = (Sequence(0), None);
        loop {
            let selection = RowSelection::Changed { from, after: after.take(), until: Sequence(10) };
            let page = subject.select(CHILDREN, selection, limit).await;
            assert!(page.len() <= limit, "{} rows for a limit of {limit}", page.len());
            let Some(last) = page.last() else { break };
            (from, after) = (last.position.sequence, Some(last.position.path.clone()));
            paged.extend(page);
            assert!(paged.len() <= stored, "paging by {limit} repeats rows");
        }
        assert_eq!(paged, everything, "paged by {limit}");
    }
}

/// `from` and `until` are part of the range, and `after` matters only for rows of the first number.
pub(super) async fn clause_14_changed_rows_are_those_of_the_range(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    for (seconds, keys) in (0..).zip([["d", "e"], ["a", "c"], ["f", "b"]]) {
        subject.put(seconds, TABLE, keys.map(|key| upsert(key, 1, key))).await;
    }
    let keys = async |from, after: Option<&str>, until, limit| {
        let (from, until) = (Sequence(from), Sequence(until));
        let selection = RowSelection::Changed { from, after: after.map(|key| path(&[key])), until };
        subject.select(TABLE, selection, limit).await.iter().map(key_of).collect::<Vec<_>>()
    };
    assert_eq!(keys(0, None, 3, 9).await, ["d", "e", "a", "c", "b", "f"]);
    assert_eq!(keys(2, None, 2, 9).await, ["a", "c"]);
    assert_eq!(keys(2, None, u64::MAX, 3).await, ["a", "c", "b"]);
    assert_eq!(keys(1, Some("d"), 2, 9).await, ["e", "a", "c"]);
    assert_eq!(keys(1, Some("e"), 3, 9).await, ["a", "c", "b", "f"]);
    // No row is at this position any more, or ever was: the rows after it come all the same.
    assert_eq!(keys(1, Some("dd"), 1, 9).await, ["e"]);
    assert_eq!(keys(2, Some("zzz"), 3, 9).await, ["b", "f"]);
    assert_eq!(keys(3, Some("f"), 3, 9).await, Vec::<String>::new());
    assert_eq!(keys(4, None, u64::MAX, 9).await, Vec::<String>::new());
    assert_eq!(keys(3, None, 1, 9).await, Vec::<String>::new());
    assert_eq!(keys(0, None, 3, 0).await, Vec::<String>::new());
}

/// A refused commit takes no number.
pub(super) async fn clause_14_a_refused_commit_takes_no_number(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    if subject.probe.states().is_none() {
        return;
    }
    let fenced =
        |base, records: Vec<Record>| part(TABLE, records).change(change(&key("acme/widgets"), base, 0, "state"));
    subject.put_part(0, fenced(StateVersion::NONE, vec![upsert("a", 1, "x")])).await;
    let stale = fenced(StateVersion::NONE, vec![upsert("a", 2, "y"), upsert("b", 1, "y")]);
    assert_refused(subject.sink.commit(only(1, stale.clone())).await, ErrorKind::Conflict);
    assert_refused(subject.sink.commit(only(1, stale.sweep(Sweep::Fence))).await, ErrorKind::Conflict);
    // The other stream's part is valid.
    let child = part(CHILDREN, [upsert("k", 1, "x").of_parent(path(&["a"]))]);
    let both = only(1, child).part(fenced(StateVersion::NONE, vec![upsert("b", 1, "y")]));
    assert_refused(subject.sink.commit(both).await, ErrorKind::Conflict);
    assert_eq!((subject.number(TABLE).await, subject.number(CHILDREN).await), (1, 0));
    assert_eq!(subject.stamps(TABLE).await, [(path(&["a"]), 1)].into());
    assert_eq!(subject.stamps(CHILDREN).await, BTreeMap::new());
    subject.put(2, TABLE, [upsert("b", 1, "y")]).await;
    assert_eq!(subject.number(TABLE).await, 2);
}

/// Numbers rise in the order in which commits become visible, also over several connections: at or below a number that was read, no row
/// appears later.
pub(super) async fn clause_14_nothing_appears_below_a_number_that_was_read(fresh: Fresh<dyn SinkProbe>) {
    const WRITERS: usize = 4;
    const COMMITS: usize = 12;
    let Some(subject) = Numbered::new(&fresh).await else { return };
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (done, sink) = (Arc::clone(&done), subject.probe.another().await);
        let subject = Numbered { probe: Arc::clone(&subject.probe), sink };
        tokio::spawn(async move {
            let mut seen = BTreeMap::new();
            let mut last = 0;
            loop {
                let ends = done.load(Ordering::SeqCst);
                let number = subject.number(TABLE).await;
                assert!(number >= last, "the number fell from {last} to {number}");
                let rows = subject.changed(TABLE, [0, number], usize::MAX).await;
                let new = rows.iter().filter(|row| seen.get(&row.position.path) != Some(&row.position.sequence));
                let late: Vec<_> = new.filter(|row| row.position.sequence.0 <= last).collect();
                assert!(late.is_empty(), "below {last}, rows have appeared: {late:?}");
                seen.extend(rows.into_iter().map(|row| (row.position.path, row.position.sequence)));
                last = number;
                if ends {
                    return seen.len();
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let sink = if writer % 2 == 0 { Arc::clone(&subject.sink) } else { subject.probe.another().await };
        writers.push(tokio::spawn(async move {
            for n in 0..COMMITS {
                let shared = upsert("shared", i64::try_from(n).unwrap_or_default(), &format!("{writer} {n}"));
                let own = upsert(&format!("{writer} {n}"), 1, "x");
                must(sink.commit(only(0, part(TABLE, [own, shared]))).await);
            }
        }));
    }
    for joined in join_all(writers).await {
        joined.expect("a writer failed");
    }
    done.store(true, Ordering::SeqCst);
    assert_eq!(reader.await.expect("the reader failed"), WRITERS * COMMITS + 1);
    let stamps: BTreeSet<u64> = subject
        .stamps(TABLE)
        .await
        .into_iter()
        .filter(|(at, _)| at.key() != Some("shared"))
        .map(|(_, stamp)| stamp)
        .collect();
    assert_eq!(stamps, (1..=(WRITERS * COMMITS) as u64).collect(), "each commit has a number of its own");
    assert_eq!(subject.number(TABLE).await, (WRITERS * COMMITS) as u64);
}

/// A part of the default stream with rows that are gone.
fn gone(rows: &[(&[&str], u64)]) -> StreamCommit {
    part(TABLE, []).gone(rows.iter().map(|(keys, sequence)| Position::new(Sequence(*sequence), path(keys))))
}

/// A row that is gone is marked deleted with a new number if it still has the number that was seen.
pub(super) async fn clause_15_a_row_is_gone_only_at_the_number_that_was_seen(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    subject.put(0, TABLE, ["a", "b", "c", "d"].map(|key| upsert(key, 5, key))).await;
    subject.put(1, TABLE, [upsert("b", 5, "changed"), delete("c", 5)]).await;
    // The numbers of other rows, of before a change, of after it, and of a deletion.
    let report = subject
        .put_part(2, gone(&[(&["a"], 2), (&["b"], 1), (&["b"], 3), (&["c"], 2), (&["x"], 1), (&["d"], 0)]))
        .await;
    assert_eq!(report.counts.offered, report.counts.unchanged + report.counts.skipped_total(), "{:?}", report.counts);
    assert_eq!(subject.number(TABLE).await, 2, "no row was changed");
    let report = subject.put_part(3, gone(&[(&["a"], 1), (&["b"], 1), (&["d"], 1)])).await;
    assert_eq!(report.counts.deleted, 2, "{:?}", report.counts);
    assert_eq!(subject.number(TABLE).await, 3);
    let rows = subject.changed(TABLE, [0, u64::MAX], 9).await;
    let shown =
        rows.iter().map(|row| (key_of(row), row.position.sequence.0, row.version.0, row.changed_at, row.is_deleted));
    let expected =
        [("b", 2, 5, at(1), false), ("c", 2, 5, at(1), true), ("a", 3, 5, at(3), true), ("d", 3, 5, at(3), true)];
    assert_eq!(
        shown.collect::<Vec<_>>(),
        expected.map(|(key, sequence, version, at, is_deleted)| (key.to_owned(), sequence, version, at, is_deleted))
    );
    assert_eq!(rows[2].json.as_deref(), Some(document("a").as_str()), "the row lost its last document");
    // It is a deletion like any other.
    subject.put(4, TABLE, [upsert("a", 4, "older"), upsert("d", 5, "d")]).await;
    let stamps = [("a", 3), ("b", 2), ("c", 2), ("d", 4)];
    assert_eq!(subject.stamps(TABLE).await, stamps.map(|(key, stamp)| (path(&[key]), stamp)).into());
    // The same again, after the revival.
    subject.put_part(5, gone(&[(&["d"], 1), (&["d"], 3)])).await;
    assert_eq!(subject.number(TABLE).await, 4);
}

/// Of two rows with the same key and number below two parents, and in two resources, only the one at the path is gone.
pub(super) async fn clause_15_only_the_row_at_the_path_is_gone(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    let gadgets = resource("acme/gadgets");
    must(subject.sink.ensure_streams(&gadgets, &streams()).await);
    let [one, two] = [path(&["a/\"1"]), path(&["2"])];
    let records = || [&one, &two].map(|parent| upsert("k", 1, "x").of_parent(parent.clone()));
    subject.put(0, CHILDREN, records()).await;
    must(subject.sink.commit(Commit { resource: gadgets.clone(), ..only(0, part(CHILDREN, records())) }).await);
    subject.put_part(1, part(CHILDREN, []).gone([Position::new(Sequence(1), one.child("k"))])).await;
    assert_eq!(subject.children(&one).await, []);
    assert_eq!(subject.children(&two).await.len(), 1);
    assert_eq!(subject.stamps(CHILDREN).await, [(one.child("k"), 2), (two.child("k"), 1)].into());
    let everywhere = RowSelection::Changed { from: Sequence(0), after: None, until: Sequence(9) };
    let others = must(subject.sink.select_rows(RowQuery::new(gadgets, CHILDREN, everywhere, 9)).await);
    assert_eq!(others.iter().filter(|row| !row.is_deleted).count(), 2, "another resource's row was deleted");
}

/// Rows of one stream that are gone and the rows of another become visible together, or nothing of it.
pub(super) async fn clause_15_gone_rows_belong_to_the_whole_commit(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    let child = |record: Record| record.of_parent(path(&["a"]));
    subject.put(0, TABLE, [upsert("a", 1, "a"), upsert("b", 1, "b")]).await;
    subject.put(1, CHILDREN, [child(upsert("k", 1, "x"))]).await;
    let deletion = part(CHILDREN, [child(delete("k", 1))]);
    if subject.probe.states().is_some() {
        let children = crate::StateKey::new(widgets().name(), CHILDREN);
        let stale = deletion.clone().change(change(&children, StateVersion(7), 2, "stale"));
        let refused = only(2, gone(&[(&["a"], 1)])).part(stale);
        assert_refused(subject.sink.commit(refused).await, ErrorKind::Conflict);
        assert_eq!((subject.number(TABLE).await, subject.number(CHILDREN).await), (1, 1));
    }
    let report = must(subject.sink.commit(only(3, deletion).part(gone(&[(&["a"], 1)]))).await);
    assert!(report.streams.values().all(|report| report.counts.add_up()), "{report:?}");
    let deleted = report.streams.iter().map(|(stream, report)| (stream.as_str(), report.counts.deleted));
    assert_eq!(deleted.collect::<Vec<_>>(), [(CHILDREN, 1), (TABLE, 1)]);
    assert_eq!(subject.stamps(TABLE).await, [(path(&["a"]), 2), (path(&["b"]), 1)].into());
    assert_eq!(subject.stamps(CHILDREN).await, [(path(&["a", "k"]), 2)].into());
}

/// A record that another stream's run has verified wins at the number that was seen. Of a row that has changed since, or that there is not,
/// nothing is known.
pub(super) async fn clause_15_a_record_verified_at_a_number_wins_only_there(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Numbered::new(&fresh).await else { return };
    let [one, two] = [path(&["a/\"1"]), path(&["2"])];
    let below = |parent: &RowPath, version, title| upsert("k", version, title).of_parent(parent.clone());
    subject.put(0, CHILDREN, [below(&one, 9, "x"), below(&two, 9, "x")]).await;
    subject.put(1, CHILDREN, [below(&two, 9, "changed")]).await;
    let verified = |version, title| {
        let part = part(CHILDREN, []).verified_at(Sequence(1), below(&one, version, title));
        part.verified_at(Sequence(1), below(&two, version, title))
    };
    let report = subject.put_part(2, verified(3, "verified")).await;
    assert_eq!((report.counts.updated, report.counts.skipped_total()), (1, 1), "{:?}", report.counts);
    let state = |title: &str| vec![("k".to_owned(), document(title))];
    assert_eq!(subject.children(&one).await, state("verified"));
    assert_eq!(subject.children(&two).await, state("changed"));
    assert_eq!(subject.stamps(CHILDREN).await, [(one.child("k"), 3), (two.child("k"), 2)].into());
    // The row has another number now. A newer version does not win, either: what was verified is older than the row.
    let report = subject.put_part(3, verified(12, "late")).await;
    assert_eq!((report.counts.skipped_total(), report.counts.offered), (2, 2), "{:?}", report.counts);
    let later = part(CHILDREN, []).verified_at(Sequence(4), below(&one, 12, "late"));
    let unknown = below(&path(&["unknown"]), 12, "late");
    let report = subject.put_part(4, later.verified_at(Sequence(0), unknown)).await;
    assert_eq!((report.counts.skipped_total(), report.counts.offered), (2, 2), "{:?}", report.counts);
    assert_eq!(subject.number(CHILDREN).await, 3);
    assert_eq!(subject.children(&one).await, state("verified"));
    assert_eq!(subject.stamps(CHILDREN).await.len(), 2);
    // With the right number, it does, beside other records.
    let last = part(CHILDREN, [upsert("new", 1, "x").of_parent(two.clone())]);
    let report = subject.put_part(5, last.verified_at(Sequence(3), below(&one, 1, "again"))).await;
    assert_eq!((report.counts.updated, report.counts.inserted), (1, 1), "{:?}", report.counts);
    assert_eq!(subject.children(&one).await, state("again"));
    assert_eq!(subject.number(CHILDREN).await, 4);
}
