//! The lists of children: how they are read, and what is missing from them.

use std::time::Duration;

use snowfeed::{Mode, RunStatus, StreamSpec};

use crate::tree::{Bench, Kind, on_each_backend, run};

on_each_backend! {
    lists_are_read_side_by_side_and_the_position_waits_for_the_first
    a_crash_repeats_only_the_parents_in_flight
    a_list_that_waits_holds_up_no_other
    one_key_below_two_parents_is_two_records
    a_list_that_fails_deletes_nothing
    a_list_that_starts_over_knows_nothing_of_the_first_attempt
    a_list_in_one_page_deletes_what_it_lacks
    a_list_that_may_drift_deletes_what_is_verified_to_be_gone
    an_exact_list_deletes_without_verifying
    what_cannot_be_verified_is_deleted_after_a_second_list
    an_unchanged_list_deletes_nothing
    a_list_is_not_read_before_it_may_show_the_change
    a_child_that_changes_within_the_second_of_its_parent_is_not_lost
    only_lists_of_parents_that_have_just_changed_wait
    ten_thousand_children_of_one_parent_are_compared_in_steps
    the_first_list_is_read_and_verified_while_others_wait_for_the_source
}

fn streams(children: StreamSpec) -> [StreamSpec; 2] {
    [StreamSpec::new("parents").verifiable(), children]
}

fn children() -> StreamSpec {
    StreamSpec::child("children", "parents")
}

/// A bench whose parent `p1` has these children.
async fn bench(kind: Kind, spec: StreamSpec, list: &str) -> Bench {
    let bench = Bench::new(kind, streams(spec));
    bench.tree.set("parents", "p1@1");
    bench.tree.set("children/p1", list);
    bench.complete(Mode::Incremental).await;
    bench.tree.requests();
    bench.tree.set("parents", "p1@2");
    bench
}

