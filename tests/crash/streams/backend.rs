//! The backend of one engine: time passes around each call, commits fail at random, and deletions are checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use snowfeed::prelude::*;
use snowfeed::{
    Backend, Column, Commit, CommitReport, ConfigSnapshot, ConfigStore, Evidence, Limits, LiveRows, Load, LoadEstimate,
    Namespace, OutstandingRejects, RejectQuery, RowPath, RowQuery, RowSelection, RunId, RunQuery, RunRecord,
    SelectedRow, Sequence, Sink, Stage, StateChange, StateEntry, StateKey, StateStore, StateVersion, StoredRecord,
    StreamCommit, StreamStatus, Sweep, UnseenQuery,
};

use super::oracle;
use super::source::{CHILDREN, GRANDCHILDREN, LABELS, PARENTS, Shared};
use super::traits::Paging;
use super::upstream::Engine;

/// A backend of one engine.
#[derive(Debug)]
pub(super) struct ModelBackend {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) upstream: Shared,
    pub(super) engine: Engine,
}

impl ModelBackend {
    /// Calls the backend. The call itself takes no time, also if threads do the work: then each seed has one history.
    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        self.upstream.pass_time(self.engine).await;
        let answer = futures::executor::block_on(call);
        self.upstream.pass_time(self.engine).await;
        answer
    }

    /// Whether the backend fails now.
    fn fails(&self) -> bool {
        let mut upstream = self.upstream.lock();
        !upstream.is_quiet && upstream.chance(2)
    }

    /// Checks that a part deletes nothing that has existed throughout the read of the list that lacks it.
    fn check_deletions(&self, resource: &Resource, part: &StreamCommit) {
        for path in part.records.iter().filter(|record| record.json().is_none()).map(Record::path) {
            if !self.is_deleted(resource, &part.stream, &path)
                && !self.is_deleted(resource, parent_stream(&part.stream), &path.parent())
            {
                self.check_deletion(&part.stream, &path, &part.stream, &path.parent());
            }
        }
        // A child's list was not found.
        let children = if part.stream == PARENTS { CHILDREN } else { GRANDCHILDREN };
        for gone in &part.gone {
            self.check_deletion(&part.stream, &gone.path, children, &gone.path);
        }
    }

    /// Checks the deletion of a row that was missing from the list of `list` below `parent`.
    fn check_deletion(&self, stream: &str, path: &RowPath, list: &str, parent: &RowPath) {
        let mut upstream = self.upstream.lock();
        // The engine cannot tell that a list has drifted in the same way twice.
        if upstream.traits.paging == Paging::Twice && stream != PARENTS {
            return;
        }
        let key = path.key().unwrap();
        let since = match stream {
            PARENTS => upstream.parents.get(key).map(|parent| parent.born),
            CHILDREN => upstream.child(path.parent().keys(), key).map(|child| child.born.max(child.visible)),
            LABELS => upstream.labels.get(key).map(|label| label.born),
            _ => None,
        };
        let begun = upstream.list_begun.get(&(self.engine, list.to_owned(), parent.keys().to_vec())).copied();
        if since.zip(begun).is_some_and(|(since, begun)| since < begun) {
            upstream.note(format!("engine {} deletes {stream} {path}, which exists", self.engine));
            upstream.faults.push(format!("{stream} {path} was deleted, though it exists"));
        }
    }

    /// A row; `None` if it is missing.
    fn row(&self, resource: &Resource, stream: &str, path: &RowPath) -> Option<SelectedRow> {
        let selection = RowSelection::Paths(vec![path.clone()]);
        let found = self.backend.select_rows(RowQuery::new(resource.clone(), stream, selection, 1).documents());
        futures::executor::block_on(found).unwrap().pop()
    }

    /// Whether a row is marked deleted, or missing.
    fn is_deleted(&self, resource: &Resource, stream: &str, path: &RowPath) -> bool {
        !path.keys().is_empty() && self.row(resource, stream, path).is_none_or(|row| row.is_deleted)
    }

    /// The verified records of a commit that must win. Of the others, the row has changed since.
    fn winning(&self, commit: &Commit) -> Vec<(String, Record)> {
        let mut winning = Vec::new();
        for part in &commit.parts {
            for (index, record) in part.records.iter().enumerate() {
                let path = record.path();
                let wins = match record.evidence() {
                    Evidence::Listed => continue,
                    Evidence::Verified => true,
                    Evidence::VerifiedAt(seen) => {
                        self.row(&commit.resource, &part.stream, &path).is_some_and(|row| row.position.sequence == seen)
                    }
                };
                self.check_answer(&part.stream, record, wins, matches!(part.sweep, Some(Sweep::Mark(..))));
                if wins && part.records[index + 1..].iter().all(|later| later.path() != path) {
                    winning.push((part.stream.clone(), record.clone()));
                }
            }
        }
        winning
    }

    /// Checks that a verified record is what the source has said about it, or what a walk over the parents has listed.
    fn check_answer(&self, stream: &str, record: &Record, wins: bool, is_reconciled: bool) {
        let path = record.path();
        let text = record.json().map(|json| oracle::text(json));
        let mut upstream = self.upstream.lock();
        let answer = upstream.answers.get_mut(&(self.engine, stream.to_owned(), path.keys().to_vec()));
        let Some(answer) = answer.filter(|answer| answer.text == text) else {
            if is_reconciled && [CHILDREN, GRANDCHILDREN].contains(&stream) {
                return;
            }
            upstream.faults.push(format!("nothing has verified {stream} {path}"));
            return;
        };
        let replaces = std::mem::take(&mut answer.must_replace) && wins && !is_reconciled;
        upstream.replacements += u64::from(replaces);
    }

    /// Checks rule 26: what the source has said about single records is stored, whatever the versions.
    fn check_verified(&self, resource: &Resource, verified: Vec<(String, Record)>) {
        for (stream, record) in verified {
            let path = record.path();
            let is_stored = self.row(resource, &stream, &path).is_some_and(|row| match record.json() {
                Some(json) => !row.is_deleted && row.version == record.version && row.json.as_ref() == Some(json),
                None => row.is_deleted,
            });
            if !is_stored {
                self.upstream.lock().faults.push(format!("the verified record {stream} {path} has not won"));
            }
        }
    }

    /// Counts a commit that has changed something. One that was refused has deleted nothing: the faults are those of before.
    fn count(&self, done: &Result<CommitReport>, before: Vec<String>) {
        let mut upstream = self.upstream.lock();
        match done {
            Ok(report) => {
                let changes = |report: &snowfeed::StreamReport| report.version.is_some() || report.counts.changed();
                upstream.commits += u64::from(report.streams.values().any(changes));
            }
            Err(_) => upstream.faults = before,
        }
    }

    fn note(&self, commit: &Commit, done: &Result<CommitReport>) {
        let mut upstream = self.upstream.lock();
        for part in &commit.parts {
            let rows = part.records.iter().map(|record| {
                format!("{}{}@{}", if record.json().is_none() { "-" } else { "+" }, record.path(), record.version.0)
            });
            let rows: Vec<String> = rows.chain(part.gone.iter().map(|gone| format!("gone {gone:?}"))).collect();
            let state = part.change.as_ref().and_then(|change| change.state.as_ref());
            let checkpoint =
                state.and_then(|state| state.checkpoint.as_ref()).map_or("", |checkpoint| checkpoint.as_str());
            let reconcile = state.and_then(|state| state.reconcile.as_ref()).and_then(|it| it.checkpoint.as_ref());
            let reconcile = reconcile.map_or("", |checkpoint| checkpoint.as_str());
            let done = done.as_ref().map_or_else(
                |error| error.kind().to_string(),
                |report| format!("{:?}", report.streams[&part.stream].version),
            );
            let line = format!(
                "engine {} commits {} [{}] {checkpoint} {reconcile} {:?}: {done}",
                self.engine,
                part.stream,
                rows.join(" "),
                part.sweep
            );
            upstream.note(line);
        }
    }
}

