//! The streams besides `issues`: each is read from a server that changes meanwhile, and compared with it.

mod comments;
mod commits;
mod engine;
mod events;
mod pulls;
mod snapshots;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::{StreamExt, TryStreamExt};
use github_server::{GithubServer, ReceivedRequest, RecordKind};
use serde_json::{Value, json};
use snowfeed::{
    Batch, Checkpoint, Error, Monitor, Operation, Parent, ReadRequest, Reader, Record, Resource, Result, RowPath,
    Settings, SourceEvent, StoredRecord, VerifyRequest,
};

use crate::support::{REPOSITORY, config, connect};

/// One stream of the repository, and what was read of it.
pub(crate) struct StreamReading {
    reader: Box<dyn Reader>,
    stream: &'static str,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) incremental: Option<Checkpoint>,
    pub(crate) rows: BTreeMap<String, Record>,
    pub(crate) events: Arc<Mutex<Vec<SourceEvent>>>,
}

/// A server with records of a kind.
pub(crate) async fn upstream_of(kind: RecordKind, count: u32) -> GithubServer {
    GithubServer::builder().seed(5).repository(REPOSITORY, 60).records(kind, count).start().await.unwrap()
}

/// The settings for a server, with extras.
pub(crate) fn settings(upstream: &GithubServer, more: Value) -> Settings {
    config(upstream, more)
}

impl StreamReading {
    pub(crate) async fn new(upstream: &GithubServer, stream: &'static str) -> Self {
        Self::with(upstream, stream, json!({})).await
    }

    pub(crate) async fn with(upstream: &GithubServer, stream: &'static str, more: Value) -> Self {
        Self {
            reader: connect(&settings(upstream, more)).await.unwrap(),
            stream,
            checkpoint: None,
            incremental: None,
            rows: BTreeMap::new(),
            events: Arc::default(),
        }
    }

    pub(crate) async fn reconnect(&mut self, upstream: &GithubServer, more: Value) {
        self.reader = connect(&settings(upstream, more)).await.unwrap();
    }

    fn request(&self) -> ReadRequest {
        let events = self.events.clone();
        let mut request = ReadRequest::new(Resource::new(REPOSITORY).unwrap(), self.stream);
        request.checkpoint = self.checkpoint.clone();
        request.incremental = self.incremental.clone();
        request.monitor = Monitor::new(move |event| events.lock().unwrap().push(event));
        request
    }

    /// The batches of one read.
    pub(crate) async fn batches(&self) -> Result<Vec<Batch>> {
        self.reader.read(self.request()).try_collect().await
    }

    /// The batches of one read of the list of a parent.
    pub(crate) async fn children(&self, fields: Vec<Value>) -> Result<Vec<Batch>> {
        let mut parent = Parent::new(RowPath::ROOT.child("1"));
        parent.fields = fields;
        self.reader.read(self.request().parent(parent)).try_collect().await
    }

    /// Reads up to this many batches, and stores what is new. Returns the batches.
    pub(crate) async fn read_some(&mut self, count: usize) -> Result<usize> {
        let mut batches = self.reader.read(self.request());
        let mut read = 0;
        while read < count
            && let Some(batch) = batches.next().await
        {
            read += 1;
            let batch = batch?;
            for record in batch.records {
                let is_newer = self.rows.get(&record.key).is_none_or(|stored| stored.version <= record.version);
                if is_newer {
                    self.rows.insert(record.key.clone(), record);
                }
            }
            self.checkpoint = batch.checkpoint.or(self.checkpoint.take());
        }
        Ok(read)
    }

    pub(crate) async fn read(&mut self) -> Result<usize> {
        self.read_some(usize::MAX).await
    }

    /// What the read returned, by key.
    pub(crate) fn texts(&self) -> BTreeMap<String, String> {
        self.rows.iter().map(|(key, record)| (key.clone(), record.json().unwrap().to_string())).collect()
    }

    /// The stored record with this key.
    pub(crate) fn stored(&self, key: &str) -> StoredRecord {
        let record = &self.rows[key];
        StoredRecord::new(key, record.version, record.json().unwrap().clone())
    }

