//! All streams of GitHub fulfil the contract of a source, each that of its kind.

use std::sync::Arc;
use std::time::Duration;

use github_server::{GithubServer, RecordKind};
use serde_json::json;
use snowfeed::sources::github::GithubIssues;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::{Resource, Settings};

use crate::support::REPOSITORY;

/// 150 issues, of which 5 are pull requests, and 60 records of each other kind, on pages of 20.
async fn case() -> SourceCase {
    let builder = GithubServer::builder().seed(11).repository(REPOSITORY, 150).pulls(5);
    let builder = RecordKind::STREAMS.into_iter().fold(builder, |builder, (_, kind)| builder.records(kind, 60));
    let upstream = Arc::new(builder.start().await.unwrap());
    // What the server does not generate, so that each column has a value.
    let first = |kind| upstream.records(REPOSITORY, kind)[0].id;
    let answered = json!({ "in_reply_to_id": first(RecordKind::ReviewComment) });
    let discussed = json!({ "mentions_count": 2, "discussion_url": "https://example.com/discussions/1" });
    let event = json!({
        "review_requester": { "login": "octocat" },
        "requested_reviewer": { "login": "hubot" },
        "requested_team": { "name": "reviewers" },
        "dismissed_review": { "state": "approved" },
        "project_card": { "id": 1 },
        "lock_reason": "resolved",
        "state_reason": "completed",
        "author_association": "MEMBER",
    });
    for (kind, keys) in
        [(RecordKind::ReviewComment, answered), (RecordKind::Release, discussed), (RecordKind::IssueEvent, event)]
    {
        let last = upstream.records(REPOSITORY, kind).pop().unwrap().id;
        upstream.patch_record_silently(REPOSITORY, kind, last, keys);
    }
    let config = |page_size: u32| -> Settings {
        let settings = json!({ "api_url": upstream.url(), "page_size": page_size, "repositories": [REPOSITORY] });
        settings.as_object().unwrap().clone().into_iter().collect()
    };
    let changing = upstream.clone();
    let change = move || {
        changing.clock().advance(Duration::from_secs(60));
        changing.edit(REPOSITORY, 7);
        for kind in [RecordKind::Label, RecordKind::IssueEvent, RecordKind::Review] {
            changing.add_records(REPOSITORY, kind, 1);
        }
        changing.push_commit(REPOSITORY, changing.clock().now());
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
