//! A backend in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use crate::config::{ConfigStore, Namespace};
use crate::sink::merge::{Merge, MergeAction, StoredVersion, content_hash};
use crate::sink::{
    Commit, CommitReport, LiveRows, OutstandingRejects, RejectQuery, RowQuery, RowSelection, SelectedRow, Sink,
    StalePolicy, StoredRecord, StoredReject, StoredRow, StreamCommit, StreamReport, Sweep, UnseenQuery, conflict,
    not_ensured,
};
use crate::state::{RunId, RunQuery, RunRecord, StateChange, StateEntry, StateKey, StateStore, StateVersion};
use crate::{
    Column, Counts, JsonPath, Operation, Position, Record, Reject, Resource, Result, RowPath, RunStatus, Sequence,
    StreamSpec,
};

/// A backend in memory, for tests and for programs that keep no data.
///
/// Clones share their contents.
///
/// ```
/// use snowfeed::backends::Memory;
/// use snowfeed::{Resource, Sink, StreamSpec};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let memory = Memory::new();
/// let earth = Resource::new("earth")?;
/// memory.ensure_streams(&earth, &[StreamSpec::new("moons")]).await?;
/// assert_eq!(memory.rows(&earth, "moons"), []);
/// # Ok::<(), snowfeed::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Contents>>);

#[derive(Default, Clone)]
struct Contents {
    tables: BTreeMap<(Resource, String), Table>,
    /// By stream.
    columns: BTreeMap<String, Vec<Column>>,
    seen: BTreeMap<RunId, Seen>,
    config: BTreeMap<(Namespace, String), Value>,
    states: BTreeMap<StateKey, Vec<StateEntry>>,
    runs: BTreeMap<RunId, RunRecord>,
}

/// The rows that a reconciliation has marked, by resource and table.
type Seen = BTreeMap<(Resource, String), BTreeSet<RowPath>>;

#[derive(Default, Clone)]
struct Table {
    rows: BTreeMap<RowPath, SequencedRow>,
    /// The number of the last commit that changed a row.
    sequence: Sequence,
    rejects: Vec<KeptReject>,
}

/// A row, and the number of the commit that changed it last.
#[derive(Clone)]
struct SequencedRow {
    row: StoredRow,
    sequence: Sequence,
}

/// A stored reject.
#[derive(Clone)]
struct KeptReject {
    reject: Reject,
    first_seen: Timestamp,
    last_seen: Timestamp,
    seen_by: RunId,
}

impl Memory {
    /// An empty backend.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the rows of a resource in a table, including deleted ones, ordered by path.
    pub fn rows(&self, resource: &Resource, table: &str) -> Vec<StoredRow> {
        self.table(resource, table, |table| table.rows.values().map(|stored| stored.row.clone()).collect())
    }

    /// Returns the rejects of a resource in a table, each once.
    pub fn rejects(&self, resource: &Resource, table: &str) -> Vec<Reject> {
        self.table(resource, table, |table| table.rejects.iter().map(|kept| kept.reject.clone()).collect())
    }

    fn table<T>(&self, resource: &Resource, table: &str, read: impl FnOnce(&Table) -> Vec<T>) -> Vec<T> {
        self.contents().tables.get(&(resource.clone(), table.to_owned())).map(read).unwrap_or_default()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        // A panic leaves the contents consistent: changes are checked before they are made.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contents = self.contents();
        f.debug_struct("Memory")
            .field("tables", &contents.tables.keys())
            .field("states", &contents.states.len())
            .field("runs", &contents.runs.len())
            .finish_non_exhaustive()
    }
}

