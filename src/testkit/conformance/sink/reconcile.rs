//! Reconcile runs: how a marking commit treats older states (clause 3), and clause 10.

use super::super::Fresh;
use super::super::fixture::{
    TABLE, at, commit, delete, document, marked, marked_as, must, reported, resource, swept, tables, upsert, widgets,
};
use super::{SinkProbe, Subject};
use crate::sink::{LiveRows, StalePolicy, StreamCommit, Sweep, UnseenQuery};
use crate::{Commit, Record, RunId, Sink, Version};

impl Subject {
    /// Commits records as part of a reconcile run; the report must add up.
    pub(super) async fn put_marked(
        &self,
        seconds: i64,
        run: RunId,
        policy: StalePolicy,
        records: impl IntoIterator<Item = Record>,
    ) -> crate::Counts {
        let counts = reported(must(self.sink.commit(marked_as(run, policy, commit(seconds, records))).await)).counts;
        assert!(counts.add_up(), "the report does not add up: {counts:?}");
        counts
    }
}

/// In an authoritative run, the first state of a key stays, whatever its version; other runs ignore its marks.
pub(super) async fn clause_3_an_older_state_replaces_a_row_its_run_has_not_marked(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let (one, two) = (RunId::new(), RunId::new());
    subject.put(0, [upsert("a", 9, "from next year"), upsert("b", 9, "x"), delete("b", 9), upsert("c", 1, "x")]).await;
    let older = [upsert("a", 3, "today"), upsert("b", 3, "back"), upsert("c", 1, "x"), upsert("d", 3, "new")];
    let counts = subject.put_marked(1, one, StalePolicy::Replace, older).await;
    assert_eq!((counts.updated, counts.unchanged, counts.inserted), (2, 1, 1), "{counts:?}");
    let live = |version, title: &str| (Version(version), Some(document(title).into()));
    let found = subject.live().await.into_iter().map(|(_, version, json)| (version, json)).collect::<Vec<_>>();
    assert_eq!(found, [live(3, "today"), live(3, "back"), live(1, "x"), live(3, "new")]);
    assert_eq!(unseen(&*subject.sink, one, None, 9).await, Vec::<String>::new());
    // Another run has not marked it.
    subject.put_marked(2, two, StalePolicy::Replace, [upsert("a", 2, "yesterday")]).await;
    assert_eq!(subject.rows().await[0].version, Version(2));
}

/// Of several states of a key in one run, the one with the highest version stays, in any order and in any split into commits.
pub(super) async fn clause_3_once_a_run_has_marked_a_key_versions_decide(fresh: Fresh<dyn SinkProbe>) {
    const ORDERS: [[i64; 3]; 6] = [[3, 4, 5], [3, 5, 4], [4, 3, 5], [4, 5, 3], [5, 3, 4], [5, 4, 3]];
    let (subject, run) = (Subject::new(&fresh).await, RunId::new());
    let keys = ["in one commit", "in three commits"].map(|split| move |n: usize| format!("{split} {n}"));
    let [joined, separate] = &keys;
    let state = |key: String, version: i64| upsert(&key, version, &version.to_string());
    let all = |version| keys.iter().flat_map(move |key| (0..ORDERS.len()).map(move |n| state(key(n), version)));
    subject.put(0, all(9)).await;
    let one = ORDERS.iter().enumerate().flat_map(|(n, order)| order.map(|version| state(joined(n), version)));
    subject.put_marked(1, run, StalePolicy::Replace, one).await;
    for step in 0..3 {
        let some = ORDERS.iter().enumerate().map(|(n, order)| state(separate(n), order[step]));
        subject.put_marked(2, run, StalePolicy::Replace, some).await;
    }
    for row in subject.rows().await {
        assert_eq!((row.version, row.json.as_deref()), (Version(5), Some(document("5").as_str())), "{}", row.key);
    }
}

/// The source's answer about a single record is authoritative; nothing older than the stored version restores the row.
pub(super) async fn clause_3_a_verified_deletion_wins_and_never_lowers_the_version(fresh: Fresh<dyn SinkProbe>) {
    let (subject, run) = (Subject::new(&fresh).await, RunId::new());
    subject.put(0, [upsert("a", 9, "x"), upsert("b", 9, "x")]).await;
    let counts = subject.put_marked(1, run, StalePolicy::Replace, [delete("a", 2), upsert("b", 2, "y")]).await;
    assert_eq!((counts.deleted, counts.updated), (1, 1), "{counts:?}");
    let rows = subject.rows().await;
    assert_eq!((rows[0].version, rows[0].deleted_at), (Version(9), Some(at(1))));
    assert_eq!((rows[1].version, rows[1].deleted_at), (Version(2), None));
    subject.put(2, [upsert("a", 8, "old")]).await;
    // The run has marked the key, so that a page read before the deletion does not restore it.
    subject.put_marked(3, run, StalePolicy::Replace, [upsert("a", 8, "old")]).await;
    assert_eq!(subject.live().await.len(), 1);
}

