//! A destination of your own, with a command line: everything in one JSON file, which each change replaces as a whole.
//!
//! The guide "Write a destination" explains it; `tests/json_file.rs` runs the conformance suites over it.
//!
//! ```sh
//! cargo run --example json_file -- ingest rust-lang/log
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use snowfeed::jiff::Timestamp;
use snowfeed::merge::{Merge, MergeAction, StoredVersion, content_hash};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{
    Commit, CommitReport, ConfigStore, Counts, Error, ErrorKind, Namespace, OutstandingRejects, Record, Reject,
    RejectQuery, Resource, Result, RunId, RunQuery, RunRecord, RunStatus, Sink, StalePolicy, StateChange, StateEntry,
    StateKey, StateStore, StateVersion, StoredRecord, StoredReject, StoredRow, StreamReport, StreamSpec, StreamState,
    Sweep, UnseenQuery, Version,
};

/// A destination that keeps rows, settings and state in one JSON file, for one process at a time.
#[derive(Debug)]
pub struct JsonFile {
    path: PathBuf,
    contents: Mutex<Contents>,
}

/// Everything in the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Contents {
    resources: BTreeMap<String, BTreeMap<String, Table>>,
    settings: [BTreeMap<String, Value>; 2],
    /// The entries of each stream's state, by resource and stream.
    states: BTreeMap<String, BTreeMap<String, Vec<Entry>>>,
    runs: BTreeMap<RunId, RunRecord>,
}

/// The rows of one stream of one resource.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Table {
    rows: BTreeMap<String, Row>,
    rejects: Vec<Rejected>,
    /// The keys that each reconciliation has seen.
    marks: BTreeMap<RunId, BTreeSet<String>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    version: Version,
    json: Option<String>,
    first_seen: Timestamp,
    changed_at: Timestamp,
    deleted_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Rejected {
    reason: String,
    raw: String,
    first_seen: Timestamp,
    last_seen: Timestamp,
    /// The run or reconciliation that has met it last.
    met_by: RunId,
}

impl Rejected {
    fn is(&self, reject: &Reject) -> bool {
        self.reason == reject.reason && *self.raw == *reject.raw
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    version: StateVersion,
    at: Timestamp,
    state: StreamState,
}

impl JsonFile {
    /// Opens the file, or starts with nothing if there is none.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let contents = match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map_err(|error| Error::invalid_data(format!("cannot read {}", path.display())).with_source(error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Contents::default(),
            Err(error) => return Err(unavailable(&path, error)),
        };
        Ok(Self { path, contents: Mutex::new(contents) })
    }

    fn look<T>(&self, look: impl FnOnce(&Contents) -> T) -> T {
        look(&self.contents.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes a copy, and keeps it once it is on the disk: a change happens completely or not at all.
    fn change<T>(&self, change: impl FnOnce(&mut Contents) -> Result<T>) -> Result<T> {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = contents.clone();
        let result = change(&mut changed)?;
        self.write(&changed).map_err(|error| unavailable(&self.path, error))?;
        *contents = changed;
        Ok(result)
    }

    fn write(&self, contents: &Contents) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(contents)?)?;
        file.sync_all()?;
        fs::rename(new, &self.path)
    }

    /// All rows of a table, with the deleted ones.
    pub fn rows(&self, resource: &Resource, table: &str) -> Vec<StoredRow> {
        let stored = |(key, row): (&String, &Row)| {
            let json = row.json.clone().map(Into::into);
            StoredRow::new(key.clone(), row.version, json, row.first_seen).changed(row.changed_at, row.deleted_at)
        };
        self.look(|contents| contents.table(resource, table).map(|table| table.rows.iter().map(stored).collect()))
            .unwrap_or_default()
    }
}

fn unavailable(path: &std::path::Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot use {}", path.display())).with_source(error)
}

impl Contents {
    fn table(&self, resource: &Resource, table: &str) -> Result<&Table> {
        let table = self.resources.get(resource.name()).and_then(|tables| tables.get(table));
        table.ok_or_else(|| Error::internal("call `ensure_streams` first"))
    }

    /// The entries of a key, the oldest first.
    fn entries(&self, key: &StateKey) -> &[Entry] {
        self.states.get(&key.resource).and_then(|streams| streams.get(&key.stream)).map_or(&[], Vec::as_slice)
    }

