//! Sinks with one fault each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use snowfeed::StoredRow;
use snowfeed::backends::Memory;
use snowfeed::testkit::conformance::SinkProbe;
use snowfeed::testkit::conformance::suite::{Fresh, sink};
use snowfeed::{
    Commit, CommitReport, Counts, Error, ErrorKind, LiveRows, Operation, OutstandingRejects, Record, Reject,
    RejectQuery, Resource, Result, RunId, Sink, StalePolicy, StateStore, StoredRecord, StoredReject, StreamSpec, Sweep,
    UnseenQuery,
};

use super::failing;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    EnsureForgetsTombstones,
    FailedCommitKeepsRejects,
    CommitIsVisibleRowByRow,
    VersionsCompareAsText,
    EqualVersionsAreIgnored,
    UnchangedIsRewritten,
    DeletionDropsTheDocument,
    RepeatedDeletionIsCounted,
    RefusedRowsAreStored,
    DocumentsAreTrimmed,
    KeysAreTrimmed,
    ResourcesIgnoreCase,
    RejectsLoseTheirReason,
    RejectsAreUncounted,
    CorrectedRejectsStay,
    UnseenRejectsStay,
    AbandonDeletesRejects,
    RunRecordsLagBehind,
    UnseenIsUnordered,
    MarksAreShared,
    MarksRewriteRows,
    MarksOutliveFinish,
    OlderNeverReplaces,
    OlderAlwaysReplaces,
    OlderIsAlwaysMarked,
    DeletionsLowerTheVersion,
    LiveRowsCountsDeletions,
    FenceNeverStoresState,
    FenceAlwaysStoresState,
    UnknownTablesAreConfigurationErrors,
}

type TableKey = (Resource, String);

/// A reject, when it was first and last seen, and the run that saw it last.
#[derive(Debug, Clone)]
struct SeenReject {
    table_key: TableKey,
    reject: Reject,
    first_seen: jiff::Timestamp,
    last_seen: jiff::Timestamp,
    seen_by: RunId,
}

/// A sink that is correct except for its fault.
#[derive(Debug)]
struct FaultySink {
    fault: Fault,
    tables: Mutex<BTreeMap<TableKey, BTreeMap<String, StoredRow>>>,
    rejects: Mutex<Vec<SeenReject>>,
    seen: Mutex<BTreeMap<RunId, BTreeSet<(TableKey, String)>>>,
    states: Memory,
    /// Held during a commit, so that readers never see part of it.
    commit_lock: tokio::sync::RwLock<()>,
}

