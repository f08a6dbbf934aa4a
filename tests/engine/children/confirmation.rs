//! Implausibly many deletions that the lists of children find, and their confirmation.

use std::collections::BTreeMap;

use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::{Mode, RunQuery, RunRecord, RunStatus, StateKey, StreamSpec};

use crate::support::resource;
use crate::tree::{Bench, Kind, family, on_each_backend, run};

on_each_backend! {
    parents_that_are_gone_all_at_once_are_not_deleted
    a_reconcile_run_deletes_no_more_parents_than_its_limit
    a_few_parents_that_are_gone_are_deleted_and_counted_in_their_own_run
    the_child_streams_of_one_parent_share_its_limit
    a_parent_that_several_child_streams_find_gone_counts_once
    lists_that_lack_most_children_delete_none
    parents_that_come_back_bring_their_children
}

const PARENTS: usize = 40;

fn parents(range: impl Iterator<Item = usize>) -> String {
    range.map(|n| format!("p{n:02}@1")).collect::<Vec<_>>().join(" ")
}

/// A connector that asks before it deletes more than ten rows of a table.
fn limited(bench: &Bench) -> Connector {
    bench.connector().max_deleted_percent(10)
}

async fn ingest(bench: &Bench, mode: Mode, streams: &[&str]) -> BTreeMap<String, RunRecord> {
    run(&limited(bench), mode, streams.iter().map(|&stream| stream.to_owned()).collect()).await
}

async fn confirm(bench: &Bench, streams: &[&str]) -> BTreeMap<String, RunRecord> {
    let streams: Vec<String> = streams.iter().map(|&stream| stream.to_owned()).collect();
    let request = IngestRequest::new([resource("r")]).mode(Mode::Reconcile).streams(streams).allow_deletions(true);
    let runs = limited(bench).ingest(request).await.unwrap().runs;
    runs.into_iter().map(|run| (run.stream.clone(), run)).collect()
}

/// Parents without children, read before the child streams are selected.
async fn bench(kind: Kind, streams: Vec<StreamSpec>) -> Bench {
    let bench = Bench::new(kind, streams);
    bench.tree.set("parents", &parents(0..PARENTS));
    bench.run_only(Mode::Incremental, ["parents"]).await;
    bench
}

/// The source no longer shows these parents: they are not listed, and their lists of children are not found.
fn hide(bench: &Bench, stream: &str, hidden: impl Iterator<Item = usize>) {
    for n in hidden {
        bench.tree.set(&format!("{stream}/p{n:02}"), "!not_found");
        bench.tree.verify_as(&format!("parents/p{n:02}"), "-");
    }
}

/// The source shows all parents again, each with a child.
fn show(bench: &Bench) {
    bench.tree.set("parents", &parents(0..PARENTS));
    for n in 0..PARENTS {
        bench.tree.set(&format!("children/p{n:02}"), "a@1");
        bench.tree.verify_as(&format!("parents/p{n:02}"), &format!("p{n:02}@1"));
    }
}

async fn live(bench: &Bench, stream: &str) -> usize {
    bench.live(stream).await.split_whitespace().count()
}

#[track_caller]
fn assert_needs_confirmation(run: &RunRecord) {
    assert_ne!(run.status, RunStatus::Complete, "{run:?}");
    let error = run.error.as_ref().unwrap();
    assert!(error.unconfirmed_deletions > Some(10), "{error:?}");
    assert!(error.message.contains("no row was marked deleted"), "{error:?}");
    assert!(error.help.as_ref().unwrap().contains("--allow-deletions"), "{error:?}");
}

/// A token has lost access, and then a child stream is selected.
async fn parents_that_are_gone_all_at_once_are_not_deleted(kind: Kind) {
    let bench = bench(kind, family()).await;
    bench.tree.set("parents", "");
    hide(&bench, "children", 0..PARENTS);
    for _ in 0..4 {
        bench.tree.requests();
        let runs = ingest(&bench, Mode::Incremental, &["children"]).await;
        assert_needs_confirmation(&runs["children"]);
        assert_eq!((live(&bench, "parents").await, runs["parents"].counts.deleted), (PARENTS, 0));
        let requests = bench.tree.requests().len();
        assert!(requests < 80, "{requests} requests to a source that shows nothing");
    }
    // Nothing is lost when access returns.
    show(&bench);
    for _ in 0..2 {
        ingest(&bench, Mode::Incremental, &["children"]).await;
    }
    assert_eq!((live(&bench, "parents").await, live(&bench, "children").await), (PARENTS, PARENTS));
    assert_eq!(bench.checkpoint("children").await.get("owed"), None);
}

