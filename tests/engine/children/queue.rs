//! The order in which the parents of a child stream are read.

use snowfeed::{Mode, RunStatus, StreamSpec};

use crate::support::resource;
use crate::tree::{Bench, Kind, family, on_each_backend, run};

on_each_backend! {
    a_parent_that_arrives_late_with_an_old_version_is_read
    parents_in_any_order_are_read_after_a_failure_between_two_pages
    a_change_and_a_revival_at_an_equal_version_are_read
    a_child_that_moves_with_its_old_version_is_read_as_a_parent
    a_parent_without_a_version_is_read_whatever_its_key
    the_number_of_a_commit_decides_and_no_clock
    a_parent_found_gone_does_not_refuse_the_run_of_the_parents
    a_run_ends_though_its_parents_change_all_the_time
    a_deleted_parent_takes_its_children_with_it_without_a_request
    a_first_read_passes_deleted_parents
    a_child_stream_added_later_reads_every_parent
    children_of_a_deleted_child_are_deleted
    one_run_reads_the_children_of_the_parents_that_it_has_read
    an_idle_run_asks_nothing_and_writes_nothing
}

async fn family_bench(kind: Kind) -> Bench {
    let bench = Bench::new(kind, family());
    bench.tree.set("parents", "p1@90 p2@90");
    bench.tree.set("children/p1", "a@1");
    bench.tree.set("children/p2", "b@1");
    bench.tree.set("grandchildren/p1/a", "g@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("grandchildren").await, "p1/a/g@1");
    bench.tree.requests();
    bench
}

/// Rule 7: the sink's sequence orders the parents, not their version.
async fn a_parent_that_arrives_late_with_an_old_version_is_read(kind: Kind) {
    let bench = family_bench(kind).await;
    bench.tree.set("parents", "p1@90 p2@90 late@40");
    bench.tree.set("children/late", "c@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["children/late", "grandchildren/late/c", "parents"]);
    assert_eq!(bench.live("children").await, "late/c@1 p1/a@1 p2/b@1");
}

/// Rule 7: the newest parents come first, and the run of the parents fails before the others.
async fn parents_in_any_order_are_read_after_a_failure_between_two_pages(kind: Kind) {
    let bench = family_bench(kind).await;
    bench.tree.set("parents", "p99@99 | !unavailable");
    bench.tree.set("children/p99", "x@1");
    bench.tree.set("children/p50", "y@1");
    let runs = bench.run(Mode::Incremental).await;
    assert_eq!((runs["parents"].status, runs["children"].status), (RunStatus::Partial, RunStatus::Complete));
    assert_eq!(bench.live("children").await, "p1/a@1 p2/b@1 p99/x@1");
    bench.tree.set("parents", "p99@99 | p50@50");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p1/a@1 p2/b@1 p50/y@1 p99/x@1");
}

/// Rule 7: an equal version moves no row in an order of versions.
async fn a_change_and_a_revival_at_an_equal_version_are_read(kind: Kind) {
    let bench = family_bench(kind).await;
    bench.tree.set("parents", "p1@90=changed p2@90");
    bench.tree.set("children/p1", "a@1 c@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p1/a@1 p1/c@1 p2/b@1");
    bench.tree.set("parents", "p1@90=changed");
    bench.complete(Mode::Reconcile).await;
    assert_eq!(bench.live("children").await, "p1/a@1 p1/c@1");
    bench.tree.set("parents", "p1@90=changed p2@90");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p1/a@1 p1/c@1 p2/b@1");
}

/// Rules 7 and 16: a child that moves is a deletion below the old parent, and an insertion below the new one.
async fn a_child_that_moves_with_its_old_version_is_read_as_a_parent(kind: Kind) {
    let bench = family_bench(kind).await;
    bench.tree.set("parents", "p1@91 p2@91");
    bench.tree.set("children/p1", "");
    bench.tree.set("children/p2", "a@1 b@1");
    bench.tree.set("grandchildren/p2/a", "g@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["children/p1", "children/p2", "grandchildren/p2/a", "parents"]);
    assert_eq!(bench.live("children").await, "p2/a@1 p2/b@1");
    assert_eq!(bench.live("grandchildren").await, "p2/a/g@1");
    assert_eq!(bench.deleted("grandchildren").await, "p1/a/g");
}

/// Rule 7: children that are parents themselves and have no version tie; the queue would be in order of key.
async fn a_parent_without_a_version_is_read_whatever_its_key(kind: Kind) {
    let bench = family_bench(kind).await;
    for (version, list) in [(91, "a@1 z@0"), (92, "a@1 m@0 z@0"), (93, "a@1 b@0 m@0 z@0")] {
        bench.tree.set("parents", &format!("p1@{version} p2@90"));
        bench.tree.set("children/p1", list);
        bench.tree.set(&format!("grandchildren/p1/{}", ["z", "m", "b"][version - 91]), "g@0");
        bench.complete(Mode::Incremental).await;
    }
    assert_eq!(bench.live("grandchildren").await, "p1/a/g@1 p1/b/g@0 p1/m/g@0 p1/z/g@0");
}

/// Rule 8: a process whose clock is an hour slow stores a parent after a child stream has passed one of a process whose clock is fast.
async fn the_number_of_a_commit_decides_and_no_clock(kind: Kind) {
    let bench = Bench::new(kind, family());
    for (skew, parents, child) in [(3_600, "p1@1", "p1"), (-3_600, "p1@1 p2@1", "p2"), (0, "p1@1 p2@1 p3@1", "p3")] {
        bench.tree.set("parents", parents);
        bench.tree.set(&format!("children/{child}"), "a@1");
        let streams = ["parents", "children"].map(str::to_owned).to_vec();
        let runs = run(&bench.connector_at(skew), Mode::Incremental, streams).await;
        assert!(runs.values().all(|run| run.status == RunStatus::Complete), "{runs:?}");
    }
    assert_eq!(bench.live("children").await, "p1/a@1 p2/a@1 p3/a@1");
}

/// Rule 9: the sink numbers the deletion, so that it needs no fence of the parents.
async fn a_parent_found_gone_does_not_refuse_the_run_of_the_parents(kind: Kind) {
    let bench = family_bench(kind).await;
    bench.tree.set("parents", "p1@90 p2@91");
    bench.tree.set("children/p2", "!unavailable");
    bench.run(Mode::Incremental).await;
    // One process has loaded the state of the parents, and waits for their list.
    let hold = bench.tree.hold("parents");
    let connector = bench.connector();
    let parents = tokio::spawn(async move { run(&connector, Mode::Incremental, vec!["parents".into()]).await });
    hold.reached.notified().await;
    bench.tree.release("parents");
    // Another one finds that p2 is gone.
    bench.tree.set("children/p2", "!not_found");
    bench.tree.verify_as("parents/p2", "-");
    bench.complete(Mode::Incremental).await;
    assert_eq!((bench.live("parents").await.as_str(), bench.live("children").await.as_str()), ("p1@90", "p1/a@1"));
    bench.tree.set("parents", "p1@90 p3@1");
    hold.resume.notify_one();
    let run = &parents.await.unwrap()["parents"];
    assert_eq!(run.status, RunStatus::Complete, "{:?}", run.error);
    assert_eq!(bench.live("parents").await, "p1@90 p3@1");
}

/// Rule 10: a run reads up to the sequence found at its start. The next run reads what has changed since.
async fn a_run_ends_though_its_parents_change_all_the_time(kind: Kind) {
    let bench = family_bench(kind).await;
    bench.tree.set("parents", "p1@91 p2@91");
    let (backend, mut version) = (bench.backend.clone(), 91);
    bench.tree.on("children/p1", move |tree| {
        version += 1;
        tree.set("parents", &format!("p1@{version} p2@91"));
        let record =
            snowfeed::Record::upsert("p1", version, serde_json::json!({"state": format!("p1@{version}")}).to_string());
        let part = snowfeed::StreamCommit::new("parents", snowfeed::RunId::new()).records([record]);
        let commit = snowfeed::Commit::new(resource("r"), snowfeed::jiff::Timestamp::UNIX_EPOCH).part(part);
        futures::executor::block_on(backend.commit(commit)).unwrap();
    });
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["children/p1", "children/p2", "parents"]);
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["children/p1", "parents"]);
}

/// Rule 13: a tombstone is a part of the queue.
async fn a_deleted_parent_takes_its_children_with_it_without_a_request(kind: Kind) {
    let bench = family_bench(kind).await;
    bench.tree.set("parents", "p2@90");
    bench.run_only(Mode::Reconcile, ["parents"]).await;
    assert_eq!(bench.tree.requests(), ["parents", "verify parents/p1"]);
    assert_eq!(bench.live("children").await, "p1/a@1 p2/b@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["parents"], "the children of a deleted parent cost a request");
    assert_eq!((bench.live("children").await.as_str(), bench.live("grandchildren").await.as_str()), ("p2/b@1", ""));
    assert_eq!(bench.deleted("children").await, "p1/a");
}

/// Rule 13: also a read from the start, after a reset, deletes the children of parents that were deleted meanwhile.
async fn a_first_read_passes_deleted_parents(kind: Kind) {
    let bench = family_bench(kind).await;
    bench.tree.set("parents", "p2@90");
    bench.run_only(Mode::Reconcile, ["parents"]).await;
    bench.connector().reset_streams(&resource("r"), ["children"]).await.unwrap();
    bench.tree.requests();
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["children/p2", "parents"]);
    assert_eq!((bench.live("children").await.as_str(), bench.live("grandchildren").await.as_str()), ("p2/b@1", ""));
}

/// Rule 22: it starts without a position, and passes parents that were deleted before.
async fn a_child_stream_added_later_reads_every_parent(kind: Kind) {
    let bench = Bench::new(kind, family());
    bench.tree.set("parents", "p1@1 p2@1 p3@1");
    for parents in ["p1@1 p2@1 p3@1", "p1@1 p2@2 p3@1", "p2@2 p3@1"] {
        bench.tree.set("parents", parents);
        bench.run_only(Mode::Reconcile, ["parents"]).await;
    }
    assert_eq!(bench.deleted("parents").await, "p1");
    for parent in ["p1", "p2", "p3"] {
        bench.tree.set(&format!("children/{parent}"), "a@1");
    }
    bench.tree.requests();
    bench.run_only(Mode::Incremental, ["children"]).await;
    assert_eq!(bench.tree.requests(), ["children/p2", "children/p3", "parents"]);
    assert_eq!(bench.live("children").await, "p2/a@1 p3/a@1");
}

/// Rule 23: a list that lacks a child stamps its tombstone, and the queue of the grandchildren has it.
async fn children_of_a_deleted_child_are_deleted(kind: Kind) {
    let bench = family_bench(kind).await;
    bench.tree.set("parents", "p1@91 p2@90");
    bench.tree.set("children/p1", "");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["children/p1", "parents"]);
    assert_eq!(bench.deleted("grandchildren").await, "p1/a/g");
}

