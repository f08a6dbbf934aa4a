//! Behind gateways that drop links, change them, or shorten pages: nothing is lost, and nothing is sent elsewhere.

use std::time::Duration;

use github_server::{Fault, GithubServer};
use serde_json::json;

use crate::support::{REPOSITORY, Reading, config, discover, upstream};

#[tokio::test]
async fn a_short_page_without_a_link_is_not_the_last() {
    for (limit, concurrency) in [(100, 1), (100, 8), (30, 1), (30, 8), (7, 2)] {
        let builder = GithubServer::builder().repository(REPOSITORY, 990).page_limit(limit).without_links();
        let upstream = builder.start().await.unwrap();
        let mut reading = Reading::new(&upstream, json!({ "concurrency": concurrency }));
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        upstream.clock().advance(Duration::from_secs(60));
        upstream.bulk_edit(REPOSITORY, 45);
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        upstream.clock().advance(Duration::from_secs(60));
        upstream.edit(REPOSITORY, 7);
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
    }
}

/// The second fills more than a page, and only page numbers lead on within it.
#[tokio::test]
async fn a_second_with_more_rows_than_a_page_is_read_without_links() {
    for limit in [100, 30] {
        let builder = GithubServer::builder().repository(REPOSITORY, 400).page_limit(limit).without_links();
        let upstream = builder.start().await.unwrap();
        upstream.clock().advance(Duration::from_secs(60));
        upstream.bulk_edit(REPOSITORY, 330);
        let mut reading = Reading::new(&upstream, json!({}));
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
    }
}

#[tokio::test]
async fn a_server_without_pagination_is_read() {
    let upstream = GithubServer::builder().repository(REPOSITORY, 0).without_links().start().await.unwrap();
    upstream.create(REPOSITORY, 9);
    let page =
        format!("[{}]", upstream.snapshot(REPOSITORY).into_iter().map(|one| one.text).collect::<Vec<_>>().join(","));
    let says = Fault::Response { code: 200, content_type: "application/json", body: page };
    upstream.fault_while(|request| request.path().ends_with("/issues"), says);
    let mut reading = Reading::new(&upstream, json!({}));
    reading.read().await.unwrap();
    reading.assert_same(&upstream);
}

#[tokio::test]
async fn links_of_the_server_behind_a_gateway_are_followed_at_the_gateway() {
    for base in ["https://api.github.com", "http://127.0.0.1:1", "https://127.0.0.1/api"] {
        for cursors in [false, true] {
            let builder = GithubServer::builder().repository(REPOSITORY, 700).cursor_links(cursors).links_to(base);
            let upstream = builder.start().await.unwrap();
            upstream.clock().advance(Duration::from_secs(60));
            upstream.bulk_edit(REPOSITORY, 450);
            let mut reading = Reading::new(&upstream, json!({}));
            reading.read().await.unwrap();
            reading.assert_same(&upstream);
        }
    }
}

#[tokio::test]
async fn a_malformed_link_header_does_not_end_the_list() {
    for link in ["next page is 2", "<?page=2>; rel=\"deprecation\"", "<https://[>; rel=\"next\""] {
        let upstream = GithubServer::builder().repository(REPOSITORY, 350).page_limit(40).start().await.unwrap();
        upstream.fault_while(|request| request.path().ends_with("/issues"), Fault::Header("link", link.into()));
        let mut reading = Reading::new(&upstream, json!({}));
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
    }
}

#[tokio::test]
async fn lists_of_repositories_are_read_to_their_end_behind_a_gateway() {
    let builders = [
        GithubServer::builder().without_links(),
        GithubServer::builder().without_links().page_limit(30),
        GithubServer::builder().links_to("https://api.github.com"),
        GithubServer::builder(),
    ];
    for builder in builders {
        let builder = builder.organization("acme");
        let upstream =
            (0..250).fold(builder, |builder, n| builder.repository(format!("acme/r{n}"), 0)).start().await.unwrap();
        let config = config(&upstream, json!({ "repositories": ["acme/*"] }));
        assert_eq!(discover(&config).await.unwrap().len(), 250);
    }
}

/// The cost of another poll where GitHub sends no links, because one page holds everything.
#[tokio::test]
async fn checking_for_more_takes_one_request_and_an_idle_poll_stays_at_one() {
    for issues in [1, 3, 12, 99] {
        let upstream = upstream(issues).await;
        let mut reading = Reading::new(&upstream, json!({ "concurrency": 1 }));
        reading.read().await.unwrap();
        reading.assert_same(&upstream);
        // The repository, the page, and the poll.
        assert_eq!(upstream.counts().requests, 3, "{issues} issues");
        upstream.forget_requests();
        reading.read().await.unwrap();
        assert_eq!((upstream.counts().requests, upstream.counts().not_modified), (1, 1), "{issues} issues");
    }
}
