//! The keys of every record, as GitHub's description of its API requires them.

use github_server::{GithubServer, RecordKind};
use serde_json::Value;

use crate::{WIDGETS, filled};

/// Required keys, and those that other connectors read.
const KEYS: [(RecordKind, &str); 8] = [
    (
        RecordKind::IssueComment,
        "id node_id html_url issue_url user url created_at updated_at body author_association reactions \
         performed_via_github_app",
    ),
    (
        RecordKind::ReviewComment,
        "url id node_id pull_request_review_id diff_hunk path commit_id original_commit_id user body created_at \
         updated_at html_url pull_request_url author_association _links position original_position start_line \
         original_start_line start_side line original_line side subject_type reactions",
    ),
    (RecordKind::Label, "id node_id url name description color default"),
    (
        RecordKind::Milestone,
        "closed_issues creator description due_on closed_at id node_id labels_url html_url number open_issues state \
         title url created_at updated_at",
    ),
    (
        RecordKind::Release,
        "assets_url upload_url tarball_url zipball_url created_at published_at draft id node_id author html_url name \
         prerelease tag_name target_commitish assets url body immutable updated_at reactions",
    ),
    (
        RecordKind::IssueEvent,
        "id node_id url actor event commit_id commit_url created_at issue performed_via_github_app",
    ),
    (
        RecordKind::Review,
        "id node_id user body state commit_id html_url pull_request_url _links author_association submitted_at",
    ),
    (RecordKind::Commit, "url sha node_id html_url comments_url commit author committer parents"),
];

const PULL_KEYS: &str = "_links assignee assignees labels base body closed_at comments_url commits_url created_at \
    diff_url head html_url id node_id issue_url merge_commit_sha merged_at milestone number patch_url \
    review_comment_url review_comments_url statuses_url state locked title updated_at url user author_association \
    auto_merge draft requested_reviewers requested_teams active_lock_reason";

const SINGLE_PULL_KEYS: &str = "additions changed_files comments commits deletions mergeable mergeable_state merged \
    maintainer_can_modify merged_by review_comments rebaseable";

fn missing<'a>(text: &str, keys: &'a str) -> Vec<&'a str> {
    let value: Value = serde_json::from_str(text).unwrap();
    keys.split_whitespace().filter(|key| value.get(key).is_none()).collect()
}

#[tokio::test]
async fn records_have_the_keys_that_github_requires() {
    let upstream = filled().await;
    for (kind, keys) in KEYS {
        for record in upstream.records(WIDGETS, kind) {
            assert_eq!(missing(&record.text, keys), [""; 0], "{kind:?}");
        }
    }
    for (number, text) in upstream.pulls(WIDGETS) {
        assert_eq!(missing(&text, PULL_KEYS), [""; 0]);
        assert_eq!(missing(&upstream.pull(WIDGETS, number), PULL_KEYS), [""; 0]);
        assert_eq!(missing(&upstream.pull(WIDGETS, number), SINGLE_PULL_KEYS), [""; 0]);
    }
}

#[tokio::test]
async fn events_have_their_issue() {
    let upstream = filled().await;
    for event in upstream.records(WIDGETS, RecordKind::IssueEvent) {
        let issue = serde_json::from_str::<Value>(&event.text).unwrap()["issue"].clone();
        assert_eq!(issue["number"].as_u64(), event.parent.map(u64::from));
        let keys = "id node_id url repository_url labels_url comments_url events_url html_url state title body user";
        assert_eq!(missing(&issue.to_string(), keys), [""; 0]);
    }
}

#[tokio::test]
async fn oddities_reach_every_kind_of_text() {
    let builder = || GithubServer::builder().repository(WIDGETS, 60).records(RecordKind::IssueComment, 2_500);
    let texts = |upstream: &GithubServer| -> String {
        upstream.records(WIDGETS, RecordKind::IssueComment).into_iter().map(|record| record.text).collect()
    };
    let odd = texts(&builder().start().await.unwrap());
    let plain = texts(&builder().oddities(false).start().await.unwrap());
    for oddity in ["\"user\":null", "\\u0000"] {
        assert_eq!((odd.contains(oddity), plain.contains(oddity)), (true, false), "{oddity}");
    }
}
