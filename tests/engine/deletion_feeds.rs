//! Streams that list the deletions of another stream's records.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::backends::{Memory, Sqlite};
use snowfeed::engine::{Connector, EnableRequest, IngestRequest};
use snowfeed::prelude::*;
use snowfeed::{Backend, RowPath, RowQuery, RowSelection, RunStatus, Sequence, StateKey};

/// Contacts with their versions, and the log of deleted ones.
#[derive(Debug, Clone, Default)]
struct Crm(Arc<Mutex<Data>>);

#[derive(Debug, Default)]
struct Data {
    contacts: Vec<(u64, i64)>,
    deleted: Vec<Record>,
}

#[async_trait]
impl Source for Crm {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("crm", "1.0.0")
            .stream(StreamSpec::new("contacts"))
            .stream(StreamSpec::deletions_of("deleted_contacts", "contacts"))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for Crm {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let data = self.0.lock().unwrap();
        let from = request.checkpoint.map_or(0, |checkpoint| checkpoint.parse::<usize>().unwrap());
        let (records, count): (Vec<Record>, _) = match request.stream.as_str() {
            "contacts" => {
                let contact = |(id, version): &(u64, i64)| Record::upsert(id.to_string(), *version, "{}");
                (data.contacts.iter().map(contact).collect(), 0)
            }
            _ => (data.deleted[from..].to_vec(), data.deleted.len()),
        };
        let checkpoint = Checkpoint::new(&count).unwrap();
        stream::iter([Ok(Batch::new().records(records).checkpoint(checkpoint))]).boxed()
    }
}

async fn live(backend: &dyn Backend, resource: &Resource) -> Vec<String> {
    let everything = RowSelection::Changed { from: Sequence(0), after: None, until: Sequence(99) };
    let rows = backend.select_rows(RowQuery::new(resource.clone(), "contacts", everything, 99)).await.unwrap();
    rows.iter().filter(|row| !row.is_deleted).map(|row| row.position.path.to_string()).collect()
}

fn backends() -> [Arc<dyn Backend>; 2] {
    [Arc::new(Memory::new()), Arc::new(Sqlite::in_memory().unwrap())]
}

#[tokio::test]
async fn deletions_reach_the_table_of_the_other_stream() {
    for backend in backends() {
        let crm = Crm::default();
        crm.0.lock().unwrap().contacts = vec![(1, 10), (2, 10), (3, 10)];
        let connector = Connector::new(crm.clone(), backend.clone());
        let all = Resource::new("all").unwrap();
        let report = connector.ingest(IngestRequest::new([all.clone()])).await.unwrap();
        assert_eq!(report.status(), RunStatus::Complete);
        {
            let mut data = crm.0.lock().unwrap();
            data.contacts.remove(1);
            data.deleted = vec![Record::delete("2", 11), Record::delete("3", 9)];
        }
        let report = connector.ingest(IngestRequest::new([all.clone()])).await.unwrap();
        let feed = report.runs.iter().find(|run| run.stream == "deleted_contacts").unwrap();
        assert_eq!((feed.counts.deleted, feed.counts.skipped_total()), (1, 1), "an old deletion does not win");
        assert_eq!(live(backend.as_ref(), &all).await, ["1", "3"]);
        let state = connector.state(&StateKey::new("all", "deleted_contacts")).await.unwrap().unwrap().state;
        assert_eq!(state.checkpoint, Some(Checkpoint::new(&2).unwrap()));
        let rerun = connector.ingest(IngestRequest::new([all.clone()])).await.unwrap();
        assert!(!rerun.counts().changed(), "{:?}", rerun.counts());
    }
}

#[tokio::test]
async fn a_reset_reads_the_deletions_from_the_start_and_a_reconcile_run_reads_on() {
    for backend in backends() {
        let crm = Crm::default();
        crm.0.lock().unwrap().contacts = vec![(1, 10)];
        crm.0.lock().unwrap().deleted = vec![Record::delete("1", 11)];
        let connector = Connector::new(crm.clone(), backend.clone());
        let all = Resource::new("all").unwrap();
        let ingest = |mode| connector.ingest(IngestRequest::new([all.clone()]).mode(mode));
        ingest(Mode::Incremental).await.unwrap();
        assert!(live(backend.as_ref(), &all).await.is_empty());
        let offered = |report: snowfeed::engine::IngestReport| {
            let run = report.runs.into_iter().find(|run| run.stream == "deleted_contacts").unwrap();
            assert_eq!(run.status, RunStatus::Complete);
            run.counts.offered
        };
        assert_eq!(offered(ingest(Mode::Reconcile).await.unwrap()), 0);
        // The second reset finds the first one.
        connector.reset(&all).await.unwrap();
        connector.reset_streams(&all, ["deleted_contacts"]).await.unwrap();
        let contacts = connector.state(&StateKey::new("all", "contacts")).await.unwrap().unwrap();
        connector.reset_streams(&all, ["deleted_contacts"]).await.unwrap();
        let untouched = connector.state(&StateKey::new("all", "contacts")).await.unwrap().unwrap();
        assert_eq!(untouched.version, contacts.version, "the stream that is required was reset, too");
        assert_eq!(offered(ingest(Mode::Incremental).await.unwrap()), 1);
    }
}

#[tokio::test]
async fn a_record_that_is_not_deleted_is_rejected() {
    let crm = Crm::default();
    crm.0.lock().unwrap().deleted = vec![Record::upsert("1", 1, "{}")];
    let memory = Memory::new();
    let connector = Connector::new(crm, Arc::new(memory.clone()));
    let all = Resource::new("all").unwrap();
    let report = connector.ingest(IngestRequest::new([all.clone()])).await.unwrap();
    assert_eq!(report.counts().rejected, 1);
    assert!(memory.rows(&all, "contacts").is_empty());
    assert_eq!(memory.rejects(&all, "contacts")[0].reason, "the record \"1\" is not a deletion");
}

#[tokio::test]
async fn selecting_the_deletions_selects_their_target_and_creates_one_table() {
    let memory = Memory::new();
    let connector = Connector::new(Crm::default(), Arc::new(memory.clone()));
    let all = Resource::new("all").unwrap();
    connector.enable(EnableRequest::new(all.clone()).streams(["deleted_contacts"])).await.unwrap();
    let (_, config) = connector.resources().await.unwrap().remove(0);
    let streams: Vec<&str> = connector.streams(Some(&config)).iter().map(|stream| stream.name.as_str()).collect();
    assert_eq!(streams, ["contacts", "deleted_contacts"]);
    let query = |stream| RowQuery::new(all.clone(), stream, RowSelection::Paths(vec![RowPath::ROOT]), 1);
    let sink: &dyn snowfeed::Sink = &memory;
    assert!(sink.select_rows(query("contacts")).await.is_ok());
    assert!(sink.select_rows(query("deleted_contacts")).await.is_err(), "the deletions have a table");
}
