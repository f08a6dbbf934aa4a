//! A sink that is correct except for its fault.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use async_trait::async_trait;
use snowfeed::backends::Memory;
use snowfeed::jiff::Timestamp;
use snowfeed::{
    Column, Commit, CommitReport, Counts, Error, ErrorKind, Evidence, LiveRows, Operation, OutstandingRejects, Record,
    Reject, RejectQuery, Resource, Result, RunId, Sink, Stage, StalePolicy, StateChange, StateKey, StateStore,
    StateVersion, StoredRecord, StoredReject, StoredRow, StreamCommit, StreamReport, StreamSpec, Sweep, UnseenQuery,
};

use super::faulty_stage::MemoryStage;
use super::sinks::Fault;

pub(super) type TableKey = (Resource, String);

/// A reject, when it was first and last seen, and the run that saw it last.
#[derive(Debug, Clone)]
pub(super) struct SeenReject {
    pub(super) table_key: TableKey,
    pub(super) reject: Reject,
    first_seen: Timestamp,
    last_seen: Timestamp,
    seen_by: RunId,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    pub(super) tables: BTreeMap<TableKey, BTreeMap<String, StoredRow>>,
    /// By stream.
    columns: BTreeMap<String, Vec<Column>>,
    /// The tables that `ensure_streams` was called for.
    ensured: BTreeSet<TableKey>,
    pub(super) rejects: Vec<SeenReject>,
    seen: BTreeMap<RunId, BTreeSet<(TableKey, String)>>,
}

/// A sink with a fault.
#[derive(Debug)]
pub(super) struct FaultySink {
    this: Weak<Self>,
    fault: Fault,
    contents: Mutex<Contents>,
    pub(super) states: Memory,
    /// Held during a commit, so that readers never see part of it.
    pub(super) commit_lock: tokio::sync::RwLock<()>,
}

impl FaultySink {
    pub(super) fn new(fault: Fault) -> Arc<Self> {
        Arc::new_cyclic(|this| Self::over(this.clone(), fault))
    }

    fn over(this: Weak<Self>, fault: Fault) -> Self {
        Self { this, fault, contents: Mutex::default(), states: Memory::new(), commit_lock: Default::default() }
    }

