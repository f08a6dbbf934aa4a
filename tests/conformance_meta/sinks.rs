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
    RejectQuery, Resource, Result, RunId, Sink, StalePolicy, StateStore, StoredRecord, StoredReject, Sweep, TableSpec,
    UnseenQuery,
};

use super::failing;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    EnsureForgetsTombstones,
    FailedCommitKeepsRejects,
    CommitIsVisibleBitByBit,
    VersionsAreText,
    EqualVersionsAreIgnored,
    UnchangedIsRewritten,
    DeletionDropsTheDocument,
    SecondDeletionIsCounted,
    RefusedRowsStay,
    DocumentsAreTrimmed,
    KeysAreTrimmed,
    ResourcesIgnoreCase,
    RejectsLoseTheirReason,
    RejectsAreUncounted,
    CorrectedRejectsStay,
    RejectsOutliveTheirPass,
    AbandonedPassesForgetRejects,
    RecordsLagBehind,
    UnseenIsUnordered,
    MarksAreShared,
    MarksAreRewritings,
    MarksOutliveFinish,
    OlderNeverReplaces,
    OlderAlwaysReplaces,
    OlderIsAlwaysMarked,
    DeletionsLowerTheVersion,
    LiveRowsCountsDeletions,
    FenceIsNeverRaised,
    FenceIsAlwaysRaised,
    UnknownTablesAreMisconfigured,
}

type Place = (Resource, String);

/// A reject, with the times it was first and last seen, and its id.
#[derive(Debug, Clone)]
struct Met {
    place: Place,
    reject: Reject,
    first_seen: jiff::Timestamp,
    last_seen: jiff::Timestamp,
    met_by: RunId,
}

/// A sink that is correct except for its fault.
#[derive(Debug)]
struct Naive {
    fault: Fault,
    tables: Mutex<BTreeMap<Place, BTreeMap<String, StoredRow>>>,
    rejects: Mutex<Vec<Met>>,
    seen: Mutex<BTreeMap<RunId, BTreeSet<(Place, String)>>>,
    states: Memory,
    /// Held by a commit, so that a reader sees it whole.
    turn: tokio::sync::RwLock<()>,
}

