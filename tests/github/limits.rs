//! Limits: rows 6 to 8 of the reference notes.

use std::time::Duration;

use github_server::{Fault, GithubServer, RetryAfter};
use serde_json::json;
use snowfeed::ErrorKind;

use crate::support::{REPOSITORY, Reading, upstream};

#[tokio::test]
async fn pitfall_06_the_source_waits_for_the_primary_limit() {
    let upstream = upstream(300).await;
    upstream.fault_at(3, Fault::PrimaryLimit { reset_in: Duration::from_secs(1) });
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    reading.assert_same(&upstream);
    assert!(!reading.waits().is_empty());
}

#[tokio::test]
async fn pitfall_07_a_secondary_limit_is_never_taken_for_success() {
    for code in [403, 429] {
        for retry_after in [Some(RetryAfter::Seconds(1)), Some(RetryAfter::Date(1))] {
            let upstream = upstream(300).await;
            upstream.fault_at(4, Fault::SecondaryLimit { code, retry_after });
            let mut reading = Reading::new(&upstream, json!({}));
            reading.read().await.unwrap();
            reading.assert_same(&upstream);
            assert!(!reading.waits().is_empty(), "{code} {retry_after:?}");
        }
        let upstream = upstream(300).await;
        upstream.fault_while(|_| true, Fault::SecondaryLimit { code, retry_after: None });
        let mut reading = Reading::new(&upstream, json!({ "max_wait_minutes": 0 }));
        let error = reading.read().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{code}");
    }
}

#[tokio::test]
async fn pitfall_08_a_wait_reports_its_reason_and_end_and_the_budget_is_respected() {
    let builder = GithubServer::builder().repository(REPOSITORY, 900).quota(10).quota_window(Duration::from_secs(2));
    let upstream = builder.start().await.unwrap();
    let mut reading = Reading::new(&upstream, json!({ "quota_percent": 60, "concurrency": 1 }));
    let begin = jiff::Timestamp::now();
    reading.read().await.unwrap();
    reading.assert_same(&upstream);
    let waits = reading.waits();
    assert!(waits.iter().any(|(reason, until)| !reason.is_empty() && *until > begin), "{waits:?}");
    assert!(upstream.requests().iter().all(|request| request.status() != Some(403)), "the quota was used up");
}