    pub(super) fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    pub(super) fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap()
    }

    pub(super) fn table_key(&self, resource: &Resource, stream: &str) -> TableKey {
        let name = resource.name();
        let name = if self.is(Fault::ResourcesIgnoreCase) { name.to_lowercase() } else { name.to_owned() };
        (Resource::new(name).unwrap(), stream.to_owned())
    }

    fn note_reject(&self, table_key: &TableKey, reject: Reject, at: Timestamp, seen_by: RunId) {
        let rejects = &mut self.contents().rejects;
        match rejects.iter_mut().find(|seen| seen.table_key == *table_key && seen.reject == reject) {
            Some(seen) => (seen.last_seen, seen.seen_by) = (at, seen_by),
            None => {
                let table_key = table_key.clone();
                rejects.push(SeenReject { table_key, reject, first_seen: at, last_seen: at, seen_by });
            }
        }
    }

    /// Whether an older state wins in the reconcile run; marks the key if necessary.
    fn marks(&self, table_key: &TableKey, record: &Record, run: RunId, policy: StalePolicy) -> bool {
        let one =
            if self.is(Fault::MarksAreShared) { "00000000-0000-0000-0000-000000000000".parse().unwrap() } else { run };
        let stored =
            self.contents().tables[table_key].get(&record.key).map(|row| (row.version, row.deleted_at.is_some()));
        let mark = (table_key.clone(), record.key.clone());
        let mut contents = self.contents();
        let seen = contents.seen.entry(one).or_default();
        let is_marked = seen.contains(&mark) && !self.is(Fault::OlderAlwaysReplaces);
        let is_newer = stored.is_none_or(|(version, _)| record.version >= version);
        let is_answer = record.evidence() == Evidence::Verified && !self.is(Fault::VerifiedIsNotMarked);
        if policy != StalePolicy::Verify || is_newer || is_answer || self.is(Fault::OlderIsAlwaysMarked) {
            seen.insert(mark);
        }
        let wins = match policy {
            StalePolicy::Skip => false,
            StalePolicy::Verify => record.json().is_some() && stored.is_some_and(|(_, deleted)| deleted),
            StalePolicy::Replace => true,
        };
        wins && !is_marked && !self.is(Fault::OlderNeverReplaces)
    }

    pub(super) fn merge(
        &self,
        table_key: &TableKey,
        record: Record,
        at: jiff::Timestamp,
        marks: Option<(RunId, StalePolicy)>,
        counts: &mut Counts,
    ) {
        let marking = marks.is_some();
        let is_verified = record.evidence() == Evidence::Verified;
        let mut wins = marks.is_some_and(|(run, policy)| self.marks(table_key, &record, run, policy));
        wins |= match self.fault {
            Fault::VerifiedIsListed => false,
            Fault::VerifiedWinsInMarkingCommitsOnly => is_verified && marking,
            Fault::VerifiedNeverDeletes => is_verified && record.json().is_some(),
            _ => is_verified,
        };
        let mut contents = self.contents();
        let rows = contents.tables.entry(table_key.clone()).or_default();
        counts.offered += 1;
        let key = if self.is(Fault::KeysAreTrimmed) { record.key.trim().to_owned() } else { record.key };
        let json = match record.operation {
            Operation::Upsert(json) if self.is(Fault::DocumentsAreTrimmed) => Some(json.trim().to_owned().into()),
            Operation::Upsert(json) => Some(json),
            Operation::Delete => None,
        };
        let version = record.version;
        let Some(row) = rows.get_mut(&key) else {
            *(if json.is_some() { &mut counts.inserted } else { &mut counts.deleted }) += 1;
            let deleted_at = json.is_none().then_some(at);
            rows.insert(key.clone(), StoredRow::new(key, version, json, at).changed(at, deleted_at));
            return;
        };
        let order = if self.is(Fault::VersionsCompareAsText) {
            version.0.to_string().cmp(&row.version.0.to_string())
        } else {
            version.cmp(&row.version)
        };
        let same = match &json {
            Some(_) => row.deleted_at.is_none() && (json == row.json || self.is(Fault::EqualVersionsAreIgnored)),
            None => row.deleted_at.is_some(),
        };
        let keeps = json.is_none() && !self.is(Fault::DeletionsLowerTheVersion);
        let version = if keeps && wins { version.max(row.version) } else { version };
        match (order.is_lt() && !wins, order.is_eq() && same, json) {
            (true, ..) => counts.skip(Counts::OLDER, 1),
            (_, true, json) => {
                let upsert = json.is_some();
                let twice = !upsert && self.is(Fault::RepeatedDeletionIsCounted);
                *(if twice { &mut counts.deleted } else { &mut counts.unchanged }) += 1;
                if self.is(Fault::UnchangedIsRewritten) && upsert && !marking
                    || self.is(Fault::MarksRewriteRows) && marking
                {
                    row.changed_at = at;
                }
            }
            (_, _, Some(json)) => {
                counts.updated += 1;
                (row.version, row.json, row.changed_at, row.deleted_at) = (version, Some(json), at, None);
            }
            (_, _, None) if row.deleted_at.is_some() => {
                counts.unchanged += 1;
                row.version = version;
            }
            (_, _, None) => {
                counts.deleted += 1;
                (row.version, row.changed_at, row.deleted_at) = (version, at, Some(at));
                if self.is(Fault::DeletionDropsTheDocument) {
                    row.json = None;
                }
            }
        }
    }

    /// Fails if a part's table was not ensured.
    fn refuse_unknown_tables(&self, commit: &Commit) -> Result<()> {
        let keys: Vec<_> = commit.parts.iter().map(|part| self.table_key(&commit.resource, &part.stream)).collect();
        if keys.iter().all(|key| self.contents().ensured.contains(key)) {
            return Ok(());
        }
        if self.is(Fault::FailedCommitKeepsRejects) {
            for (key, part) in keys.iter().zip(&commit.parts) {
                part.rejects.iter().for_each(|reject| self.note_reject(key, reject.clone(), commit.at, part.run));
            }
        }
        let misconfigured = self.is(Fault::UnknownTablesAreConfigurationErrors);
        let kind = if misconfigured { ErrorKind::Configuration } else { ErrorKind::Internal };
        Err(Error::new(kind, "the table is not ensured"))
    }

    /// Fails if another run has moved on.
    async fn check(&self, change: &StateChange) -> Result<()> {
        let newest = self.states.latest(&change.key).await?.map_or(StateVersion::NONE, |entry| entry.version);
        if change.state.is_some() && newest != change.base {
            return Err(Error::new(ErrorKind::Conflict, "another run has moved on"));
        }
        Ok(())
    }

    /// The change of state to store with a part that was merged after `earlier` ones.
    fn counted_change(&self, part: &StreamCommit, counts: &Counts, earlier: &[Accepted]) -> Option<StateChange> {
        let is_stored = part.sweep != Some(Sweep::Fence)
            || match self.fault {
                Fault::FenceNeverStoresState => false,
                Fault::FenceAlwaysStoresState => true,
                Fault::OneFenceHoldsForAllParts => {
                    counts.changed() || earlier.iter().any(|(_, counts, _)| counts.changed())
                }
                _ => counts.changed(),
            };
        let mut change = part.change.clone().filter(|_| is_stored)?;
        if self.is(Fault::OneBaseForAllStreams) {
            change.key.stream = "issues".to_owned();
        }
        if !self.is(Fault::RunRecordsLagBehind) {
            change.count(counts);
        }
        for (_, counts, _) in earlier.iter().filter(|_| self.is(Fault::RunRecordsCountOtherStreams)) {
            change.count(counts);
        }
        Some(change)
    }

    /// Stores the rows, rejects and marks of a part.
    async fn merge_part(
        &self,
        table_key: &TableKey,
        at: Timestamp,
        part: &StreamCommit,
        all: &[StreamCommit],
    ) -> Counts {
        let marks_of = |part: &StreamCommit| match part.sweep {
            Some(Sweep::Mark(run, policy)) => Some((run, policy)),
            _ => None,
        };
        let mut marks = marks_of(part);
        if self.is(Fault::MarksReachOtherStreams) {
            marks = marks.or_else(|| all.iter().find_map(marks_of));
        }
        let mut counts = Counts::default();
        let any_verified = part.records.iter().any(|record| record.evidence() == Evidence::Verified);
        let mut records = part.records.clone();
        if self.is(Fault::VerifiedComesLast) {
            records.sort_by_key(|record| record.evidence() == Evidence::Verified);
        }
        if self.is(Fault::AllRecordsBesideVerifiedOnesWin) && any_verified {
            records = StreamCommit::new("", part.run).verified(records).records;
        }
        for record in records {
            self.merge(table_key, record.clone(), at, marks, &mut counts);
            if self.is(Fault::StreamsShareRows) {
                let siblings: Vec<_> =
                    self.contents().tables.keys().filter(|key| key.0 == table_key.0).cloned().collect();
                for sibling in siblings.iter().filter(|sibling| *sibling != table_key) {
                    if self.contents().tables[sibling].contains_key(&record.key) {
                        self.merge(sibling, record.clone(), at, None, &mut Counts::default());
                    }
                }
            }
            if self.is(Fault::CommitIsVisibleRowByRow) {
                tokio::time::sleep(std::time::Duration::from_micros(200)).await;
            }
        }
        let reaches =
            |seen: &SeenReject, is_fault| seen.table_key == *table_key || is_fault && seen.table_key.0 == table_key.0;
        if !self.is(Fault::CorrectedRejectsStay) {
            let further = self.is(Fault::CorrectionsReachOtherStreams);
            let corrects = |seen: &SeenReject| reaches(seen, further) && part.corrected.contains(&seen.reject);
            self.contents().rejects.retain(|seen| !corrects(seen));
        }
        for mut reject in part.rejects.iter().cloned() {
            counts.offered += 1;
            counts.rejected += 1;
            if self.is(Fault::RejectsLoseTheirReason) {
                reject.reason = String::new();
            }
            self.note_reject(table_key, reject, at, part.rejects_seen_by());
        }
        match part.sweep {
            Some(Sweep::Finish(run)) => {
                self.end(table_key, at, run);
                let further = self.is(Fault::FinishDeletesRejectsOfOtherStreams);
                let is_over = |seen: &SeenReject| reaches(seen, further) && seen.seen_by < run;
                if !self.is(Fault::UnseenRejectsStay) {
                    self.contents().rejects.retain(|seen| !is_over(seen));
                }
            }
            Some(Sweep::Abandon(run)) => {
                self.end(table_key, at, run);
                if self.is(Fault::AbandonDeletesRejects) {
                    self.contents().rejects.retain(|seen| seen.table_key != *table_key || seen.seen_by >= run);
                }
            }
            _ => {}
        }
        counts
    }

    /// Ends a reconcile run: deletes its marks.
    fn end(&self, table_key: &TableKey, at: Timestamp, run: RunId) {
        let mut contents = self.contents();
        if !self.is(Fault::MarksOutliveFinish) {
            let is_shared = self.is(Fault::FinishDeletesMarksOfOtherStreams);
            contents.seen.entry(run).or_default().retain(|(of, _)| of != table_key && !is_shared);
        }
        if self.is(Fault::FinishEndsOtherReconciliations) {
            contents.seen.values_mut().for_each(|marks| marks.retain(|(of, _)| of == table_key));
        }
        if self.is(Fault::FinishSweepsOtherStreams) {
            let siblings = contents.tables.iter_mut().filter(|(key, _)| key.0 == table_key.0 && *key != table_key);
            for row in siblings.flat_map(|(_, rows)| rows.values_mut()) {
                row.deleted_at = row.deleted_at.or(Some(at));
            }
        }
    }
}