impl Table {
    /// Merges one record, and marks its row in a reconcile run. A changed row gets `sequence`.
    fn merge(
        &mut self,
        record: Record,
        at: Timestamp,
        sequence: Sequence,
        marks: Option<(StalePolicy, &mut BTreeSet<RowPath>)>,
    ) -> Merge {
        let path = record.path();
        let stored = self.rows.get_mut(&path);
        let version = stored.as_ref().map(|SequencedRow { row, sequence: stamp }| {
            let hash = row.json.as_ref().map(|json| content_hash(json));
            StoredVersion::new(row.version, hash, row.deleted_at.is_some()).sequence(*stamp)
        });
        let (policy, is_marked) =
            marks.as_ref().map_or((StalePolicy::Skip, false), |(policy, marks)| (*policy, marks.contains(&path)));
        let merge = Merge::new(version, &record, policy, is_marked);
        if let Some((_, marks)) = marks.filter(|_| merge.marks) {
            marks.insert(path.clone());
        }
        let parent = record.parent().clone();
        let json = match record.operation {
            Operation::Upsert(json) => Some(json),
            Operation::Delete => None,
        };
        let version = merge.version;
        match (merge.action, stored) {
            (MergeAction::Unchanged | MergeAction::Skip, _) => {}
            (MergeAction::Insert | MergeAction::InsertDeleted, _) | (_, None) => {
                let deleted_at = json.is_none().then_some(at);
                let key = record.key;
                let row = StoredRow { parent, key, version, json, first_seen: at, changed_at: at, deleted_at };
                self.rows.insert(path, SequencedRow { row, sequence });
            }
            (MergeAction::Update, Some(stored)) => {
                let row = &mut stored.row;
                (row.version, row.json, row.changed_at, row.deleted_at) = (version, json, at, None);
                stored.sequence = sequence;
            }
            (MergeAction::Delete, Some(stored)) => {
                let row = &mut stored.row;
                (row.version, row.changed_at, row.deleted_at) = (version, at, Some(at));
                stored.sequence = sequence;
            }
            (MergeAction::BumpVersion, Some(stored)) => stored.row.version = version,
        }
        merge
    }

    /// Marks a row deleted if it is live and was last changed by the commit of this number.
    fn delete_gone(&mut self, gone: &Position, at: Timestamp, sequence: Sequence) -> bool {
        let stored = self.rows.get_mut(&gone.path);
        let live = stored.filter(|it| it.sequence == gone.sequence && it.row.deleted_at.is_none());
        let Some(stored) = live else { return false };
        (stored.row.changed_at, stored.row.deleted_at, stored.sequence) = (at, Some(at), sequence);
        true
    }

    /// The rows of a selection, in its order.
    fn select(&self, query: &RowQuery) -> Vec<SelectedRow> {
        let selected = |(path, stored): (&RowPath, &SequencedRow)| {
            let json = stored.row.json.as_ref();
            SelectedRow {
                is_deleted: stored.row.deleted_at.is_some(),
                fields: JsonPath::find_all(&query.fields, json.map_or("", |json| json)),
                json: json.filter(|_| query.documents).cloned(),
                ..SelectedRow::new(
                    Position::new(stored.sequence, path.clone()),
                    stored.row.version,
                    stored.row.changed_at,
                )
            }
        };
        match &query.selection {
            RowSelection::Changed { from, after, until } => {
                let is_after = |(path, stored): &(&RowPath, &SequencedRow)| {
                    stored.sequence > *from || after.as_ref().is_none_or(|after| *path > after)
                };
                let range = *from..=*until;
                let changed = self.rows.iter().filter(|(_, stored)| range.contains(&stored.sequence)).filter(is_after);
                let mut rows: Vec<_> = changed.collect();
                rows.sort_by_key(|(_, stored)| stored.sequence);
                rows.into_iter().take(query.limit).map(selected).collect()
            }
            RowSelection::Paths(paths) => {
                paths.iter().filter_map(|path| self.rows.get_key_value(path)).take(query.limit).map(selected).collect()
            }
            RowSelection::Children { parents, after } => {
                let begun = after.as_ref().map(RowPath::parent);
                let parents = parents.iter().skip_while(|parent| begun.as_ref().is_some_and(|begun| begun != *parent));
                // The rows below a path follow it.
                let children = parents.flat_map(|parent| {
                    let below = self.rows.range((Bound::Excluded(parent), Bound::Unbounded));
                    let below = below.take_while(|(path, _)| path.keys().starts_with(parent.keys()));
                    below.filter(|(_, stored)| stored.row.parent == *parent)
                });
                let live = children.filter(|(_, stored)| stored.row.deleted_at.is_none());
                let is_after = |(path, stored): &(&RowPath, &SequencedRow)| {
                    begun.as_ref() != Some(&stored.row.parent) || after.as_ref().is_none_or(|after| *path > after)
                };
                live.filter(is_after).take(query.limit).map(selected).collect()
            }
        }
    }
}

