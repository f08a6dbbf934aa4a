//! Atomicity: clauses 1, 2, 7, 11 and 12.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;

use super::super::fixture::{
    TABLE, assert_refused, at, change, changed, commit, delete, key, must, reported, resource, run_record, swept,
    tables, upsert, widgets,
};
use super::super::{Fresh, dropped_after};
use super::{SinkProbe, Subject};
use crate::sink::{StreamCommit, Sweep};
use crate::{
    Column, ColumnType, Commit, ErrorKind, Inferred, JsonPath, Reject, RunId, RunQuery, Sink, StateChange,
    StateVersion, StreamSpec,
};

/// A repeated `ensure_streams` keeps everything.
pub(super) async fn clause_1_ensure_streams_is_idempotent_and_removes_nothing(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [upsert("a", 1, "x"), delete("b", 1)]).await;
    let before = subject.rows().await;
    must(subject.sink.ensure_streams(&widgets(), &tables()).await);
    must(subject.sink.ensure_streams(&resource("acme/gadgets"), &tables()).await);
    assert_eq!(subject.rows().await, before);
    subject.put(1, [upsert("c", 1, "x")]).await;
}

/// Several connections ensure the same and different tables concurrently, and all succeed.
pub(super) async fn clause_1_ensure_streams_runs_concurrently(fresh: Fresh<dyn SinkProbe>) {
    let probe = fresh.make().await;
    let mut tasks = Vec::new();
    for n in 0..8 {
        let sink = if n % 2 == 0 { probe.sink() } else { probe.another().await };
        tasks.push(tokio::spawn(async move {
            let resource = resource(&format!("acme/{}", n / 2));
            must(sink.ensure_streams(&resource, &tables()).await);
            must(sink.commit(Commit { resource, ..commit(0, [upsert(&n.to_string(), 1, "x")]) }).await);
        }));
    }
    for joined in join_all(tasks).await {
        joined.expect("a connection failed");
    }
    for n in 0..4 {
        assert_eq!(probe.rows(&resource(&format!("acme/{n}")), TABLE).await.len(), 2);
    }
}

/// A table that gains or loses columns stays the same table.
pub(super) async fn clause_1_a_table_may_gain_and_lose_columns(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [upsert("a", 1, "x")]).await;
    let before = subject.rows().await;
    let less = StreamSpec::new(TABLE);
    let more = less.clone().column("title", "title", ColumnType::Text).column("author", "user.login", ColumnType::Text);
    for table in [more, less] {
        must(subject.sink.ensure_streams(&widgets(), &[table]).await);
        assert_eq!(subject.rows().await, before);
    }
    subject.put(1, [upsert("b", 1, "x")]).await;
}

/// Between two commits, a table gets columns that were inferred from records, and then wider types. No type becomes narrower.
pub(super) async fn clause_1_inferred_columns_extend_a_table_with_rows(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let other = resource("acme/gadgets");
    must(subject.sink.ensure_streams(&other, &tables()).await);
    must(subject.sink.commit(Commit { resource: other.clone(), ..commit(0, [upsert("a", 1, "x")]) }).await);
    subject.put(0, [upsert("a", 1, "x")]).await;
    let before = [subject.rows().await, subject.probe.rows(&other, TABLE).await];
    let inferred = |kind| {
        let column = Column::new("size", JsonPath::of_members(["size"]), kind);
        let mut table = tables().remove(0).infer_columns();
        table.columns.push(Column { inferred: Inferred::All, ..column });
        table
    };
    for (kind, expected) in [
        (ColumnType::Date, ColumnType::Date),
        (ColumnType::Timestamp, ColumnType::Text),
        (ColumnType::Date, ColumnType::Text),
        (ColumnType::Integer, ColumnType::Any),
    ] {
        must(subject.sink.ensure_streams(&widgets(), &[inferred(kind)]).await);
        assert_eq!([subject.rows().await, subject.probe.rows(&other, TABLE).await], before);
        let columns = must(subject.sink.columns(&widgets(), TABLE).await);
        let size: Vec<_> = columns.iter().filter(|column| column.name == "size").map(|column| column.kind).collect();
        // A sink need not tell.
        assert!(columns.is_empty() || size == [expected], "the type of the column is {size:?}, not {expected:?}");
    }
    // A program that has not learned them yet.
    must(subject.sink.ensure_streams(&widgets(), &tables()).await);
    let columns = must(subject.sink.columns(&widgets(), TABLE).await);
    assert!(columns.is_empty() || columns.iter().any(|column| column.kind == ColumnType::Any), "a column was dropped");
    subject.put(1, [upsert("b", 1, "x")]).await;
}

