//! Sinks that break one rule about paths, numbers of commits, or rows that are gone.

use std::sync::Arc;

use snowfeed::testkit::conformance::SinkProbe;
use snowfeed::testkit::conformance::suite::{Fresh, sink};

use super::failing;
use super::numbering_sink::{Fault, NumberingProbe, NumberingSink};

/// The clauses about paths and numbers. The others do not depend on these faults: the sink without a fault shows that all of them hold.
const CLAUSES: [&str; 3] = ["clause_13", "clause_14", "clause_15"];

fn failing_checks(fault: Fault) -> Vec<&'static str> {
    let make =
        move || async move { Arc::new(NumberingProbe(Arc::new(NumberingSink::new(fault)))) as Arc<dyn SinkProbe> };
    let matters = |name: &str| fault == Fault::None || CLAUSES.iter().any(|clause| name.starts_with(clause));
    let clauses = sink().into_iter().filter(|clause| matters(clause.name)).collect();
    failing(clauses, &Fresh::new(make))
}

#[test]
fn a_sink_that_breaks_a_rule_about_numbers_fails_the_checks_of_that_rule() {
    let expected: [(Fault, &[&str]); 42] = [
        (Fault::None, &[]),
        (
            Fault::KeysIgnoreTheirParent,
            &[
                "clause_13_the_same_key_below_two_parents_is_two_rows",
                "clause_13_any_texts_make_a_path",
                "clause_13_children_are_the_live_rows_of_their_parents",
                "clause_13_rows_are_found_by_path",
                "clause_14_streams_and_resources_are_numbered_separately",
                "clause_15_only_the_row_at_the_path_is_gone",
                "clause_15_gone_rows_belong_to_the_whole_commit",
                "clause_15_a_record_verified_at_a_number_wins_only_there",
            ],
        ),
        (Fault::PathsAreJoinedBySlashes, &["clause_13_any_texts_make_a_path"]),
        (
            Fault::ChildrenIncludeDeletedRows,
            &[
                "clause_13_the_same_key_below_two_parents_is_two_rows",
                "clause_13_children_are_the_live_rows_of_their_parents",
                "clause_15_only_the_row_at_the_path_is_gone",
            ],
        ),
        (Fault::ChildrenIncludeDescendants, &["clause_13_children_are_the_live_rows_of_their_parents"]),
        (Fault::ChildrenRepeatTheRowAfterWhichToContinue, &["clause_13_children_are_the_live_rows_of_their_parents"]),
        (Fault::ChildrenOfFurtherParentsEndWithThePage, &["clause_13_children_are_the_live_rows_of_their_parents"]),
        (Fault::ChildrenAreOrderedByPath, &["clause_13_children_are_the_live_rows_of_their_parents"]),
        (Fault::ChildrenIgnoreTheLimit, &["clause_13_children_are_the_live_rows_of_their_parents"]),
        (Fault::PathsLeaveOutDeletedRows, &["clause_13_rows_are_found_by_path"]),
        (
            Fault::DeletedRowsLoseTheirDocument,
            &[
                "clause_13_rows_are_found_by_path",
                "clause_14_documents_and_fields_come_with_the_rows",
                "clause_15_a_row_is_gone_only_at_the_number_that_was_seen",
            ],
        ),
        (Fault::FieldsOfDeletedRowsAreNull, &["clause_14_documents_and_fields_come_with_the_rows"]),
        (
            Fault::UnchangedRowsAreStamped,
            &[
                "clause_14_only_commits_that_change_rows_are_numbered",
                "clause_14_a_commit_stamps_only_the_rows_that_it_changes",
                "clause_14_streams_and_resources_are_numbered_separately",
                "clause_15_a_record_verified_at_a_number_wins_only_there",
            ],
        ),
        (
            Fault::EveryCommitIsNumbered,
            &[
                "clause_14_only_commits_that_change_rows_are_numbered",
                "clause_14_streams_and_resources_are_numbered_separately",
                "clause_15_a_row_is_gone_only_at_the_number_that_was_seen",
                "clause_15_a_record_verified_at_a_number_wins_only_there",
            ],
        ),
        (
            Fault::OlderStatesAreStamped,
            &[
                "clause_14_only_commits_that_change_rows_are_numbered",
                "clause_14_a_commit_stamps_only_the_rows_that_it_changes",
                "clause_15_a_row_is_gone_only_at_the_number_that_was_seen",
                "clause_15_a_record_verified_at_a_number_wins_only_there",
            ],
        ),
        (
            Fault::DeletionsKeepTheirNumber,
            &[
                "clause_13_rows_are_found_by_path",
                "clause_14_only_commits_that_change_rows_are_numbered",
                "clause_14_a_commit_stamps_only_the_rows_that_it_changes",
                "clause_14_streams_and_resources_are_numbered_separately",
                "clause_15_a_row_is_gone_only_at_the_number_that_was_seen",
                "clause_15_only_the_row_at_the_path_is_gone",
                "clause_15_gone_rows_belong_to_the_whole_commit",
            ],
        ),
        (
            Fault::RevivalsKeepTheirNumber,
            &[
                "clause_14_only_commits_that_change_rows_are_numbered",
                "clause_14_a_commit_stamps_only_the_rows_that_it_changes",
                "clause_15_a_row_is_gone_only_at_the_number_that_was_seen",
            ],
        ),
        (
            Fault::EqualVersionsKeepTheirNumber,
            &[
                "clause_14_only_commits_that_change_rows_are_numbered",
                "clause_14_a_commit_stamps_only_the_rows_that_it_changes",
                "clause_15_a_row_is_gone_only_at_the_number_that_was_seen",
                "clause_15_a_record_verified_at_a_number_wins_only_there",
            ],
        ),
        (
            Fault::EachRowHasANumber,
            &[
                "clause_13_rows_are_found_by_path",
                "clause_14_a_commit_stamps_only_the_rows_that_it_changes",
                "clause_14_changed_rows_are_paged_once_each_in_order",
                "clause_14_changed_rows_are_those_of_the_range",
                "clause_14_nothing_appears_below_a_number_that_was_read",
                "clause_15_a_row_is_gone_only_at_the_number_that_was_seen",
                "clause_15_only_the_row_at_the_path_is_gone",
                "clause_15_gone_rows_belong_to_the_whole_commit",
                "clause_15_a_record_verified_at_a_number_wins_only_there",
            ],
        ),
        (
            Fault::StreamsShareNumbers,
            &[
                "clause_14_streams_and_resources_are_numbered_separately",
                "clause_14_a_refused_commit_takes_no_number",
                "clause_15_gone_rows_belong_to_the_whole_commit",
            ],
        ),
        (
            Fault::ResourcesShareNumbers,
            &["clause_14_streams_and_resources_are_numbered_separately", "clause_15_only_the_row_at_the_path_is_gone"],
        ),
        (
            Fault::RefusedCommitsTakeNumbers,
            &["clause_14_a_refused_commit_takes_no_number", "clause_15_gone_rows_belong_to_the_whole_commit"],
        ),
        (
            Fault::NumbersAreTakenEarly,
            &[
                "clause_14_only_commits_that_change_rows_are_numbered",
                "clause_14_streams_and_resources_are_numbered_separately",
                "clause_14_a_refused_commit_takes_no_number",
                "clause_14_nothing_appears_below_a_number_that_was_read",
                "clause_15_gone_rows_belong_to_the_whole_commit",
                "clause_15_a_record_verified_at_a_number_wins_only_there",
            ],
        ),
        (
            Fault::DeletedRowsAreNotChanges,
            &[
                "clause_14_documents_and_fields_come_with_the_rows",
                "clause_14_only_commits_that_change_rows_are_numbered",
                "clause_14_a_commit_stamps_only_the_rows_that_it_changes",
                "clause_14_streams_and_resources_are_numbered_separately",
                "clause_14_changed_rows_are_paged_once_each_in_order",
                "clause_15_a_row_is_gone_only_at_the_number_that_was_seen",
                "clause_15_only_the_row_at_the_path_is_gone",
                "clause_15_gone_rows_belong_to_the_whole_commit",
            ],
        ),
        (
            Fault::ChangesAreOrderedByPath,
            &[
                "clause_14_changed_rows_are_paged_once_each_in_order",
                "clause_14_changed_rows_are_those_of_the_range",
                "clause_15_a_row_is_gone_only_at_the_number_that_was_seen",
            ],
        ),
        (
            Fault::FromIsExclusive,
            &["clause_14_changed_rows_are_paged_once_each_in_order", "clause_14_changed_rows_are_those_of_the_range"],
        ),
        (
            Fault::UntilIsExclusive,
            &[
                "clause_14_changed_rows_are_paged_once_each_in_order",
                "clause_14_changed_rows_are_those_of_the_range",
                "clause_14_nothing_appears_below_a_number_that_was_read",
            ],
        ),
        (
            Fault::AfterAppliesToEveryNumber,
            &["clause_14_changed_rows_are_paged_once_each_in_order", "clause_14_changed_rows_are_those_of_the_range"],
        ),
        (
            Fault::AfterIsIgnored,
            &["clause_14_changed_rows_are_paged_once_each_in_order", "clause_14_changed_rows_are_those_of_the_range"],
        ),
        (Fault::GoneIgnoresTheNumber, &["clause_15_a_row_is_gone_only_at_the_number_that_was_seen"]),
        (Fault::GoneIncludesOlderNumbers, &["clause_15_a_row_is_gone_only_at_the_number_that_was_seen"]),
        (Fault::GoneIncludesNewerNumbers, &["clause_15_a_row_is_gone_only_at_the_number_that_was_seen"]),
        (Fault::GoneIgnoresTheParent, &["clause_15_only_the_row_at_the_path_is_gone"]),
        (
            Fault::GoneIsNotStamped,
            &[
                "clause_15_a_row_is_gone_only_at_the_number_that_was_seen",
                "clause_15_only_the_row_at_the_path_is_gone",
                "clause_15_gone_rows_belong_to_the_whole_commit",
            ],
        ),
        (
            Fault::GoneIsNotCounted,
            &[
                "clause_15_a_row_is_gone_only_at_the_number_that_was_seen",
                "clause_15_only_the_row_at_the_path_is_gone",
                "clause_15_gone_rows_belong_to_the_whole_commit",
            ],
        ),
        (
            Fault::GoneSurvivesARefusal,
            &[
                "clause_15_a_row_is_gone_only_at_the_number_that_was_seen",
                "clause_15_only_the_row_at_the_path_is_gone",
                "clause_15_gone_rows_belong_to_the_whole_commit",
            ],
        ),
        (
            Fault::GoneIsIgnored,
            &[
                "clause_15_a_row_is_gone_only_at_the_number_that_was_seen",
                "clause_15_only_the_row_at_the_path_is_gone",
                "clause_15_gone_rows_belong_to_the_whole_commit",
            ],
        ),
        (Fault::VerifiedIgnoresTheNumber, &["clause_15_a_record_verified_at_a_number_wins_only_there"]),
        (Fault::VerifiedIncludesOlderNumbers, &["clause_15_a_record_verified_at_a_number_wins_only_there"]),
        (Fault::VerifiedIncludesNewerNumbers, &["clause_15_a_record_verified_at_a_number_wins_only_there"]),
        (Fault::VerifiedIsListedElsewhere, &["clause_15_a_record_verified_at_a_number_wins_only_there"]),
        (Fault::VerifiedIsIgnored, &["clause_15_a_record_verified_at_a_number_wins_only_there"]),
    ];
    let found = expected.map(|(fault, checks)| (fault, failing_checks(fault), checks));
    let wrong: Vec<_> = found.iter().filter(|(_, failed, checks)| failed != checks).collect();
    assert!(wrong.is_empty(), "(fault, failed checks, expected checks): {wrong:#?}");
}