/// A part that was merged: its stream, its counts, and the change of state to store.
type Accepted = (String, Counts, Option<StateChange>);

#[async_trait]
impl Sink for FaultySink {
    async fn ensure_streams(&self, resource: &Resource, streams: &[StreamSpec]) -> Result<()> {
        let mut contents = self.contents();
        for stream in streams {
            let table_key = self.table_key(resource, &stream.name);
            contents.ensured.insert(table_key.clone());
            let before = contents.columns.get(&stream.name).cloned().unwrap_or_default();
            let after = match self.fault {
                Fault::TypesBecomeNarrower => stream.columns.clone(),
                _ => stream.merged_columns(&before),
            };
            let grows = self.is(Fault::NewColumnsEmptyTheTable) && !before.is_empty() && after != before;
            contents.columns.insert(stream.name.clone(), after);
            let rows = contents.tables.entry(table_key).or_default();
            if grows {
                rows.clear();
            }
            if self.is(Fault::EnsureForgetsTombstones) {
                rows.retain(|_, row| row.deleted_at.is_none());
            }
        }
        Ok(())
    }

    async fn columns(&self, _: &Resource, stream: &str) -> Result<Vec<Column>> {
        Ok(self.contents().columns.get(stream).cloned().unwrap_or_default())
    }

