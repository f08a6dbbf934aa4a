//! Records that the source was asked about one by one: clause 3.

use super::super::Fresh;
use super::super::fixture::{at, commit, delete, document, marked_as, must, reported, upsert};
use super::reconcile::unseen;
use super::{SinkProbe, Subject};
use crate::sink::StalePolicy;
use crate::{Commit, Record, RunId};

/// A commit of listed records, then of verified ones.
fn verified(
    seconds: i64,
    listed: impl IntoIterator<Item = Record>,
    records: impl IntoIterator<Item = Record>,
) -> Commit {
    let mut commit = commit(seconds, listed);
    let part = commit.parts.remove(0);
    commit.part(part.verified(records))
}

/// Outside a reconcile run, the source's answer about a single record replaces the stored state, and no other record of the commit does.
pub(super) async fn clause_3_a_verified_record_wins_over_a_newer_version(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let keys = ["changed", "deleted", "revived", "same", "listed", "newer"];
    subject.put(0, keys.map(|key| upsert(key, 9, "x"))).await;
    subject.put(1, [delete("revived", 9)]).await;
    let answers = [
        upsert("changed", 3, "restored"),
        delete("deleted", 3),
        upsert("revived", 3, "back"),
        upsert("same", 9, "x"),
        upsert("unknown", 3, "new"),
        upsert("newer", 10, "y"),
    ];
    let report = reported(must(subject.sink.commit(verified(2, [upsert("listed", 3, "lagging")], answers)).await));
    let counts = report.counts;
    assert!(counts.add_up(), "the report does not add up: {counts:?}");
    assert_eq!((counts.updated, counts.deleted, counts.inserted), (3, 1, 1), "{counts:?}");
    assert_eq!((counts.unchanged, counts.skipped_total()), (1, 1), "{counts:?}");
    let rows = subject.rows().await;
    let shown = rows.iter().map(|row| (&*row.key, row.version.0, row.json.as_deref(), row.deleted_at, row.changed_at));
    let titles = ["restored", "x", "x", "y", "back", "x", "new"].map(document);
    let title = |n: usize| Some(titles[n].as_str());
    let expected = [
        ("changed", 3, title(0), None, at(2)),
        // A deletion never lowers the version.
        ("deleted", 9, title(1), Some(at(2)), at(2)),
        ("listed", 9, title(2), None, at(0)),
        ("newer", 10, title(3), None, at(2)),
        ("revived", 3, title(4), None, at(2)),
        ("same", 9, title(5), None, at(0)),
        ("unknown", 3, title(6), None, at(2)),
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    // Afterwards, versions decide: the row has the version of the answer.
    subject.put(3, [upsert("changed", 4, "listed"), upsert("deleted", 8, "old")]).await;
    let live: Vec<_> = subject.live().await.into_iter().map(|(key, version, _)| (key, version.0)).collect();
    assert!(live.contains(&("changed".to_owned(), 4)), "{live:?}");
    assert!(live.iter().all(|(key, _)| key != "deleted"), "{live:?}");
}

/// Of two states of a key in one commit, a verified one wins over those before it, and by its version over those after it.
pub(super) async fn clause_3_verified_records_are_merged_in_their_order(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, ["a", "b", "c"].map(|key| upsert(key, 5, "x"))).await;
    let before = [upsert("a", 9, "listed"), upsert("b", 9, "listed")];
    let after = [upsert("b", 4, "newer"), upsert("c", 4, "newer"), upsert("a", 2, "older")];
    let mut both = verified(1, before, ["a", "b", "c"].map(|key| upsert(key, 3, "verified")));
    both.parts[0].records.extend(after);
    let counts = reported(must(subject.sink.commit(both).await)).counts;
    assert_eq!((counts.updated, counts.skipped_total(), counts.offered), (7, 1, 8), "{counts:?}");
    let found: Vec<_> = subject.live().await.into_iter().map(|(_, version, json)| (version.0, json)).collect();
    let state = |version, title: &str| (version, Some(document(title).into()));
    assert_eq!(found, [state(3, "verified"), state(4, "newer"), state(4, "newer")]);
}

/// A verified record wins whatever the policy, also over a state that the reconcile run has marked, and is marked itself.
pub(super) async fn clause_3_a_verified_record_wins_in_a_reconcile_run_and_is_marked(fresh: Fresh<dyn SinkProbe>) {
    for policy in [StalePolicy::Skip, StalePolicy::Verify, StalePolicy::Replace] {
        let (subject, run) = (Subject::new(&fresh).await, RunId::new());
        subject.put(0, ["a", "b", "c"].map(|key| upsert(key, 9, "x"))).await;
        subject.put_marked(1, run, policy, [upsert("b", 9, "x")]).await;
        let answers = [upsert("a", 3, "verified"), upsert("b", 3, "verified")];
        must(subject.sink.commit(marked_as(run, policy, verified(2, [], answers))).await);
        let versions: Vec<_> = subject.rows().await.iter().map(|row| row.version.0).collect();
        assert_eq!(versions, [3, 3, 9], "{policy:?}");
        assert_eq!(unseen(&*subject.sink, run, None, 9).await, ["c"], "{policy:?}");
    }
}
