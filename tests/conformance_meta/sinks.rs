//! Sinks with one fault each.

use std::sync::Arc;

use snowfeed::testkit::conformance::SinkProbe;
use snowfeed::testkit::conformance::suite::{Fresh, sink};

use super::failing;
use super::faulty_sink::FaultySink;
use super::faulty_sink_probe::FaultySinkProbe;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    EnsureForgetsTombstones,
    FailedCommitKeepsRejects,
    CommitIsVisibleRowByRow,
    StateIsStoredBeforeTheRows,
    ReportJoinsTheStreams,
    VersionsCompareAsText,
    EqualVersionsAreIgnored,
    UnchangedIsRewritten,
    DeletionDropsTheDocument,
    RepeatedDeletionIsCounted,
    RefusedRowsAreStored,
    EarlierPartsAreKept,
    RefusedFenceUndoesOnlyItsPart,
    OneFenceHoldsForAllParts,
    OneBaseForAllStreams,
    DocumentsAreTrimmed,
    KeysAreTrimmed,
    ResourcesIgnoreCase,
    StreamsShareRows,
    RejectsLoseTheirReason,
    RejectsAreUncounted,
    CorrectedRejectsStay,
    UnseenRejectsStay,
    AbandonDeletesRejects,
    RejectsIgnoreTheStream,
    CorrectionsReachOtherStreams,
    FinishDeletesRejectsOfOtherStreams,
    RunRecordsLagBehind,
    RunRecordsCountOtherStreams,
    UnseenIsUnordered,
    MarksAreShared,
    MarksRewriteRows,
    MarksOutliveFinish,
    MarksReachOtherStreams,
    FinishEndsOtherReconciliations,
    FinishSweepsOtherStreams,
    FinishDeletesMarksOfOtherStreams,
    OlderNeverReplaces,
    OlderAlwaysReplaces,
    OlderIsAlwaysMarked,
    DeletionsLowerTheVersion,
    VerifiedIsListed,
    VerifiedWinsInMarkingCommitsOnly,
    VerifiedNeverDeletes,
    VerifiedIsNotMarked,
    VerifiedComesLast,
    StagedIsVisibleAtOnce,
    StagedIsNotMarked,
    StagedDeletionsAreSkipped,
    AllRecordsBesideVerifiedOnesWin,
    LiveRowsCountsDeletions,
    FenceNeverStoresState,
    FenceAlwaysStoresState,
    UnknownTablesAreConfigurationErrors,
    PartsOfOneStreamAreJoined,
    TypesBecomeNarrower,
    NewColumnsEmptyTheTable,
}

fn failing_checks(fault: Fault) -> Vec<&'static str> {
    let fresh: Fresh<dyn SinkProbe> =
        Fresh::new(move || async move { Arc::new(FaultySinkProbe(FaultySink::new(fault))) as Arc<dyn SinkProbe> });
    failing(sink(), &fresh)
}