/// Rule 25: parents are read before their children.
async fn one_run_reads_the_children_of_the_parents_that_it_has_read(kind: Kind) {
    for mode in [Mode::Incremental, Mode::Reconcile] {
        let bench = Bench::new(kind, family());
        bench.tree.set("parents", "p1@1");
        bench.tree.set("children/p1", "a@1 b@1");
        bench.tree.set("grandchildren/p1/a", "g@1");
        bench.tree.set("grandchildren/p1/b", "g@2");
        bench.complete(mode).await;
        assert_eq!(bench.live("grandchildren").await, "p1/a/g@1 p1/b/g@2");
    }
}

/// Rule 31, and rule 19: without a change of a parent there is no request; with [`StreamSpec::every_run`] there is one for each.
async fn an_idle_run_asks_nothing_and_writes_nothing(kind: Kind) {
    let bench = family_bench(kind).await;
    let versions = bench.versions(["parents", "children", "grandchildren"]).await;
    for _ in 0..3 {
        bench.complete(Mode::Incremental).await;
    }
    assert_eq!(bench.tree.requests(), ["parents"; 3]);
    assert_eq!(bench.versions(["parents", "children", "grandchildren"]).await, versions);
    // What does not move its parent is found by streams that are read in every run.
    let each = Bench::new(kind, [StreamSpec::new("parents"), StreamSpec::child("children", "parents").every_run()]);
    each.tree.set("parents", "p1@1 p2@1");
    each.tree.set("children/p1", "a@1");
    each.complete(Mode::Incremental).await;
    each.tree.requests();
    each.tree.set("children/p1", "b@1");
    for _ in 0..2 {
        each.complete(Mode::Incremental).await;
        assert_eq!(each.tree.requests(), ["children/p1", "children/p2", "parents"]);
        assert_eq!(each.live("children").await, "p1/b@1");
    }
}