impl Naive {
    fn new(fault: Fault) -> Self {
        let (tables, rejects, seen) = Default::default();
        Self { fault, tables, rejects, seen, states: Memory::new(), turn: Default::default() }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn place(&self, resource: &Resource, table: &str) -> Place {
        let name = resource.name();
        let name = if self.is(Fault::ResourcesIgnoreCase) { name.to_lowercase() } else { name.to_owned() };
        (Resource::new(name).unwrap(), table.to_owned())
    }

    fn meet(&self, place: &Place, reject: Reject, at: jiff::Timestamp, met_by: RunId) {
        let mut rejects = self.rejects.lock().unwrap();
        match rejects.iter_mut().find(|met| met.place == *place && met.reject == reject) {
            Some(met) => (met.last_seen, met.met_by) = (at, met_by),
            None => {
                rejects.push(Met { place: place.clone(), reject, first_seen: at, last_seen: at, met_by });
            }
        }
    }

    /// Whether an older state wins within the reconcile run; marks the key where necessary.
    fn marks(&self, place: &Place, record: &Record, pass: RunId, older: StalePolicy) -> bool {
        let one =
            if self.is(Fault::MarksAreShared) { "00000000-0000-0000-0000-000000000000".parse().unwrap() } else { pass };
        let stored =
            self.tables.lock().unwrap()[place].get(&record.key).map(|row| (row.version, row.deleted_at.is_some()));
        let mark = (place.clone(), record.key.clone());
        let mut seen = self.seen.lock().unwrap();
        let seen = seen.entry(one).or_default();
        let is_marked = seen.contains(&mark) && !self.is(Fault::OlderAlwaysReplaces);
        let is_newer = stored.is_none_or(|(version, _)| record.version >= version);
        if older != StalePolicy::Verify || is_newer || self.is(Fault::OlderIsAlwaysMarked) {
            seen.insert(mark);
        }
        let wins = match older {
            StalePolicy::Skip => false,
            StalePolicy::Verify => record.json().is_some() && stored.is_some_and(|(_, deleted)| deleted),
            StalePolicy::Replace => true,
        };
        wins && !is_marked && !self.is(Fault::OlderNeverReplaces)
    }

    fn merge(
        &self,
        place: &Place,
        record: Record,
        at: jiff::Timestamp,
        marks: Option<(RunId, StalePolicy)>,
        counts: &mut Counts,
    ) {
        let marking = marks.is_some();
        let wins = marks.is_some_and(|(pass, older)| self.marks(place, &record, pass, older));
        let mut tables = self.tables.lock().unwrap();
        let rows = tables.entry(place.clone()).or_default();
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
        let order = if self.is(Fault::VersionsAreText) {
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
                let twice = !upsert && self.is(Fault::SecondDeletionIsCounted);
                *(if twice { &mut counts.deleted } else { &mut counts.unchanged }) += 1;
                if self.is(Fault::UnchangedIsRewritten) && upsert && !marking
                    || self.is(Fault::MarksAreRewritings) && marking
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
impl Sink for Naive {
    async fn ensure_tables(&self, resource: &Resource, tables: &[TableSpec]) -> Result<()> {
        for table in tables {
            let mut tables = self.tables.lock().unwrap();
            let rows = tables.entry(self.place(resource, &table.name)).or_default();
            if self.is(Fault::EnsureForgetsTombstones) {
                rows.retain(|_, row| row.deleted_at.is_none());
            }
        }
        Ok(())
    }

    async fn commit(&self, commit: Commit) -> Result<CommitReport> {
        let _turn = if self.is(Fault::CommitIsVisibleBitByBit) { None } else { Some(self.turn.write().await) };
        let resource = self.place(&commit.resource, "").0;
        let unknown = {
            let tables = self.tables.lock().unwrap();
            !tables.keys().any(|(known, _)| *known == resource)
                || commit.rows.iter().any(|rows| !tables.contains_key(&(resource.clone(), rows.table.clone())))
        };
        if unknown {
            if self.is(Fault::FailedCommitKeepsRejects) {
                for rows in &commit.rows {
                    let place = (resource.clone(), rows.table.clone());
                    for reject in &rows.rejects {
                        self.meet(&place, reject.clone(), commit.at, commit.run);
                    }
                }
            }
            let misconfigured = self.is(Fault::UnknownTablesAreMisconfigured);
            let kind = if misconfigured { ErrorKind::Configuration } else { ErrorKind::Internal };
            return Err(Error::new(kind, "nobody made room"));
        }
        let before = self.tables.lock().unwrap().clone();
        // A refused state leaves nothing else changed.
        let mut version = None;
        let mut refused = None;
        let (met_by, mut record) = (commit.rejects_seen_by(), commit.change.clone());
        let is_fence = commit.sweep == Some(Sweep::Fence);
        let fence = commit.change.clone().filter(|_| is_fence);
        if let Some(change) = commit.change.filter(|_| !is_fence || self.is(Fault::FenceIsAlwaysRaised)) {
            match self.states.append(change).await {
                Ok(newest) => version = Some(newest),
                Err(error) if self.is(Fault::RefusedRowsStay) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        let mut counts = Counts::default();
        let marks = match commit.sweep {
            Some(Sweep::Mark(pass, older)) => Some((pass, older)),
            _ => None,
        };
        for rows in commit.rows {
            let place = (resource.clone(), rows.table);
            for record in rows.records {
                self.merge(&place, record, commit.at, marks, &mut counts);
                if self.is(Fault::CommitIsVisibleBitByBit) {
                    tokio::time::sleep(std::time::Duration::from_micros(200)).await;
                }
            }
            if refused.is_none() && !self.is(Fault::CorrectedRejectsStay) {
                let mut met = self.rejects.lock().unwrap();
                met.retain(|met| met.place != place || !rows.corrected.contains(&met.reject));
            }
            // Storing a refused commit's rejects is a different fault.
            for mut reject in rows.rejects.into_iter().filter(|_| refused.is_none()) {
                counts.offered += 1;
                counts.rejected += 1;
                if self.is(Fault::RejectsLoseTheirReason) {
                    reject.reason = String::new();
                }
                self.meet(&place, reject, commit.at, met_by);
            }
        }
        if let (Some(Sweep::Finish(pass) | Sweep::Abandon(pass)), false) =
            (commit.sweep, self.is(Fault::MarksOutliveFinish))
        {
            self.seen.lock().unwrap().remove(&pass);
        }
        if let Some(change) =
            fence.filter(|_| counts.changed() && version.is_none() && !self.is(Fault::FenceIsNeverRaised))
        {
            match self.states.append(change).await {
                Ok(newest) => version = Some(newest),
                Err(error) => {
                    *self.tables.lock().unwrap() = before;
                    return Err(error);
                }
            }
        }
        let forgets = match commit.sweep {
            Some(Sweep::Finish(pass)) => Some(pass).filter(|_| !self.is(Fault::RejectsOutliveTheirPass)),
            Some(Sweep::Abandon(pass)) => Some(pass).filter(|_| self.is(Fault::AbandonedPassesForgetRejects)),
            _ => None,
        };
        if let Some(pass) = forgets {
            self.rejects.lock().unwrap().retain(|met| met.place.0 != resource || met.met_by >= pass);
        }
        if let (Some(change), Some(_), None, false) = (&mut record, version, &refused, self.is(Fault::RecordsLagBehind))
        {
            change.count(&counts);
            let mut late = change.clone();
            late.state = None;
            self.states.append(late).await?;
        }
        refused.map_or(Ok(CommitReport::new(counts, version)), Err)
    }

    async fn unseen(&self, query: UnseenQuery) -> Result<Vec<StoredRecord>> {
        let place = self.place(&query.resource, &query.table);
        let shared = self.is(Fault::MarksAreShared);
        let pass = if shared { "00000000-0000-0000-0000-000000000000".parse()? } else { query.sweep };
        let seen = self.seen.lock().unwrap().get(&pass).cloned().unwrap_or_default();
        let tables = self.tables.lock().unwrap();
        let mut rows: Vec<&StoredRow> = tables[&place].values().filter(|row| row.deleted_at.is_none()).collect();
        rows.retain(|row| query.after.as_ref().is_none_or(|after| row.key > *after));
        rows.retain(|row| !seen.contains(&(place.clone(), row.key.clone())));
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
        let deleted = self.tables.lock().unwrap()[&self.place(&query.resource, &query.table)].len() as u64;
        let live = count(RunId::new()).await?;
        let live = if self.is(Fault::LiveRowsCountsDeletions) { deleted } else { live };
        Ok(LiveRows::new(live, count(query.sweep).await?))
    }

    async fn rejects(&self, query: RejectQuery) -> Result<OutstandingRejects> {
        let mut met = self.rejects.lock().unwrap().clone();
        met.retain(|met| query.resource.as_ref().is_none_or(|one| *one == met.place.0));
        met.sort_by_key(|met| std::cmp::Reverse(met.last_seen));
        let mut found = OutstandingRejects::default();
        for Met { place: (resource, table), reject, first_seen, last_seen, .. } in met {
            let resource = resource.name().to_owned();
            if !self.is(Fault::RejectsAreUncounted) || found.rejects.len() < query.limit {
                *found.counts.entry(resource.clone()).or_default() += 1;
            }
            found.rejects.push(StoredReject::new(resource, table, reject, [first_seen, last_seen]));
        }
        found.rejects.retain(|reject| query.max_raw.is_none_or(|most| reject.raw.len() <= most));
        found.rejects.truncate(query.limit);
        Ok(found)
    }
}

struct NaiveProbe(Arc<Naive>);

#[async_trait]
impl SinkProbe for NaiveProbe {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.0) as _
    }

    fn states(&self) -> Option<Arc<dyn StateStore>> {
        Some(Arc::new(self.0.states.clone()))
    }

    async fn rows(&self, resource: &Resource, table: &str) -> Vec<StoredRow> {
        let _turn = self.0.turn.read().await;
        let tables = self.0.tables.lock().unwrap();
        tables.get(&self.0.place(resource, table)).into_iter().flat_map(|rows| rows.values().cloned()).collect()
    }

    async fn rejects(&self, resource: &Resource, table: &str) -> Vec<Reject> {
        let place = self.0.place(resource, table);
        let rejects = self.0.rejects.lock().unwrap();
        rejects.iter().filter(|met| met.place == place).map(|met| met.reject.clone()).collect()
    }
}

fn broken(fault: Fault) -> Vec<&'static str> {
    let fresh: Fresh<dyn SinkProbe> =
        Fresh::new(move || async move { Arc::new(NaiveProbe(Arc::new(Naive::new(fault)))) as Arc<dyn SinkProbe> });
    failing(sink(), &fresh)
}

#[test]
fn a_sink_with_one_fault_fails_the_checks_of_that_fault() {
    let expected: [(Fault, &[&str]); 31] = [
        (Fault::None, &[]),
        (Fault::EnsureForgetsTombstones, &["clause_1_ensure_tables_is_idempotent_and_removes_nothing"]),
        (Fault::FailedCommitKeepsRejects, &["clause_2_a_failed_commit_changes_nothing_and_can_be_retried"]),
        (
            Fault::CommitIsVisibleBitByBit,
            &["clause_2_a_reader_sees_whole_commits", "clause_2_a_dropped_commit_has_happened_entirely_or_not_at_all"],
        ),
        (
            Fault::VersionsAreText,
            &[
                "clause_3_an_older_version_never_replaces_a_newer_one",
                "clause_3_any_order_of_arrival_gives_the_same_table",
            ],
        ),
        (
            Fault::EqualVersionsAreIgnored,
            &[
                "clause_3_an_equal_version_replaces_when_the_text_differs",
                "clause_3_of_two_equal_versions_in_one_commit_the_later_counts",
            ],
        ),
        (Fault::UnchangedIsRewritten, &["clause_4_an_upsert_that_changes_nothing_rewrites_nothing"]),
        (Fault::DeletionDropsTheDocument, &["clause_5_a_deletion_keeps_the_row_and_its_last_document"]),
        (Fault::SecondDeletionIsCounted, &["clause_6_a_deletion_of_a_deleted_key_is_unchanged"]),
        (
            Fault::RefusedRowsStay,
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
        (Fault::RejectsOutliveTheirPass, &["clause_9_finish_deletes_the_rejects_that_were_not_seen"]),
        (Fault::AbandonedPassesForgetRejects, &["clause_9_finish_deletes_the_rejects_that_were_not_seen"]),
        (Fault::RecordsLagBehind, &["clause_12_the_run_record_includes_the_counts_of_its_commit"]),
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
                "clause_3_an_older_state_replaces_what_its_run_has_not_marked",
                "clause_10_reconciliations_do_not_share_marks_and_finish_deletes_them",
                "clause_10_live_rows_counts_what_unseen_returns",
            ],
        ),
        (
            Fault::MarksAreRewritings,
            &["clause_3_an_older_state_that_has_to_be_verified_is_not_marked", "clause_10_a_mark_rewrites_no_row"],
        ),
        (Fault::MarksOutliveFinish, &["clause_10_reconciliations_do_not_share_marks_and_finish_deletes_them"]),
        (
            Fault::OlderNeverReplaces,
            &[
                "clause_3_an_older_state_replaces_what_its_run_has_not_marked",
                "clause_3_once_a_run_has_marked_a_key_versions_decide",
                "clause_3_a_verified_deletion_wins_and_never_lowers_the_version",
                "clause_3_an_older_state_that_has_to_be_verified_is_not_marked",
                "clause_3_an_older_state_that_has_to_be_verified_revives",
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
                "clause_3_an_older_state_that_has_to_be_verified_is_not_marked",
                "clause_3_an_older_state_that_has_to_be_verified_revives",
            ],
        ),
        (Fault::DeletionsLowerTheVersion, &["clause_3_a_verified_deletion_wins_and_never_lowers_the_version"]),
        (Fault::FenceIsNeverRaised, &["clause_7_a_commit_that_only_fences_stores_its_state_where_a_row_changes"]),
        (Fault::FenceIsAlwaysRaised, &["clause_7_a_commit_that_only_fences_stores_its_state_where_a_row_changes"]),
        (Fault::LiveRowsCountsDeletions, &["clause_10_live_rows_counts_what_unseen_returns"]),
        (Fault::UnknownTablesAreMisconfigured, &["clause_11_a_table_or_resource_that_was_not_ensured_is_refused"]),
    ];
    let found = expected.map(|(fault, checks)| (fault, broken(fault), checks));
    let wrong: Vec<_> = found.iter().filter(|(_, failed, checks)| failed != checks).collect();
    assert!(wrong.is_empty(), "what failed, and what should have: {wrong:#?}");
}