    /// Appends a state and stores its run, unless another run has moved on.
    fn append(&mut self, change: StateChange) -> Result<StateVersion> {
        let StateChange { key, base, at, state, run, .. } = change;
        let mut version = base;
        if let Some(state) = state {
            let newest = self.entries(&key).last();
            if version != newest.map_or(StateVersion::NONE, |entry| entry.version) {
                return Err(Error::new(ErrorKind::Conflict, format!("another run of {key} has committed")));
            }
            version = StateVersion(version.0 + 1);
            let at = newest.map_or(at, |entry| entry.at.max(at));
            let of_key = RunQuery::default().key(&key);
            for run in self.runs.values_mut() {
                if of_key.selects(run) && run.status == RunStatus::Running {
                    run.status = RunStatus::Interrupted;
                }
            }
            let streams = self.states.entry(key.resource).or_default();
            streams.entry(key.stream).or_default().push(Entry { version, at, state });
        }
        self.runs.extend(run.map(|run| (run.id, run)));
        Ok(version)
    }
}

impl Table {
    /// Merges a record into its row.
    fn merge(&mut self, record: &Record, at: Timestamp, sweep: Option<Sweep>) -> Merge {
        let row = self.rows.get_mut(&record.key);
        let stored = row.as_ref().map(|row| {
            StoredVersion::new(row.version, row.json.as_deref().map(content_hash), row.deleted_at.is_some())
        });
        let (policy, marks) = match sweep {
            Some(Sweep::Mark(id, policy)) => (policy, Some(self.marks.entry(id).or_default())),
            _ => (StalePolicy::Skip, None),
        };
        let is_marked = marks.as_ref().is_some_and(|marks| marks.contains(&record.key));
        let merge = Merge::new(stored, record, policy, is_marked);
        if let Some(marks) = marks.filter(|_| merge.marks) {
            marks.insert(record.key.clone());
        }
        let json = record.json().map(ToString::to_string);
        match (merge.action, row) {
            (MergeAction::Update, Some(row)) => {
                (row.version, row.json, row.changed_at, row.deleted_at) = (merge.version, json, at, None);
            }
            (MergeAction::Delete, Some(row)) => {
                (row.version, row.changed_at, row.deleted_at) = (merge.version, at, Some(at));
            }
            (MergeAction::BumpVersion, Some(row)) => row.version = merge.version,
            (MergeAction::Unchanged | MergeAction::Skip, _) => {}
            _ => {
                let deleted_at = json.is_none().then_some(at);
                let row = Row { version: merge.version, json, first_seen: at, changed_at: at, deleted_at };
                self.rows.insert(record.key.clone(), row);
            }
        }
        merge
    }

    /// Keeps a reject, each one once.
    fn reject(&mut self, reject: &Reject, at: Timestamp, met_by: RunId) {
        match self.rejects.iter_mut().find(|known| known.is(reject)) {
            Some(known) => (known.last_seen, known.met_by) = (known.last_seen.max(at), known.met_by.max(met_by)),
            None => self.rejects.push(Rejected {
                reason: reject.reason.clone(),
                raw: reject.raw.to_string(),
                first_seen: at,
                last_seen: at,
                met_by,
            }),
        }
    }
}