impl Contents {
    /// The live rows of a table, ordered by path, and whether the reconciliation has marked each.
    fn live(&self, query: &UnseenQuery) -> Result<impl Iterator<Item = (&StoredRow, bool)>> {
        let key = (query.resource.clone(), query.table.clone());
        let table = self.tables.get(&key).ok_or_else(|| not_ensured(&query.resource, &query.table))?;
        let seen = self.seen.get(&query.sweep).and_then(|seen| seen.get(&key));
        let live = table.rows.iter().filter(|(_, stored)| stored.row.deleted_at.is_none());
        Ok(live.map(move |(path, stored)| (&stored.row, seen.is_some_and(|seen| seen.contains(path)))))
    }

    fn newest(&self, key: &StateKey) -> Option<&StateEntry> {
        self.states.get(key).and_then(|entries| entries.last())
    }

    /// Rejects a change of a superseded run.
    fn check(&self, change: &StateChange) -> Result<()> {
        let newest = self.newest(&change.key).map_or(StateVersion::NONE, |entry| entry.version);
        match change.state {
            Some(_) if newest != change.base => Err(conflict(&change.key, change.base, newest)),
            _ => Ok(()),
        }
    }

    /// Stores a change that was checked.
    fn apply(&mut self, change: StateChange) -> StateVersion {
        let StateChange { key, base, at, state, run } = change;
        let own = run.as_ref().map(|run| run.id);
        self.runs.extend(run.map(|run| (run.id, run)));
        let Some(state) = state else { return base };
        let of_key = RunQuery::default().key(&key);
        let others = self.runs.values_mut().filter(|run| of_key.selects(run) && Some(run.id) != own);
        for superseded in others.filter(|run| run.status == RunStatus::Running) {
            superseded.status = RunStatus::Interrupted;
        }
        let version = StateVersion(base.0 + 1);
        let at = self.newest(&key).map_or(at, |entry| entry.at.max(at));
        self.states.entry(key).or_default().push(StateEntry { version, at, state });
        version
    }