    /// Verifies the stored records with these keys.
    pub(crate) async fn verify(&self, keys: &[String]) -> Result<Vec<Record>> {
        let records = keys.iter().map(|key| self.stored(key));
        let mut request = VerifyRequest::new(Resource::new(REPOSITORY).unwrap(), self.stream, records);
        request.checkpoint = self.checkpoint.clone();
        request.monitor = self.request().monitor;
        self.reader.verify(request).await
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        let warnings = events.iter().filter_map(|event| match event {
            SourceEvent::Warning(text) => Some(text.clone()),
            _ => None,
        });
        warnings.collect()
    }
}

/// What the server has, by key.
pub(crate) fn truth(upstream: &GithubServer, kind: RecordKind) -> BTreeMap<String, String> {
    let records = upstream.records(REPOSITORY, kind).into_iter();
    let key = |text: &str, id: u64| match kind {
        RecordKind::Commit => serde_json::from_str::<Value>(text).unwrap()["sha"].as_str().unwrap().to_owned(),
        _ => id.to_string(),
    };
    records.map(|record| (key(&record.text, record.id), record.text)).collect()
}

/// The requests since the last call, each with its response's status.
pub(crate) fn requests(upstream: &GithubServer) -> Vec<(String, u16)> {
    let requests = upstream.requests();
    upstream.forget_requests();
    requests
        .iter()
        .map(|request: &ReceivedRequest| (request.target().to_owned(), request.status().unwrap_or_default()))
        .collect()
}

/// The keys of deletions, and the texts of the others.
pub(crate) fn split(records: Vec<Record>) -> (Vec<String>, BTreeMap<String, String>) {
    let (gone, found): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| record.operation == Operation::Delete);
    let mut gone: Vec<String> = gone.into_iter().map(|record| record.key).collect();
    gone.sort();
    (gone, found.into_iter().map(|record| (record.key.clone(), record.json().unwrap().to_string())).collect())
}

/// Checks that a stream that the token may not read fails with an error that says which, and how to allow it.
#[track_caller]
pub(crate) fn assert_names_permission(error: &Error, records: &str, permission: &str) {
    assert!(error.message().contains(records), "{error}");
    assert!(error.help().unwrap().contains(permission), "{:?}", error.help());
}

#[tokio::test]
async fn a_stream_that_the_token_may_not_read_names_the_permission() {
    for (stream, records, permission) in [
        ("issue_comments", "comments", "issues and pull requests"),
        ("review_comments", "review comments", "pull requests"),
        ("labels", "labels", "issues"),
        ("milestones", "milestones", "issues"),
        ("releases", "releases", "contents"),
        ("issue_events", "events", "issues"),
        ("commits", "commits", "contents"),
    ] {
        let upstream = upstream_of(RecordKind::Commit, 3).await;
        let path = snowfeed::Resource::new(REPOSITORY).unwrap();
        let is_list = move |request: &ReceivedRequest| {
            !request.path().ends_with(path.name()) && request.path().matches('/').count() > 2
        };
        let body = json!({ "message": "Resource not accessible by personal access token" }).to_string();
        upstream.fault_while(is_list, github_server::Fault::Body { code: 403, body });
        let error = StreamReading::new(&upstream, stream).await.batches().await.unwrap_err();
        assert_eq!(error.kind(), snowfeed::ErrorKind::Authentication, "{stream}");
        assert_names_permission(&error, records, permission);
    }
}

/// The pages of all streams that do not depend on others, read by the id of a repository that was renamed, and of one whose name another
/// one has now.
#[tokio::test]
async fn every_stream_follows_a_renamed_repository_and_refuses_another_one_with_its_name() {
    // Reviews are listed below a pull request.
    let kinds = RecordKind::STREAMS.into_iter().filter(|(_, kind)| *kind != RecordKind::Review);
    for (stream, kind) in kinds {
        let upstream = upstream_of(kind, 20).await;
        let mut reading = StreamReading::new(&upstream, stream).await;
        reading.read().await.unwrap();
        assert_eq!(reading.texts(), truth(&upstream, kind), "{stream}");
        if kind == RecordKind::IssueEvent {
            (reading.checkpoint, reading.incremental) = (None, reading.checkpoint.take());
        }
        upstream.rename_repository(REPOSITORY, "acme/things");
        requests(&upstream);
        assert!(reading.batches().await.is_ok(), "{stream}");
        upstream.rename_repository("acme/things", REPOSITORY);
        upstream.delete_repository(REPOSITORY);
        upstream.add_repository(REPOSITORY);
        let error = reading.batches().await.unwrap_err();
        assert!(error.message().contains("another one has its name"), "{stream}: {error}");
    }
}