/// Four parents, of which `held` is held.
async fn four(kind: Kind, held: &str) -> (Bench, tokio::task::JoinHandle<()>) {
    let bench = Bench::new(kind, streams(children()));
    bench.tree.set("parents", "p1@1 p2@1 p3@1 p4@1");
    for parent in ["p1", "p2", "p3", "p4"] {
        bench.tree.set(&format!("children/{parent}"), "a@1");
    }
    bench.tree.hold(&format!("children/{held}"));
    let connector = bench.connector();
    let running = tokio::spawn(async move {
        run(&connector, Mode::Incremental, vec!["children".into()]).await;
    });
    for parent in ["p1", "p2", "p3", "p4"] {
        bench.tree.requested(&format!("children/{parent}")).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    bench.tree.requests();
    (bench, running)
}

/// Rule 11: the lists behind a slow one have ended; the position does not pass the slow one.
async fn lists_are_read_side_by_side_and_the_position_waits_for_the_first(kind: Kind) {
    let (bench, running) = four(kind, "p1").await;
    assert_eq!(bench.checkpoint("children").await, serde_json::Value::Null);
    running.abort();
    assert!(running.await.is_err());
    bench.tree.release("children/p1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["children/p1", "children/p2", "children/p3", "children/p4", "parents"]);
    assert_eq!(bench.live("children").await, "p1/a@1 p2/a@1 p3/a@1 p4/a@1");
}

/// Rule 11: what was before the slow list is not read again.
async fn a_crash_repeats_only_the_parents_in_flight(kind: Kind) {
    let (bench, running) = four(kind, "p3").await;
    running.abort();
    assert!(running.await.is_err());
    bench.tree.release("children/p3");
    assert_eq!(bench.live("children").await, "p1/a@1 p2/a@1 p4/a@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["children/p3", "children/p4", "parents"]);
    assert_eq!(bench.live("children").await, "p1/a@1 p2/a@1 p3/a@1 p4/a@1");
}

/// Rule 11: the lists behind a slow one are read and stored; a crash repeats a bounded number of them.
async fn a_list_that_waits_holds_up_no_other(kind: Kind) {
    const PARENTS: usize = 200;
    let bench = Bench::new(kind, streams(children()));
    let names: Vec<String> = (0..PARENTS).map(|n| format!("p{n:03}")).collect();
    bench.tree.set("parents", &names.iter().map(|name| format!("{name}@1")).collect::<Vec<_>>().join(" "));
    for name in &names {
        bench.tree.set(&format!("children/{name}"), "a@1");
    }
    let hold = bench.tree.hold("children/p020");
    let connector = bench.connector();
    let running = tokio::spawn(async move { run(&connector, Mode::Incremental, vec!["children".into()]).await });
    hold.reached.notified().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let asked = bench.tree.requests().iter().filter(|request| request.starts_with("children/")).count();
    assert!((60..PARENTS).contains(&asked), "{asked} lists were asked for");
    let live = bench.live("children").await;
    let stored = live.split(' ').count();
    assert!((60..asked).contains(&stored) && !live.contains("p020"), "{stored} lists are stored");
    running.abort();
    assert!(running.await.is_err());
    bench.tree.release("children/p020");
    bench.complete(Mode::Incremental).await;
    let requests = bench.tree.requests();
    let repeated = requests.iter().filter(|request| request.starts_with("children/")).count() - (PARENTS - asked);
    assert!((1..=72).contains(&repeated), "{repeated} lists are repeated");
    assert!(!requests.contains(&"children/p019".to_owned()), "the position has passed what was before the slow list");
    assert_eq!(bench.live("children").await.split(' ').count(), PARENTS);
}

/// Rule 16.
async fn one_key_below_two_parents_is_two_records(kind: Kind) {
    let bench = Bench::new(kind, streams(children()));
    bench.tree.set("parents", "p1@1 p2@1 a/b@1");
    bench.tree.set("children/p1", "k@5=one");
    bench.tree.set("children/p2", "k@3=two");
    bench.tree.set("children/a/b", "k@4=three");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "a/b/k@4=three p1/k@5=one p2/k@3=two");
    bench.tree.set("parents", "p1@2 p2@2 a/b@1");
    bench.tree.set("children/p1", "");
    bench.tree.set("children/p2", "k@4=newer");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "a/b/k@4=three p2/k@4=newer");
}

/// Rule 17: only a list that has ended is complete.
async fn a_list_that_fails_deletes_nothing(kind: Kind) {
    let bench = bench(kind, children().exact(), "a@1 b@1 c@1").await;
    bench.tree.set("children/p1", "a@1 | !unavailable");
    assert_ne!(bench.run(Mode::Incremental).await["children"].status, RunStatus::Complete);
    assert_eq!(bench.live("children").await, "p1/a@1 p1/b@1 p1/c@1");
    bench.tree.set("children/p1", "a@1 | c@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p1/a@1 p1/c@1");
}

/// Rule 17: a child that the first attempt has listed is deleted before the second.
async fn a_list_that_starts_over_knows_nothing_of_the_first_attempt(kind: Kind) {
    let bench = bench(kind, children().exact(), "a@1 b@1 c@1").await;
    bench.tree.set("children/p1", "a@1 new@1 | b@1 | c@1");
    let hold = bench.tree.hold("children/p1#3");
    let running = bench.start(Mode::Incremental);
    hold.reached.notified().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    running.abort();
    assert!(running.await.is_err());
    bench.tree.release("children/p1#3");
    bench.tree.set("children/p1", "b@1 | c@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p1/b@1 p1/c@1");
}

/// Rule 18: a list in one answer cannot drift.
async fn a_list_in_one_page_deletes_what_it_lacks(kind: Kind) {
    for (spec, list) in [(children(), "a@1"), (children().verifiable(), "a@1"), (children().exact(), "")] {
        let bench = bench(kind, spec, "a@1 b@1").await;
        bench.tree.set("children/p1", list);
        bench.complete(Mode::Incremental).await;
        assert_eq!(bench.tree.requests(), ["children/p1", "parents"]);
        assert_eq!(bench.live("children").await, if list.is_empty() { "" } else { "p1/a@1" });
    }
}

/// Rule 18: a record that slips from one page to another exists.
async fn a_list_that_may_drift_deletes_what_is_verified_to_be_gone(kind: Kind) {
    let bench = bench(kind, children().verifiable(), "a@1 b@1 c@1 d@1 e@1").await;
    bench.tree.set("children/p1", "a@1 | d@1");
    bench.tree.verify_as("children/p1/b", "-");
    bench.tree.verify_as("children/p1/c", "c@1");
    bench.tree.verify_as("children/p1/e", "");
    bench.complete(Mode::Incremental).await;
    let verified: Vec<_> = bench.tree.requests().into_iter().filter(|request| request.starts_with("verify")).collect();
    assert_eq!(verified, ["verify children/p1/b", "verify children/p1/c", "verify children/p1/e"]);
    assert_eq!(bench.live("children").await, "p1/a@1 p1/c@1 p1/d@1 p1/e@1");
}

/// Rule 18: the stream says that its lists cannot drift.
async fn an_exact_list_deletes_without_verifying(kind: Kind) {
    let bench = bench(kind, children().verifiable().exact(), "a@1 b@1 c@1").await;
    bench.tree.set("children/p1", "a@1 | c@1");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["children/p1", "children/p1#2", "parents"]);
    assert_eq!(bench.live("children").await, "p1/a@1 p1/c@1");
}

