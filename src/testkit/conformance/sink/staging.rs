//! Records that are staged before their commit: clause 16.

use super::super::Fresh;
use super::super::fixture::{TABLE, at, commit, delete, marked_as, must, reported, tables, upsert, widgets};
use super::reconcile::unseen;
use super::{SinkProbe, Subject};
use crate::sink::StalePolicy;
use crate::{Commit, Counts, ErrorKind, Record, RunId, Stage, StoredRow, StreamCommit};

impl Subject {
    /// A fresh sink that stages; `None` if this one does not, which is checked.
    async fn staging(fresh: &Fresh<dyn SinkProbe>) -> Option<Self> {
        let subject = Self::new(fresh).await;
        if subject.probe.stages() {
            return Some(subject);
        }
        let refused = subject.sink.stage(&widgets(), TABLE, RunId::new()).await.map(drop);
        assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::Unsupported));
        None
    }

    async fn stage(&self, run: RunId) -> Box<dyn Stage> {
        must(self.sink.stage(&widgets(), TABLE, run).await)
    }

    /// Commits records, each staged by itself, and returns their counts. `finish` completes each commit: there is one more whenever the
    /// stage does not accept a record.
    async fn put_staged(&self, seconds: i64, records: Vec<Record>, finish: impl Fn(Commit) -> Commit) -> Counts {
        let (run, mut counts) = (RunId::new(), Counts::default());
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            let mut stage = self.stage(run).await;
            while let Some(record) = records.next_if(|record| stage.accepts(std::slice::from_ref(record))) {
                must(stage.add(vec![record]).await);
            }
            let part = StreamCommit::new(TABLE, run).staged(must(stage.finish().await));
            let report = reported(must(self.sink.commit(finish(Commit::new(widgets(), at(seconds)).part(part))).await));
            assert!(report.counts.add_up(), "the report does not add up: {:?}", report.counts);
            assert!(report.counts.offered > 0, "a new stage accepts no record");
            counts += &report.counts;
        }
        counts
    }
}

/// Nothing of what is staged is visible before its commit, and all of it afterwards.
pub(super) async fn clause_16_staged_records_become_visible_with_their_commit(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Subject::staging(&fresh).await else { return };
    let run = RunId::new();
    let mut stage = subject.stage(run).await;
    must(stage.add(vec![upsert("a", 1, "x"), upsert("b", 1, "y")]).await);
    assert_eq!(subject.rows().await, []);
    must(stage.add(vec![upsert("c", 1, "z")]).await);
    let staged = must(stage.finish().await);
    assert_eq!((subject.rows().await, staged.records()), (vec![], 3));
    let part = StreamCommit::new(TABLE, run).staged(staged);
    let report = reported(must(subject.sink.commit(Commit::new(widgets(), at(1)).part(part)).await));
    assert_eq!((report.counts.offered, report.counts.inserted), (3, 3), "{:?}", report.counts);
    let keys: Vec<String> = subject.rows().await.into_iter().map(|row| row.key).collect();
    assert_eq!(keys, ["a", "b", "c"]);
}

/// What is never named changes nothing, now or with another commit.
pub(super) async fn clause_16_what_no_commit_names_changes_nothing(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Subject::staging(&fresh).await else { return };
    let mut unfinished = subject.stage(RunId::new()).await;
    must(unfinished.add(vec![upsert("unfinished", 1, "x")]).await);
    let mut finished = subject.stage(RunId::new()).await;
    must(finished.add(vec![upsert("finished", 1, "x")]).await);
    drop((unfinished, must(finished.finish().await)));
    subject.put_staged(1, vec![upsert("staged", 1, "x")], |commit| commit).await;
    subject.put(2, [upsert("listed", 1, "x")]).await;
    let keys: Vec<String> = subject.rows().await.into_iter().map(|row| row.key).collect();
    assert_eq!(keys, ["listed", "staged"]);
}

