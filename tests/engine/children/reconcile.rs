//! Reconcile runs of child streams.

use snowfeed::{Mode, RunStatus, StreamSpec};

use crate::tree::{Bench, Kind, family, on_each_backend};

on_each_backend! {
    a_reconcile_run_lists_the_children_of_every_live_parent
    an_interrupted_reconcile_run_continues_and_keeps_the_newer_position
    a_reconcile_run_that_resumes_deletes_the_children_of_the_parents_that_it_deletes
    parents_that_came_to_be_owed_meanwhile_stay_owed
    the_list_of_a_reconcile_run_wins_over_a_newer_version
    a_reconcile_run_that_owes_a_list_does_not_keep_later_ones_from_winning
    an_ordinary_list_does_not_win_over_a_newer_version
    an_answer_of_verify_wins_over_a_newer_version
}

async fn bench(kind: Kind, parents: usize) -> Bench {
    let bench = Bench::new(kind, family());
    let list: Vec<String> = (1..=parents).map(|n| format!("p{n}@1")).collect();
    bench.tree.set("parents", &list.join(" "));
    for n in 1..=parents {
        bench.tree.set(&format!("children/p{n}"), "a@1");
    }
    bench.complete(Mode::Incremental).await;
    bench.tree.requests();
    bench
}

/// Rule 24: it finds what the source has not kept its promise about, and needs neither marks nor a search for orphans.
async fn a_reconcile_run_lists_the_children_of_every_live_parent(kind: Kind) {
    let bench = bench(kind, 3).await;
    bench.tree.set("children/p1", "");
    bench.tree.set("children/p2", "a@1=changed b@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p1/a@1 p2/a@1 p3/a@1", "no parent has changed");
    bench.tree.requests();
    bench.complete(Mode::Reconcile).await;
    let lists: Vec<_> = bench.tree.requests().into_iter().filter(|request| request.starts_with("children/")).collect();
    assert_eq!(lists, ["children/p1", "children/p2", "children/p3"]);
    assert_eq!(bench.live("children").await, "p2/a@1=changed p2/b@1 p3/a@1");
    assert_eq!(bench.deleted("children").await, "p1/a");
    // Afterwards, no parent is read again.
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["parents"]);
}

/// Rules 24 and 25: the walk continues where it stopped; what incremental runs have passed meanwhile is not read again.
async fn an_interrupted_reconcile_run_continues_and_keeps_the_newer_position(kind: Kind) {
    let bench = bench(kind, 4).await;
    bench.tree.set("children/p3", "!rate_limited");
    assert_ne!(bench.run_only(Mode::Reconcile, ["children"]).await["children"].status, RunStatus::Complete);
    bench.tree.set("children/p3", "a@1 b@1");
    bench.tree.set("parents", "p1@2 p2@1 p3@1 p4@1");
    bench.tree.set("children/p1", "a@2");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p1/a@2 p2/a@1 p3/a@1 p4/a@1");
    bench.tree.requests();
    bench.complete(Mode::Reconcile).await;
    let lists: Vec<_> = bench.tree.requests().into_iter().filter(|request| request.starts_with("children/")).collect();
    assert_eq!(lists, ["children/p3", "children/p4"], "p1 and p2 were read, and p1 has a newer number");
    assert_eq!(bench.live("children").await, "p1/a@2 p2/a@1 p3/a@1 p3/b@1 p4/a@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["parents"], "the position is that of the incremental run");
}

/// Rule 13: its parents disappear after the first part of the walk has begun.
async fn a_reconcile_run_that_resumes_deletes_the_children_of_the_parents_that_it_deletes(kind: Kind) {
    let bench = bench(kind, 4).await;
    bench.tree.set("children/p3", "!rate_limited");
    assert_ne!(bench.run_only(Mode::Reconcile, ["children"]).await["children"].status, RunStatus::Complete);
    bench.tree.set("children/p3", "a@1");
    bench.tree.set("parents", "p2@1 p3@1");
    bench.complete(Mode::Reconcile).await;
    assert_eq!(
        (bench.live("parents").await.as_str(), bench.live("children").await.as_str()),
        ("p2@1 p3@1", "p2/a@1 p3/a@1")
    );
    bench.tree.requests();
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["parents"]);
}