    /// Merges a part, whose change was checked unless it is a fence: that one is rejected only if it changes a row.
    fn commit(&mut self, resource: &Resource, at: Timestamp, part: StreamCommit) -> Result<StreamReport> {
        let seen_by = part.rejects_seen_by();
        let key = (resource.clone(), part.stream.clone());
        let mut marks = match part.sweep {
            Some(Sweep::Mark(run, older)) => {
                Some((older, self.seen.entry(run).or_default().entry(key.clone()).or_default()))
            }
            _ => None,
        };
        let table = self.tables.entry(key).or_default();
        let next = Sequence(table.sequence.0 + 1);
        let mut counts = Counts::default();
        for record in part.records.iter().cloned() {
            let marks = marks.as_mut().map(|(older, marks)| (*older, &mut **marks));
            table.merge(record, at, next, marks).count(&mut counts);
        }
        let deleted = part.gone.iter().filter(|gone| table.delete_gone(gone, at, next)).count() as u64;
        counts.offered += deleted;
        counts.deleted += deleted;
        if counts.changed() {
            table.sequence = next;
        }
        table.rejects.retain(|kept| !part.corrected.contains(&kept.reject));
        for reject in part.rejects.iter().cloned() {
            counts.offered += 1;
            counts.rejected += 1;
            match table.rejects.iter_mut().find(|kept| kept.reject == reject) {
                Some(kept) => (kept.last_seen, kept.seen_by) = (kept.last_seen.max(at), kept.seen_by.max(seen_by)),
                None => table.rejects.push(KeptReject { reject, first_seen: at, last_seen: at, seen_by }),
            }
        }
        if let Some(Sweep::Finish(run)) = part.sweep {
            table.rejects.retain(|kept| kept.seen_by >= run);
        }
        if let Some(Sweep::Finish(run) | Sweep::Abandon(run)) = part.sweep
            && let Some(seen) = self.seen.get_mut(&run)
        {
            seen.remove(&(resource.clone(), part.stream.clone()));
            if seen.is_empty() {
                self.seen.remove(&run);
            }
        }
        let version = match part.counted_change(&counts) {
            Some(change) => {
                self.check(&change)?;
                Some(self.apply(change))
            }
            None => None,
        };
        Ok(StreamReport::new(counts, version))
    }
}

#[async_trait]
impl Sink for Memory {
    async fn ensure_streams(&self, resource: &Resource, tables: &[StreamSpec]) -> Result<()> {
        let mut contents = self.contents();
        for table in tables {
            let columns = contents.columns.entry(table.name.clone()).or_default();
            *columns = table.merged_columns(columns);
            contents.tables.entry((resource.clone(), table.name.clone())).or_default();
        }
        Ok(())
    }

    async fn columns(&self, _: &Resource, stream: &str) -> Result<Vec<Column>> {
        Ok(self.contents().columns.get(stream).cloned().unwrap_or_default())
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        commit.validate()?;
        let mut contents = self.contents();
        let Commit { resource, at, parts } = commit;
        for part in &parts {
            if !contents.tables.contains_key(&(resource.clone(), part.stream.clone())) {
                return Err(not_ensured(&resource, &part.stream));
            }
        }
        let mut before = None;
        for part in &parts {
            match part.change.as_ref().map_or(Ok(()), |change| contents.check(change)) {
                // It may have to be undone.
                Err(_) if part.sweep == Some(Sweep::Fence) => before = Some(contents.clone()),
                checked => checked?,
            }
        }
        let merge = |part: StreamCommit| Ok((part.stream.clone(), contents.commit(&resource, at, part)?));
        let merged = parts.into_iter().map(merge).collect::<Result<_>>();
        if let (Err(_), Some(before)) = (&merged, before) {
            *contents = before;
        }
        merged.map(|streams| CommitReport { streams })
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        let contents = self.contents();
        let unseen = contents.live(&query)?.filter(|(_, is_seen)| !is_seen).map(|(row, _)| row);
        let after = unseen.filter(|row| query.after.as_ref().is_none_or(|after| row.key > *after));
        let record = |row: &StoredRow| {
            let json = row.json.clone()?;
            Some(StoredRecord { parent: row.parent.clone(), key: row.key.clone(), version: row.version, json })
        };
        Ok(after.filter_map(record).take(query.limit).collect())
    }

    async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows> {
        let contents = self.contents();
        let mut counted = LiveRows::default();
        for (_, is_seen) in contents.live(&query)? {
            counted.live += 1;
            counted.unseen += u64::from(!is_seen);
        }
        Ok(counted)
    }

    async fn select_rows(&self, query: RowQuery) -> Result<Vec<SelectedRow>> {
        let contents = self.contents();
        let table = contents.tables.get(&(query.resource.clone(), query.stream.clone()));
        Ok(table.ok_or_else(|| not_ensured(&query.resource, &query.stream))?.select(&query))
    }

