//! A helpdesk: workspaces, their tickets, and the comments of each ticket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::rest::{Api, RestSource};
use snowfeed::testkit::conformance::SourceCase;
use snowfeed::testkit::mock_api::{Fault, MockApi, MockList, Paging};
use snowfeed::{Mode, Resource, Settings};
use tempfile::TempDir;

use crate::secrets;
use crate::support::{at, patient};

const TOKEN: &str = "secret-token-1";

struct Helpdesk {
    api: MockApi,
    tickets: MockList,
    comments: MockList,
    /// Holds the credential.
    folder: TempDir,
}

impl Helpdesk {
    /// Two workspaces; in the first, this many tickets with two comments each.
    fn new(tickets: u64) -> Self {
        let api = MockApi::start();
        api.require_bearer(TOKEN);
        let workspaces = api.list("/workspaces").records_at("/workspaces");
        workspaces.extend([json!({"id": "acme", "plan": "pro"}), json!({"id": "other", "plan": "free"})]);
        let list = api
            .list("/tickets")
            .filter("workspace", "workspace")
            .since("updated_since", "updated_at")
            .sort_by("updated_at")
            .paging(Paging::cursor("cursor", "/next_cursor").size(5))
            .lookup();
        let paging = Paging::cursor("cursor", "/next_cursor").size(3);
        let comments = api.child_list("/tickets/{ticket}/comments", &list).records_at("/comments").paging(paging);
        let helpdesk = Self { api, tickets: list, comments, folder: TempDir::new().unwrap() };
        (1..=tickets).for_each(|id| helpdesk.open(id, i64::try_from(id).unwrap()));
        helpdesk
    }

    fn open(&self, id: u64, seconds: i64) {
        let ticket =
            json!({"id": id, "workspace": "acme", "subject": format!("Ticket {id}"), "updated_at": at(seconds)});
        self.tickets.insert(ticket);
        let comments = self.comments.of(id);
        (0..1 + id % 4).for_each(|n| comments.insert(json!({"id": id * 10 + n, "text": format!("Note {n} on {id}")})));
    }

    fn source() -> RestSource {
        RestSource::new(Api::from_toml(include_str!("../../examples/helpdesk.toml"), "helpdesk.toml").unwrap())
            .unwrap()
            .retry(patient())
    }

    fn settings(&self) -> Settings {
        let secrets = secrets::settings(&self.folder, &[("token", TOKEN)]);
        let url = [("url".to_owned(), self.api.url().into())];
        secrets.values().clone().into_iter().chain(url).collect()
    }

    fn connector(&self, memory: &Memory) -> Connector {
        Connector::new(Self::source(), Arc::new(memory.clone())).with_settings(self.settings().values().clone())
    }

    /// The tickets of the table that live, by key and subject.
    fn stored(memory: &Memory, stream: &str) -> usize {
        memory.rows(&acme(), stream).iter().filter(|row| row.deleted_at.is_none()).count()
    }
}

fn acme() -> Resource {
    Resource::new("acme").unwrap()
}

/// The case of the suites. Every seventh request fails, and each change adds a ticket.
fn case() -> SourceCase {
    let helpdesk = Helpdesk::new(12);
    helpdesk.api.fault("*", Fault::status(503).every(7));
    let settings = helpdesk.settings();
    let next = AtomicU64::new(13);
    let (tickets, comments, api) = (helpdesk.tickets.clone(), helpdesk.comments.clone(), helpdesk.api.clone());
    SourceCase::new(Helpdesk::source(), settings, acme()).keeping((api, helpdesk.folder)).changing(move || {
        let id = next.fetch_add(1, Ordering::SeqCst);
        let seconds = i64::try_from(id).unwrap();
        tickets.insert(json!({"id": id, "workspace": "acme", "subject": "new", "updated_at": at(seconds)}));
        comments.of(id).insert(json!({"id": id * 10, "text": "new"}));
        tickets.update(1, json!({"subject": format!("changed {id}"), "updated_at": at(seconds)}));
        async {}
    })
}

mod conformance {
    snowfeed::source_conformance!(super::case());
}

mod delivery {
    snowfeed::delivery_conformance!(super::case());
}

#[tokio::test]
async fn changes_and_faults_while_it_is_read_lose_nothing() {
    let helpdesk = Helpdesk::new(60);
    let memory = Memory::new();
    let clock = AtomicU64::new(1_000);
    let tickets = helpdesk.tickets.clone();
    let change = move || {
        let now = clock.fetch_add(1, Ordering::SeqCst);
        let id = now % 60 + 1;
        tickets
            .update(id, json!({"subject": format!("changed at {now}"), "updated_at": at(i64::try_from(now).unwrap())}));
    };
    helpdesk.api.fault("/tickets", Fault::change(change).every(2).times(20));
    helpdesk.api.fault("/tickets", Fault::truncate().every(5).times(3));
    helpdesk.api.fault("/tickets/{ticket}/comments", Fault::disconnect().every(6));
    let connector = helpdesk.connector(&memory);
    for _ in 0..2 {
        connector.ingest(IngestRequest::new([acme()])).await.unwrap();
    }
    helpdesk.api.clear_faults();
    connector.ingest(IngestRequest::new([acme()])).await.unwrap();
    for row in memory.rows(&acme(), "tickets") {
        let stored: serde_json::Value = serde_json::from_str(row.json.as_ref().unwrap()).unwrap();
        assert_eq!(Some(stored), helpdesk.tickets.get(&row.key));
    }
    let comments: u64 = (1..=60).map(|id| 1 + id % 4).sum();
    assert_eq!((Helpdesk::stored(&memory, "tickets"), Helpdesk::stored(&memory, "comments") as u64), (60, comments));
}

#[tokio::test]
async fn a_reconcile_run_finds_deletions() {
    let (helpdesk, memory) = (Helpdesk::new(12), Memory::new());
    let connector = helpdesk.connector(&memory);
    connector.ingest(IngestRequest::new([acme()])).await.unwrap();
    helpdesk.tickets.delete(7);
    connector.ingest(IngestRequest::new([acme()]).mode(Mode::Reconcile)).await.unwrap();
    assert_eq!(Helpdesk::stored(&memory, "tickets"), 11);
    let of_seven = memory.rows(&acme(), "comments").into_iter().filter(|row| row.path().parent().key() == Some("7"));
    assert!(of_seven.clone().count() > 0 && of_seven.into_iter().all(|row| row.deleted_at.is_some()));
}
