//! Parents whose lists fail, and parents that are not found.

use snowfeed::{Mode, RunStatus, StreamSpec};

use crate::tree::{Bench, Kind, family, on_each_backend};

on_each_backend! {
    a_parent_whose_list_fails_is_owed_and_blocks_no_other
    a_parent_that_is_owed_and_deleted_owes_nothing
    a_source_that_fails_for_many_parents_in_a_row_ends_the_run
    many_broken_parents_in_a_row_do_not_block_those_behind_them_forever
    more_than_a_thousand_owed_parents_stop_the_position
    a_parent_that_is_gone_is_deleted_with_its_children
    a_parent_that_is_not_found_and_exists_is_owed
    a_parent_that_is_not_found_and_has_fallen_is_replaced
    a_parent_that_changes_meanwhile_is_not_replaced
    a_parent_that_cannot_be_verified_keeps_its_children
    a_parent_that_changes_meanwhile_is_not_deleted
    a_child_that_is_gone_is_deleted_in_the_table_of_its_stream
    the_list_of_a_parent_is_read_once_at_a_time
}

async fn bench(kind: Kind) -> Bench {
    let bench = Bench::new(kind, family());
    bench.tree.set("parents", "p1@1 p2@1 p3@1");
    for parent in ["p1", "p2", "p3"] {
        bench.tree.set(&format!("children/{parent}"), "a@1");
    }
    bench.complete(Mode::Incremental).await;
    bench.tree.requests();
    bench
}

/// Rule 14: the position passes, the next run asks again, and the run says so.
async fn a_parent_whose_list_fails_is_owed_and_blocks_no_other(kind: Kind) {
    let bench = bench(kind).await;
    bench.tree.set("parents", "p1@2 p2@2 p3@2");
    bench.tree.set("children/p1", "a@2 | !unavailable");
    bench.tree.set("children/p2", "a@2");
    bench.tree.set("children/p3", "a@2");
    let runs = bench.run(Mode::Incremental).await;
    assert_eq!(runs["children"].status, RunStatus::Partial);
    assert_eq!(bench.live("children").await, "p1/a@2 p2/a@2 p3/a@2", "what was read is kept");
    assert_eq!(bench.checkpoint("children").await["owed"], serde_json::json!([["p1"]]));
    bench.tree.requests();
    // It is owed until its list ends, also if another one fails.
    bench.tree.set("children/p3", "!invalid_data");
    bench.tree.set("parents", "p1@2 p2@2 p3@3");
    assert_ne!(bench.run(Mode::Incremental).await["children"].status, RunStatus::Complete);
    assert_eq!(bench.checkpoint("children").await["owed"], serde_json::json!([["p1"], ["p3"]]));
    bench.tree.requests();
    bench.tree.set("children/p1", "b@2");
    bench.tree.set("children/p3", "b@2");
    bench.complete(Mode::Incremental).await;
    let requests = bench.tree.requests();
    assert!(
        requests.iter().filter(|request| request.starts_with("children/")).eq(["children/p1", "children/p3"]),
        "{requests:?}"
    );
    assert_eq!(bench.live("children").await, "p1/b@2 p2/a@2 p3/b@2");
    assert_eq!(bench.checkpoint("children").await.get("owed"), None);
}

/// Rules 13 and 14.
async fn a_parent_that_is_owed_and_deleted_owes_nothing(kind: Kind) {
    let bench = bench(kind).await;
    bench.tree.set("parents", "p1@2 p2@1 p3@1");
    bench.tree.set("children/p1", "!unavailable");
    bench.run(Mode::Incremental).await;
    bench.tree.set("parents", "p2@1 p3@1");
    bench.run_only(Mode::Reconcile, ["parents"]).await;
    bench.tree.requests();
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["parents"]);
    assert_eq!(
        (bench.live("children").await.as_str(), bench.checkpoint("children").await.get("owed")),
        ("p2/a@1 p3/a@1", None)
    );
}

/// A source that is down answers no list: it is not asked for all of them.
async fn a_source_that_fails_for_many_parents_in_a_row_ends_the_run(kind: Kind) {
    let bench = Bench::new(kind, family());
    let parents: Vec<String> = (10..90).map(|n| format!("p{n}@1")).collect();
    bench.tree.set("parents", &parents.join(" "));
    for n in 10..90 {
        bench.tree.set(&format!("children/p{n}"), "!unavailable");
    }
    assert_ne!(bench.run(Mode::Incremental).await["children"].status, RunStatus::Complete);
    let asked = bench.tree.requests().iter().filter(|request| request.starts_with("children/")).count();
    assert!(asked < 40, "{asked} lists were requested of a source that is down");
    for n in 10..90 {
        bench.tree.set(&format!("children/p{n}"), "a@1");
    }
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await.split(' ').count(), 80);
}

