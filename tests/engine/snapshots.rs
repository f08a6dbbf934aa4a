//! Snapshot streams. Each test names the rule of the stream contract that it is about.

use std::sync::Arc;

use serde_json::json;
use snowfeed::backends::Memory;
use snowfeed::engine::Connector;
use snowfeed::{ErrorKind, Limits, Mode, RunStatus, StreamSpec};

use crate::tree::{Bench, Kind, family, on_each_backend, run};

on_each_backend! {
    a_list_replaces_what_it_lacks
    a_list_that_does_not_end_deletes_nothing_and_stores_no_validators
    a_list_that_becomes_the_last_complete_one_again_is_read_whole
    an_unchanged_list_costs_no_commit
    pages_that_have_drifted_leave_no_validators
    what_cannot_be_verified_is_deleted_after_a_second_list
    a_snapshot_can_be_the_parent_of_children
    implausibly_many_deletions_need_a_confirmation
}

fn labels() -> StreamSpec {
    StreamSpec::snapshot("labels")
}

async fn bench(kind: Kind, spec: StreamSpec) -> Bench {
    let bench = Bench::new(kind, [spec]);
    bench.tree.set_with("labels", "a@0 b@0 | c@0", "v1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.checkpoint("labels").await, "v1");
    bench.tree.requests();
    bench
}

/// Rule 6: a complete list is the whole stream, in a run of any mode.
async fn a_list_replaces_what_it_lacks(kind: Kind) {
    for mode in [Mode::Incremental, Mode::Reconcile] {
        let bench = bench(kind, labels().exact()).await;
        bench.tree.set_with("labels", "a@0=new | d@0", "v2");
        bench.complete(mode).await;
        assert_eq!(
            (bench.live("labels").await.as_str(), bench.deleted("labels").await.as_str()),
            ("a@0=new d@0", "b c")
        );
        assert_eq!(bench.checkpoint("labels").await, "v2");
        bench.tree.set_with("labels", "a@0=new b@0 | d@0", "v3");
        bench.complete(mode).await;
        assert_eq!(bench.live("labels").await, "a@0=new b@0 d@0");
    }
}

/// Rules 5 and 27: validators never travel ahead of the deletions.
async fn a_list_that_does_not_end_deletes_nothing_and_stores_no_validators(kind: Kind) {
    let bench = bench(kind, labels().exact()).await;
    bench.tree.set_with("labels", "a@0 d@0 | !unavailable", "v2");
    assert_eq!(bench.run(Mode::Incremental).await["labels"].status, RunStatus::Partial);
    assert_eq!(bench.live("labels").await, "a@0 b@0 c@0 d@0");
    assert_eq!(bench.checkpoint("labels").await, json!({ "snowfeed_incomplete_since": "v1" }));
    // A crash after the last page, and before the deletions.
    bench.tree.set_with("labels", "a@0 d@0 | e@0", "v2");
    let hold = bench.tree.hold("labels#2");
    let running = bench.start(Mode::Incremental);
    hold.reached.notified().await;
    running.abort();
    assert!(running.await.is_err());
    bench.tree.release("labels#2");
    assert_eq!(bench.checkpoint("labels").await, json!({ "snowfeed_incomplete_since": "v1" }));
    bench.complete(Mode::Incremental).await;
    assert_eq!((bench.live("labels").await.as_str(), bench.checkpoint("labels").await), ("a@0 d@0 e@0", "v2".into()));
}

/// Rules 5 and 27: rows of a list that did not end are no complete list, so that the validators of the last one no longer hold.
async fn a_list_that_becomes_the_last_complete_one_again_is_read_whole(kind: Kind) {
    for mode in [Mode::Incremental, Mode::Reconcile] {
        let bench = bench(kind, labels().exact()).await;
        bench.tree.answer_conditionally();
        bench.complete(Mode::Incremental).await;
        assert_eq!(bench.tree.requests(), ["labels"], "unchanged");
        bench.tree.set_with("labels", "a@0 b@0 new@0 | !unavailable", "v2");
        assert_eq!(bench.run(mode).await["labels"].status, RunStatus::Partial);
        assert_eq!(bench.live("labels").await, "a@0 b@0 c@0 new@0");
        bench.tree.set_with("labels", "a@0 b@0 | c@0", "v1");
        bench.complete(Mode::Incremental).await;
        assert_eq!(bench.live("labels").await, "a@0 b@0 c@0", "after a run of mode {mode:?}");
        bench.complete(mode).await;
        bench.tree.requests();
        bench.complete(Mode::Incremental).await;
        assert_eq!((bench.tree.requests(), bench.checkpoint("labels").await), (vec!["labels".to_owned()], "v1".into()));
    }
}

/// Rules 27 and 31.
async fn an_unchanged_list_costs_no_commit(kind: Kind) {
    let bench = bench(kind, labels().exact()).await;
    let versions = bench.versions(["labels"]).await;
    bench.tree.set("labels", "~");
    for _ in 0..3 {
        bench.complete(Mode::Incremental).await;
    }
    assert_eq!(bench.tree.requests(), ["labels"; 3]);
    assert_eq!(
        (bench.versions(["labels"]).await, bench.live("labels").await.as_str()),
        (versions.clone(), "a@0 b@0 c@0")
    );
    // The same records as before, in one commit.
    bench.tree.set_with("labels", "a@0 b@0 | c@0", "v1");
    let connector = bench.connector().limits(Limits::default());
    run(&connector, Mode::Incremental, vec!["labels".to_owned()]).await;
    assert_eq!(bench.versions(["labels"]).await, versions);
    // An answer that is both is a bug of the source.
    bench.tree.set("labels", "a@0 | ~");
    let run = &bench.run(Mode::Incremental).await["labels"];
    assert_eq!(run.error.as_ref().map(|error| error.kind), Some(ErrorKind::Internal));
    assert_eq!(bench.live("labels").await, "a@0 b@0 c@0");
}

/// Rules 18 and 27: a change that is undone would match the drifted pages.
async fn pages_that_have_drifted_leave_no_validators(kind: Kind) {
    let bench = bench(kind, labels().verifiable()).await;
    bench.tree.set_with("labels", "a@0 | d@0", "drifted");
    bench.tree.verify_as("labels/b", "b@0");
    bench.tree.verify_as("labels/c", "-");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("labels").await, "a@0 b@0 d@0");
    assert_ne!(bench.checkpoint("labels").await, "drifted");
    bench.tree.set_with("labels", "a@0 b@0 | d@0", "v2");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.checkpoint("labels").await, "v2");
    // One that is verified to be gone has not drifted.
    bench.tree.set_with("labels", "a@0 | d@0", "v3");
    bench.tree.verify_as("labels/b", "-");
    bench.complete(Mode::Incremental).await;
    assert_eq!((bench.live("labels").await.as_str(), bench.checkpoint("labels").await), ("a@0 d@0", "v3".into()));
}

