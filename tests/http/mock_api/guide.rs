use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use snowfeed::VerifyRequest;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::http::{Client, Response, json};
use snowfeed::prelude::*;
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, Paging};

/// Reads the tickets of a workspace, in the order of their last change.
#[derive(Debug)]
struct Helpdesk;

#[derive(Deserialize, JsonSchema)]
struct HelpdeskSettings {
    /// The base URL of the API.
    #[schemars(extend("format" = "uri"))]
    url: String,
}

#[derive(Debug, Clone)]
struct HelpdeskReader {
    client: Client,
    monitor: Monitor,
}

#[derive(Deserialize)]
struct Workspace {
    name: String,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    tickets: &'a RawValue,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Ticket {
    id: u64,
    changed: i64,
}

#[async_trait]
impl Source for Helpdesk {
    fn spec(&self) -> SourceSpec {
        let tickets = StreamSpec::new("tickets").column("subject", "subject", ColumnType::Text);
        let settings = SettingsSchema::of::<HelpdeskSettings>();
        SourceSpec::new("helpdesk", "1.0.0").resource_kind("workspace").settings(settings).stream(tickets)
    }

    async fn connect(&self, settings: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>> {
        let client = Client::builder(&settings.read::<HelpdeskSettings>()?.url).build()?;
        Ok(Box::new(HelpdeskReader { client, monitor: context.monitor }))
    }
}

#[async_trait]
impl Reader for HelpdeskReader {
    async fn check(&self) -> Result<()> {
        self.client.get("workspaces").send(&self.monitor).await.map(drop)
    }

    fn discover(&self) -> ResourceStream {
        let HelpdeskReader { client, monitor } = self.clone();
        let workspaces = stream::once(async move {
            let found = client.get("workspaces").send_with(&monitor, |response| response.json::<Vec<Workspace>>());
            Ok(stream::iter(found.await?).map(|workspace| Resource::new(workspace.name)))
        });
        workspaces.try_flatten().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let reader = self.clone();
        let pages = stream::try_unfold(Some(String::new()), move |cursor| {
            let (reader, request) = (reader.clone(), request.clone());
            async move {
                match cursor {
                    Some(cursor) => reader.page(&request, &cursor).await.map(Some),
                    None => Ok(None),
                }
            }
        });
        pages.boxed()
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        // A 404 is evidence about a ticket only if its workspace still exists.
        let workspace = format!("workspaces/{}", request.resource);
        self.client.get(&workspace).send(&request.monitor).await?;
        let mut records = Vec::new();
        for stored in request.records {
            let ticket = self.client.get(&format!("{workspace}/tickets/{}", stored.key)).allow_status(&[404]);
            let read = |response: Response| match response.status() {
                404 => Ok(Record::delete(&stored.key, stored.version)),
                _ => Ok(Record::upsert(&stored.key, response.json::<Ticket>()?.changed, response.into_body())),
            };
            records.push(ticket.send_with(&request.monitor, read).await?);
        }
        Ok(records)
    }
}

impl HelpdeskReader {
    /// Reads a page, and returns the cursor of the next one.
    async fn page(&self, request: &ReadRequest, cursor: &str) -> Result<(Batch, Option<String>)> {
        let since = request.checkpoint.as_ref().map_or(Ok(0), Checkpoint::parse::<i64>)?;
        let path = format!("workspaces/{}/tickets", request.resource);
        let page = self.client.get(&path).query(&[("changed_since", &since.to_string()), ("cursor", cursor)]);
        // Parsing is part of the retried request: a truncated body is requested again.
        let read = |response: Response| {
            let page: Page<'_> = response.json()?;
            let (mut batch, mut last) = (Batch::new(), since);
            for ticket in json::elements::<Ticket>(&response.body().slice_ref(page.tickets.get())) {
                let (Ticket { id, changed }, raw) = ticket?;
                batch = batch.record(Record::upsert(id.to_string(), changed, raw));
                last = changed;
            }
            Ok((batch.checkpoint(Checkpoint::new(&last)?), page.next_cursor))
        };
        page.send_with(&request.monitor, read).await
    }
}

fn ticket(id: usize, changed: usize) -> Value {
    json!({"id": id, "subject": format!("Ticket {id}"), "changed": changed})
}

/// An API whose workspace `acme` has 25 tickets, ten on a page.
fn helpdesk() -> (MockApi, MockList) {
    let api = MockApi::start();
    let workspaces = api.list("/workspaces").key("name").lookup();
    workspaces.insert(json!({"name": "acme"}));
    let tickets = api
        .child_list("/workspaces/{workspace}/tickets", &workspaces)
        .records_at("/tickets")
        .paging(Paging::cursor("cursor", "/next_cursor").size(10))
        .since("changed_since", "changed")
        .sort_by("changed")
        .lookup()
        .of("acme");
    tickets.extend((1..=25).map(|id| ticket(id, id)));
    (api, tickets)
}

fn settings(api: &MockApi) -> Settings {
    [("url".to_owned(), api.url().into())].into_iter().collect()
}

fn case() -> SourceCase {
    let (api, tickets) = helpdesk();
    let settings = settings(&api);
    let change = move || {
        let next = tickets.len() + 1;
        tickets.insert(ticket(next, next));
        async {}
    };
    SourceCase::new(Helpdesk, settings, Resource::new("acme").expect("a name")).changing(change).keeping(api)
}

mod conformance {
    snowfeed::source_conformance!(super::case());
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}

#[tokio::test]
async fn faults_and_drift_lose_nothing() -> Result<()> {
    let (api, tickets) = helpdesk();
    let path = "/workspaces/{workspace}/tickets";
    api.fault(path, Fault::status(503).after(1));
    api.fault(path, Fault::truncate());
    // Before the third answer, a ticket of the second page changes.
    let list = tickets.clone();
    api.fault(path, Fault::change(move || list.update(12, json!({"changed": 99}))).after(2));

    let (memory, acme) = (Memory::new(), Resource::new("acme")?);
    let connector = Connector::new(Helpdesk, Arc::new(memory.clone())).with_settings(settings(&api).values().clone());
    connector.ingest(IngestRequest::new([acme.clone()])).await?;
    assert_eq!(memory.rows(&acme, "tickets").len(), tickets.len());
    assert_eq!(api.count(path), 5, "three pages, and two retries");
    Ok(())
}