/// The reconcile run of the parents refuses, and their children do not delete them instead.
async fn a_reconcile_run_deletes_no_more_parents_than_its_limit(kind: Kind) {
    let bench = bench(kind, family()).await;
    show(&bench);
    bench.complete(Mode::Incremental).await;
    bench.tree.set("parents", &parents(20..PARENTS));
    hide(&bench, "children", 0..20);
    for _ in 0..3 {
        let runs = ingest(&bench, Mode::Reconcile, &["children"]).await;
        assert_needs_confirmation(&runs["parents"]);
        assert_needs_confirmation(&runs["children"]);
        assert_eq!((live(&bench, "parents").await, live(&bench, "children").await), (PARENTS, PARENTS));
    }
    let runs = confirm(&bench, &["children"]).await;
    assert!(runs.values().all(|run| run.status == RunStatus::Complete), "{runs:?}");
    assert_eq!((live(&bench, "parents").await, live(&bench, "children").await), (20, 20));
}

/// Guarantee 5: each row counts in the run of its stream, also in the stored one.
async fn a_few_parents_that_are_gone_are_deleted_and_counted_in_their_own_run(kind: Kind) {
    let bench = bench(kind, family()).await;
    show(&bench);
    hide(&bench, "children", 0..3);
    let runs = ingest(&bench, Mode::Incremental, &["children"]).await;
    assert_eq!((runs["children"].status, runs["children"].counts.deleted), (RunStatus::Complete, 0));
    assert_eq!((runs["parents"].status, runs["parents"].counts.deleted), (RunStatus::Complete, 3));
    let stored = bench.backend.runs(RunQuery::new(1).key(&StateKey::new("r", "parents"))).await.unwrap();
    assert_eq!(stored[0].counts, runs["parents"].counts);
    assert_eq!((live(&bench, "parents").await, live(&bench, "children").await), (PARENTS - 3, PARENTS - 3));
    assert_eq!(bench.checkpoint("children").await.get("owed"), None);
}

fn two_child_streams() -> Vec<StreamSpec> {
    let child = |name: &str| StreamSpec::child(name, "parents");
    vec![StreamSpec::new("parents").verifiable(), child("children"), child("labels")]
}

async fn the_child_streams_of_one_parent_share_its_limit(kind: Kind) {
    let bench = bench(kind, two_child_streams()).await;
    show(&bench);
    hide(&bench, "children", 0..6);
    hide(&bench, "labels", 6..12);
    let runs = ingest(&bench, Mode::Incremental, &["children", "labels"]).await;
    let complete = runs.values().filter(|run| run.status == RunStatus::Complete).count();
    assert_eq!((complete, runs["parents"].counts.deleted, live(&bench, "parents").await), (2, 6, PARENTS - 6));
}

async fn a_parent_that_several_child_streams_find_gone_counts_once(kind: Kind) {
    let bench = bench(kind, two_child_streams()).await;
    show(&bench);
    hide(&bench, "children", 0..8);
    hide(&bench, "labels", 0..8);
    let runs = ingest(&bench, Mode::Incremental, &["children", "labels"]).await;
    assert!(runs.values().all(|run| run.status == RunStatus::Complete), "{runs:?}");
    assert_eq!((runs["parents"].counts.deleted, live(&bench, "parents").await), (8, PARENTS - 8));
}

/// A feature was switched off: the lists are empty.
async fn lists_that_lack_most_children_delete_none(kind: Kind) {
    let bench = Bench::new(kind, family());
    let many: Vec<String> = (10..40).map(|n| format!("c{n}@1")).collect();
    bench.tree.set("parents", "p1@1 p2@1");
    bench.tree.set("children/p1", &many.join(" "));
    bench.tree.set("children/p2", "a@1");
    bench.complete(Mode::Incremental).await;
    bench.tree.set("parents", "p1@2 p2@2");
    bench.tree.set("children/p1", "");
    bench.tree.set("children/p2", "a@2");
    for _ in 0..2 {
        let runs = ingest(&bench, Mode::Incremental, &["children"]).await;
        assert_needs_confirmation(&runs["children"]);
        assert_eq!(live(&bench, "children").await, 31);
    }
    assert!(bench.live("children").await.ends_with("p2/a@2"), "another parent waits for the confirmation");
    let runs = confirm(&bench, &["children"]).await;
    assert!(runs.values().all(|run| run.status == RunStatus::Complete), "{runs:?}");
    assert_eq!(bench.live("children").await, "p2/a@2");
}

/// What was marked deleted by mistake comes back when the list shows it, although no version has changed.
async fn parents_that_come_back_bring_their_children(kind: Kind) {
    let bench = bench(kind, family()).await;
    show(&bench);
    bench.complete(Mode::Incremental).await;
    hide(&bench, "children", 0..5);
    let changed: Vec<String> = (0..5).map(|n| format!("p{n:02}@2")).collect();
    bench.tree.set("parents", &changed.join(" "));
    ingest(&bench, Mode::Incremental, &["children"]).await;
    assert_eq!((live(&bench, "parents").await, live(&bench, "children").await), (PARENTS - 5, PARENTS - 5));
    show(&bench);
    bench.tree.set("parents", &changed.join(" "));
    ingest(&bench, Mode::Incremental, &["children"]).await;
    assert_eq!((live(&bench, "parents").await, live(&bench, "children").await), (PARENTS, PARENTS));
}
