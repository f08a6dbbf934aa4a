//! Bad elements, pages and issues at which the server fails: each affects only itself.

use std::time::Duration;

use github_server::{Fault, GithubServer, RetryAfter};
use serde_json::json;
use snowfeed::ErrorKind;

use crate::support::{REPOSITORY, Reading, upstream};

#[tokio::test]
async fn one_invalid_element_is_rejected_and_the_rest_of_the_page_is_read() {
    for element in ["null", "7", "\"x\"", "[]", "[1]", "true", "{}", r#"{"id":1,"id":2}"#] {
        let upstream = upstream(249).await;
        upstream.fault_while(|request| request.path().ends_with("/issues"), Fault::BadElement(element.into()));
        let mut reading = Reading::new(&upstream, json!({}));
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        assert!(reading.rejects.iter().all(|(_, raw)| raw == element) && !reading.rejects.is_empty(), "{element}");
    }
}

#[tokio::test]
async fn errors_that_a_smaller_page_may_avoid_shrink_the_page() {
    let faults = [
        Fault::status(500),
        Fault::status(503),
        Fault::Status { code: 503, retry_after: Some(RetryAfter::Seconds(0)) },
        Fault::status(408),
        Fault::status(413),
        Fault::status(599),
        Fault::TruncatedBody,
        Fault::TruncatedJson,
        Fault::Reset,
        Fault::Html,
        Fault::EmptyBody,
        Fault::GzipBomb(80 << 20),
        Fault::Stall,
    ];
    let reads = faults.into_iter().map(|fault| async move {
        let upstream = upstream(60).await;
        let heavy = |request: &github_server::ReceivedRequest| {
            request.query("per_page").is_some_and(|count| count.parse::<u32>().unwrap() > 20)
        };
        upstream.fault_while(heavy, fault.clone());
        let mut reading = Reading::new(&upstream, json!({ "concurrency": 1, "retries": 0, "timeout_seconds": 1 }));
        reading.read().await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        reading.assert_same(&upstream);
        assert_eq!(reading.rejects, [], "{fault:?}");
    });
    futures::future::join_all(reads).await;
}

#[tokio::test]
async fn a_failing_issue_is_rejected_by_its_position_and_read_later() {
    for concurrency in [1, 4] {
        let upstream = upstream(260).await;
        upstream.break_issue(REPOSITORY, 130);
        let mut reading = Reading::new(&upstream, json!({ "concurrency": concurrency, "retries": 0 }));
        reading.read().await.unwrap();
        assert_eq!(reading.table.len(), 259, "concurrency {concurrency}");
        assert_eq!(reading.rejects.len(), 1, "{:?}", reading.rejects);
        let (reason, _) = &reading.rejects[0];
        let order = order(&upstream);
        let position = order.iter().position(|number| *number == 130).unwrap();
        let named = format!("between #{} and #{}", order[position - 1], order[position + 1]);
        assert!(reason.contains("fails at this issue") && reason.contains(&named), "{reason} ({named})");

        // While it lasts, each read requests it once more, and rejects it again.
        upstream.forget_requests();
        reading.rejects.clear();
        reading.read().await.unwrap();
        assert_eq!((upstream.counts().requests, upstream.counts().not_modified), (2, 1));
        assert_eq!(reading.rejects.len(), 1);

        // Later changes are read all the same.
        upstream.clock().advance(Duration::from_secs(60));
        upstream.edit(REPOSITORY, 9);
        reading.read().await.unwrap();

        upstream.repair(REPOSITORY);
        let outstanding = std::mem::take(&mut reading.rejects);
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        assert_eq!(reading.rejects, []);
        assert_eq!(reading.corrected, outstanding[..1], "what came is no longer outstanding");
        upstream.forget_requests();
        reading.read().await.unwrap();
        assert_eq!(upstream.counts().requests, 1);
    }
}

#[tokio::test]
async fn the_failing_issue_may_be_anywhere_in_the_list() {
    for (issues, positions) in [(40, vec![0]), (40, vec![39]), (1, vec![0]), (120, vec![50, 51]), (120, vec![10, 100])]
    {
        let upstream = upstream(issues).await;
        let order = order(&upstream);
        for position in &positions {
            upstream.break_issue(REPOSITORY, order[*position]);
        }
        let mut reading = Reading::new(&upstream, json!({ "concurrency": 1, "retries": 0 }));
        reading.read().await.unwrap_or_else(|error| panic!("{positions:?}: {error}"));
        assert_eq!(reading.table.len(), issues as usize - positions.len(), "{positions:?}");
        assert!(!reading.rejects.is_empty(), "{positions:?}");
        upstream.repair(REPOSITORY);
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
    }
}

/// Such a second is read through the server's links, whose page numbers or cursors may name its pages.
#[tokio::test]
async fn the_failing_issue_may_be_in_a_second_longer_than_a_page() {
    for (cursors, position) in [(false, 40), (true, 40), (true, 21), (true, 59)] {
        let upstream = GithubServer::builder().repository(REPOSITORY, 60).cursor_links(cursors).start().await.unwrap();
        upstream.clock().advance(Duration::from_secs(60));
        upstream.bulk_edit(REPOSITORY, 40);
        let order = order(&upstream);
        upstream.break_issue(REPOSITORY, order[position]);
        let mut reading = Reading::new(&upstream, json!({ "concurrency": 1, "retries": 0, "page_size": 10 }));
        let read = reading.read().await;
        read.unwrap_or_else(|error| panic!("{position}, cursors: {cursors}: {error}"));
        let counts = (reading.table.len(), reading.rejects.len());
        assert_eq!(counts, (59, 1), "{position}, cursors: {cursors}: {:?}", reading.rejects);
        upstream.repair(REPOSITORY);
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
    }
}

/// An outage does not concern a single issue: nothing is rejected, and the error is the server's.
#[tokio::test]
async fn a_server_that_always_fails_is_an_error_and_not_a_reject() {
    let upstream = upstream(60).await;
    let mut reading = Reading::new(&upstream, json!({ "retries": 0 }));
    for everything in [true, false] {
        upstream.fault_while(move |request| everything || request.path().ends_with("/issues"), Fault::status(500));
        let error = reading.read().await.unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::Unavailable, Some(500)), "{error}");
        assert_eq!(reading.rejects, []);
        upstream.clear_faults();
    }
}

/// Numbers in the order of `updated_at`.
fn order(upstream: &GithubServer) -> Vec<u32> {
    let mut issues = upstream.snapshot(REPOSITORY);
    issues.sort_by_key(|issue| (issue.updated_at, issue.number));
    issues.into_iter().map(|issue| issue.number).collect()
}