/// An older state may come from a lagging replica: the row stays, and the engine asks the source about it.
pub(super) async fn clause_3_an_older_state_pending_verification_is_not_marked(fresh: Fresh<dyn SinkProbe>) {
    let (subject, run) = (Subject::new(&fresh).await, RunId::new());
    subject.put(0, [upsert("a", 9, "new"), upsert("b", 9, "new"), upsert("c", 9, "new")]).await;
    let before = subject.rows().await;
    let records = [upsert("a", 3, "old"), upsert("b", 9, "new"), upsert("c", 3, "old"), upsert("c", 9, "new")];
    let counts = subject.put_marked(1, run, StalePolicy::Verify, records).await;
    assert_eq!((counts.unchanged, counts.skipped_total()), (2, 2), "{counts:?}");
    assert_eq!(subject.rows().await, before);
    assert_eq!(unseen(&*subject.sink, run, None, 9).await, ["a"]);
    subject.put_marked(2, run, StalePolicy::Replace, [upsert("a", 3, "true")]).await;
    assert_eq!(subject.rows().await[0].json.as_deref(), Some(document("true").as_str()));
    assert_eq!(unseen(&*subject.sink, run, None, 9).await, Vec::<String>::new());
}

/// A deleted row that is listed again is live until the engine has asked the source about it.
pub(super) async fn clause_3_an_older_state_pending_verification_restores_the_row(fresh: Fresh<dyn SinkProbe>) {
    let (subject, run) = (Subject::new(&fresh).await, RunId::new());
    subject.put(0, [upsert("a", 9, "x"), delete("a", 9), upsert("b", 9, "x"), delete("b", 9)]).await;
    let counts = subject.put_marked(1, run, StalePolicy::Verify, [upsert("a", 3, "old"), upsert("b", 9, "x")]).await;
    assert_eq!(counts.updated, 2, "{counts:?}");
    assert_eq!(subject.live().await.len(), 2);
    assert_eq!(unseen(&*subject.sink, run, None, 9).await, ["a"]);
}

/// Versions alone decide, and an older state marks its key, too.
pub(super) async fn clause_3_skipped_older_states_are_marked(fresh: Fresh<dyn SinkProbe>) {
    let (subject, run) = (Subject::new(&fresh).await, RunId::new());
    subject.put(0, [upsert("a", 9, "x"), upsert("b", 9, "x"), delete("b", 9)]).await;
    let before = subject.rows().await;
    let counts = subject.put_marked(1, run, StalePolicy::Skip, [upsert("a", 3, "old"), upsert("b", 3, "old")]).await;
    assert_eq!(counts.skipped_total(), 2, "{counts:?}");
    assert_eq!(subject.rows().await, before);
    assert_eq!(unseen(&*subject.sink, run, None, 9).await, Vec::<String>::new());
}

/// `live_rows` counts what `unseen` returns, for a run with marks and for one without.
pub(super) async fn clause_10_live_rows_counts_what_unseen_returns(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let (sink, gadgets, run) = (&*subject.sink, resource("acme/gadgets"), RunId::new());
    must(sink.ensure_streams(&gadgets, &tables()).await);
    must(sink.commit(marked(run, Commit { resource: gadgets, ..commit(0, [upsert("k1", 1, "x")]) })).await);
    let count = async |sweep| {
        let query = UnseenQuery { resource: widgets(), table: TABLE.into(), sweep, after: Some("k5".into()), limit: 1 };
        must(sink.live_rows(query).await)
    };
    assert_eq!(count(run).await, LiveRows::default());
    subject.put(0, (0..10).map(|n| upsert(&format!("k{n}"), 1, "x"))).await;
    subject.put(1, [delete("k9", 1), delete("unknown", 1)]).await;
    must(sink.commit(marked(run, commit(2, [upsert("k3", 1, "x"), upsert("k4", 1, "x")]))).await);
    must(sink.commit(marked(run, commit(3, [upsert("k3", 1, "x")]))).await);
    assert_eq!(count(run).await, LiveRows { live: 9, unseen: 7 });
    assert_eq!(count(RunId::new()).await, LiveRows { live: 9, unseen: 9 });
}

/// Returns the keys that `unseen` returns for a run.
pub(super) async fn unseen(sink: &dyn Sink, sweep: RunId, after: Option<&str>, limit: usize) -> Vec<String> {
    let query = UnseenQuery { resource: widgets(), table: TABLE.into(), sweep, after: after.map(str::to_owned), limit };
    must(sink.unseen(query).await).into_iter().map(|record| record.key).collect()
}

