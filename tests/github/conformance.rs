//! GitHub issues fulfil the contract of a source.

use std::sync::Arc;
use std::time::Duration;

use github_server::GithubServer;
use serde_json::json;
use snowfeed::sources::github::GithubIssues;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::{Resource, Settings};

const REPOSITORY: &str = "acme/widgets";

/// 500 issues on pages of 20.
async fn case() -> SourceCase {
    let upstream = Arc::new(GithubServer::builder().seed(11).repository(REPOSITORY, 500).start().await.unwrap());
    let config = |page_size: u32| -> Settings {
        let settings = json!({ "api_url": upstream.url(), "page_size": page_size, "repositories": [REPOSITORY] });
        settings.as_object().unwrap().clone().into_iter().collect()
    };
    let changing = upstream.clone();
    let change = move || {
        changing.clock().advance(Duration::from_secs(60));
        changing.edit(REPOSITORY, 7);
        async {}
    };
    SourceCase::new(GithubIssues::default(), config(20), Resource::new(REPOSITORY).unwrap())
        .other_settings(config(33))
        .changing(change)
        .keeping(upstream)
}

mod clauses {
    snowfeed::source_conformance!(super::case().await);
}

mod delivery {
    snowfeed::delivery_conformance!(super::case().await);
}
