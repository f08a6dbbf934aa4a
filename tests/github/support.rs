//! Reads with `GithubIssues` into an in-memory table, and compares it with the upstream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::{StreamExt, TryStreamExt};
use github_server::GithubServer;
use serde_json::{Value, json};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{
    Batch, Checkpoint, ConnectContext, Monitor, Operation, ReadRequest, Reader, Record, Resource, Result, Settings,
    Source, SourceEvent, StoredRecord, VerifyRequest,
};

pub(crate) const REPOSITORY: &str = "acme/widgets";

/// A source, its settings and what it has delivered so far.
pub(crate) struct Reading {
    /// The reader, and the settings that it is connected with.
    reader: Option<(Settings, Box<dyn Reader>)>,
    pub(crate) config: Settings,
    pub(crate) resource: Resource,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) table: BTreeMap<String, Record>,
    pub(crate) rejects: Vec<(String, String)>,
    pub(crate) corrected: Vec<(String, String)>,
    pub(crate) excluded: u64,
    pub(crate) batches: usize,
    pub(crate) offered: u64,
    pub(crate) events: Arc<Mutex<Vec<SourceEvent>>>,
}

/// Settings with an upstream's address, few retries and the given extras.
pub(crate) fn config(upstream: &GithubServer, more: Value) -> Settings {
    let mut values = json!({ "api_url": upstream.url(), "retries": 3, "max_wait_minutes": 1 });
    for (name, value) in more.as_object().unwrap() {
        values[name] = value.clone();
    }
    let Value::Object(values) = values else { unreachable!() };
    GithubIssues::default().spec().settings.configure(values).unwrap()
}

/// Connects. Warnings go to the log, as they do in a program.
pub(crate) async fn connect(settings: &Settings) -> Result<Box<dyn Reader>> {
    let monitor = Monitor::new(|event| {
        if let SourceEvent::Warning(warning) = event {
            tracing::warn!("{warning}");
        }
    });
    GithubIssues::default().connect(settings, ConnectContext::new(monitor)).await
}

/// Checks the settings, as a person who waits does.
pub(crate) async fn check(settings: &Settings) -> Result<()> {
    let context = ConnectContext::detached().fail_fast(true);
    GithubIssues::default().connect(settings, context).await?.check().await
}

/// Lists the repositories that the settings give access to.
pub(crate) async fn discover(settings: &Settings) -> Result<Vec<Resource>> {
    connect(settings).await?.discover().try_collect().await
}

impl Reading {
    /// The reader for the current settings, connected at the first use.
    async fn reader(&mut self) -> Result<&dyn Reader> {
        if self.reader.as_ref().is_none_or(|(settings, _)| *settings != self.config) {
            self.reader = Some((self.config.clone(), connect(&self.config).await?));
        }
        Ok(self.reader.as_ref().unwrap().1.as_ref())
    }

    pub(crate) fn new(upstream: &GithubServer, more: Value) -> Self {
        Self {
            reader: None,
            config: config(upstream, more),
            resource: Resource::new(REPOSITORY).unwrap(),
            checkpoint: None,
            table: BTreeMap::new(),
            rejects: Vec::new(),
            corrected: Vec::new(),
            excluded: 0,
            batches: 0,
            offered: 0,
            events: Arc::default(),
        }
    }

    pub(crate) fn monitor(&self) -> Monitor {
        let events = self.events.clone();
        Monitor::new(move |event| events.lock().unwrap().push(event))
    }

    /// Reads to the end, or until this many batches are committed.
    pub(crate) async fn read_some(&mut self, batches: usize) -> Result<()> {
        let mut request = ReadRequest::new(self.resource.clone(), "issues").checkpoint(self.checkpoint.clone());
        request.monitor = self.monitor();
        let mut stream = self.reader().await?.read(request);
        for _ in 0..batches {
            match stream.next().await {
                None => break,
                Some(batch) => self.commit(batch?),
            }
        }
        Ok(())
    }

    pub(crate) async fn read(&mut self) -> Result<()> {
        self.read_some(usize::MAX).await
    }

    /// Reads everything again, as a reconcile does, into an empty table.
    pub(crate) async fn read_all(&mut self) -> Result<()> {
        self.checkpoint = None;
        self.table.clear();
        self.read().await
    }

    fn commit(&mut self, batch: Batch) {
        self.batches += 1;
        self.offered += batch.offered();
        for record in batch.records {
            let newer = self.table.get(&record.key).is_none_or(|stored| stored.version <= record.version);
            if newer {
                self.table.insert(record.key.clone(), record);
            }
        }
        let pair = |reject: snowfeed::Reject| (reject.reason, reject.raw.to_string());
        self.rejects.extend(batch.rejects.into_iter().map(pair));
        self.corrected.extend(batch.corrected.into_iter().map(pair));
        self.excluded += batch.excluded.values().sum::<u64>();
        self.checkpoint = Some(batch.checkpoint.expect("every batch is resumable"));
    }

    /// Checks that the table equals the upstream, byte for byte; `gone` rows may be there, too.
    #[track_caller]
    pub(crate) fn assert_has_all(&self, upstream: &GithubServer) {
        for issue in upstream.snapshot(self.resource.name()) {
            let stored = self.table.get(&issue.id.to_string()).map(|record| record.json().unwrap().to_string());
            assert_eq!(stored.as_ref(), Some(&issue.text), "issue {} is missing or stale", issue.number);
        }
    }

    #[track_caller]
    pub(crate) fn assert_same(&self, upstream: &GithubServer) {
        self.assert_has_all(upstream);
        assert_eq!(self.table.len(), upstream.len(self.resource.name()));
    }

    /// Asks the source about the stored issues with these numbers.
    pub(crate) async fn verify(&self, numbers: &[u32]) -> Result<Vec<Record>> {
        let records = self
            .table
            .values()
            .filter(|record| {
                let json: Value = serde_json::from_str(record.json().unwrap()).unwrap();
                numbers.contains(&u32::try_from(json["number"].as_u64().unwrap()).unwrap())
            })
            .map(|record| StoredRecord::new(&*record.key, record.version, record.json().unwrap().clone()));
        let mut request = VerifyRequest::new(self.resource.clone(), "issues", records);
        (request.checkpoint, request.monitor) = (self.checkpoint.clone(), self.monitor());
        connect(&self.config).await?.verify(request).await
    }

    pub(crate) fn waits(&self) -> Vec<(String, jiff::Timestamp)> {
        let events = self.events.lock().unwrap();
        let waits = events.iter().filter_map(|event| match event {
            SourceEvent::Waiting { reason, until } => Some((reason.clone(), *until)),
            _ => None,
        });
        waits.collect()
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

pub(crate) fn is_deletion(record: &Record) -> bool {
    record.operation == Operation::Delete
}

pub(crate) async fn upstream(issues: u32) -> GithubServer {
    GithubServer::builder().seed(7).repository(REPOSITORY, issues).start().await.unwrap()
}

/// A secret in a file, and the reference to it.
pub(crate) fn secret(text: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let reference = format!("file:{}", file.path().display());
    (file, reference)
}
