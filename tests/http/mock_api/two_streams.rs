use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use snowfeed::RetryConfig;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::http::{Client, Response, json};
use snowfeed::prelude::*;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::mock_api::{Fault, MockApi, Paging};

#[derive(Debug)]
struct Helpdesk;

#[derive(Deserialize, JsonSchema)]
struct HelpdeskSettings {
    /// The base URL of the API.
    url: String,
    /// The delay before the first retry, in milliseconds.
    retry_delay: u64,
}

#[derive(Debug, Clone)]
struct HelpdeskReader {
    client: Client,
    monitor: Monitor,
}

#[derive(Deserialize)]
struct Item {
    id: u64,
    changed: i64,
}

#[async_trait]
impl Source for Helpdesk {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("helpdesk", "1.0.0")
            .settings(SettingsSchema::of::<HelpdeskSettings>())
            .stream(StreamSpec::new("tickets").column("subject", "subject", ColumnType::Text))
            .stream(StreamSpec::child("comments", "tickets").column("text", "text", ColumnType::Text))
    }

    async fn connect(&self, settings: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>> {
        let HelpdeskSettings { url, retry_delay } = settings.read()?;
        let retry = RetryConfig { first_delay: Duration::from_millis(retry_delay), ..RetryConfig::default() };
        Ok(Box::new(HelpdeskReader { client: Client::builder(&url).retry(retry).build()?, monitor: context.monitor }))
    }
}

#[async_trait]
impl Reader for HelpdeskReader {
    async fn check(&self) -> Result<()> {
        self.client.get("tickets").send(&self.monitor).await.map(drop)
    }

    fn discover(&self) -> ResourceStream {
        stream::iter([Resource::new("all")]).boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let client = self.client.clone();
        let first = match &request.parent {
            Some(ticket) => format!("tickets/{}/comments", ticket.key()),
            None => "tickets".to_owned(),
        };
        let pages = stream::try_unfold(Some(first), move |next| {
            let (client, request) = (client.clone(), request.clone());
            async move {
                match next {
                    Some(url) => page(&client, &request, &url).await.map(Some),
                    None => Ok(None),
                }
            }
        });
        pages.boxed()
    }
}

/// Reads a page of tickets, or of a ticket's comments, and returns the URL of the next page.
async fn page(client: &Client, request: &ReadRequest, url: &str) -> Result<(Batch, Option<String>)> {
    let since = request.checkpoint.as_ref().map_or(Ok(0), Checkpoint::parse::<i64>)?;
    let mut page = client.get(url);
    if request.parent.is_none() && !url.contains('?') {
        page = page.query(&[("since", &since.to_string())]);
    }
    let read = |response: Response| {
        let (mut batch, mut last) = (Batch::new(), since);
        for item in json::elements::<Item>(response.body()) {
            let (Item { id, changed }, raw) = item?;
            batch = batch.record(Record::upsert(id.to_string(), changed, raw));
            last = changed;
        }
        if request.parent.is_none() {
            batch = batch.checkpoint(Checkpoint::new(&last)?);
        }
        Ok((batch, response.next()?.map(String::from)))
    };
    page.send_with(&request.monitor, read).await
}

/// Twelve tickets, each with two comments.
fn helpdesk() -> MockApi {
    let api = MockApi::start();
    let paging = Paging::links("page").size(5);
    let tickets = api.list("/tickets").paging(paging).since("since", "changed").sort_by("changed");
    let comments = api.child_list("/tickets/{ticket}/comments", &tickets);
    for id in 1..=12 {
        tickets.insert(json!({"id": id, "subject": format!("Ticket {id}"), "changed": id}));
        comments.of(id).extend((1..=2).map(|n| json!({"id": n, "text": format!("Note {n} on {id}"), "changed": n})));
    }
    api
}

/// Tests the source against the API, of which every seventh request fails.
fn case() -> SourceCase {
    let api = helpdesk();
    api.fault("*", Fault::status(503).every(7));
    let acme = Resource::new("all").expect("a name");
    SourceCase::new(Helpdesk, settings(&api), acme).keeping(api)
}

fn settings(api: &MockApi) -> Settings {
    [("url".to_owned(), api.url().into()), ("retry_delay".to_owned(), 1.into())].into_iter().collect()
}

mod conformance {
    snowfeed::source_conformance!(super::case());
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}

#[tokio::test]
async fn faults_lose_nothing() -> Result<()> {
    let api = helpdesk();
    api.fault("/tickets", Fault::truncate().after(1));
    api.fault("/tickets/{ticket}/comments", Fault::disconnect().every(5));
    let (memory, all) = (Memory::new(), Resource::new("all")?);
    let connector = Connector::new(Helpdesk, Arc::new(memory.clone())).with_settings(settings(&api).values().clone());
    connector.ingest(IngestRequest::new([all.clone()])).await?;
    assert_eq!((memory.rows(&all, "tickets").len(), memory.rows(&all, "comments").len()), (12, 24));
    assert_eq!(api.count("/tickets"), 4, "three pages, and one retry");
    Ok(())
}