/// Rules 14 and 24: an incremental run owes a parent that the interrupted walk has passed before.
async fn parents_that_came_to_be_owed_meanwhile_stay_owed(kind: Kind) {
    let bench = bench(kind, 4).await;
    bench.tree.set("children/p3", "!rate_limited");
    bench.run_only(Mode::Reconcile, ["children"]).await;
    bench.tree.set("parents", "p1@2 p2@1 p3@1 p4@1");
    bench.tree.set("children/p1", "!unavailable");
    bench.run(Mode::Incremental).await;
    bench.tree.set("children/p3", "a@1");
    bench.tree.set("children/p1", "a@2");
    // It may read p1 itself, or leave it to the next run.
    bench.run(Mode::Reconcile).await;
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p1/a@2 p2/a@1 p3/a@1 p4/a@1");
}

/// Rule 26: a restored server has an older version of a child.
async fn the_list_of_a_reconcile_run_wins_over_a_newer_version(kind: Kind) {
    let bench = bench(kind, 2).await;
    bench.tree.set("parents", "p1@2 p2@1");
    bench.tree.set("children/p1", "a@9=new");
    bench.complete(Mode::Incremental).await;
    bench.tree.set("children/p1", "a@5=restored");
    bench.complete(Mode::Reconcile).await;
    assert_eq!(bench.live("children").await, "p1/a@5=restored p2/a@1");
    // A deletion by the same walk, and a revival with an even older version.
    bench.tree.set("children/p1", "");
    bench.complete(Mode::Reconcile).await;
    bench.tree.set("children/p1", "a@2=older");
    bench.complete(Mode::Reconcile).await;
    assert_eq!(bench.live("children").await, "p1/a@2=older p2/a@1");
}

/// Rules 14 and 26: a list that always fails prolongs the reconciliation, which has marked the other rows.
async fn a_reconcile_run_that_owes_a_list_does_not_keep_later_ones_from_winning(kind: Kind) {
    let bench = bench(kind, 2).await;
    bench.tree.set("children/p1", "a@9=new");
    bench.tree.set("children/p2", "!unavailable");
    bench.run(Mode::Reconcile).await;
    assert_eq!(bench.live("children").await, "p1/a@9=new p2/a@1");
    bench.tree.set("children/p1", "a@5=restored");
    bench.run(Mode::Reconcile).await;
    assert_eq!(bench.live("children").await, "p1/a@5=restored p2/a@1");
}

/// Parents, and children that can be verified. The list of `p1` has fallen versions, and lacks b.
async fn drifted(kind: Kind) -> Bench {
    let children = StreamSpec::child("children", "parents").verifiable();
    let bench = Bench::new(kind, [StreamSpec::new("parents").verifiable(), children]);
    bench.tree.set("parents", "p1@1");
    bench.tree.set("children/p1", "a@9=new b@9=new c@9=new");
    bench.complete(Mode::Incremental).await;
    bench.tree.set("parents", "p1@2");
    bench.tree.set("children/p1", "a@5=old | c@9=new");
    bench.tree.verify_as("children/p1/b", "b@5=verified");
    bench.complete(Mode::Incremental).await;
    bench
}

/// Rule 26: it may come from a replica that lags behind.
async fn an_ordinary_list_does_not_win_over_a_newer_version(kind: Kind) {
    let live = drifted(kind).await.live("children").await;
    assert!(live.starts_with("p1/a@9=new p1/b@") && live.ends_with(" p1/c@9=new"), "{live}");
}

/// Rule 26: an answer about one record is not from a replica.
async fn an_answer_of_verify_wins_over_a_newer_version(kind: Kind) {
    assert_eq!(drifted(kind).await.live("children").await, "p1/a@9=new p1/b@5=verified p1/c@9=new");
}
