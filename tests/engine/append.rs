//! Append streams. Each test names the rule of the stream contract that it is about.

use serde_json::json;
use snowfeed::{Mode, RunStatus, StreamSpec};

use crate::tree::{Bench, Kind, on_each_backend};

on_each_backend! {
    a_read_ends_at_what_is_known
    an_interruption_leaves_a_gap_that_a_later_run_fills
    a_third_gap_is_joined_and_loses_nothing
    a_record_that_appears_late_is_found_within_the_overlap
    nothing_is_deleted
    an_idle_run_writes_nothing
    a_record_of_the_future_hides_none_of_the_present
}

/// Events up to a number, in one page: the source cuts it into pages of two.
fn events(numbers: impl IntoIterator<Item = i64>) -> String {
    numbers.into_iter().map(|number| format!("{number:02}@{number}")).collect::<Vec<_>>().join(" ")
}

async fn bench(kind: Kind, overlap: i64, numbers: impl IntoIterator<Item = i64>) -> Bench {
    let bench = Bench::new(kind, [StreamSpec::append("events", overlap)]);
    bench.tree.set("events", &events(numbers));
    bench.complete(Mode::Incremental).await;
    bench.tree.requests();
    bench
}

/// The numbers of the stored events.
async fn stored(bench: &Bench) -> Vec<i64> {
    bench.live("events").await.split_whitespace().map(|state| state[..2].parse().unwrap()).collect()
}

/// Rule 28.
async fn a_read_ends_at_what_is_known(kind: Kind) {
    let bench = bench(kind, 0, 1..=9).await;
    assert_eq!(stored(&bench).await, (1..=9).collect::<Vec<_>>());
    assert_eq!(bench.checkpoint("events").await["known"], 9);
    bench.tree.set("events", &events(1..=12));
    bench.complete(Mode::Incremental).await;
    assert_eq!(bench.tree.requests(), ["events", "events<11", "events<9"], "12 11, 10 9, 8 7");
    assert_eq!(stored(&bench).await, (1..=12).collect::<Vec<_>>());
}

/// Stops a run at a request.
async fn stop_at(bench: &Bench, request: &str) {
    let hold = bench.tree.hold(request);
    let running = bench.start(Mode::Incremental);
    hold.reached.notified().await;
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    running.abort();
    assert!(running.await.is_err());
    bench.tree.release(request);
}

/// Rule 28: the next run reads the head first, then the gap, and nothing twice.
async fn an_interruption_leaves_a_gap_that_a_later_run_fills(kind: Kind) {
    let bench = bench(kind, 0, 1..=4).await;
    bench.tree.set("events", &events(1..=20));
    stop_at(&bench, "events<13").await;
    assert_eq!(stored(&bench).await, [1, 2, 3, 4, 13, 14, 15, 16, 17, 18, 19, 20]);
    let checkpoint = bench.checkpoint("events").await;
    assert_eq!((&checkpoint["known"], &checkpoint["gaps"]), (&json!(20), &json!([{"floor": 4, "resume": 13}])));
    bench.tree.set("events", &events(1..=22));
    bench.tree.requests();
    bench.complete(Mode::Incremental).await;
    assert_eq!(stored(&bench).await, (1..=22).collect::<Vec<_>>());
    let mut requests = bench.tree.requests();
    requests.sort_by_key(|request| request.split_once('<').map_or(99, |(_, number)| -number.parse::<i64>().unwrap()));
    assert_eq!(requests, ["events<21", "events<13", "events<11", "events<9", "events<7", "events<5", "events"]);
    assert_eq!(bench.checkpoint("events").await.get("gaps"), None);
}

/// Rule 28: three runs are interrupted one after the other. The state stays small, and every event arrives.
async fn a_third_gap_is_joined_and_loses_nothing(kind: Kind) {
    let bench = bench(kind, 0, 1..=2).await;
    for (newest, stop) in [(20, "events<17"), (40, "events<37"), (60, "events<57"), (80, "events<77")] {
        bench.tree.set("events", &events(1..=newest));
        stop_at(&bench, stop).await;
        let gaps = bench.checkpoint("events").await["gaps"].as_array().unwrap().len();
        assert!(gaps <= 2, "{gaps} gaps are remembered");
    }
    bench.tree.set("events", &events(1..=81));
    bench.complete(Mode::Incremental).await;
    assert_eq!(stored(&bench).await, (1..=81).collect::<Vec<_>>());
    assert_eq!(bench.checkpoint("events").await.get("gaps"), None);
}

/// Rule 29.
async fn a_record_that_appears_late_is_found_within_the_overlap(kind: Kind) {
    let bench = bench(kind, 3, [1, 2, 3, 4, 5, 6, 7, 9]).await;
    bench.tree.set("events", &events(1..=9));
    bench.complete(Mode::Incremental).await;
    assert_eq!(stored(&bench).await, (1..=9).collect::<Vec<_>>());
    // Also if newer ones appear with it.
    bench.tree.set("events", &events([1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12]));
    bench.complete(Mode::Incremental).await;
    bench.tree.set("events", &events(1..=14));
    bench.complete(Mode::Incremental).await;
    assert_eq!(stored(&bench).await, (1..=14).collect::<Vec<_>>());
}

/// Rule 29: what a log has dropped, or has not listed, stays, in a reconcile run, too.
async fn nothing_is_deleted(kind: Kind) {
    let bench = bench(kind, 2, 1..=9).await;
    bench.tree.set("events", &events(8..=10));
    for mode in [Mode::Incremental, Mode::Reconcile] {
        bench.complete(mode).await;
        assert_eq!(stored(&bench).await, (1..=10).collect::<Vec<_>>());
    }
    bench.tree.set("events", "!unavailable");
    assert_eq!(bench.run(Mode::Incremental).await["events"].status, RunStatus::Failed);
    assert_eq!(stored(&bench).await, (1..=10).collect::<Vec<_>>());
}

/// Rule 31: an overlap that has brought only known records is no progress.
async fn an_idle_run_writes_nothing(kind: Kind) {
    for overlap in [0, 1, 6, 100] {
        let bench = bench(kind, overlap, 1..=9).await;
        let versions = bench.versions(["events"]).await;
        for _ in 0..2 {
            bench.complete(Mode::Incremental).await;
            assert_eq!(bench.versions(["events"]).await, versions, "overlap {overlap}");
        }
    }
}

/// A wrong clock dates one record in the future: it stays at the top of the list, and must not count as what is known.
async fn a_record_of_the_future_hides_none_of_the_present(kind: Kind) {
    let with_future = |newest: i64| format!("99@9000000000000000 {}", events(1..=newest));
    for first in [0, 4] {
        let bench = Bench::new(kind, [StreamSpec::append("events", 0)]);
        bench.tree.set("events", &with_future(first));
        bench.complete(Mode::Incremental).await;
        for newest in [12, 12, 20] {
            bench.tree.set("events", &with_future(newest));
            bench.complete(Mode::Incremental).await;
            let all: Vec<i64> = (1..=newest).chain([99]).collect();
            assert_eq!(stored(&bench).await, all, "{first} at first");
        }
        let versions = bench.versions(["events"]).await;
        bench.complete(Mode::Incremental).await;
        assert_eq!(bench.versions(["events"]).await, versions, "an idle run writes nothing");
    }
}