/// Rule 18: missing in two complete lists in a row.
async fn what_cannot_be_verified_is_deleted_after_a_second_list(kind: Kind) {
    let bench = bench(kind, children(), "a@1 b@1 c@1 d@1").await;
    bench.tree.set("children/p1", "a@1 | d@1");
    bench.tree.set_at_second("children/p1#2", "children/p1", "a@1 | d@1 c@2 new@1");
    bench.complete(Mode::Incremental).await;
    let requests = bench.tree.requests();
    assert_eq!(requests, ["children/p1", "children/p1", "children/p1#2", "children/p1#2", "parents"]);
    assert_eq!(bench.live("children").await, "p1/a@1 p1/c@2 p1/d@1 p1/new@1");
    // A second list that fails deletes nothing.
    bench.tree.set("parents", "p1@3");
    bench.tree.set("children/p1", "a@1 | d@1");
    bench.tree.set_at_second("children/p1#2", "children/p1", "a@1 | !unavailable");
    assert_ne!(bench.run(Mode::Incremental).await["children"].status, RunStatus::Complete);
    assert_eq!(bench.live("children").await, "p1/a@1 p1/c@2 p1/d@1 p1/new@1");
}

/// A list that says that it has not changed is complete as it was.
async fn an_unchanged_list_deletes_nothing(kind: Kind) {
    let bench = bench(kind, children().exact(), "a@1 b@1").await;
    bench.tree.set("children/p1", "~");
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p1/a@1 p1/b@1");
    bench.tree.requests();
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["parents"], "the position has passed the parent");
}

/// Rule 20: the list of a parent may lag behind it by a minute.
async fn a_list_is_not_read_before_it_may_show_the_change(kind: Kind) {
    let lag = Duration::from_secs(60);
    let bench = Bench::new(kind, streams(children().lag(lag)));
    bench.tree.set("parents", "p1@1");
    bench.run_only(Mode::Incremental, ["parents"]).await;
    let stored = bench.tree.time_of("parents");
    bench.complete(Mode::Incremental).await;
    let waited = bench.tree.time_of("children/p1") - stored;
    assert!(waited >= lag && waited < lag * 2, "{waited:?}");
    // What was stored long ago is read at once.
    bench.tree.set("parents", "p1@2");
    bench.run_only(Mode::Incremental, ["parents"]).await;
    tokio::time::sleep(lag * 2).await;
    let began = tokio::time::Instant::now();
    bench.complete(Mode::Incremental).await;
    assert!(bench.tree.time_of("children/p1") - began < Duration::from_secs(1));
}

