//! A sink that numbers its commits, and is correct except for its fault.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use snowfeed::backends::Memory;
use snowfeed::testkit::conformance::SinkProbe;
use snowfeed::{
    Commit, CommitReport, ErrorKind, Evidence, JsonPath, LiveRows, OutstandingRejects, Position, Record, Reject,
    RejectQuery, Resource, Result, RowPath, RowQuery, RowSelection, RunId, SelectedRow, Sequence, Sink, StateStore,
    StoredRecord, StoredRow, StreamCommit, StreamSpec, UnseenQuery,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    KeysIgnoreTheirParent,
    PathsAreJoinedBySlashes,
    ChildrenIncludeDeletedRows,
    ChildrenIncludeDescendants,
    ChildrenRepeatTheRowAfterWhichToContinue,
    ChildrenOfFurtherParentsEndWithThePage,
    ChildrenAreOrderedByPath,
    ChildrenIgnoreTheLimit,
    PathsLeaveOutDeletedRows,
    DeletedRowsLoseTheirDocument,
    FieldsOfDeletedRowsAreNull,
    UnchangedRowsAreStamped,
    EveryCommitIsNumbered,
    OlderStatesAreStamped,
    DeletionsKeepTheirNumber,
    RevivalsKeepTheirNumber,
    EqualVersionsKeepTheirNumber,
    EachRowHasANumber,
    StreamsShareNumbers,
    ResourcesShareNumbers,
    RefusedCommitsTakeNumbers,
    NumbersAreTakenEarly,
    DeletedRowsAreNotChanges,
    ChangesAreOrderedByPath,
    FromIsExclusive,
    UntilIsExclusive,
    AfterAppliesToEveryNumber,
    AfterIsIgnored,
    GoneIgnoresTheNumber,
    GoneIncludesOlderNumbers,
    GoneIncludesNewerNumbers,
    GoneIgnoresTheParent,
    GoneIsNotStamped,
    GoneIsNotCounted,
    GoneSurvivesARefusal,
    GoneIsIgnored,
    VerifiedIgnoresTheNumber,
    VerifiedIncludesOlderNumbers,
    VerifiedIncludesNewerNumbers,
    VerifiedIsListedElsewhere,
    VerifiedIsIgnored,
}

type TableKey = (Resource, String);

/// Numbers the commits of a [`Memory`] by comparing its rows before and after each.
#[derive(Debug)]
pub(crate) struct NumberingSink {
    fault: Fault,
    memory: Memory,
    numbers: Mutex<BTreeMap<TableKey, u64>>,
    stamps: Mutex<BTreeMap<(TableKey, RowPath), u64>>,
    /// Held while rows and numbers do not agree.
    lock: tokio::sync::RwLock<()>,
}

/// The part of a row that its number is about.
fn state(row: &StoredRow) -> (Option<(i64, Option<&str>)>, bool) {
    let is_deleted = row.deleted_at.is_some();
    ((!is_deleted).then_some((row.version.0, row.json.as_deref())), is_deleted)
}

