//! Rejects: clause 9.

use super::super::Fresh;
use super::super::fixture::{TABLE, at, commit, marked, must, reported, resource, swept, tables, upsert, widgets};
use super::{SinkProbe, Subject};
use crate::sink::{RejectQuery, Sweep};
use crate::{Commit, Reject, Resource, RunId, StateKey};

/// A reject is stored with its reason, separately for each resource.
pub(super) async fn clause_9_rejects_are_kept_with_their_reason(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let rejects = vec![
        Reject { reason: "no id".into(), raw: r#"{"title":"it's \u0000"}"#.into() },
        Reject { reason: "not an object".into(), raw: "[1,".into() },
    ];
    let mut commit = commit(0, [upsert("a", 1, "x")]);
    commit.parts[0].rejects = rejects.clone();
    let counts = reported(must(subject.sink.commit(commit).await)).counts;
    assert_eq!((counts.offered, counts.rejected, counts.inserted), (3, 2, 1));
    let mut kept = subject.probe.rejects(&widgets(), TABLE).await;
    kept.sort_by(|a, b| a.reason.cmp(&b.reason));
    assert_eq!(kept, rejects);
    assert_eq!(subject.probe.rejects(&resource("acme/gadgets"), TABLE).await, []);
    assert_eq!(subject.rows().await.len(), 1, "a reject was stored as a row");
}

/// A commit for a resource that contains only a reject.
fn rejecting(resource: &Resource, seconds: i64, reason: &str) -> Commit {
    let mut commit = Commit { resource: resource.clone(), ..commit(seconds, []) };
    commit.parts[0].rejects = vec![Reject { reason: reason.into(), raw: format!("{{\"{reason}\":1}}").into() }];
    commit
}

/// The reasons of the outstanding rejects, and their total number.
async fn outstanding(subject: &Subject, resource: Option<&Resource>, limit: usize) -> (Vec<String>, u64) {
    let query = RejectQuery { resource: resource.cloned(), limit, ..RejectQuery::default() };
    let found = must(subject.sink.rejects(query).await);
    let total = found.total();
    (found.rejects.into_iter().map(|reject| reject.reason).collect(), total)
}

/// Each reject is returned once, the most recently seen first, for all resources or for one.
pub(super) async fn clause_9_rejects_are_returned_and_counted(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let gadgets = resource("acme/gadgets");
    must(subject.sink.ensure_streams(&gadgets, &tables()).await);
    assert_eq!(outstanding(&subject, None, 9).await, (vec![], 0));
    for (resource, seconds, reason) in [
        (&widgets(), 0, "one"),
        (&widgets(), 1, "two"),
        (&gadgets, 2, "three"),
        // Seen again, more recently than all others.
        (&widgets(), 3, "one"),
    ] {
        must(subject.sink.commit(rejecting(resource, seconds, reason)).await);
    }
    assert_eq!(outstanding(&subject, None, 9).await, (vec!["one".into(), "three".into(), "two".into()], 3));
    assert_eq!(outstanding(&subject, None, 1).await, (vec!["one".into()], 3), "the count ignores the limit");
    assert_eq!(outstanding(&subject, None, 0).await, (vec![], 3));
    assert_eq!(outstanding(&subject, Some(&gadgets), 9).await, (vec!["three".into()], 1));
    let found =
        must(subject.sink.rejects(RejectQuery { resource: Some(widgets()), limit: 1, ..RejectQuery::default() }).await);
    assert_eq!(found.counts, [(StateKey::new("acme/widgets", TABLE), 2)].into());
    let one = &found.rejects[0];
    assert_eq!((one.resource.as_str(), one.table.as_str(), &*one.raw), ("acme/widgets", TABLE, "{\"one\":1}"));
    assert_eq!((one.first_seen, one.last_seen), (at(0), at(3)));
}

/// Deletes those of the commit's resource and table with the same reason and text, and no others. A missing one is not an error.
pub(super) async fn clause_9_a_commit_deletes_the_rejects_that_it_corrects(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let gadgets = resource("acme/gadgets");
    must(subject.sink.ensure_streams(&gadgets, &tables()).await);
    for (resource, reason) in [(&widgets(), "it's odd"), (&widgets(), "two"), (&gadgets, "it's odd")] {
        must(subject.sink.commit(rejecting(resource, 0, reason)).await);
    }
    let mut correcting = commit(1, [upsert("a", 1, "x")]);
    let odd = rejecting(&widgets(), 0, "it's odd").parts.remove(0).rejects.remove(0);
    let different_text =
        Reject { raw: "{}".into(), ..rejecting(&widgets(), 0, "two").parts.remove(0).rejects.remove(0) };
    let unknown = Reject { reason: "never seen".into(), raw: "{}".into() };
    correcting.parts[0].corrected = vec![odd, different_text, unknown];
    let counts = reported(must(subject.sink.commit(correcting).await)).counts;
    assert_eq!((counts.offered, counts.inserted), (1, 1), "corrected rejects are not counted as records");
    assert_eq!(outstanding(&subject, Some(&widgets()), 9).await, (vec!["two".into()], 1));
    assert_eq!(outstanding(&subject, Some(&gadgets), 9).await, (vec!["it's odd".into()], 1));
    let short = |max_raw| RejectQuery { limit: 9, max_raw: Some(max_raw), ..RejectQuery::default() };
    let found = must(subject.sink.rejects(short("{\"two\":1}".len())).await);
    assert_eq!((found.rejects.len(), found.total()), (1, 2), "`max_raw` limits the returned rejects, not the count");
}

/// `Finish` keeps the rejects that the reconcile run, or another run since its start, has seen, and deletes the resource's other
/// ones. `Abandon` deletes no reject.
pub(super) async fn clause_9_finish_deletes_the_rejects_that_were_not_seen(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let gadgets = resource("acme/gadgets");
    must(subject.sink.ensure_streams(&gadgets, &tables()).await);
    for (resource, reason) in [(&widgets(), "corrected"), (&widgets(), "still odd"), (&gadgets, "other resource")] {
        must(subject.sink.commit(rejecting(resource, 0, reason)).await);
    }
    let run = RunId::new();
    let by_run = |mut commit: Commit| {
        commit.parts[0].run = run;
        marked(run, commit)
    };
    must(subject.sink.commit(by_run(rejecting(&widgets(), 1, "still odd"))).await);
    must(subject.sink.commit(by_run(commit(1, [upsert("a", 1, "x")]))).await);
    // Between the commits of the reconcile run, another run sees a new reject.
    must(subject.sink.commit(rejecting(&widgets(), 2, "new")).await);
    let end = |sweep| {
        let mut commit = swept(sweep, commit(3, []));
        commit.parts[0].run = run;
        commit
    };
    must(subject.sink.commit(end(Sweep::Abandon(run))).await);
    assert_eq!(outstanding(&subject, None, 9).await.1, 4, "`Abandon` deleted rejects");
    must(subject.sink.commit(end(Sweep::Finish(run))).await);
    assert_eq!(outstanding(&subject, Some(&widgets()), 9).await, (vec!["new".into(), "still odd".into()], 2));
    assert_eq!(outstanding(&subject, Some(&gadgets), 9).await, (vec!["other resource".into()], 1));
    assert_eq!(subject.rows().await.len(), 1);
}
