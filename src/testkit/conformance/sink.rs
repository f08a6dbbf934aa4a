//! The contract of [`Sink`].

mod atomicity;
mod merging;
mod paths;
mod reconcile;
mod rejects;
mod sequences;
mod staging;
mod streams;
mod verified;

use std::sync::Arc;

use async_trait::async_trait;
use bytestring::ByteString;

use atomicity::*;
use merging::*;
use paths::*;
use reconcile::*;
use rejects::*;
use sequences::*;
use staging::*;
use streams::*;
use verified::*;

use super::fixture::{TABLE, must, reported, tables, widgets};
use super::{Clause, Fresh};
use crate::{Reject, Resource, Sink, StateStore, StoredRow, StreamReport, Version};

/// Tests a [`Sink`] against its contract: one `#[test]` for each clause, over the [`SinkProbe`] that the expression
/// returns.
#[macro_export]
macro_rules! sink_conformance {
    ($make:expr) => {
        $crate::__sink_clauses! { __conformance_tests (sink, dyn $crate::testkit::conformance::SinkProbe, $make) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __sink_clauses {
    ($then:ident $with:tt) => {
        $crate::$then! { $with
            clause_1_ensure_streams_is_idempotent_and_removes_nothing
            clause_1_ensure_streams_runs_concurrently
            clause_1_a_table_may_gain_and_lose_columns
            clause_1_inferred_columns_extend_a_table_with_rows
            clause_2_a_failed_commit_changes_nothing_and_can_be_retried
            clause_2_rows_and_state_become_visible_together
            clause_2_a_reader_sees_whole_commits
            clause_2_a_dropped_commit_is_applied_entirely_or_not_at_all
            clause_2_the_parts_of_several_streams_are_stored_and_reported_each
            clause_3_an_older_version_never_replaces_a_newer_one
            clause_3_any_order_of_arrival_gives_the_same_table
            clause_3_an_equal_version_replaces_when_the_text_differs
            clause_3_an_equal_version_replaces_when_the_operation_differs
            clause_3_of_two_equal_versions_in_one_commit_the_later_wins
            clause_3_an_older_state_replaces_a_row_its_run_has_not_marked
            clause_3_once_a_run_has_marked_a_key_versions_decide
            clause_3_a_verified_deletion_wins_and_never_lowers_the_version
            clause_3_an_older_state_pending_verification_is_not_marked
            clause_3_an_older_state_pending_verification_restores_the_row
            clause_3_skipped_older_states_are_marked
            clause_3_a_verified_record_wins_over_a_newer_version
            clause_3_verified_records_are_merged_in_their_order
            clause_3_a_verified_record_wins_in_a_reconcile_run_and_is_marked
            clause_4_an_upsert_that_changes_nothing_rewrites_nothing
            clause_5_a_deletion_keeps_the_row_and_its_last_document
            clause_5_a_deletion_of_an_unknown_key_is_remembered
            clause_5_a_later_deletion_of_a_deleted_key_raises_its_version
            clause_5_a_newer_upsert_restores_a_deleted_row
            clause_6_the_report_adds_up
            clause_6_an_older_state_is_skipped_with_its_reason
            clause_6_a_deletion_of_a_deleted_key_is_unchanged
            clause_7_a_stale_base_is_refused_with_the_whole_commit
            clause_7_of_two_commits_on_one_base_exactly_one_wins
            clause_7_a_fencing_commit_stores_its_state_only_if_a_row_changes
            clause_7_a_stale_part_is_refused_with_the_parts_of_all_streams
            clause_7_each_part_decides_for_itself_whether_it_fences
            clause_7_commits_of_different_streams_do_not_conflict
            clause_8_documents_come_back_byte_for_byte
            clause_8_any_text_is_a_legal_key
            clause_8_any_text_is_a_legal_resource_name_and_resources_do_not_share_rows
            clause_8_streams_of_a_resource_do_not_share_rows
            clause_9_rejects_are_kept_with_their_reason
            clause_9_rejects_are_returned_and_counted
            clause_9_a_commit_deletes_the_rejects_that_it_corrects
            clause_9_finish_deletes_the_rejects_that_were_not_seen
            clause_9_streams_do_not_share_rejects
            clause_10_unseen_returns_the_live_unmarked_records_ordered_by_key
            clause_10_unseen_continues_after_a_key
            clause_10_a_mark_rewrites_no_row
            clause_10_reconciliations_do_not_share_marks_and_finish_deletes_them
            clause_10_a_refused_commit_marks_nothing
            clause_10_live_rows_counts_what_unseen_returns
            clause_10_a_reconcile_run_of_one_stream_leaves_the_others_alone
            clause_10_streams_do_not_share_marks_of_one_id
            clause_11_a_table_or_resource_that_was_not_ensured_is_refused
            clause_11_two_parts_of_one_stream_are_refused
            clause_12_the_run_record_includes_the_counts_of_its_commit
            clause_13_the_same_key_below_two_parents_is_two_rows
            clause_13_any_texts_make_a_path
            clause_13_children_are_the_live_rows_of_their_parents
            clause_13_rows_are_found_by_path
            clause_14_documents_and_fields_come_with_the_rows
            clause_14_only_commits_that_change_rows_are_numbered
            clause_14_a_commit_stamps_only_the_rows_that_it_changes
            clause_14_streams_and_resources_are_numbered_separately
            clause_14_changed_rows_are_paged_once_each_in_order
            clause_14_changed_rows_are_those_of_the_range
            clause_14_a_refused_commit_takes_no_number
            clause_14_nothing_appears_below_a_number_that_was_read
            clause_15_a_row_is_gone_only_at_the_number_that_was_seen
            clause_15_only_the_row_at_the_path_is_gone
            clause_15_gone_rows_belong_to_the_whole_commit
            clause_15_a_record_verified_at_a_number_wins_only_there
            clause_16_staged_records_become_visible_with_their_commit
            clause_16_what_no_commit_names_changes_nothing
            clause_16_staged_records_are_merged_like_others
            clause_16_staged_records_are_marked_like_others
            clause_16_records_beside_staged_ones_are_refused
        }
    };
}

/// All checks.
pub fn clauses() -> Vec<Clause<dyn SinkProbe>> {
    crate::__sink_clauses! { __conformance_list () }
}

/// A sink, and access to its contents.
#[async_trait]
pub trait SinkProbe: Send + Sync + 'static {
    /// The sink.
    fn sink(&self) -> Arc<dyn Sink>;

    /// Another connection to the same destination; the sink itself if it has no connections.
    async fn another(&self) -> Arc<dyn Sink> {
        self.sink()
    }

    /// The state store of the commits' changes; `None` if another store keeps the state. Then the checks of
    /// changes of state pass without checking anything.
    fn states(&self) -> Option<Arc<dyn StateStore>>;

    /// Whether the sink numbers its commits, which snapshots and child streams need. If not, the checks of clauses 13 to 15 only test that
    /// [`sequences`](Sink::sequences) and [`select_rows`](Sink::select_rows) are unsupported.
    fn numbers_commits(&self) -> bool {
        true
    }

    /// Whether the sink [stages](Sink::stage) records. If not, the checks of clause 16 only test that this is unsupported.
    fn stages(&self) -> bool {
        false
    }

    /// Whether documents come back byte for byte. If not, clause 8 only demands the same JSON; what is not JSON must be the same text.
    fn keeps_text(&self) -> bool {
        true
    }

    /// All rows of a resource in a table, including deleted ones, in any order.
    async fn rows(&self, resource: &Resource, table: &str) -> Vec<StoredRow>;

    /// All rejects of a resource and a table, in any order.
    async fn rejects(&self, resource: &Resource, table: &str) -> Vec<Reject>;
}

/// Shorthands for the checks.
struct Subject {
    probe: Arc<dyn SinkProbe>,
    sink: Arc<dyn Sink>,
}

impl Subject {
    /// A fresh sink with the default table of the default resource.
    async fn new(fresh: &Fresh<dyn SinkProbe>) -> Self {
        let probe = fresh.make().await;
        let sink = probe.sink();
        must(sink.ensure_streams(&widgets(), &tables()).await);
        Self { probe, sink }
    }

    /// Commits records of the default resource to the default table.
    async fn put(&self, seconds: i64, records: impl IntoIterator<Item = crate::Record>) -> StreamReport {
        let report = reported(must(self.sink.commit(super::fixture::commit(seconds, records)).await));
        assert!(report.counts.add_up(), "the report does not add up: {:?}", report.counts);
        report
    }

    /// The rows of the default table, ordered by key.
    async fn rows(&self) -> Vec<StoredRow> {
        let mut rows = self.probe.rows(&widgets(), TABLE).await;
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    /// The only row.
    async fn row(&self) -> StoredRow {
        let mut rows = self.rows().await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }

    /// The titles of the live rows, by key.
    async fn live(&self) -> Vec<(String, Version, Option<ByteString>)> {
        let rows = self.rows().await.into_iter().filter(|row| row.deleted_at.is_none());
        rows.map(|row| (row.key, row.version, row.json)).collect()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_check_is_listed() {
        let text = concat!(
            include_str!("sink/merging.rs"),
            include_str!("sink/reconcile.rs"),
            include_str!("sink/rejects.rs"),
            include_str!("sink/streams.rs"),
            include_str!("sink/atomicity.rs"),
            include_str!("sink/paths.rs"),
            include_str!("sink/sequences.rs"),
            include_str!("sink/staging.rs"),
            include_str!("sink/verified.rs")
        );
        super::super::assert_complete(text, &super::clauses());
    }
}