/// A commit whose second half is impossible leaves no trace of its first half; once made possible, it succeeds.
pub(super) async fn clause_2_a_failed_commit_changes_nothing_and_can_be_retried(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    subject.put(0, [upsert("a", 1, "old")]).await;
    let before = subject.rows().await;
    let mut commit = commit(1, [upsert("a", 2, "new"), upsert("b", 2, "new")]);
    commit.parts[0].rejects.push(Reject { reason: "no id".into(), raw: "{}".into() });
    commit.parts.push(StreamCommit::new("comments", RunId::new()).records([upsert("c", 1, "x")]));
    assert!(subject.sink.commit(commit.clone()).await.is_err());
    assert_eq!(subject.rows().await, before);
    assert_eq!(subject.probe.rejects(&widgets(), TABLE).await, []);
    let mut both = tables();
    both.push(StreamSpec::new("comments"));
    must(subject.sink.ensure_streams(&widgets(), &both).await);
    let counts = must(subject.sink.commit(commit).await).counts();
    assert_eq!((counts.inserted, counts.updated, counts.rejected), (2, 1, 1), "{counts:?}");
    assert_eq!(subject.probe.rows(&widgets(), "comments").await.len(), 1);
}

/// A commit's state becomes visible together with its rows, and its version is in the report.
pub(super) async fn clause_2_rows_and_state_become_visible_together(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let Some(states) = subject.probe.states() else { return };
    let mut change = change(&key("acme/widgets"), StateVersion::NONE, 0, "one");
    let report = reported(must(subject.sink.commit(changed(change.clone(), commit(0, [upsert("a", 1, "x")]))).await));
    change.spend(report.credits);
    let latest = must(states.latest(&key("acme/widgets")).await).expect("the state of the commit");
    assert_eq!((Some(latest.version), Some(latest.state)), (report.version, change.state));
    let run = change.run.clone().map(|run| run.id);
    assert_eq!(must(states.runs(RunQuery::new(9).key(&key("acme/widgets"))).await).first().map(|run| run.id), run);
    // A change that only records a run keeps the version.
    let (run, base) = (run_record(&key("acme/widgets"), RunId::new(), 5), latest.version);
    let only_run = StateChange { key: key("acme/widgets"), base, at: at(1), state: None, run: Some(run) };
    let report = reported(must(subject.sink.commit(changed(only_run, commit(1, []))).await));
    assert_eq!(report.version, Some(base));
    assert_eq!(must(states.runs(RunQuery::new(9).key(&key("acme/widgets"))).await).len(), 2);
}

/// While ten rows at a time are committed, a reader always sees a multiple of ten.
pub(super) async fn clause_2_a_reader_sees_whole_commits(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let (probe, done) = (Arc::clone(&subject.probe), Arc::new(AtomicBool::new(false)));
    let reader = tokio::spawn({
        let done = Arc::clone(&done);
        async move {
            while !done.load(Ordering::Relaxed) {
                let rows = probe.rows(&widgets(), TABLE).await;
                assert_eq!(rows.len() % 10, 0, "a reader saw part of a commit");
                tokio::task::yield_now().await;
            }
        }
    });
    for n in 0..20 {
        subject.put(n, (0..10).map(|m| upsert(&format!("{n} {m}"), 1, "x"))).await;
    }
    done.store(true, Ordering::Relaxed);
    reader.await.expect("the reader panicked");
    assert_eq!(subject.rows().await.len(), 200);
}