/// Rule 18.
async fn what_cannot_be_verified_is_deleted_after_a_second_list(kind: Kind) {
    let bench = bench(kind, labels()).await;
    bench.tree.set_with("labels", "a@0 | d@0", "drifted");
    bench.tree.set_at_second("labels#2", "labels", "a@0 | d@0 c@0");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["labels", "labels", "labels#2", "labels#2"]);
    assert_eq!((bench.live("labels").await.as_str(), bench.deleted("labels").await.as_str()), ("a@0 c@0 d@0", "b"));
    assert_ne!(bench.checkpoint("labels").await, "drifted");
}

/// Rule 7: a snapshot has no order of versions at all.
async fn a_snapshot_can_be_the_parent_of_children(kind: Kind) {
    let mut streams = family();
    streams[0] = StreamSpec::snapshot("parents").exact();
    let bench = Bench::new(kind, streams);
    bench.tree.set("parents", "p1@0 p2@0");
    bench.tree.set("children/p1", "a@0");
    bench.tree.set("children/p2", "b@0");
    bench.complete(Mode::Incremental).await;
    bench.tree.set("parents", "p1@0=changed p0@0");
    bench.tree.set("children/p1", "a@0 c@0");
    bench.tree.set("children/p0", "d@0");
    bench.tree.requests();
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p0/d@0 p1/a@0 p1/c@0");
    assert!(!bench.tree.requests().contains(&"children/p2".to_owned()));
}

/// A token that has lost its access looks like an empty list.
async fn implausibly_many_deletions_need_a_confirmation(kind: Kind) {
    let bench = Bench::new(kind, [labels().exact()]);
    let connector = bench.connector().limits(snowfeed::Limits::default());
    let list: Vec<String> = (0..40).map(|n| format!("l{n}@0")).collect();
    bench.tree.set("labels", &list.join(" "));
    run(&connector, Mode::Incremental, vec!["labels".into()]).await;
    for few in ["", "l1@0"] {
        bench.tree.set("labels", few);
        let run = &run(&connector, Mode::Incremental, vec!["labels".into()]).await["labels"];
        assert!(run.error.as_ref().is_some_and(|error| error.unconfirmed_deletions.is_some()), "{run:?}");
        assert_eq!(bench.live("labels").await.split(' ').count(), 40);
    }
}

/// Rule 4: a crash between two stores would leave validators of a list whose rows are stored in part.
#[tokio::test]
async fn split_stores_refuse_snapshots_and_children() {
    let bench = Bench::new(Kind::Memory, family().into_iter().chain([labels()]));
    bench.tree.set("parents", "p1@1");
    bench.tree.set("labels", "a@0");
    let (sink, state) = (Arc::new(Memory::new()), Arc::new(Memory::new()));
    let connector = Connector::with_stores(bench.tree.clone(), sink, state.clone(), state);
    let streams = ["parents", "children", "labels"].map(str::to_owned).to_vec();
    let runs = run(&connector, Mode::Incremental, streams).await;
    let kinds = ["parents", "children", "labels"].map(|stream| runs[stream].error.as_ref().map(|error| error.kind));
    assert_eq!(kinds, [None, Some(ErrorKind::Unsupported), Some(ErrorKind::Unsupported)]);
    assert_eq!(bench.tree.requests(), ["parents"]);
}