    async fn commit(&self, mut commit: Commit) -> Result<CommitReport> {
        let _guard = self.commit_lock.write().await;
        if !self.is(Fault::PartsOfOneStreamAreJoined) {
            commit.validate()?;
        }
        self.refuse_unknown_tables(&commit)?;
        for part in &mut commit.parts {
            if let Some(staged) = part.staged.take() {
                part.records.extend(staged.content::<Vec<Record>>().unwrap().iter().cloned());
                if self.is(Fault::StagedIsNotMarked) && matches!(part.sweep, Some(Sweep::Mark(..))) {
                    part.sweep = None;
                }
                if self.is(Fault::StagedDeletionsAreSkipped) {
                    part.records.retain(|record| record.json().is_some());
                }
            }
        }
        if self.is(Fault::StateIsStoredBeforeTheRows) {
            let mut changes: Vec<_> = commit.parts.iter_mut().filter(|part| part.sweep != Some(Sweep::Fence)).collect();
            for change in changes.iter().filter_map(|part| part.change.as_ref()) {
                self.check(change).await?;
            }
            for change in changes.iter_mut().filter_map(|part| part.change.as_mut()) {
                change.base = self.states.append(change.clone()).await?;
                change.state = None;
            }
            tokio::task::yield_now().await;
        }
        let before = self.contents().clone();
        let mut accepted: Vec<Accepted> = Vec::new();
        for part in &commit.parts {
            let before_part = self.contents().clone();
            let table_key = self.table_key(&commit.resource, &part.stream);
            let counts = self.merge_part(&table_key, commit.at, part, &commit.parts).await;
            let change = self.counted_change(part, &counts, &accepted);
            if let Some(change) = &change
                && let Err(error) = self.check(change).await
            {
                let is_fence = part.sweep == Some(Sweep::Fence);
                let is_kept = self.is(Fault::EarlierPartsAreKept) && !is_fence
                    || self.is(Fault::RefusedFenceUndoesOnlyItsPart) && is_fence;
                if self.is(Fault::RefusedRowsAreStored) && !is_fence {
                    // Storing a refused commit's rejects and marks is a different fault.
                    let tables = self.contents().tables.clone();
                    *self.contents() = Contents { tables, ..before };
                } else if is_kept {
                    *self.contents() = before_part;
                    for change in accepted.into_iter().filter_map(|(_, _, change)| change) {
                        self.states.append(change).await?;
                    }
                } else {
                    *self.contents() = before;
                }
                return Err(error);
            }
            accepted.push((part.stream.clone(), counts, change));
        }
        let mut report = CommitReport::new();
        for (stream, counts, change) in accepted {
            let version = match change {
                Some(change) => Some(self.states.append(change).await?),
                None => None,
            };
            report = report.stream(stream, StreamReport::new(counts, version));
        }
        if self.is(Fault::ReportJoinsTheStreams) {
            let version = report.streams[&commit.parts[0].stream].version;
            let joined = StreamReport::new(report.counts(), version);
            report = CommitReport::new().stream(&*commit.parts[0].stream, joined);
        }
        Ok(report)
    }

