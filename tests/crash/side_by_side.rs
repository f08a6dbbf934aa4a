//! Two concurrent processes on one database file: one run may be refused because the other has committed; nothing is lost,
//! and nothing is duplicated.

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use github_server::{GithubServer, Mutations};
use snowfeed::backends::Sqlite;
use snowfeed::engine::IngestRequest;
use snowfeed::prelude::*;
use snowfeed::sources::github::GithubIssues;
use snowfeed::{Limits, RunRecord, RunStatus};

use crate::github::{WIDGETS, connector, resource};

/// Runs with a separate connection and separate threads.
fn run(file: &Path, upstream: &GithubServer, mode: Mode) -> RunRecord {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sqlite = Arc::new(Sqlite::open(file).unwrap());
        let limits = Limits::default().commit_rows(40).max_deleted_percent(100);
        let connector = connector(GithubIssues::default(), sqlite, upstream, 30).limits(limits);
        let request = IngestRequest::new([resource(WIDGETS)]).mode(mode);
        let mut report = connector.ingest(request).await.unwrap();
        report.runs.remove(0)
    })
}

#[test]
fn two_concurrent_processes_lose_and_duplicate_nothing() {
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let upstream = GithubServer::builder().seed(5).repository(WIDGETS, 600);
    let upstream = server.block_on(upstream.start()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shared.db");
    let mut conflicts = 0;
    for round in 0..16 {
        // Every fourth round starts without a file, so that both find an empty destination.
        let fresh = dir.path().join(format!("{}.db", round / 4));
        let file = if round < 8 { &file } else { &fresh };
        upstream.set_mutations(Mutations { changes: 2, deletions: true, bulk_edits: true });
        upstream.bulk_edit(WIDGETS, 300);
        upstream.clock().advance(Duration::from_secs(60));
        let other = if round % 3 == 2 { Mode::Reconcile } else { Mode::Incremental };
        let barrier = Barrier::new(2);
        let both = std::thread::scope(|scope| {
            let runs = [Mode::Incremental, other].map(|mode| {
                let (barrier, upstream) = (&barrier, &upstream);
                scope.spawn(move || {
                    barrier.wait();
                    run(file, upstream, mode)
                })
            });
            runs.map(|run| run.join().unwrap())
        });
        for run in &both {
            let conflict = run.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Conflict);
            assert!(run.status == RunStatus::Complete || conflict, "{run:?}");
            conflicts += usize::from(conflict);
        }
        assert!(both.iter().any(|run| run.status == RunStatus::Complete), "neither run completed: {both:?}");
        upstream.set_mutations(Mutations::NONE);
        assert_eq!(run(file, &upstream, Mode::Incremental).status, RunStatus::Complete);
        let table = crate::github::table(crate::destination::rows(file, &resource(WIDGETS), "issues"));
        for (id, text) in crate::github::upstream_issues(&upstream, WIDGETS) {
            assert_eq!(table.0.get(&id), Some(&text), "round {round}");
        }
    }
    for name in ["shared.db", "2.db", "3.db"] {
        let file = dir.path().join(name);
        // The first run may resume a reconciliation from before the last deletions; only the next one finds those.
        for _ in 0..2 {
            assert_eq!(run(&file, &upstream, Mode::Reconcile).status, RunStatus::Complete);
        }
        let table = crate::github::table(crate::destination::rows(&file, &resource(WIDGETS), "issues"));
        assert!(table.0 == crate::github::upstream_issues(&upstream, WIDGETS), "{name} differs from the upstream");
    }
    assert!(conflicts > 0, "no round caused a conflict");
}
