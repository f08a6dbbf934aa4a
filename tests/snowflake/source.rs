//! A source of issues, like GitHub's, from pages in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use serde_json::json;
use snowfeed::prelude::*;
use snowfeed::sources::github::GithubIssues;

/// Pages of issues, by resource. A read resumes after the page that the checkpoint names; a reconcile run reads all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Issues {
    pages: Arc<Mutex<BTreeMap<String, Vec<Range<i64>>>>>,
    /// Whether a read begins with the page that the checkpoint names, like one with an inclusive `since`.
    is_inclusive: bool,
}

impl Issues {
    /// A source that returns the last page of a read again in the next one.
    pub(crate) fn inclusive() -> Self {
        Self { is_inclusive: true, ..Self::default() }
    }

    /// Adds a page with the issues of these numbers.
    pub(crate) fn page(&self, resource: &str, numbers: Range<i64>) {
        self.pages.lock().unwrap().entry(resource.into()).or_default().push(numbers);
    }

    /// Replaces all pages.
    pub(crate) fn pages(&self, resource: &str, pages: Vec<Range<i64>>) {
        self.pages.lock().unwrap().insert(resource.into(), pages);
    }
}

/// The tables of GitHub's issues.
pub(crate) fn tables() -> Vec<StreamSpec> {
    let mut streams = GithubIssues::default().spec().streams;
    streams.retain(|stream| stream.name == "issues");
    streams
}

fn issue(number: i64) -> Record {
    let document = json!({ "id": number, "number": number, "title": format!("Issue {number}"), "state": "open" });
    Record::upsert(number.to_string(), Version(number), document.to_string())
}

#[async_trait]
impl Source for Issues {
    fn spec(&self) -> SourceSpec {
        tables().into_iter().fold(SourceSpec::new("issues", "1").authoritative(), SourceSpec::stream)
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Issues {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        let resources: Vec<_> = self.pages.lock().unwrap().keys().map(Resource::new).collect();
        stream::iter(resources).boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let done: usize = request.checkpoint.map_or(0, |checkpoint| checkpoint.parse().unwrap());
        let pages = self.pages.lock().unwrap().get(request.resource.name()).cloned().unwrap_or_default();
        let pages = pages.into_iter().enumerate().skip(done.saturating_sub(usize::from(self.is_inclusive)));
        let batches = pages.map(|(index, numbers)| {
            Ok(Batch::new().records(numbers.map(issue)).checkpoint(Checkpoint::new(&(index + 1))?))
        });
        stream::iter(batches).boxed()
    }
}