impl NumberingSink {
    pub(crate) fn new(fault: Fault) -> Self {
        let (numbers, stamps, lock) = Default::default();
        Self { fault, memory: Memory::new(), numbers, stamps, lock }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn rows(&self, key: &TableKey) -> BTreeMap<RowPath, StoredRow> {
        self.memory.rows(&key.0, &key.1).into_iter().map(|row| (row.path(), row)).collect()
    }

    /// What the numbers belong to.
    fn numbered(&self, (resource, stream): &TableKey) -> TableKey {
        let stream = if self.is(Fault::StreamsShareNumbers) { "all" } else { stream };
        let shared = self.is(Fault::ResourcesShareNumbers);
        let resource = if shared { Resource::new("all").unwrap() } else { resource.clone() };
        (resource, stream.to_owned())
    }

    /// Raises the number of a table.
    fn take_number(&self, key: &TableKey) -> u64 {
        let mut numbers = self.numbers.lock().unwrap();
        let number = numbers.entry(self.numbered(key)).or_default();
        *number += 1;
        *number
    }

    /// The number of the commit that has changed a row last.
    fn stamp(&self, key: &TableKey, path: &RowPath) -> u64 {
        self.stamps.lock().unwrap().get(&(key.clone(), path.clone())).copied().unwrap_or_default()
    }

    /// How this sink stores the parent of a record.
    fn stored_parent(&self, parent: &RowPath) -> RowPath {
        match self.fault {
            Fault::KeysIgnoreTheirParent => RowPath::ROOT,
            Fault::PathsAreJoinedBySlashes if !parent.keys().is_empty() => {
                RowPath::ROOT.child(&parent.keys().join("/"))
            }
            _ => parent.clone(),
        }
    }

    fn stored_path(&self, path: &RowPath) -> RowPath {
        path.key().map_or(RowPath::ROOT, |key| self.stored_parent(&path.parent()).child(key))
    }

    /// The deletions of the rows that are gone.
    fn deletions(&self, resource: &Resource, part: &StreamCommit) -> Vec<Record> {
        let key = (resource.clone(), part.stream.clone());
        let rows = self.rows(&key);
        let is_gone = |gone: &&Position, row: &StoredRow| {
            let (seen, path) = (gone.sequence.0, self.stored_path(&gone.path));
            let is_at_path = match self.fault {
                Fault::GoneIgnoresTheParent => path.key() == Some(&row.key),
                _ => path == row.path(),
            };
            let stamp = self.stamp(&key, &row.path());
            let is_at_number = match self.fault {
                Fault::GoneIgnoresTheNumber => true,
                Fault::GoneIncludesOlderNumbers => stamp <= seen,
                Fault::GoneIncludesNewerNumbers => stamp >= seen,
                _ => stamp == seen,
            };
            is_at_path && is_at_number && row.deleted_at.is_none()
        };
        let gone = rows.values().filter(|row| part.gone.iter().any(|gone| is_gone(&gone, row)));
        let delete = |row: &StoredRow| Record::delete(&row.key, row.version).of_parent(row.parent.clone());
        if self.is(Fault::GoneIsIgnored) { Vec::new() } else { gone.map(delete).collect() }
    }

    /// A record as the inner sink merges it: with its own numbers, one that was verified wins, or does nothing.
    fn verified(&self, key: &TableKey, record: &Record) -> Record {
        let Evidence::VerifiedAt(Sequence(seen)) = record.evidence() else { return record.clone() };
        let (stamp, exists) = (self.stamp(key, &record.path()), self.rows(key).contains_key(&record.path()));
        let is_at_number = match self.fault {
            Fault::VerifiedIgnoresTheNumber => true,
            Fault::VerifiedIncludesOlderNumbers => stamp <= seen,
            Fault::VerifiedIncludesNewerNumbers => stamp >= seen,
            Fault::VerifiedIsIgnored => false,
            _ => stamp == seen,
        };
        let part = StreamCommit::new("", RunId::new());
        let part = match is_at_number && exists {
            true => part.verified([record.clone()]),
            false if self.is(Fault::VerifiedIsListedElsewhere) => return listed(record),
            false => part.verified_at(Sequence(u64::MAX), record.clone()),
        };
        part.records.into_iter().next().unwrap()
    }

    /// Gives the rows that a commit has changed their numbers.
    fn number(&self, key: &TableKey, before: &BTreeMap<RowPath, StoredRow>, part: &StreamCommit, early: Option<u64>) {
        let after = self.rows(key);
        let offers = |path: &RowPath, is_older: bool| {
            part.records.iter().any(|record| {
                self.stored_path(&record.path()) == *path && (record.version < after[path].version) == is_older
            })
        };
        let is_changed = |path: &RowPath, row: &StoredRow| {
            let Some(old) = before.get(path) else { return true };
            let (was_deleted, is_deleted) = (old.deleted_at.is_some(), row.deleted_at.is_some());
            let is_kept = match self.fault {
                Fault::DeletionsKeepTheirNumber => is_deleted,
                Fault::RevivalsKeepTheirNumber => was_deleted && !is_deleted,
                Fault::EqualVersionsKeepTheirNumber => old.version == row.version && was_deleted == is_deleted,
                Fault::GoneIsNotStamped => part.gone.iter().any(|gone| self.stored_path(&gone.path) == *path),
                _ => false,
            };
            state(old) != state(row) && !is_kept
                || self.is(Fault::UnchangedRowsAreStamped) && offers(path, false)
                || self.is(Fault::OlderStatesAreStamped) && offers(path, true)
        };
        let changed: Vec<&RowPath> =
            after.iter().filter(|(path, row)| is_changed(path, row)).map(|(path, _)| path).collect();
        if changed.is_empty() {
            if self.is(Fault::EveryCommitIsNumbered) {
                self.take_number(key);
            }
            return;
        }
        let number = early.unwrap_or_else(|| self.take_number(key));
        for (index, path) in changed.into_iter().enumerate() {
            let own = self.is(Fault::EachRowHasANumber) && index > 0;
            let number = if own { self.take_number(key) } else { number };
            self.stamps.lock().unwrap().insert((key.clone(), path.clone()), number);
        }
    }

    /// The rows that a query selects, in its order.
    fn selected(&self, query: &RowQuery) -> Vec<(u64, StoredRow)> {
        let key = (query.resource.clone(), query.stream.clone());
        let stamped = self.rows(&key).into_values().map(|row| (self.stamp(&key, &row.path()), row));
        let mut rows: Vec<(u64, StoredRow)> = stamped.collect();
        match &query.selection {
            RowSelection::Changed { from, after, until } => {
                let (first, last) = (from.0, until.0);
                rows.retain(|(stamp, row)| {
                    let is_after = after.as_ref().is_none_or(|after| row.path() > self.stored_path(after));
                    let is_after = match self.fault {
                        Fault::AfterAppliesToEveryNumber => is_after,
                        Fault::AfterIsIgnored => true,
                        _ => is_after || *stamp > first,
                    };
                    let from = if self.is(Fault::FromIsExclusive) { *stamp > first } else { *stamp >= first };
                    let until = if self.is(Fault::UntilIsExclusive) { *stamp < last } else { *stamp <= last };
                    let is_hidden = self.is(Fault::DeletedRowsAreNotChanges) && row.deleted_at.is_some();
                    is_after && from && until && !is_hidden
                });
                if !self.is(Fault::ChangesAreOrderedByPath) {
                    rows.sort_by_key(|(stamp, _)| *stamp);
                }
            }
            RowSelection::Paths(paths) => {
                let paths: Vec<RowPath> = paths.iter().map(|path| self.stored_path(path)).collect();
                let hides = self.is(Fault::PathsLeaveOutDeletedRows);
                rows.retain(|(_, row)| paths.contains(&row.path()) && !(hides && row.deleted_at.is_some()));
            }
            RowSelection::Children { parents, after } => {
                let parents: Vec<RowPath> = parents.iter().map(|parent| self.stored_parent(parent)).collect();
                let place = |row: &StoredRow| {
                    let is_parent = |parent: &RowPath| match self.fault {
                        Fault::ChildrenIncludeDescendants => row.parent.keys().starts_with(parent.keys()),
                        _ => row.parent == *parent,
                    };
                    parents.iter().position(is_parent)
                };
                let after = after.as_ref().map(|after| self.stored_path(after));
                let begin = after.as_ref().and_then(|after| parents.iter().position(|one| *one == after.parent()));
                rows.retain(|(_, row)| {
                    let Some(place) = place(row) else { return false };
                    let is_after = after.as_ref().is_none_or(|after| match self.fault {
                        Fault::ChildrenRepeatTheRowAfterWhichToContinue => row.path() >= *after,
                        _ => row.path() > *after,
                    });
                    let is_after = match Some(place).cmp(&begin) {
                        std::cmp::Ordering::Equal => is_after,
                        order => {
                            order.is_gt()
                                && !(begin.is_some() && self.is(Fault::ChildrenOfFurtherParentsEndWithThePage))
                        }
                    };
                    is_after && (row.deleted_at.is_none() || self.is(Fault::ChildrenIncludeDeletedRows))
                });
                if !self.is(Fault::ChildrenAreOrderedByPath) {
                    rows.sort_by_key(|(_, row)| place(row));
                }
                if self.is(Fault::ChildrenIgnoreTheLimit) {
                    return rows;
                }
            }
        }
        rows.truncate(query.limit);
        rows
    }
}

/// The same record without its evidence.
fn listed(record: &Record) -> Record {
    let new = match record.json() {
        Some(json) => Record::upsert(&record.key, record.version, json.clone()),
        None => Record::delete(&record.key, record.version),
    };
    new.of_parent(record.parent().clone())
}

/// The values at the paths of a document.
fn fields(paths: &[JsonPath], json: &str) -> Vec<serde_json::Value> {
    use snowfeed::Step;
    fn find(value: &serde_json::Value, steps: &[Step]) -> serde_json::Value {
        match steps.split_first() {
            None => value.clone(),
            Some((Step::Member(member), rest)) => {
                value.get(member).map_or_else(Default::default, |value| find(value, rest))
            }
            Some((_, rest)) => value.as_array().into_iter().flatten().map(|value| find(value, rest)).collect(),
        }
    }
    let document = serde_json::from_str(json).unwrap_or_default();
    paths.iter().map(|path| find(&document, path.steps())).collect()
}

#[async_trait]
impl Sink for NumberingSink {
    async fn ensure_streams(&self, resource: &Resource, streams: &[StreamSpec]) -> Result<()> {
        self.memory.ensure_streams(resource, streams).await
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        let keys: Vec<TableKey> =
            commit.parts.iter().map(|part| (commit.resource.clone(), part.stream.clone())).collect();
        let mut early = BTreeMap::new();
        if self.is(Fault::NumbersAreTakenEarly) {
            let writing = keys.iter().zip(&commit.parts).filter(|(_, part)| !part.records.is_empty());
            early = writing.map(|(key, _)| (key.clone(), self.take_number(key))).collect();
            tokio::time::sleep(Duration::from_micros(50 * self.memory.rows(&keys[0].0, &keys[0].1).len() as u64 % 7))
                .await;
        }
        let _guard = self.lock.write().await;
        let mut stored = commit.clone();
        let mut uncounted = BTreeMap::new();
        for part in &mut stored.parts {
            let deletions = self.deletions(&commit.resource, part);
            let key = (commit.resource.clone(), part.stream.clone());
            part.gone.clear();
            for record in &mut part.records {
                *record = record.clone().of_parent(self.stored_parent(record.parent()));
                *record = self.verified(&key, record);
            }
            if self.is(Fault::GoneSurvivesARefusal) && !deletions.is_empty() {
                let early = StreamCommit::new(&*part.stream, part.run).records(deletions.clone());
                self.memory.commit(Commit::new(commit.resource.clone(), commit.at).part(early)).await?;
            }
            uncounted.insert(part.stream.clone(), deletions.len() as u64);
            part.records.extend(deletions);
        }
        let before: Vec<_> = keys.iter().map(|key| self.rows(key)).collect();
        let mut report = match self.memory.commit(stored).await {
            Ok(report) => report,
            Err(error) => {
                if self.is(Fault::RefusedCommitsTakeNumbers) && error.kind() == ErrorKind::Conflict {
                    for key in &keys {
                        self.take_number(key);
                    }
                }
                return Err(error);
            }
        };
        for ((key, part), before) in keys.iter().zip(&commit.parts).zip(&before) {
            self.number(key, before, part, early.get(key).copied());
            if self.is(Fault::GoneIsNotCounted) {
                let counts = &mut report.streams.get_mut(&part.stream).unwrap().counts;
                counts.deleted -= uncounted[&part.stream];
            }
        }
        Ok(report)
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        self.memory.unseen(query).await
    }

