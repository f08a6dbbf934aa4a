//! Source-wide streams: read once for the source, whatever resources select them.

use std::time::Duration;

use snowfeed::engine::{EnableRequest, IngestRequest, StreamSelection};
use snowfeed::{ErrorKind, Mode, Resource, RunRecord, RunStatus, StateKey, StreamSpec};
use tokio_util::sync::CancellationToken;

use crate::support::resource;
use crate::tree::{Bench, Kind, on_each_backend};

on_each_backend! {
    it_is_read_once_for_all_resources
    its_children_are_source_wide_too
    it_is_read_while_a_resource_selects_it
    a_resource_is_reset_and_removed_without_it
    it_is_reset_by_its_name
    its_failure_stops_no_other_stream_and_forgets_no_new_resource
    it_is_read_on_the_most_frequent_schedule
    its_resource_has_no_name_for_users
    two_programs_read_it_at_once
}

/// `tickets` of each resource; `users` of the source, with the `teams` of each user.
fn streams() -> Vec<StreamSpec> {
    vec![
        StreamSpec::new("tickets"),
        StreamSpec::snapshot("users").exact().source_wide(),
        StreamSpec::child("teams", "users").optional(),
    ]
}

fn bench(kind: Kind) -> Bench {
    let bench = Bench::new(kind, streams());
    bench.tree.set("users", "u1@1 u2@1");
    bench
}

async fn enable(bench: &Bench, name: &str, streams: Option<StreamSelection>) {
    let mut request = EnableRequest::new(resource(name));
    request.streams = streams;
    bench.connector().enable(request).await.unwrap();
}

/// Ingests these resources; without any, all that are enabled.
async fn ingest<const N: usize>(bench: &Bench, names: [&str; N]) -> Vec<RunRecord> {
    bench.connector().ingest(IngestRequest::new(names.map(resource))).await.unwrap().runs
}

/// The runs, as `resource stream`.
fn names(runs: &[RunRecord]) -> Vec<String> {
    runs.iter().map(|run| format!("{} {}", run.resource, run.stream)).collect()
}

async fn it_is_read_once_for_all_resources(kind: Kind) {
    let bench = bench(kind);
    let runs = ingest(&bench, ["a", "b", "c"]).await;
    assert_eq!(names(&runs), ["* users", "a tickets", "b tickets", "c tickets"]);
    assert!(runs.iter().all(|run| run.status == RunStatus::Complete), "{runs:?}");
    assert_eq!(bench.tree.requests(), ["tickets", "tickets", "tickets", "users"]);
    assert_eq!(bench.live("users").await, "u1@1 u2@1");
    // All of the list is there: what is missing from it is gone for every resource.
    bench.tree.set("users", "u2@1");
    ingest(&bench, ["b"]).await;
    assert_eq!(bench.tree.requests(), ["tickets", "users"]);
    assert_eq!((bench.live("users").await, bench.deleted("users").await), ("u2@1".to_owned(), "u1".to_owned()));
}

async fn its_children_are_source_wide_too(kind: Kind) {
    let bench = bench(kind);
    bench.tree.set("teams/u1", "red@1 blue@1");
    for name in ["a", "b"] {
        enable(&bench, name, Some(["teams"].into())).await;
    }
    let runs = ingest(&bench, []).await;
    assert_eq!(names(&runs), ["* teams", "* users"], "tickets are not selected");
    assert_eq!(bench.tree.requests(), ["teams/u1", "teams/u2", "users"]);
    assert_eq!(bench.live("teams").await, "u1/blue@1 u1/red@1");
    ingest(&bench, []).await;
    assert_eq!(bench.tree.requests(), ["users"], "no user has changed");
}

async fn it_is_read_while_a_resource_selects_it(kind: Kind) {
    let bench = bench(kind);
    enable(&bench, "a", None).await;
    enable(&bench, "b", Some(["tickets"].into())).await;
    assert_eq!(names(&ingest(&bench, []).await), ["* users", "a tickets", "b tickets"]);
    bench.connector().disable(&resource("a")).await.unwrap();
    assert_eq!(names(&ingest(&bench, []).await), ["b tickets"]);
    assert_eq!(bench.live("users").await, "u1@1 u2@1", "a stream that is not read keeps its rows");
}

async fn a_resource_is_reset_and_removed_without_it(kind: Kind) {
    let bench = bench(kind);
    ingest(&bench, ["a", "b"]).await;
    let state = || async { bench.backend.latest(&StateKey::new("*", "users")).await.unwrap() };
    let before = state().await;
    assert!(before.is_some());
    bench.connector().reset(&resource("a")).await.unwrap();
    bench.connector().remove(&resource("a")).await.unwrap();
    assert_eq!(state().await, before);
}