/// Records that are older, equal, repeated, deleted and revived, and a row for each.
fn every_kind() -> (Vec<Record>, Vec<Record>) {
    let keys = ["older", "same", "changed", "deleted", "again", "revived", "twice"];
    let stored = keys.map(|key| upsert(key, 5, "x")).into_iter().chain([delete("revived", 6), delete("again", 6)]);
    let records = vec![
        upsert("older", 4, "old"),
        upsert("same", 5, "x"),
        upsert("changed", 5, "y"),
        delete("deleted", 5),
        delete("again", 7),
        upsert("revived", 7, "back"),
        upsert("twice", 6, "one"),
        upsert("new", 1, "x"),
        delete("unknown", 1),
        delete("twice", 7),
        upsert("new", 2, "y"),
        upsert("twice", 6, "late"),
    ];
    (stored.collect(), records)
}

/// A row, without times that depend on the number of commits.
fn content(row: StoredRow) -> (String, i64, Option<String>, bool) {
    (row.key, row.version.0, row.json.map(|json| json.to_string()), row.deleted_at.is_some())
}

/// Staged records do to the rows what the same records do that come with their commit, and are counted alike.
pub(super) async fn clause_16_staged_records_are_merged_like_others(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Subject::staging(&fresh).await else { return };
    let other = Subject::new(&fresh).await;
    let (stored, records) = every_kind();
    let mut outcomes = Vec::new();
    for (subject, stages) in [(&subject, true), (&other, false)] {
        for record in stored.clone() {
            subject.put(0, [record]).await;
        }
        let counts = match stages {
            true => subject.put_staged(1, records.clone(), |commit| commit).await,
            false => subject.put(1, records.clone()).await.counts,
        };
        outcomes.push((counts, subject.rows().await.into_iter().map(content).collect::<Vec<_>>()));
    }
    assert_eq!(outcomes[0], outcomes[1]);
}

/// A reconcile run marks and replaces with staged records as with others.
pub(super) async fn clause_16_staged_records_are_marked_like_others(fresh: Fresh<dyn SinkProbe>) {
    for policy in [StalePolicy::Skip, StalePolicy::Verify, StalePolicy::Replace] {
        let Some(subject) = Subject::staging(&fresh).await else { return };
        let other = Subject::new(&fresh).await;
        let (stored, records) = every_kind();
        let mut outcomes = Vec::new();
        for (subject, stages) in [(&subject, true), (&other, false)] {
            let sweep = RunId::new();
            for record in stored.clone().into_iter().chain([upsert("unseen", 1, "x")]) {
                subject.put(0, [record]).await;
            }
            let finish = |commit| marked_as(sweep, policy, commit);
            let counts = match stages {
                true => subject.put_staged(1, records.clone(), finish).await,
                false => reported(must(subject.sink.commit(finish(commit(1, records.clone()))).await)).counts,
            };
            let unseen = unseen(&*subject.sink, sweep, None, 99).await;
            outcomes.push((counts, subject.rows().await.into_iter().map(content).collect::<Vec<_>>(), unseen));
        }
        assert_eq!(outcomes[0], outcomes[1], "{policy:?}");
    }
}

/// A part names what was staged, or has records: of both, the order would be unknown.
pub(super) async fn clause_16_records_beside_staged_ones_are_refused(fresh: Fresh<dyn SinkProbe>) {
    let Some(subject) = Subject::staging(&fresh).await else { return };
    let run = RunId::new();
    let mut stage = subject.stage(run).await;
    must(stage.add(vec![upsert("a", 1, "x")]).await);
    let part = StreamCommit::new(TABLE, run).staged(must(stage.finish().await)).records([upsert("b", 1, "x")]);
    let refused = subject.sink.commit(Commit::new(widgets(), at(1)).part(part)).await;
    assert_eq!(refused.map_err(|error| error.kind()).err(), Some(ErrorKind::Internal));
    must(subject.sink.ensure_streams(&widgets(), &tables()).await);
    assert_eq!(subject.rows().await, []);
}
