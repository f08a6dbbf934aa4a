//! Whether the selected streams can be read.

use snowfeed::engine::EnableRequest;
use snowfeed::{ErrorKind, Mode, RunQuery, StreamSpec};

use crate::support::resource;
use crate::tree::{Bench, Kind, on_each_backend};

on_each_backend! {
    each_selected_stream_is_checked_and_nothing_is_stored
    a_child_stream_is_checked_with_a_stored_parent
    no_more_than_a_hundred_streams_are_checked
}

/// The checks, as `resource stream: result`.
async fn checks(bench: &Bench) -> Vec<String> {
    let checks = bench.connector().check_streams().await.unwrap();
    let result = |result: &snowfeed::Result<Option<()>>| match result {
        Ok(Some(())) => "ok".to_owned(),
        Ok(None) => "not checked".to_owned(),
        Err(error) => error.kind().to_string(),
    };
    checks.iter().map(|check| format!("{} {}: {}", check.resource, check.stream, result(&check.result))).collect()
}

async fn each_selected_stream_is_checked_and_nothing_is_stored(kind: Kind) {
    let streams = [
        StreamSpec::new("tickets"),
        StreamSpec::snapshot("labels"),
        StreamSpec::append("events", 0),
        StreamSpec::deletions_of("gone", "tickets"),
        StreamSpec::snapshot("users").source_wide(),
        StreamSpec::new("unused").optional(),
    ];
    let bench = Bench::new(kind, streams);
    assert_eq!(checks(&bench).await, Vec::<String>::new(), "nothing is enabled");
    for name in ["a", "b"] {
        bench.connector().enable(EnableRequest::new(resource(name))).await.unwrap();
    }
    bench.connector().disable(&resource("b")).await.unwrap();
    bench.tree.set("labels", "!authentication");
    bench.tree.set("tickets", "t@1 | u@1");
    assert_eq!(
        checks(&bench).await,
        ["* users: ok", "a tickets: ok", "a labels: authentication", "a events: ok", "a gone: ok"]
    );
    assert_eq!(bench.tree.requests(), ["events", "gone", "labels", "tickets", "users"], "only the first page");
    assert_eq!(bench.backend.runs(RunQuery::new(9)).await.unwrap(), []);
    assert_eq!(bench.live("users").await, "");
}

async fn a_child_stream_is_checked_with_a_stored_parent(kind: Kind) {
    let bench = Bench::new(kind, [StreamSpec::new("parents").verifiable(), StreamSpec::child("children", "parents")]);
    bench.connector().enable(EnableRequest::new(resource("r"))).await.unwrap();
    assert_eq!(checks(&bench).await, ["r parents: ok", "r children: not checked"]);
    bench.tree.set("parents", "p1@1 p2@1");
    bench.complete(Mode::Incremental).await;
    // A parent that was deleted has no list.
    bench.tree.set("parents", "p2@2");
    bench.complete(Mode::Reconcile).await;
    bench.tree.requests();
    for (list, result) in [("!unavailable", "unavailable"), ("c@1", "ok"), ("!not_found", "not checked")] {
        bench.tree.set("children/p2", list);
        assert_eq!(checks(&bench).await, ["r parents: ok".to_owned(), format!("r children: {result}")]);
        assert_eq!(bench.tree.requests(), ["children/p2", "parents"]);
    }
}

async fn no_more_than_a_hundred_streams_are_checked(kind: Kind) {
    let bench = Bench::new(kind, [StreamSpec::new("tickets")]);
    for number in 0..101 {
        bench.connector().enable(EnableRequest::new(resource(&format!("r{number}")))).await.unwrap();
    }
    assert_eq!(checks(&bench).await.len(), 100);
    bench.tree.set("tickets", "!unavailable");
    let checks = bench.connector().check_streams().await.unwrap();
    assert!(
        checks.iter().all(|check| check.result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable))
    );
}