impl FaultySink {
    fn new(fault: Fault) -> Self {
        let (tables, rejects, seen) = Default::default();
        Self { fault, tables, rejects, seen, states: Memory::new(), commit_lock: Default::default() }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn table_key(&self, resource: &Resource, table: &str) -> TableKey {
        let name = resource.name();
        let name = if self.is(Fault::ResourcesIgnoreCase) { name.to_lowercase() } else { name.to_owned() };
        (Resource::new(name).unwrap(), table.to_owned())
    }

    fn note_reject(&self, table_key: &TableKey, reject: Reject, at: jiff::Timestamp, seen_by: RunId) {
        let mut rejects = self.rejects.lock().unwrap();
        match rejects.iter_mut().find(|seen| seen.table_key == *table_key && seen.reject == reject) {
            Some(seen) => (seen.last_seen, seen.seen_by) = (at, seen_by),
            None => {
                rejects.push(SeenReject {
                    table_key: table_key.clone(),
                    reject,
                    first_seen: at,
                    last_seen: at,
                    seen_by,
                });
            }
        }
    }

    /// Whether an older state wins in the reconcile run; marks the key if necessary.
    fn marks(&self, table_key: &TableKey, record: &Record, run: RunId, policy: StalePolicy) -> bool {
        let one =
            if self.is(Fault::MarksAreShared) { "00000000-0000-0000-0000-000000000000".parse().unwrap() } else { run };
        let stored =
            self.tables.lock().unwrap()[table_key].get(&record.key).map(|row| (row.version, row.deleted_at.is_some()));
        let mark = (table_key.clone(), record.key.clone());
        let mut seen = self.seen.lock().unwrap();
        let seen = seen.entry(one).or_default();
        let is_marked = seen.contains(&mark) && !self.is(Fault::OlderAlwaysReplaces);
        let is_newer = stored.is_none_or(|(version, _)| record.version >= version);
        if policy != StalePolicy::Verify || is_newer || self.is(Fault::OlderIsAlwaysMarked) {
            seen.insert(mark);
        }
        let wins = match policy {
            StalePolicy::Skip => false,
            StalePolicy::Verify => record.json().is_some() && stored.is_some_and(|(_, deleted)| deleted),
            StalePolicy::Replace => true,
        };
        wins && !is_marked && !self.is(Fault::OlderNeverReplaces)
    }

    fn merge(
        &self,
        table_key: &TableKey,
        record: Record,
        at: jiff::Timestamp,
        marks: Option<(RunId, StalePolicy)>,
        counts: &mut Counts,
    ) {
        let marking = marks.is_some();
        let wins = marks.is_some_and(|(run, policy)| self.marks(table_key, &record, run, policy));
        let mut tables = self.tables.lock().unwrap();
        let rows = tables.entry(table_key.clone()).or_default();
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
}

#[async_trait]
impl Sink for FaultySink {
    async fn ensure_streams(&self, resource: &Resource, tables: &[StreamSpec]) -> Result<()> {
        for table in tables {
            let mut tables = self.tables.lock().unwrap();
            let rows = tables.entry(self.table_key(resource, &table.name)).or_default();
            if self.is(Fault::EnsureForgetsTombstones) {
                rows.retain(|_, row| row.deleted_at.is_none());
            }
        }
        Ok(())
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        let _guard = if self.is(Fault::CommitIsVisibleRowByRow) { None } else { Some(self.commit_lock.write().await) };
        let resource = self.table_key(&commit.resource, "").0;
        let unknown = {
            let tables = self.tables.lock().unwrap();
            !tables.keys().any(|(known, _)| *known == resource)
                || commit.rows.iter().any(|rows| !tables.contains_key(&(resource.clone(), rows.table.clone())))
        };
        if unknown {
            if self.is(Fault::FailedCommitKeepsRejects) {
                for rows in &commit.rows {
                    let table_key = (resource.clone(), rows.table.clone());
                    for reject in &rows.rejects {
                        self.note_reject(&table_key, reject.clone(), commit.at, commit.run);
                    }
                }
            }
            let misconfigured = self.is(Fault::UnknownTablesAreConfigurationErrors);
            let kind = if misconfigured { ErrorKind::Configuration } else { ErrorKind::Internal };
            return Err(Error::new(kind, "the table is not ensured"));
        }
        let before = self.tables.lock().unwrap().clone();
        // A refused state leaves nothing else changed.
        let mut version = None;
        let mut refused = None;
        let (seen_by, mut record) = (commit.rejects_seen_by(), commit.change.clone());
        let is_fence = commit.sweep == Some(Sweep::Fence);
        let fence = commit.change.clone().filter(|_| is_fence);
        if let Some(change) = commit.change.filter(|_| !is_fence || self.is(Fault::FenceAlwaysStoresState)) {
            match self.states.append(change).await {
                Ok(newest) => version = Some(newest),
                Err(error) if self.is(Fault::RefusedRowsAreStored) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        let mut counts = Counts::default();
        let marks = match commit.sweep {
            Some(Sweep::Mark(run, policy)) => Some((run, policy)),
            _ => None,
        };
        for rows in commit.rows {
            let table_key = (resource.clone(), rows.table);
            for record in rows.records {
                self.merge(&table_key, record, commit.at, marks, &mut counts);
                if self.is(Fault::CommitIsVisibleRowByRow) {
                    tokio::time::sleep(std::time::Duration::from_micros(200)).await;
                }
            }
            if refused.is_none() && !self.is(Fault::CorrectedRejectsStay) {
                let mut seen = self.rejects.lock().unwrap();
                seen.retain(|seen| seen.table_key != table_key || !rows.corrected.contains(&seen.reject));
            }
            // Storing a refused commit's rejects is a different fault.
            for mut reject in rows.rejects.into_iter().filter(|_| refused.is_none()) {
                counts.offered += 1;
                counts.rejected += 1;
                if self.is(Fault::RejectsLoseTheirReason) {
                    reject.reason = String::new();
                }
                self.note_reject(&table_key, reject, commit.at, seen_by);
            }
        }
        if let (Some(Sweep::Finish(run) | Sweep::Abandon(run)), false) =
            (commit.sweep, self.is(Fault::MarksOutliveFinish))
        {
            self.seen.lock().unwrap().remove(&run);
        }
        if let Some(change) =
            fence.filter(|_| counts.changed() && version.is_none() && !self.is(Fault::FenceNeverStoresState))
        {
            match self.states.append(change).await {
                Ok(newest) => version = Some(newest),
                Err(error) => {
                    *self.tables.lock().unwrap() = before;
                    return Err(error);
                }
            }
        }
        let deletes_unseen = match commit.sweep {
            Some(Sweep::Finish(run)) => Some(run).filter(|_| !self.is(Fault::UnseenRejectsStay)),
            Some(Sweep::Abandon(run)) => Some(run).filter(|_| self.is(Fault::AbandonDeletesRejects)),
            _ => None,
        };
        if let Some(run) = deletes_unseen {
            self.rejects.lock().unwrap().retain(|seen| seen.table_key.0 != resource || seen.seen_by >= run);
        }
        if let (Some(change), Some(_), None, false) =
            (&mut record, version, &refused, self.is(Fault::RunRecordsLagBehind))
        {
            change.count(&counts);
            let mut late = change.clone();
            late.state = None;
            self.states.append(late).await?;
        }
        refused.map_or(Ok(CommitReport::new(counts, version)), Err)
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        let table_key = self.table_key(&query.resource, &query.table);
        let shared = self.is(Fault::MarksAreShared);
        let run = if shared { "00000000-0000-0000-0000-000000000000".parse()? } else { query.sweep };
        let seen = self.seen.lock().unwrap().get(&run).cloned().unwrap_or_default();
        let tables = self.tables.lock().unwrap();
        let mut rows: Vec<&StoredRow> = tables[&table_key].values().filter(|row| row.deleted_at.is_none()).collect();
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
        let deleted = self.tables.lock().unwrap()[&self.table_key(&query.resource, &query.table)].len() as u64;
        let live = count(RunId::new()).await?;
        let live = if self.is(Fault::LiveRowsCountsDeletions) { deleted } else { live };
        Ok(LiveRows::new(live, count(query.sweep).await?))
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        let mut seen = self.rejects.lock().unwrap().clone();
        seen.retain(|seen| query.resource.as_ref().is_none_or(|one| *one == seen.table_key.0));
        seen.sort_by_key(|seen| std::cmp::Reverse(seen.last_seen));
        let mut found = OutstandingRejects::default();
        for SeenReject { table_key: (resource, table), reject, first_seen, last_seen, .. } in seen {
            let resource = resource.name().to_owned();
            if !self.is(Fault::RejectsAreUncounted) || found.rejects.len() < query.limit {
                *found.counts.entry(resource.clone()).or_default() += 1;
            }
            found.rejects.push(StoredReject::new(resource, table, reject, [first_seen, last_seen]));
        }
        found.rejects.retain(|reject| query.max_raw.is_none_or(|max| reject.raw.len() <= max));
        found.rejects.truncate(query.limit);
        Ok(found)
    }
}

struct FaultySinkProbe(Arc<FaultySink>);

#[async_trait]
impl SinkProbe for FaultySinkProbe {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.0) as _
    }

    fn states(&self) -> Option<Arc<dyn StateStore>> {
        Some(Arc::new(self.0.states.clone()))
    }

    async fn rows(&self, resource: &Resource, table: &str) -> Vec<StoredRow> {
        let _guard = self.0.commit_lock.read().await;
        let tables = self.0.tables.lock().unwrap();
        tables.get(&self.0.table_key(resource, table)).into_iter().flat_map(|rows| rows.values().cloned()).collect()
    }

    async fn rejects(&self, resource: &Resource, table: &str) -> Vec<Reject> {
        let table_key = self.0.table_key(resource, table);
        let rejects = self.0.rejects.lock().unwrap();
        rejects.iter().filter(|seen| seen.table_key == table_key).map(|seen| seen.reject.clone()).collect()
    }
}

fn failing_checks(fault: Fault) -> Vec<&'static str> {
    let fresh: Fresh<dyn SinkProbe> =
        Fresh::new(
            move || async move { Arc::new(FaultySinkProbe(Arc::new(FaultySink::new(fault)))) as Arc<dyn SinkProbe> },
        );
    failing(sink(), &fresh)
}

#[test]
fn a_sink_with_one_fault_fails_the_checks_of_that_fault() {
    let expected: [(Fault, &[&str]); 31] = [
        (Fault::None, &[]),
        (Fault::EnsureForgetsTombstones, &["clause_1_ensure_streams_is_idempotent_and_removes_nothing"]),
        (Fault::FailedCommitKeepsRejects, &["clause_2_a_failed_commit_changes_nothing_and_can_be_retried"]),
        (
            Fault::CommitIsVisibleRowByRow,
            &["clause_2_a_reader_sees_whole_commits", "clause_2_a_dropped_commit_is_applied_entirely_or_not_at_all"],
        ),
        (
            Fault::VersionsCompareAsText,
            &[
                "clause_3_an_older_version_never_replaces_a_newer_one",
                "clause_3_any_order_of_arrival_gives_the_same_table",
            ],
        ),
        (
            Fault::EqualVersionsAreIgnored,
            &[
                "clause_3_an_equal_version_replaces_when_the_text_differs",
                "clause_3_of_two_equal_versions_in_one_commit_the_later_wins",
            ],
        ),
        (Fault::UnchangedIsRewritten, &["clause_4_an_upsert_that_changes_nothing_rewrites_nothing"]),
        (Fault::DeletionDropsTheDocument, &["clause_5_a_deletion_keeps_the_row_and_its_last_document"]),
        (Fault::RepeatedDeletionIsCounted, &["clause_6_a_deletion_of_a_deleted_key_is_unchanged"]),
        (
            Fault::RefusedRowsAreStored,
            &[
                "clause_7_a_stale_base_is_refused_with_the_whole_commit",
                "clause_7_of_two_commits_on_one_base_exactly_one_wins",
            ],
        ),
        (Fault::DocumentsAreTrimmed, &["clause_8_documents_come_back_byte_for_byte"]),
        (Fault::KeysAreTrimmed, &["clause_8_any_text_is_a_legal_key"]),
        (Fault::ResourcesIgnoreCase, &["clause_8_any_text_is_a_legal_resource_name_and_resources_do_not_share_rows"]),
        (
            Fault::RejectsLoseTheirReason,
            &[
                "clause_9_rejects_are_kept_with_their_reason",
                "clause_9_rejects_are_returned_and_counted",
                "clause_9_a_commit_deletes_the_rejects_that_it_corrects",
                "clause_9_finish_deletes_the_rejects_that_were_not_seen",
            ],
        ),
        (Fault::RejectsAreUncounted, &["clause_9_rejects_are_returned_and_counted"]),
        (Fault::CorrectedRejectsStay, &["clause_9_a_commit_deletes_the_rejects_that_it_corrects"]),
        (Fault::UnseenRejectsStay, &["clause_9_finish_deletes_the_rejects_that_were_not_seen"]),
        (Fault::AbandonDeletesRejects, &["clause_9_finish_deletes_the_rejects_that_were_not_seen"]),
        (Fault::RunRecordsLagBehind, &["clause_12_the_run_record_includes_the_counts_of_its_commit"]),
        (
            Fault::UnseenIsUnordered,
            &[
                "clause_10_unseen_returns_the_live_unmarked_records_ordered_by_key",
                "clause_10_unseen_continues_after_a_key",
                "clause_10_reconciliations_do_not_share_marks_and_finish_deletes_them",
            ],
        ),
        (
            Fault::MarksAreShared,
            &[
                "clause_3_an_older_state_replaces_a_row_its_run_has_not_marked",
                "clause_10_reconciliations_do_not_share_marks_and_finish_deletes_them",
                "clause_10_live_rows_counts_what_unseen_returns",
            ],
        ),
        (
            Fault::MarksRewriteRows,
            &["clause_3_an_older_state_pending_verification_is_not_marked", "clause_10_a_mark_rewrites_no_row"],
        ),
        (Fault::MarksOutliveFinish, &["clause_10_reconciliations_do_not_share_marks_and_finish_deletes_them"]),
        (
            Fault::OlderNeverReplaces,
            &[
                "clause_3_an_older_state_replaces_a_row_its_run_has_not_marked",
                "clause_3_once_a_run_has_marked_a_key_versions_decide",
                "clause_3_a_verified_deletion_wins_and_never_lowers_the_version",
                "clause_3_an_older_state_pending_verification_is_not_marked",
                "clause_3_an_older_state_pending_verification_restores_the_row",
            ],
        ),
        (
            Fault::OlderAlwaysReplaces,
            &[
                "clause_3_once_a_run_has_marked_a_key_versions_decide",
                "clause_3_a_verified_deletion_wins_and_never_lowers_the_version",
            ],
        ),
        (
            Fault::OlderIsAlwaysMarked,
            &[
                "clause_3_an_older_state_pending_verification_is_not_marked",
                "clause_3_an_older_state_pending_verification_restores_the_row",
            ],
        ),
        (Fault::DeletionsLowerTheVersion, &["clause_3_a_verified_deletion_wins_and_never_lowers_the_version"]),
        (Fault::FenceNeverStoresState, &["clause_7_a_fencing_commit_stores_its_state_only_if_a_row_changes"]),
        (Fault::FenceAlwaysStoresState, &["clause_7_a_fencing_commit_stores_its_state_only_if_a_row_changes"]),
        (Fault::LiveRowsCountsDeletions, &["clause_10_live_rows_counts_what_unseen_returns"]),
        (
            Fault::UnknownTablesAreConfigurationErrors,
            &["clause_11_a_table_or_resource_that_was_not_ensured_is_refused"],
        ),
    ];
    let found = expected.map(|(fault, checks)| (fault, failing_checks(fault), checks));
    let wrong: Vec<_> = found.iter().filter(|(_, failed, checks)| failed != checks).collect();
    assert!(wrong.is_empty(), "(fault, failed checks, expected checks): {wrong:#?}");
}