/// `unseen` excludes keys that a commit of the run contained, changed or not, deleted rows, and other resources' rows.
pub(super) async fn clause_10_unseen_returns_the_live_unmarked_records_ordered_by_key(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let (sink, gadgets, run) = (&*subject.sink, resource("acme/gadgets"), RunId::new());
    must(sink.ensure_streams(&gadgets, &tables()).await);
    let other = Commit { resource: gadgets, ..commit(0, [upsert("other", 1, "x"), upsert("b", 1, "x")]) };
    must(sink.commit(marked(run, other)).await);
    let keys = ["d", "gone", "c", "a", "b", "unseen", "é", "Z"];
    subject.put(0, keys.map(|key| upsert(key, 1, key))).await;
    subject.put(1, [delete("gone", 2), delete("unknown", 2)]).await;
    assert_eq!(unseen(sink, run, None, 9).await, ["Z", "a", "b", "c", "d", "unseen", "é"]);
    must(sink.commit(marked(run, commit(2, [upsert("a", 1, "a"), upsert("b", 2, "changed")]))).await);
    must(
        sink.commit(marked(run, commit(3, [upsert("c", 0, "older"), upsert("new", 1, "x"), upsert("a", 1, "a")])))
            .await,
    );
    assert_eq!(unseen(sink, run, None, 9).await, ["Z", "d", "unseen", "é"]);
    let query = UnseenQuery { resource: widgets(), table: TABLE.into(), sweep: run, after: Some("a".into()), limit: 1 };
    let record = must(sink.unseen(query).await).remove(0);
    assert_eq!((record.version.0, &*record.json), (1, document("d").as_str()));
}

/// `after` and `limit` page through all of them once.
pub(super) async fn clause_10_unseen_continues_after_a_key(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let run = RunId::new();
    subject.put(0, (0..10).map(|n| upsert(&format!("k{n}"), 1, "x"))).await;
    must(subject.sink.commit(marked(run, commit(1, [upsert("k3", 1, "x")]))).await);
    assert_eq!(unseen(&*subject.sink, run, None, 4).await, ["k0", "k1", "k2", "k4"]);
    assert_eq!(unseen(&*subject.sink, run, Some("k4"), 4).await, ["k5", "k6", "k7", "k8"]);
    assert_eq!(unseen(&*subject.sink, run, Some("k8"), 4).await, ["k9"]);
    assert_eq!(unseen(&*subject.sink, run, Some("k9"), 4).await, Vec::<String>::new());
    assert_eq!(unseen(&*subject.sink, run, None, 0).await, Vec::<String>::new());
}

/// A mark leaves the row itself unchanged.
pub(super) async fn clause_10_a_mark_rewrites_no_row(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [upsert("a", 1, "x")]).await;
    let before = subject.rows().await;
    let counts = subject.put_marked(1, RunId::new(), StalePolicy::Skip, [upsert("a", 1, "x")]).await;
    assert_eq!(counts.unchanged, 1);
    assert_eq!(subject.rows().await, before);
}

/// Each run has its own marks; `Finish` deletes only those of its run.
pub(super) async fn clause_10_reconciliations_do_not_share_marks_and_finish_deletes_them(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let sink = &*subject.sink;
    let (one, two) = (RunId::new(), RunId::new());
    subject.put(0, [upsert("a", 1, "x"), upsert("b", 1, "x")]).await;
    must(sink.commit(marked(one, commit(1, [upsert("a", 1, "x")]))).await);
    must(sink.commit(marked(two, commit(1, [upsert("b", 1, "x")]))).await);
    assert_eq!(unseen(sink, one, None, 9).await, ["b"]);
    assert_eq!(unseen(sink, two, None, 9).await, ["a"]);
    must(sink.commit(swept(Sweep::Finish(one), commit(2, []))).await);
    assert_eq!(unseen(sink, one, None, 9).await, ["a", "b"]);
    assert_eq!(unseen(sink, two, None, 9).await, ["a"]);
    must(sink.commit(swept(Sweep::Finish(one), commit(3, []))).await);
}

/// A refused commit marks nothing.
pub(super) async fn clause_10_a_refused_commit_marks_nothing(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let run = RunId::new();
    subject.put(0, [upsert("a", 1, "x")]).await;
    let mut bad = marked(run, commit(1, [upsert("a", 1, "x")]));
    bad.parts.push(StreamCommit::new("comments", RunId::new()));
    assert!(subject.sink.commit(bad).await.is_err());
    assert_eq!(unseen(&*subject.sink, run, None, 9).await, ["a"]);
}