    async fn stage(&self, resource: &Resource, stream: &str, _: RunId) -> Result<Box<dyn Stage>> {
        let (sink, table_key) = (self.this.upgrade().unwrap(), self.table_key(resource, stream));
        Ok(Box::new(MemoryStage::new(sink, table_key)))
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        let table_key = self.table_key(&query.resource, &query.table);
        let shared = self.is(Fault::MarksAreShared);
        let run = if shared { "00000000-0000-0000-0000-000000000000".parse()? } else { query.sweep };
        let contents = self.contents();
        let seen = contents.seen.get(&run).cloned().unwrap_or_default();
        let mut rows: Vec<&StoredRow> =
            contents.tables[&table_key].values().filter(|row| row.deleted_at.is_none()).collect();
        rows.retain(|row| query.after.as_ref().is_none_or(|after| row.key > *after));
        rows.retain(|row| !seen.contains(&(table_key.clone(), row.key.clone())));
        if self.is(Fault::UnseenIsUnordered) {
            rows.reverse();
        }
        let record = |row: &StoredRow| {
            let json = row.json.clone().unwrap();
            StoredRecord::new(&*row.key, row.version, json)
        };
        Ok(rows.into_iter().take(query.limit).map(record).collect())
    }

    async fn live_rows(&self, query: UnseenQuery) -> Result<LiveRows> {
        let count = async |sweep| {
            let query = UnseenQuery::new(query.resource.clone(), &*query.table, sweep, usize::MAX);
            self.unseen(query).await.map(|records| records.len() as u64)
        };
        let deleted = self.contents().tables[&self.table_key(&query.resource, &query.table)].len() as u64;
        let live = count(RunId::new()).await?;
        let live = if self.is(Fault::LiveRowsCountsDeletions) { deleted } else { live };
        Ok(LiveRows::new(live, count(query.sweep).await?))
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        let mut seen = self.contents().rejects.clone();
        seen.retain(|seen| query.resource.as_ref().is_none_or(|one| *one == seen.table_key.0));
        if !self.is(Fault::RejectsIgnoreTheStream) {
            seen.retain(|seen| query.stream.as_ref().is_none_or(|one| *one == seen.table_key.1));
        }
        seen.sort_by_key(|seen| std::cmp::Reverse(seen.last_seen));
        let mut found = OutstandingRejects::default();
        for SeenReject { table_key: (resource, table), reject, first_seen, last_seen, .. } in seen {
            let resource = resource.name().to_owned();
            if !self.is(Fault::RejectsAreUncounted) || found.rejects.len() < query.limit {
                *found.counts.entry(StateKey::new(&*resource, &*table)).or_default() += 1;
            }
            found.rejects.push(StoredReject::new(resource, table, reject, [first_seen, last_seen]));
        }
        found.rejects.retain(|reject| query.max_raw.is_none_or(|max| reject.raw.len() <= max));
        found.rejects.truncate(query.limit);
        Ok(found)
    }
}