/// Of two changes of a child within one second of the parent's version, the second one leaves the parent as it is.
async fn a_child_that_changes_within_the_second_of_its_parent_is_not_lost(kind: Kind) {
    let bench = Bench::new(kind, streams(children()));
    let second = bench.tree_time();
    bench.tree.set("parents", &format!("p1@{second}"));
    bench.tree.set("children/p1", "a@1");
    let tree = bench.tree.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(900)).await;
        tree.set("children/p1", "a@1 b@1");
    });
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.live("children").await, "p1/a@1 p1/b@1");
    bench.tree.requests();
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["parents"], "a parent whose second has passed owes nothing");
}

/// All parents of a run wait for the same second, and those with older or finer versions for none.
async fn only_lists_of_parents_that_have_just_changed_wait(kind: Kind) {
    let bench = Bench::new(kind, streams(children()));
    let second = bench.tree_time();
    let parents = |version: i64| (0..50).map(|n| format!("p{n}@{version}")).collect::<Vec<_>>().join(" ");
    for (version, waits) in
        [(second - 172_800_000_000, false), (second + 1, false), (7_000_000, false), (second + 60_000_000, true)]
    {
        bench.tree.set("parents", &parents(version));
        let began = tokio::time::Instant::now();
        bench.complete(Mode::Reconcile).await;
        let took = began.elapsed();
        let expected = Duration::from_secs(u64::from(waits));
        assert!(took >= expected && took < expected + Duration::from_millis(500), "{version}: {took:?}");
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Rule 17: more children than one query selects and one commit holds.
async fn ten_thousand_children_of_one_parent_are_compared_in_steps(kind: Kind) {
    const CHILDREN: usize = 10_000;
    let bench = Bench::new(kind, streams(children().exact()));
    let connector = bench.connector().limits(snowfeed::Limits::default().max_deleted_percent(100));
    let list = |keys: &mut dyn Iterator<Item = usize>| keys.map(|key| format!("{key:05}@1")).collect::<Vec<_>>();
    bench.tree.set("parents", "p1@1");
    bench.tree.set(
        "children/p1",
        &list(&mut (0..CHILDREN)).chunks(100).map(|page| page.join(" ")).collect::<Vec<_>>().join("|"),
    );
    run(&connector, Mode::Incremental, vec!["children".into()]).await;
    bench.tree.set("parents", "p1@2");
    let kept = list(&mut (0..CHILDREN).filter(|key| key % 3 == 0));
    bench.tree.set("children/p1", &kept.chunks(100).map(|page| page.join(" ")).collect::<Vec<_>>().join("|"));
    let runs = run(&connector, Mode::Incremental, vec!["children".into()]).await;
    assert_eq!((runs["children"].counts.deleted, runs["children"].status), (6_666, RunStatus::Complete));
    let live: Vec<String> = kept.iter().map(|child| format!("p1/{child}")).collect();
    assert_eq!(bench.live("children").await, live.join(" "));
    let size = bench.checkpoint("children").await.to_string().len();
    assert!(size < 100, "the checkpoint has {size} bytes");
}

/// The lists behind the first one are begun meanwhile. They must not keep the only request that the source allows at a time.
async fn the_first_list_is_read_and_verified_while_others_wait_for_the_source(kind: Kind) {
    let bench = Bench::new(kind, streams(children()));
    bench.tree.limit_requests(1);
    bench.tree.set("parents", "p1@1 p2@1 p3@1 p4@1");
    bench.tree.set("children/p1", "!not_found");
    bench.tree.verify_as("parents/p1", "-");
    let more_than_is_begun = "x".repeat(300 << 10);
    bench.tree.set("children/p2", &format!("a@1={more_than_is_begun} | b@1"));
    bench.tree.set("children/p3", "a@1 | b@1");
    bench.tree.set("children/p4", "a@1 | b@1");
    tokio::time::timeout(Duration::from_secs(60), bench.complete(Mode::Incremental)).await.expect("the run hangs");
    assert_eq!(bench.live("children").await.split(' ').count(), 6);
    assert_eq!(bench.deleted("parents").await, "p1");
}