/// A dropped commit has stored rows and state, or neither; retrying it reveals which, and is harmless.
pub(super) async fn clause_2_a_dropped_commit_is_applied_entirely_or_not_at_all(fresh: Fresh<dyn SinkProbe>) {
    for polls in 0..6 {
        let subject = Subject::new(&fresh).await;
        let states = subject.probe.states();
        let change = states.as_ref().map(|_| change(&key("acme/widgets"), StateVersion::NONE, 0, "one"));
        let mut commit = commit(0, [upsert("a", 1, "x"), upsert("b", 1, "x")]);
        commit.parts[0].change = change;
        dropped_after(polls, subject.sink.commit(commit.clone())).await;
        match subject.sink.commit(commit).await {
            Ok(report) => assert!(report.counts().add_up()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
        }
        assert_eq!(subject.live().await.len(), 2, "dropped after {polls} polls");
        if let Some(states) = states {
            assert_eq!(must(states.history(&key("acme/widgets"), 9).await).len(), 1, "dropped after {polls} polls");
            assert_eq!(must(states.runs(RunQuery::new(9)).await).len(), 1, "dropped after {polls} polls");
        }
    }
}

/// A commit of a superseded run is refused as a whole, including its rows.
pub(super) async fn clause_7_a_stale_base_is_refused_with_the_whole_commit(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let Some(states) = subject.probe.states() else { return };
    let change = |message| change(&key("acme/widgets"), StateVersion::NONE, 0, message);
    must(subject.sink.commit(changed(change("first"), commit(0, [upsert("a", 1, "x")]))).await);
    let before = (subject.rows().await, must(states.runs(RunQuery::new(9)).await));
    let mut stale = changed(change("stale"), commit(1, [upsert("a", 2, "y"), upsert("b", 1, "y")]));
    stale.parts[0].rejects.push(Reject { reason: "no id".into(), raw: "{}".into() });
    assert_refused(subject.sink.commit(stale).await, ErrorKind::Conflict);
    assert_eq!((subject.rows().await, must(states.runs(RunQuery::new(9)).await)), before);
    assert_eq!(subject.probe.rejects(&widgets(), TABLE).await, []);
    let latest = must(states.latest(&key("acme/widgets")).await).expect("the first state");
    assert_eq!(latest.state.message.as_deref(), Some("first"));
}

/// A commit without progress advances the state only to fence other runs, and so only if a row changes.
pub(super) async fn clause_7_a_fencing_commit_stores_its_state_only_if_a_row_changes(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let Some(states) = subject.probe.states() else { return };
    subject.put(0, [upsert("a", 1, "x")]).await;
    let fence = |base, records: Vec<crate::Record>| {
        swept(Sweep::Fence, changed(change(&key("acme/widgets"), base, 1, "fence"), commit(1, records)))
    };
    let report = reported(must(subject.sink.commit(fence(StateVersion::NONE, vec![upsert("a", 1, "x")])).await));
    assert_eq!((report.version, report.counts.unchanged), (None, 1));
    assert_eq!(must(states.latest(&key("acme/widgets")).await), None);
    assert_eq!(must(states.runs(RunQuery::new(9)).await), []);
    let report = reported(must(subject.sink.commit(fence(StateVersion::NONE, vec![upsert("a", 2, "y")])).await));
    let latest = must(states.latest(&key("acme/widgets")).await).expect("a row changed, so the state was stored");
    assert_eq!(report.version, Some(latest.version));
    // Another run has committed since: a late commit is accepted only if it changes no row.
    let stale = reported(must(subject.sink.commit(fence(StateVersion::NONE, vec![upsert("a", 2, "y")])).await));
    assert_eq!((stale.version, stale.counts.unchanged), (None, 1));
    let before = subject.rows().await;
    let stale = fence(StateVersion::NONE, vec![upsert("b", 1, "x"), upsert("a", 3, "z")]);
    assert_refused(subject.sink.commit(stale).await, ErrorKind::Conflict);
    assert_eq!(subject.rows().await, before);
}

/// Of several concurrent commits on the same base, also over several connections, exactly one succeeds.
pub(super) async fn clause_7_of_two_commits_on_one_base_exactly_one_wins(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let Some(states) = subject.probe.states() else { return };
    let mut tasks = Vec::new();
    for n in 0..8 {
        let sink: Arc<dyn Sink> = if n % 2 == 0 { Arc::clone(&subject.sink) } else { subject.probe.another().await };
        let name = n.to_string();
        tasks.push(tokio::spawn(async move {
            let change = change(&key("acme/widgets"), StateVersion::NONE, 0, &name);
            sink.commit(changed(change, commit(0, [upsert(&name, 1, &name)]))).await
        }));
    }
    let results: Vec<_> = join_all(tasks).await.into_iter().map(|joined| joined.expect("the task panicked")).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    for refused in results.into_iter().filter(Result::is_err) {
        assert_refused(refused, ErrorKind::Conflict);
    }
    let winner = must(states.latest(&key("acme/widgets")).await).and_then(|entry| entry.state.message);
    assert_eq!(Some(subject.row().await.key), winner, "the stored rows and state come from different commits");
}

/// The caller has a bug if it skips `ensure_streams`: nothing is stored.
pub(super) async fn clause_11_a_table_or_resource_that_was_not_ensured_is_refused(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let gadgets = resource("acme/gadgets");
    let mut elsewhere = commit(0, [upsert("a", 1, "x")]);
    elsewhere.parts.push(StreamCommit::new("comments", RunId::new()).records([upsert("c", 1, "x")]));
    assert_refused(subject.sink.commit(elsewhere).await, ErrorKind::Internal);
    let unknown = Commit { resource: gadgets.clone(), ..commit(0, [upsert("a", 1, "x")]) };
    assert_refused(subject.sink.commit(unknown).await, ErrorKind::Internal);
    assert_eq!(subject.rows().await, []);
    assert_eq!(subject.probe.rows(&gadgets, TABLE).await, []);
    // Another resource's table does not count.
    must(subject.sink.ensure_streams(&gadgets, &[StreamSpec::new("comments")]).await);
    let unknown = Commit { resource: gadgets, ..commit(0, [upsert("a", 1, "x")]) };
    assert_refused(subject.sink.commit(unknown).await, ErrorKind::Internal);
}

/// A run's record includes the counts of the rows that became visible with it, also if the commit is refused and retried.
pub(super) async fn clause_12_the_run_record_includes_the_counts_of_its_commit(fresh: Fresh<dyn SinkProbe>) {
    let subject = Subject::new(&fresh).await;
    let Some(states) = subject.probe.states() else { return };
    let mut base = StateVersion::NONE;
    let id = RunId::new();
    let mut expected = run_record(&key("acme/widgets"), id, 0);
    for (seconds, records) in [
        (0, vec![upsert("a", 2, "x"), upsert("b", 1, "x")]),
        (1, vec![upsert("a", 2, "x"), upsert("a", 1, "older"), upsert("b", 2, "y"), delete("c", 1)]),
    ] {
        let change =
            StateChange { base, run: Some(expected.clone()), ..change(&key("acme/widgets"), base, seconds, "x") };
        let mut commit = changed(change, commit(seconds, records));
        commit.parts[0].rejects.push(Reject { reason: "no id".into(), raw: "{}".into() });
        let mut stale = commit.clone();
        if let Some(change) = &mut stale.parts[0].change {
            change.base = StateVersion(99);
        }
        assert_refused(subject.sink.commit(stale).await, ErrorKind::Conflict);
        let report = reported(must(subject.sink.commit(commit).await));
        base = report.version.expect("the report has a version");
        expected.counts += &report.counts;
        expected.credits += report.credits;
        assert_eq!(
            must(states.runs(RunQuery::new(9).key(&key("acme/widgets"))).await),
            std::slice::from_ref(&expected)
        );
    }
    assert!(expected.counts.add_up() && expected.counts.rejected == 2, "{:?}", expected.counts);
}