#[async_trait]
impl Sink for JsonFile {
    async fn ensure_streams(&self, resource: &Resource, tables: &[StreamSpec]) -> Result<()> {
        self.change(|contents| {
            let known = contents.resources.entry(resource.name().to_owned()).or_default();
            for table in tables {
                known.entry(table.name.clone()).or_default();
            }
            Ok(())
        })
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        commit.validate()?;
        self.change(|contents| {
            let mut report = CommitReport::new();
            for part in commit.parts {
                let met_by = part.rejects_seen_by();
                let tables = contents.resources.get_mut(commit.resource.name());
                let table = tables.and_then(|tables| tables.get_mut(&part.stream));
                let table = table.ok_or_else(|| Error::internal("call `ensure_streams` first"))?;
                let mut counts = Counts::default();
                for record in &part.records {
                    table.merge(record, commit.at, part.sweep).count(&mut counts);
                }
                table.rejects.retain(|known| !part.corrected.iter().any(|reject| known.is(reject)));
                for reject in &part.rejects {
                    table.reject(reject, commit.at, met_by);
                    counts.offered += 1;
                    counts.rejected += 1;
                }
                if let Some(Sweep::Finish(id) | Sweep::Abandon(id)) = part.sweep {
                    table.marks.remove(&id);
                }
                if let Some(Sweep::Finish(id)) = part.sweep {
                    table.rejects.retain(|known| known.met_by >= id);
                }
                // The state is checked last: an error discards the whole copy, the parts of other streams included.
                let version = part.counted_change(&counts).map(|change| contents.append(change)).transpose()?;
                report = report.stream(part.stream, StreamReport::new(counts, version));
            }
            Ok(report)
        })
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        self.look(|contents| {
            let table = contents.table(&query.resource, &query.table)?;
            let marks = table.marks.get(&query.sweep);
            let live = table.rows.iter().filter(|(_, row)| row.deleted_at.is_none());
            let unseen = live.filter(|(key, _)| !marks.is_some_and(|marks| marks.contains(*key)));
            let after = unseen.filter(|(key, _)| query.after.as_ref().is_none_or(|after| *key > after));
            let record =
                |(key, row): (&String, &Row)| Some(StoredRecord::new(key.clone(), row.version, row.json.clone()?));
            Ok(after.filter_map(record).take(query.limit).collect())
        })
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        let mut found = OutstandingRejects::default();
        self.look(|contents| {
            for (resource, tables) in &contents.resources {
                if query.resource.as_ref().is_some_and(|wanted| wanted.name() != resource) {
                    continue;
                }
                let is_wanted = |stream: &&String| query.stream.as_ref().is_none_or(|wanted| wanted == *stream);
                for stream in tables.keys().filter(is_wanted) {
                    for known in &tables[stream].rejects {
                        *found.counts.entry(StateKey::new(resource, stream)).or_default() += 1;
                        if query.max_raw.is_none_or(|most| known.raw.len() <= most) {
                            let reject = Reject::new(known.reason.clone(), known.raw.clone());
                            let times = [known.first_seen, known.last_seen];
                            found.rejects.push(StoredReject::new(resource, stream, reject, times));
                        }
                    }
                }
            }
        });
        found.rejects.sort_by_key(|reject| std::cmp::Reverse(reject.last_seen));
        found.rejects.truncate(query.limit);
        Ok(found)
    }
}

#[async_trait]
impl StateStore for JsonFile {
    async fn append(&self, change: StateChange) -> Result<StateVersion> {
        self.change(|contents| contents.append(change))
    }

    async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>> {
        Ok(self.history(key, 1).await?.into_iter().next())
    }

    async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>> {
        let entry = |entry: &Entry| StateEntry::new(entry.version, entry.at, entry.state.clone());
        Ok(self.look(|contents| contents.entries(key).iter().rev().take(limit).map(entry).collect()))
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>> {
        let mut runs: Vec<RunRecord> = self.look(|contents| contents.runs.values().cloned().collect());
        runs.retain(|run| query.selects(run));
        runs.sort_by_key(|run| std::cmp::Reverse((run.started_at, run.id)));
        runs.truncate(query.limit);
        Ok(runs)
    }

    async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64> {
        let old = self.runs(RunQuery::new(usize::MAX).key(key)).await?.into_iter().skip(keep.max(1));
        let old: Vec<RunId> = old.map(|run| run.id).collect();
        self.change(|contents| {
            contents.runs.retain(|id, _| !old.contains(id));
            let streams = contents.states.entry(key.resource.clone()).or_default();
            let entries = streams.entry(key.stream.clone()).or_default();
            let excess = entries.len().saturating_sub(keep.max(1));
            entries.drain(..excess);
            Ok((old.len() + excess) as u64)
        })
    }
}

#[async_trait]
impl ConfigStore for JsonFile {
    async fn get(&self, namespace: Namespace, key: &str) -> Result<Option<Value>> {
        Ok(self.look(|contents| contents.settings[namespace as usize].get(key).cloned()))
    }

    async fn put(&self, namespace: Namespace, key: &str, value: &Value) -> Result<()> {
        self.change(|contents| {
            contents.settings[namespace as usize].insert(key.to_owned(), value.clone());
            Ok(())
        })
    }

    async fn remove(&self, namespace: Namespace, key: &str) -> Result<bool> {
        self.change(|contents| Ok(contents.settings[namespace as usize].remove(key).is_some()))
    }

    async fn list(&self, namespace: Namespace) -> Result<Vec<(String, Value)>> {
        Ok(self.look(|contents| contents.settings[namespace as usize].clone().into_iter().collect()))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    snowfeed::cli::run_with(GithubIssues::default(), || JsonFile::open("issues.json")).await
}