fn parent_stream(stream: &str) -> &'static str {
    if stream == GRANDCHILDREN { CHILDREN } else { PARENTS }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Sink for ModelBackend {
    async fn ensure_streams(&self, resource: &Resource, streams: &[StreamSpec]) -> Result<()> {
        self.call(self.backend.ensure_streams(resource, streams)).await
    }

    async fn finish(&self) -> Result<()> {
        self.call(self.backend.finish()).await
    }

    async fn columns(&self, resource: &Resource, stream: &str) -> Result<Vec<Column>> {
        self.call(self.backend.columns(resource, stream)).await
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        let unavailable = || Error::unavailable("the backend fails").exhausted();
        self.upstream.pass_time(self.engine).await;
        if self.fails() {
            return Err(unavailable());
        }
        // A conflict deletes nothing, so the deletions are checked as if the commit had not happened yet.
        let checked = self.upstream.lock().faults.clone();
        for part in &commit.parts {
            self.check_deletions(&commit.resource, part);
        }
        let verified = self.winning(&commit);
        let done = futures::executor::block_on(self.backend.commit(commit.clone()));
        self.note(&commit, &done);
        if done.is_ok() {
            self.check_verified(&commit.resource, verified);
        }
        self.count(&done, checked);
        // The answer may be lost.
        let is_lost = self.fails();
        self.upstream.pass_time(self.engine).await;
        if is_lost { Err(unavailable()) } else { done }
    }

    async fn stage(&self, resource: &Resource, stream: &str, run: RunId) -> Result<Box<dyn Stage>> {
        self.call(self.backend.stage(resource, stream, run)).await
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        self.call(self.backend.unseen(query)).await
    }

    async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows> {
        self.call(self.backend.live_rows(query)).await
    }

    async fn select_rows(&self, query: RowQuery) -> Result<Vec<SelectedRow>> {
        self.call(self.backend.select_rows(query)).await
    }

    async fn sequences(&self, resource: &Resource) -> Result<BTreeMap<String, Sequence>> {
        self.call(self.backend.sequences(resource)).await
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        self.call(self.backend.rejects(query)).await
    }

    fn estimate(&self, load: Load) -> Option<LoadEstimate> {
        self.backend.estimate(load)
    }

    fn limits(&self) -> Limits {
        self.backend.limits()
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ConfigStore for ModelBackend {
    async fn get(&self, namespace: Namespace, key: &str) -> Result<Option<Value>> {
        self.call(self.backend.get(namespace, key)).await
    }

    async fn put(&self, namespace: Namespace, key: &str, value: &Value) -> Result<()> {
        self.call(self.backend.put(namespace, key, value)).await
    }

    async fn remove(&self, namespace: Namespace, key: &str) -> Result<bool> {
        self.call(self.backend.remove(namespace, key)).await
    }

    async fn list(&self, namespace: Namespace) -> Result<Vec<(String, Value)>> {
        self.call(self.backend.list(namespace)).await
    }

    async fn snapshot(&self) -> Result<ConfigSnapshot> {
        self.call(self.backend.snapshot()).await
    }

    async fn claim(&self, source: &str, adopt: bool) -> Result<()> {
        self.call(self.backend.claim(source, adopt)).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl StateStore for ModelBackend {
    async fn append(&self, change: StateChange) -> Result<StateVersion> {
        self.call(self.backend.append(change)).await
    }

    async fn append_runs(&self, runs: Vec<RunRecord>) -> Result<()> {
        self.call(self.backend.append_runs(runs)).await
    }

    async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>> {
        self.call(self.backend.latest(key)).await
    }

    async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>> {
        self.call(self.backend.history(key, limit)).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>> {
        self.call(self.backend.runs(query)).await
    }

    async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64> {
        self.call(self.backend.prune(key, keep)).await
    }

    async fn latest_many(&self, keys: &[StateKey]) -> Result<Vec<StreamStatus>> {
        self.call(self.backend.latest_many(keys)).await
    }

    fn is_metered(&self) -> bool {
        self.backend.is_metered()
    }
}
