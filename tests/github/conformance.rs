//! The streams of GitHub that resume fulfil the contract of a source. The directory `streams` tests the others.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use github_server::{GithubServer, RecordKind};
use serde_json::json;
use snowfeed::sources::github::GithubIssues;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::{Checkpoint, ConnectContext, Reader, Resource, Result, Settings, Source, SourceSpec, StreamKind};

const REPOSITORY: &str = "acme/widgets";

/// GitHub with its incremental streams only.
#[derive(Debug)]
struct Incremental(GithubIssues);

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Source for Incremental {
    fn spec(&self) -> SourceSpec {
        let mut spec = self.0.spec();
        spec.streams.retain(|stream| stream.kind == StreamKind::Incremental);
        spec
    }

    async fn connect(&self, settings: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>> {
        self.0.connect(settings, context).await
    }

    fn resource(&self, settings: &Settings, name: &str) -> Result<Resource> {
        self.0.resource(settings, name)
    }

    fn identity(&self, checkpoint: &Checkpoint) -> Option<String> {
        self.0.identity(checkpoint)
    }

    fn subject(&self, stream: &str, text: &str) -> Option<String> {
        self.0.subject(stream, text)
    }
}

/// 500 issues, and 60 comments and commits each, on pages of 20.
async fn case() -> SourceCase {
    let kinds = [RecordKind::IssueComment, RecordKind::ReviewComment, RecordKind::Commit];
    let builder = GithubServer::builder().seed(11).repository(REPOSITORY, 500);
    let builder = kinds.into_iter().fold(builder, |builder, kind| builder.records(kind, 60));
    let upstream = Arc::new(builder.start().await.unwrap());
    // An answer to another comment.
    let comments = upstream.records(REPOSITORY, RecordKind::ReviewComment);
    let answered = json!({ "in_reply_to_id": comments[0].id });
    upstream.patch_record_silently(REPOSITORY, RecordKind::ReviewComment, comments[1].id, answered);
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
    SourceCase::new(Incremental(GithubIssues::default()), config(20), Resource::new(REPOSITORY).unwrap())
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