/// Rule 14: each run passes some of them, and begins with the lists that it has not tried for longest.
async fn many_broken_parents_in_a_row_do_not_block_those_behind_them_forever(kind: Kind) {
    let bench = Bench::new(kind, family());
    let parents: Vec<String> = (10..50).map(|n| format!("p{n}@1")).collect();
    bench.tree.set("parents", &parents.join(" "));
    for n in 10..50 {
        bench.tree.set(&format!("children/p{n}"), if n < 40 { "!unavailable" } else { "a@1" });
    }
    for _ in 0..5 {
        bench.run(Mode::Incremental).await;
    }
    assert_eq!(
        bench.live("children").await.split(' ').count(),
        10,
        "a healthy parent behind 30 broken ones is not read"
    );
    // The first parent recovers although all others stay broken.
    bench.tree.set("children/p10", "a@1");
    for _ in 0..4 {
        bench.run(Mode::Incremental).await;
    }
    assert_eq!(bench.live("children").await.split(' ').count(), 11, "an owed list is not tried again");
}

/// Rule 14: at most 1,000 are owed; then the run fails, and the position stays.
async fn more_than_a_thousand_owed_parents_stop_the_position(kind: Kind) {
    const PARENTS: usize = 1_300;
    let bench = Bench::new(kind, family());
    let parents: Vec<String> = (0..PARENTS).map(|n| format!("p{n:04}@1")).collect();
    bench.tree.set("parents", &parents.join(" "));
    let fails = |n: &usize| !n.is_multiple_of(10);
    for n in 0..PARENTS {
        bench.tree.set(&format!("children/p{n:04}"), if fails(&n) { "!invalid_data" } else { "a@1" });
    }
    let run = &bench.run(Mode::Incremental).await["children"];
    assert_eq!(run.status, RunStatus::Partial);
    let checkpoint = bench.checkpoint("children").await;
    assert!(checkpoint["owed"].as_array().unwrap().len() <= 1_000, "{checkpoint}");
    for n in (0..PARENTS).filter(fails) {
        bench.tree.set(&format!("children/p{n:04}"), "a@1");
    }
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await.split(' ').count(), PARENTS);
}

/// Rule 15: the tombstone is in the parents' table, so that its list is not requested again, and other child streams see it.
async fn a_parent_that_is_gone_is_deleted_with_its_children(kind: Kind) {
    let bench = bench(kind).await;
    bench.tree.set("parents", "p1@2 p2@1 p3@1");
    bench.tree.set("children/p1", "!not_found");
    bench.tree.verify_as("parents/p1", "-");
    bench.complete(Mode::Incremental).await;
    let requests = bench.tree.requests();
    assert_eq!(requests, ["children/p1", "parents", "verify parents/p1"]);
    assert_eq!((bench.deleted("parents").await.as_str(), bench.deleted("children").await.as_str()), ("p1", "p1/a"));
    assert_eq!(bench.live("children").await, "p2/a@1 p3/a@1");
    bench.tree.set("parents", "p2@1 p3@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["parents"]);
}

/// Rule 15: a passing 404 deletes nothing.
async fn a_parent_that_is_not_found_and_exists_is_owed(kind: Kind) {
    let bench = bench(kind).await;
    bench.tree.set("parents", "p1@2 p2@1 p3@1");
    bench.tree.set("children/p1", "!not_found");
    let runs = bench.run(Mode::Incremental).await;
    assert_ne!(runs["children"].status, RunStatus::Complete);
    assert_eq!(bench.live("children").await, "p1/a@1 p2/a@1 p3/a@1");
    assert_eq!(bench.live("parents").await, "p1@2 p2@1 p3@1");
    bench.tree.set("children/p1", "b@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p1/b@1 p2/a@1 p3/a@1");
}

/// Rule 26: the answer about the parent wins over a newer version, also in the run of its children. Other child streams see the change.
async fn a_parent_that_is_not_found_and_has_fallen_is_replaced(kind: Kind) {
    let mut streams = family();
    streams.push(StreamSpec::child("labels", "parents"));
    let bench = Bench::new(kind, streams);
    bench.tree.set("parents", "p1@9=new p2@1");
    bench.tree.set("children/p1", "!unavailable");
    bench.run(Mode::Incremental).await;
    bench.run_only(Mode::Incremental, ["labels"]).await;
    bench.tree.requests();
    bench.tree.set("parents", "p1@5=restored p2@1");
    bench.tree.set("children/p1", "!not_found");
    assert_ne!(bench.run_only(Mode::Incremental, ["children"]).await["children"].status, RunStatus::Complete);
    assert_eq!(bench.live("parents").await, "p1@5=restored p2@1");
    bench.run_only(Mode::Incremental, ["labels"]).await;
    assert_eq!(bench.tree.requests(), ["children/p1", "labels/p1", "parents", "parents", "verify parents/p1"]);
    // The same answer again changes nothing.
    let before = bench.versions(["parents"]).await;
    bench.run(Mode::Incremental).await;
    assert_eq!(bench.versions(["parents"]).await, before);
    bench.tree.set("children/p1", "a@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p1/a@1");
    assert_eq!(bench.live("parents").await, "p1@5=restored p2@1");
}

/// The parent `listed`, of which the list of children is not found, is verified as `answer`. Between the answer and the commit, it changes, and
/// the run of another process stores it as `stored`.
async fn overtaken(kind: Kind, listed: &str, answer: &str, stored: &str) -> Bench {
    let bench = bench(kind).await;
    bench.tree.set("parents", &format!("{listed} p2@1 p3@1"));
    bench.tree.set("children/p1", "!not_found");
    bench.tree.verify_as("parents/p1", answer);
    let hold = bench.tree.hold("verify parents/p1");
    let run = bench.start(Mode::Incremental);
    hold.reached.notified().await;
    bench.write("parents", stored).await;
    hold.resume.notify_one();
    run.await.unwrap();
    bench
}

/// Rule 26, and 9: no fence of the parents protects the row, so the answer holds only for the row that was seen.
async fn a_parent_that_changes_meanwhile_is_not_replaced(kind: Kind) {
    let bench = overtaken(kind, "p1@9", "p1@5", "p1@10").await;
    assert_eq!(bench.live("parents").await, "p1@10 p2@1 p3@1");
}

/// Rule 15: then it is skipped, and counted; the next reconcile run decides.
async fn a_parent_that_cannot_be_verified_keeps_its_children(kind: Kind) {
    let bench = Bench::new(kind, [StreamSpec::new("parents"), StreamSpec::child("children", "parents")]);
    bench.tree.set("parents", "p1@1 p2@1");
    bench.tree.set("children/p1", "a@1");
    bench.complete(Mode::Incremental).await;
    bench.tree.set("parents", "p1@2 p2@1");
    bench.tree.set("children/p1", "!not_found");
    let run = &bench.run(Mode::Incremental).await["children"];
    assert_eq!((run.status, run.counts.skipped_total()), (RunStatus::Complete, 1));
    assert_eq!(bench.live("children").await, "p1/a@1");
    bench.tree.requests();
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["parents"], "a parent that cannot be verified is not asked forever");
    bench.tree.set("children/p1", "b@1");
    bench.complete(Mode::Reconcile).await;
    assert_eq!(bench.live("children").await, "p1/b@1");
}