async fn it_is_reset_by_its_name(kind: Kind) {
    let bench = bench(kind);
    bench.tree.set_with("users", "u1@1 u2@1", "same");
    ingest(&bench, ["a", "b"]).await;
    bench.connector().reset_streams(&resource("a"), ["users"]).await.unwrap();
    let entry = bench.backend.latest(&StateKey::new("*", "users")).await.unwrap().unwrap();
    assert_eq!(entry.state.checkpoint, None);
    let runs = ingest(&bench, ["b"]).await;
    assert_eq!(runs[0].counts.unchanged, 2);
}

async fn its_failure_stops_no_other_stream_and_forgets_no_new_resource(kind: Kind) {
    let bench = bench(kind);
    bench.tree.set("users", "!unavailable");
    bench.tree.set("tickets", "t1@1");
    let statuses = |runs: Vec<RunRecord>| runs.into_iter().map(|run| run.status).collect::<Vec<_>>();
    assert_eq!(
        statuses(ingest(&bench, ["a", "b"]).await),
        [RunStatus::Failed, RunStatus::Complete, RunStatus::Complete]
    );
    // The list that does not exist says nothing about the resource.
    bench.tree.set("users", "!not_found");
    let request = IngestRequest::new([resource("new")]).streams(["users"]);
    assert_eq!(statuses(bench.connector().ingest(request).await.unwrap().runs), [RunStatus::Failed]);
    let known: Vec<Resource> = bench.connector().resources().await.unwrap().into_iter().map(|(one, _)| one).collect();
    assert_eq!(known, ["a", "b", "new"].map(resource));
}

async fn it_is_read_on_the_most_frequent_schedule(kind: Kind) {
    let bench = bench(kind);
    let users_only = Some(StreamSelection::from(["users"]));
    for (name, schedule, streams) in
        [("a", "10m", None), ("b", "25m", users_only), ("c", "1m", Some(["tickets"].into()))]
    {
        enable(&bench, name, streams).await;
        let request = EnableRequest::new(resource(name)).schedule(schedule.parse().unwrap());
        bench.connector().enable(request).await.unwrap();
    }
    let stop = CancellationToken::new();
    let (start, began): (jiff::Timestamp, _) = ("2100-01-01T00:00:00Z".parse().unwrap(), tokio::time::Instant::now());
    let connector = bench.connector().clock(move || start + began.elapsed());
    let stopped = async {
        tokio::time::sleep(Duration::from_secs(3_601)).await;
        stop.cancel();
    };
    tokio::join!(connector.serve(4, stop.clone()), stopped).0.unwrap();
    let users = bench.tree.requests().into_iter().filter(|request| request == "users").count();
    assert_eq!(users, 7, "every ten minutes, as `a`: then `b` never waits for 25");
}

async fn its_resource_has_no_name_for_users(kind: Kind) {
    let bench = bench(kind);
    let error = bench.connector().enable(EnableRequest::new(Resource::source_wide())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.message(), "* is not the name of a resource: it stands for all of them");
    assert_eq!(error.help(), Some("name a resource: its source-wide streams are read with it"));
    bench.connector().ingest(IngestRequest::new([Resource::source_wide()])).await.unwrap_err();
    assert!(bench.connector().resources().await.unwrap().is_empty());
    // Where no stream is source-wide, it is a name like any other.
    let other = Bench::new(kind, [StreamSpec::new("tickets")]);
    assert_eq!(names(&ingest(&other, ["*"]).await), ["* tickets"]);
}

async fn two_programs_read_it_at_once(kind: Kind) {
    let bench = bench(kind);
    for name in ["a", "b"] {
        enable(&bench, name, Some(["users"].into())).await;
    }
    let hold = bench.tree.hold("users");
    let slow = bench.connector();
    let slow = tokio::spawn(async move { slow.ingest(IngestRequest::new([resource("a")])).await.unwrap().runs });
    hold.reached.notified().await;
    bench.tree.release("users");
    bench.tree.set("users", "u1@1 u2@1 u3@1");
    assert_eq!(ingest(&bench, ["b"]).await[0].status, RunStatus::Complete);
    bench.tree.set("users", "u1@1 u2@1");
    hold.resume.notify_one();
    let overtaken = slow.await.unwrap();
    assert_eq!(overtaken[0].error.as_ref().map(|error| error.kind), Some(ErrorKind::Conflict));
    assert_eq!(bench.live("users").await, "u1@1 u2@1 u3@1", "an older list deletes nothing");
    bench.connector().ingest(IngestRequest::default().mode(Mode::Reconcile)).await.unwrap();
    assert_eq!(bench.live("users").await, "u1@1 u2@1");
}