    async fn sequences(&self, resource: &Resource) -> Result<BTreeMap<String, Sequence>> {
        let contents = self.contents();
        let of_resource = contents.tables.iter().filter(|((of, _), _)| of == resource);
        let numbered = of_resource.filter(|(_, table)| table.sequence > Sequence(0));
        Ok(numbered.map(|((_, stream), table)| (stream.clone(), table.sequence)).collect())
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        let contents = self.contents();
        let mut found = OutstandingRejects::default();
        let asked = contents.tables.iter().filter(|((of, _), _)| query.resource.as_ref().is_none_or(|one| one == of));
        let asked = asked.filter(|((_, stream), _)| query.stream.as_ref().is_none_or(|one| one == stream));
        for ((resource, table), Table { rejects, .. }) in asked {
            if !rejects.is_empty() {
                let key = StateKey::new(resource.name(), table);
                *found.counts.entry(key).or_default() += rejects.len() as u64;
            }
            let given = |kept: &&KeptReject| query.max_raw.is_none_or(|most| kept.reject.raw.len() <= most);
            found.rejects.extend(rejects.iter().filter(given).map(|kept| StoredReject {
                resource: resource.name().to_owned(),
                table: table.clone(),
                reason: kept.reject.reason.clone(),
                raw: kept.reject.raw.clone(),
                first_seen: kept.first_seen,
                last_seen: kept.last_seen,
            }));
        }
        found.rejects.sort_by_key(|reject| std::cmp::Reverse(reject.last_seen));
        found.rejects.truncate(query.limit);
        Ok(found)
    }
}

#[async_trait]
impl ConfigStore for Memory {
    async fn get(&self, namespace: Namespace, key: &str) -> Result<Option<Value>> {
        Ok(self.contents().config.get(&(namespace, key.to_owned())).cloned())
    }

    async fn put(&self, namespace: Namespace, key: &str, value: &Value) -> Result<()> {
        self.contents().config.insert((namespace, key.to_owned()), value.clone());
        Ok(())
    }

    async fn remove(&self, namespace: Namespace, key: &str) -> Result<bool> {
        Ok(self.contents().config.remove(&(namespace, key.to_owned())).is_some())
    }

    async fn list(&self, namespace: Namespace) -> Result<Vec<(String, Value)>> {
        let contents = self.contents();
        let entries = contents.config.iter().filter(|((of, _), _)| *of == namespace);
        Ok(entries.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }
}

#[async_trait]
impl StateStore for Memory {
    async fn append(&self, change: StateChange) -> Result<StateVersion> {
        let mut contents = self.contents();
        contents.check(&change)?;
        Ok(contents.apply(change))
    }

    async fn latest(&self, key: &StateKey) -> Result<Option<StateEntry>> {
        Ok(self.contents().newest(key).cloned())
    }

    async fn history(&self, key: &StateKey, limit: usize) -> Result<Vec<StateEntry>> {
        let contents = self.contents();
        Ok(contents.states.get(key).into_iter().flatten().rev().take(limit).cloned().collect())
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>> {
        let contents = self.contents();
        let mut runs: Vec<&RunRecord> = contents.runs.values().filter(|run| query.selects(run)).collect();
        runs.sort_by_key(|run| std::cmp::Reverse((run.started_at, run.id)));
        Ok(runs.into_iter().take(query.limit).cloned().collect())
    }

    async fn prune(&self, key: &StateKey, keep: usize) -> Result<u64> {
        let keep = keep.max(1);
        let old: Vec<RunId> =
            self.runs(RunQuery::new(usize::MAX).key(key)).await?.into_iter().skip(keep).map(|run| run.id).collect();
        let mut contents = self.contents();
        contents.runs.retain(|id, _| !old.contains(id));
        let mut removed = old.len();
        if let Some(entries) = contents.states.get_mut(key) {
            let excess = entries.len().saturating_sub(keep);
            entries.drain(..excess);
            removed += excess;
        }
        Ok(removed as u64)
    }
}