/// Rule 15: the tombstone is applied only while the parent's row is the one that was seen.
async fn a_parent_that_changes_meanwhile_is_not_deleted(kind: Kind) {
    // It is restored.
    let bench = overtaken(kind, "p1@2", "-", "p1@3").await;
    assert_eq!(bench.live("parents").await, "p1@3 p2@1 p3@1");
    bench.tree.release("verify parents/p1");
    bench.tree.set("parents", "p1@3 p2@1 p3@1");
    bench.tree.set("children/p1", "a@1");
    bench.tree.verify_as("parents/p1", "p1@3");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p1/a@1 p2/a@1 p3/a@1");
}

/// Rule 15, one level below: a child that moves away and back has not changed, so its own row must carry the tombstone.
async fn a_child_that_is_gone_is_deleted_in_the_table_of_its_stream(kind: Kind) {
    let mut streams = family();
    streams[1] = StreamSpec::child("children", "parents").verifiable();
    let bench = Bench::new(kind, streams);
    bench.tree.set("parents", "p1@1 p2@1");
    bench.tree.set("children/p1", "a@1");
    // Between the two lists, the child moves away.
    bench.tree.set("grandchildren/p1/a", "!not_found");
    bench.tree.verify_as("children/p1/a", "-");
    bench.complete(Mode::Incremental).await;
    assert_eq!((bench.live("children").await.as_str(), bench.deleted("children").await.as_str()), ("", "p1/a"));
    // It moves back; its own version is the old one.
    bench.tree.set("parents", "p1@2 p2@2");
    bench.tree.set("grandchildren/p1/a", "g@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(
        (bench.live("children").await.as_str(), bench.live("grandchildren").await.as_str()),
        ("p1/a@1", "p1/a/g@1")
    );
}

/// Rule 12: a parent that is owed and has changed is in both queues; the source panics if a list is read twice at once.
async fn the_list_of_a_parent_is_read_once_at_a_time(kind: Kind) {
    let bench = bench(kind).await;
    bench.tree.set("parents", "p1@2 p2@1 p3@1");
    bench.tree.set("children/p1", "!unavailable");
    bench.run(Mode::Incremental).await;
    bench.tree.set("parents", "p1@3 p2@2 p3@2");
    bench.tree.set("children/p1", "b@1");
    let hold = bench.tree.hold("children/p1");
    bench.tree.requests();
    let run = bench.start(Mode::Incremental);
    hold.reached.notified().await;
    // The older answer has no c.
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    bench.tree.release("children/p1");
    hold.resume.notify_one();
    bench.tree.on("children/p1", |tree| tree.set("children/p1", "b@1 c@1"));
    let run = &run.await.unwrap()["children"];
    assert_eq!(run.status, RunStatus::Complete, "{:?}", run.error);
    assert_eq!(bench.live("children").await, "p1/b@1 p1/c@1 p2/a@1 p3/a@1");
}