    async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows> {
        self.memory.live_rows(query).await
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        Sink::rejects(&self.memory, query).await
    }

    async fn select_rows(&self, query: RowQuery) -> Result<Vec<SelectedRow>> {
        let _guard = self.lock.read().await;
        let selected = self.selected(&query).into_iter().map(|(stamp, row)| {
            let mut selected =
                SelectedRow::new(Position::new(Sequence(stamp), row.path()), row.version, row.changed_at);
            selected.is_deleted = row.deleted_at.is_some();
            let is_lost = selected.is_deleted && self.is(Fault::DeletedRowsLoseTheirDocument);
            selected.json = row.json.clone().filter(|_| query.documents && !is_lost);
            let is_null = selected.is_deleted && self.is(Fault::FieldsOfDeletedRowsAreNull);
            let json = row.json.filter(|_| !is_null).unwrap_or_default();
            selected.fields = fields(&query.fields, &json);
            selected
        });
        Ok(selected.collect())
    }

    async fn sequences(&self, resource: &Resource) -> Result<BTreeMap<String, Sequence>> {
        let _guard = self.lock.read().await;
        let numbers = self.numbers.lock().unwrap();
        let streams: Vec<String> = match self.fault {
            Fault::StreamsShareNumbers | Fault::ResourcesShareNumbers => vec!["comments".into(), "issues".into()],
            _ => numbers.keys().map(|(_, stream)| stream.clone()).collect(),
        };
        let number = |stream: String| {
            let number = numbers.get(&self.numbered(&(resource.clone(), stream.clone())))?;
            Some((stream, Sequence(*number)))
        };
        Ok(streams.into_iter().filter_map(number).collect())
    }
}

/// A probe into a [`NumberingSink`].
pub(crate) struct NumberingProbe(pub(crate) Arc<NumberingSink>);

#[async_trait]
impl SinkProbe for NumberingProbe {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.0) as _
    }

    fn states(&self) -> Option<Arc<dyn StateStore>> {
        Some(Arc::new(self.0.memory.clone()))
    }

    async fn rows(&self, resource: &Resource, table: &str) -> Vec<StoredRow> {
        let _guard = self.0.lock.read().await;
        self.0.memory.rows(resource, table)
    }

    async fn rejects(&self, resource: &Resource, table: &str) -> Vec<Reject> {
        self.0.memory.rejects(resource, table)
    }
}
