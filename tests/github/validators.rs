//! Entity tags that a server could not accept back.

use github_server::{Fault, GithubServer};
use serde_json::Value;
use snowfeed::Checkpoint;

use crate::support::{REPOSITORY, Reading};

/// A checkpoint's JSON with another tag.
fn with_tag(checkpoint: &Checkpoint, tag: &str) -> Checkpoint {
    let mut position: Value = checkpoint.parse().unwrap();
    assert!(position["etag"]["value"].is_string(), "{position}");
    position["etag"]["value"] = tag.into();
    Checkpoint::new(&position).unwrap()
}

#[tokio::test]
async fn a_long_tag_is_neither_stored_nor_sent_back() {
    let upstream = GithubServer::builder().repository(REPOSITORY, 7).start().await.unwrap();
    let long = format!("\"{}\"", "x".repeat(50_000));
    upstream.fault_while(|_| true, Fault::Header("etag", long));
    let mut reading = Reading::new(&upstream, serde_json::json!({}));
    for _ in 0..3 {
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        assert!(reading.checkpoint.as_ref().unwrap().as_str().len() < 2_000);
    }
    let sent = upstream.requests().iter().any(|request| request.header("if-none-match").is_some());
    assert!(!sent, "no tag was worth sending");
}

#[tokio::test]
async fn a_stored_tag_that_the_server_rejects_does_not_stop_the_read() {
    for (tag, refusal) in [(format!("\"{}\"", "x".repeat(380_000)), 431), ("\"odd\"".to_owned(), 400)] {
        let upstream = GithubServer::builder().repository(REPOSITORY, 7).start().await.unwrap();
        let mut reading = Reading::new(&upstream, serde_json::json!({}));
        reading.read().await.unwrap();
        reading.checkpoint = reading.checkpoint.as_ref().map(|checkpoint| with_tag(checkpoint, &tag));
        let refused = tag.clone();
        upstream.fault_while(
            move |request| request.header("if-none-match") == Some(refused.as_str()),
            Fault::status(refusal),
        );
        upstream.create(REPOSITORY, 2);
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        assert!(!reading.checkpoint.as_ref().unwrap().as_str().contains(&tag[..5]), "another tag is kept");
    }
}
