//! A repository in which something changes at every request.

use std::time::Duration;

use futures::StreamExt;
use github_server::{GithubServer, Mutations};
use serde_json::json;
use snowfeed::prelude::*;

use crate::support::connect;

/// Changes since the read began belong to the next one: a read that waited for the last change would never end.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_ends_even_if_every_request_changes_something() {
    for (issues, changes, deletions, bulk_edits, concurrency) in
        [(0, 3, false, false, 1), (2, 3, false, true, 4), (30, 1, false, false, 8), (200, 3, true, true, 8)]
    {
        for seed in 0..4 {
            let upstream = GithubServer::builder().seed(seed).repository("acme/widgets", issues).start().await.unwrap();
            upstream.set_mutations(Mutations { changes, deletions, bulk_edits });
            let config =
                [("api_url", json!(upstream.url())), ("page_size", json!(27)), ("concurrency", json!(concurrency))];
            let settings = config.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let request = ReadRequest::new(Resource::new("acme/widgets").unwrap(), "issues");
            let read = connect(&settings).await.unwrap().read(request).all(|batch| async move { batch.is_ok() });
            let read = tokio::time::timeout(Duration::from_secs(60), read).await;
            assert!(read.expect("the read does not end"), "{issues} issues, seed {seed}");
            assert!(upstream.requests().len() < 2_000, "{} requests", upstream.requests().len());
        }
    }
}