#[test]
fn a_sink_with_one_fault_fails_the_checks_of_that_fault() {
    let expected: [(Fault, &[&str]); 58] = [
        (Fault::None, &[]),
        (Fault::EnsureForgetsTombstones, &["clause_1_ensure_streams_is_idempotent_and_removes_nothing"]),
        (Fault::TypesBecomeNarrower, &["clause_1_inferred_columns_extend_a_table_with_rows"]),
        (
            Fault::NewColumnsEmptyTheTable,
            &["clause_1_a_table_may_gain_and_lose_columns", "clause_1_inferred_columns_extend_a_table_with_rows"],
        ),
        (Fault::FailedCommitKeepsRejects, &["clause_2_a_failed_commit_changes_nothing_and_can_be_retried"]),
        (Fault::CommitIsVisibleRowByRow, &["clause_2_a_reader_sees_whole_commits"]),
        (
            Fault::StateIsStoredBeforeTheRows,
            &[
                "clause_2_a_dropped_commit_is_applied_entirely_or_not_at_all",
                "clause_7_a_stale_part_is_refused_with_the_parts_of_all_streams",
            ],
        ),
        (
            Fault::ReportJoinsTheStreams,
            &[
                "clause_2_the_parts_of_several_streams_are_stored_and_reported_each",
                "clause_7_each_part_decides_for_itself_whether_it_fences",
                "clause_8_streams_of_a_resource_do_not_share_rows",
            ],
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
        (
            Fault::UnchangedIsRewritten,
            &[
                "clause_3_a_verified_record_wins_over_a_newer_version",
                "clause_4_an_upsert_that_changes_nothing_rewrites_nothing",
                "clause_10_a_reconcile_run_of_one_stream_leaves_the_others_alone",
            ],
        ),
        (
            Fault::DeletionDropsTheDocument,
            &[
                "clause_3_a_verified_record_wins_over_a_newer_version",
                "clause_5_a_deletion_keeps_the_row_and_its_last_document",
            ],
        ),
        (Fault::RepeatedDeletionIsCounted, &["clause_6_a_deletion_of_a_deleted_key_is_unchanged"]),
        (
            Fault::RefusedRowsAreStored,
            &[
                "clause_7_a_stale_base_is_refused_with_the_whole_commit",
                "clause_7_of_two_commits_on_one_base_exactly_one_wins",
                "clause_7_a_stale_part_is_refused_with_the_parts_of_all_streams",
            ],
        ),
        (Fault::EarlierPartsAreKept, &["clause_7_a_stale_part_is_refused_with_the_parts_of_all_streams"]),
        (Fault::RefusedFenceUndoesOnlyItsPart, &["clause_7_a_stale_part_is_refused_with_the_parts_of_all_streams"]),
        (Fault::OneFenceHoldsForAllParts, &["clause_7_each_part_decides_for_itself_whether_it_fences"]),
        (
            Fault::OneBaseForAllStreams,
            &[
                "clause_2_the_parts_of_several_streams_are_stored_and_reported_each",
                "clause_7_a_stale_part_is_refused_with_the_parts_of_all_streams",
                "clause_7_each_part_decides_for_itself_whether_it_fences",
                "clause_7_commits_of_different_streams_do_not_conflict",
            ],
        ),
        (Fault::DocumentsAreTrimmed, &["clause_8_documents_come_back_byte_for_byte"]),
        (Fault::KeysAreTrimmed, &["clause_8_any_text_is_a_legal_key"]),
        (Fault::ResourcesIgnoreCase, &["clause_8_any_text_is_a_legal_resource_name_and_resources_do_not_share_rows"]),
        (
            Fault::StreamsShareRows,
            &[
                "clause_2_the_parts_of_several_streams_are_stored_and_reported_each",
                "clause_7_a_stale_part_is_refused_with_the_parts_of_all_streams",
                "clause_8_streams_of_a_resource_do_not_share_rows",
            ],
        ),
        (
            Fault::RejectsLoseTheirReason,
            &[
                "clause_2_the_parts_of_several_streams_are_stored_and_reported_each",
                "clause_9_rejects_are_kept_with_their_reason",
                "clause_9_rejects_are_returned_and_counted",
                "clause_9_a_commit_deletes_the_rejects_that_it_corrects",
                "clause_9_finish_deletes_the_rejects_that_were_not_seen",
                "clause_9_streams_do_not_share_rejects",
            ],
        ),
        (Fault::RejectsAreUncounted, &["clause_9_rejects_are_returned_and_counted"]),
        (
            Fault::CorrectedRejectsStay,
            &["clause_9_a_commit_deletes_the_rejects_that_it_corrects", "clause_9_streams_do_not_share_rejects"],
        ),
        (
            Fault::UnseenRejectsStay,
            &["clause_9_finish_deletes_the_rejects_that_were_not_seen", "clause_9_streams_do_not_share_rejects"],
        ),
        (Fault::AbandonDeletesRejects, &["clause_9_finish_deletes_the_rejects_that_were_not_seen"]),
        (Fault::RejectsIgnoreTheStream, &["clause_9_streams_do_not_share_rejects"]),
        (
            Fault::CorrectionsReachOtherStreams,
            &[
                "clause_7_a_stale_part_is_refused_with_the_parts_of_all_streams",
                "clause_9_streams_do_not_share_rejects",
            ],
        ),
        (Fault::FinishDeletesRejectsOfOtherStreams, &["clause_9_streams_do_not_share_rejects"]),
        (
            Fault::RunRecordsLagBehind,
            &[
                "clause_2_the_parts_of_several_streams_are_stored_and_reported_each",
                "clause_12_the_run_record_includes_the_counts_of_its_commit",
            ],
        ),
        (Fault::RunRecordsCountOtherStreams, &["clause_2_the_parts_of_several_streams_are_stored_and_reported_each"]),
        (
            Fault::UnseenIsUnordered,
            &[
                "clause_10_unseen_returns_the_live_unmarked_records_ordered_by_key",
                "clause_10_unseen_continues_after_a_key",
                "clause_10_reconciliations_do_not_share_marks_and_finish_deletes_them",
                "clause_10_a_reconcile_run_of_one_stream_leaves_the_others_alone",
            ],
        ),
        (
            Fault::MarksAreShared,
            &[
                "clause_3_an_older_state_replaces_a_row_its_run_has_not_marked",
                "clause_10_reconciliations_do_not_share_marks_and_finish_deletes_them",
                "clause_10_live_rows_counts_what_unseen_returns",
                "clause_10_a_reconcile_run_of_one_stream_leaves_the_others_alone",
                "clause_10_streams_do_not_share_marks_of_one_id",
            ],
        ),
        (
            Fault::MarksRewriteRows,
            &[
                "clause_3_an_older_state_pending_verification_is_not_marked",
                "clause_10_a_mark_rewrites_no_row",
                "clause_10_a_reconcile_run_of_one_stream_leaves_the_others_alone",
            ],
        ),
        (
            Fault::MarksOutliveFinish,
            &[
                "clause_10_reconciliations_do_not_share_marks_and_finish_deletes_them",
                "clause_10_a_reconcile_run_of_one_stream_leaves_the_others_alone",
                "clause_10_streams_do_not_share_marks_of_one_id",
            ],
        ),
        (Fault::MarksReachOtherStreams, &["clause_10_a_reconcile_run_of_one_stream_leaves_the_others_alone"]),
        (
            Fault::FinishEndsOtherReconciliations,
            &[
                "clause_10_a_reconcile_run_of_one_stream_leaves_the_others_alone",
                "clause_10_streams_do_not_share_marks_of_one_id",
            ],
        ),
        (
            Fault::FinishSweepsOtherStreams,
            &[
                "clause_10_a_reconcile_run_of_one_stream_leaves_the_others_alone",
                "clause_10_streams_do_not_share_marks_of_one_id",
            ],
        ),
        (Fault::FinishDeletesMarksOfOtherStreams, &["clause_10_streams_do_not_share_marks_of_one_id"]),
        (
            Fault::PartsOfOneStreamAreJoined,
            &["clause_11_two_parts_of_one_stream_are_refused", "clause_16_records_beside_staged_ones_are_refused"],
        ),
        (
            Fault::StagedIsVisibleAtOnce,
            &[
                "clause_16_staged_records_become_visible_with_their_commit",
                "clause_16_what_no_commit_names_changes_nothing",
                "clause_16_staged_records_are_merged_like_others",
                "clause_16_staged_records_are_marked_like_others",
                "clause_16_records_beside_staged_ones_are_refused",
            ],
        ),
        (Fault::StagedIsNotMarked, &["clause_16_staged_records_are_marked_like_others"]),
        (
            Fault::StagedDeletionsAreSkipped,
            &["clause_16_staged_records_are_merged_like_others", "clause_16_staged_records_are_marked_like_others"],
        ),
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
        (
            Fault::DeletionsLowerTheVersion,
            &[
                "clause_3_a_verified_deletion_wins_and_never_lowers_the_version",
                "clause_3_a_verified_record_wins_over_a_newer_version",
            ],
        ),
        (
            Fault::VerifiedIsListed,
            &[
                "clause_3_a_verified_record_wins_over_a_newer_version",
                "clause_3_verified_records_are_merged_in_their_order",
                "clause_3_a_verified_record_wins_in_a_reconcile_run_and_is_marked",
            ],
        ),
        (
            Fault::VerifiedWinsInMarkingCommitsOnly,
            &[
                "clause_3_a_verified_record_wins_over_a_newer_version",
                "clause_3_verified_records_are_merged_in_their_order",
            ],
        ),
        (Fault::VerifiedNeverDeletes, &["clause_3_a_verified_record_wins_over_a_newer_version"]),
        (Fault::VerifiedIsNotMarked, &["clause_3_a_verified_record_wins_in_a_reconcile_run_and_is_marked"]),
        (Fault::VerifiedComesLast, &["clause_3_verified_records_are_merged_in_their_order"]),
        (
            Fault::AllRecordsBesideVerifiedOnesWin,
            &[
                "clause_3_a_verified_record_wins_over_a_newer_version",
                "clause_3_verified_records_are_merged_in_their_order",
            ],
        ),
        (
            Fault::FenceNeverStoresState,
            &[
                "clause_7_a_fencing_commit_stores_its_state_only_if_a_row_changes",
                "clause_7_a_stale_part_is_refused_with_the_parts_of_all_streams",
                "clause_7_each_part_decides_for_itself_whether_it_fences",
            ],
        ),
        (
            Fault::FenceAlwaysStoresState,
            &[
                "clause_7_a_fencing_commit_stores_its_state_only_if_a_row_changes",
                "clause_7_each_part_decides_for_itself_whether_it_fences",
            ],
        ),
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
