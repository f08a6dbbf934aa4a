//! What a change of one record does to others, and mutations of all kinds.

use std::collections::BTreeSet;
use std::time::Duration;

use github_server::{GithubServer, Mutations, RecordKind};
use serde_json::{Value, json};

use crate::{WIDGETS, filled, filled_builder, get, walk_texts};

async fn issue(upstream: &GithubServer, number: u32) -> Value {
    get(upstream, &format!("/repos/{WIDGETS}/issues/{number}")).await.json()
}

/// Lets a minute pass and returns the time of the next change.
fn minute(upstream: &GithubServer) -> String {
    upstream.clock().advance(Duration::from_secs(60));
    upstream.clock().now().to_string()
}

#[tokio::test]
async fn generated_records_belong_to_issues_that_are_older_and_have_changed_since() {
    let upstream = filled().await;
    let pulls: BTreeSet<u32> = upstream.pulls(WIDGETS).into_iter().map(|(number, _)| number).collect();
    let issues = upstream.snapshot(WIDGETS);
    for (kind, of_pulls) in [
        (RecordKind::IssueComment, false),
        (RecordKind::IssueEvent, false),
        (RecordKind::ReviewComment, true),
        (RecordKind::Review, true),
    ] {
        for record in upstream.records(WIDGETS, kind) {
            let parent = record.parent.unwrap();
            assert!(!of_pulls || pulls.contains(&parent));
            let issue = issues.iter().find(|issue| issue.number == parent).unwrap();
            let created = serde_json::from_str::<Value>(&issue.text).unwrap()["created_at"].clone();
            assert!(created.as_str().unwrap() <= &*record.created_at.to_string());
            assert!(record.created_at <= issue.updated_at, "{kind:?}");
        }
    }
    let comments = upstream.records(WIDGETS, RecordKind::IssueComment);
    for issue in &issues {
        let own = comments.iter().filter(|comment| comment.parent == Some(issue.number)).count();
        assert_eq!(serde_json::from_str::<Value>(&issue.text).unwrap()["comments"], own);
    }
    let reviews = upstream.records(WIDGETS, RecordKind::Review);
    for comment in upstream.records(WIDGETS, RecordKind::ReviewComment) {
        let id = serde_json::from_str::<Value>(&comment.text).unwrap()["pull_request_review_id"].as_u64();
        let own = reviews.iter().filter(|review| review.parent == comment.parent).map(|review| review.id);
        assert!(id.is_none_or(|id| own.into_iter().any(|own| own == id)));
    }
}

#[tokio::test]
async fn a_new_comment_moves_its_issue_and_an_edited_or_deleted_one_does_not() {
    let upstream = filled().await;
    let before = issue(&upstream, 5).await;
    let now = minute(&upstream);
    let comment = upstream.add_record_to(WIDGETS, RecordKind::IssueComment, 5);
    let after = issue(&upstream, 5).await;
    assert_eq!(after["updated_at"], now);
    assert_eq!(after["comments"].as_u64(), before["comments"].as_u64().map(|count| count + 1));
    assert_eq!(after["title"], before["title"]);
    let edited = minute(&upstream);
    upstream.edit_record(WIDGETS, RecordKind::IssueComment, comment);
    assert_eq!(issue(&upstream, 5).await["updated_at"], now);
    let path = format!("/repos/{WIDGETS}/issues/comments/{comment}");
    let served = get(&upstream, &path).await.json();
    assert_eq!((&served["updated_at"], &served["created_at"]), (&edited.into(), &now.clone().into()));
    upstream.delete_record(WIDGETS, RecordKind::IssueComment, comment);
    let after = issue(&upstream, 5).await;
    assert_eq!((&after["updated_at"], &after["comments"]), (&now.into(), &before["comments"]));
    upstream.edit(WIDGETS, 5);
    assert_eq!(issue(&upstream, 5).await["comments"], before["comments"]);
}

#[tokio::test]
async fn a_review_moves_its_pull_request_and_a_hidden_one_does_not() {
    let upstream = filled().await;
    let (number, _) = upstream.pulls(WIDGETS).swap_remove(0);
    let updated =
        async || get(&upstream, &format!("/repos/{WIDGETS}/pulls/{number}")).await.json()["updated_at"].clone();
    let state = async |id| {
        get(&upstream, &format!("/repos/{WIDGETS}/pulls/{number}/reviews/{id}")).await.json()["state"].clone()
    };
    let added = minute(&upstream);
    let review = upstream.add_record_to(WIDGETS, RecordKind::Review, number);
    assert_eq!(updated().await, added);
    assert_ne!(state(review).await, "DISMISSED");
    let edited = minute(&upstream);
    upstream.edit_record(WIDGETS, RecordKind::Review, review);
    assert_eq!((updated().await, state(review).await), (edited.into(), "DISMISSED".into()));
    let deleted = minute(&upstream);
    upstream.delete_record(WIDGETS, RecordKind::Review, review);
    assert_eq!(updated().await, deleted);
    let hidden = upstream.records(WIDGETS, RecordKind::Review).into_iter().find(|one| one.parent == Some(number));
    minute(&upstream);
    upstream.hide_record(WIDGETS, RecordKind::Review, hidden.unwrap().id);
    assert_eq!(updated().await, deleted);
    let other = upstream.pulls(WIDGETS)[1].0;
    let elsewhere =
        upstream.records(WIDGETS, RecordKind::Review).into_iter().find(|one| one.parent == Some(other)).unwrap();
    assert_eq!(state(elsewhere.id).await, Value::Null, "it is another pull request's review");
}

#[tokio::test]
async fn a_deleted_issue_takes_its_records_with_it() {
    let upstream = filled().await;
    let kinds = [RecordKind::IssueComment, RecordKind::IssueEvent, RecordKind::ReviewComment, RecordKind::Review];
    let (number, _) = upstream.pulls(WIDGETS).swap_remove(2);
    for kind in kinds {
        upstream.add_record_to(WIDGETS, kind, number);
    }
    let before = kinds.map(|kind| upstream.records(WIDGETS, kind));
    upstream.delete(WIDGETS, number);
    for (kind, before) in kinds.into_iter().zip(before) {
        let rest: Vec<_> = before.iter().filter(|record| record.parent != Some(number)).cloned().collect();
        assert!(rest.len() < before.len());
        assert_eq!(upstream.records(WIDGETS, kind), rest, "{kind:?}");
    }
    assert_eq!(get(&upstream, &format!("/repos/{WIDGETS}/pulls/{number}/reviews")).await.status, 404);
    // A transferred issue takes them along, under new ids.
    let comment = upstream.add_record_to(WIDGETS, RecordKind::IssueComment, 5);
    let own = upstream.records(WIDGETS, RecordKind::IssueComment).iter().filter(|one| one.parent == Some(5)).count();
    let there = upstream.transfer(WIDGETS, 5, "acme/gadgets");
    assert!(upstream.records(WIDGETS, RecordKind::IssueComment).iter().all(|one| one.parent != Some(5)));
    let moved = upstream.records("acme/gadgets", RecordKind::IssueComment);
    assert_eq!(moved.iter().filter(|one| one.parent == Some(there) && one.id > comment).count(), own);
}

#[tokio::test]
async fn closing_and_reopening_are_events() {
    let upstream = filled().await;
    for (event, act) in [("closed", GithubServer::close as fn(&_, &_, _)), ("reopened", GithubServer::reopen)] {
        minute(&upstream);
        act(&upstream, WIDGETS, 7);
        let newest = get(&upstream, &format!("/repos/{WIDGETS}/issues/events?per_page=1")).await.json();
        assert_eq!((&newest[0]["event"], &newest[0]["issue"]["number"]), (&event.into(), &7.into()));
    }
}

#[tokio::test]
async fn events_are_immutable() {
    let upstream = filled().await;
    let before = upstream.records(WIDGETS, RecordKind::IssueEvent);
    minute(&upstream);
    upstream.bulk_edit(WIDGETS, 60);
    upstream.close(WIDGETS, before[0].parent.unwrap());
    let closed = upstream.records(WIDGETS, RecordKind::IssueEvent).pop().unwrap();
    upstream.hide_record(WIDGETS, RecordKind::IssueEvent, closed.id);
    upstream.rename_label(WIDGETS, "bug", "defect");
    assert_eq!(upstream.records(WIDGETS, RecordKind::IssueEvent), before);
    let id = before[0].id;
    let edit = std::panic::AssertUnwindSafe(|| upstream.edit_record(WIDGETS, RecordKind::IssueEvent, id));
    assert!(std::panic::catch_unwind(edit).is_err());
}

#[tokio::test]
async fn issues_follow_their_labels_and_milestones_silently() {
    let upstream = filled().await;
    let before = upstream.snapshot(WIDGETS);
    let bearing = |part: &str| upstream.snapshot(WIDGETS).iter().filter(|issue| issue.text.contains(part)).count();
    let label = upstream.records(WIDGETS, RecordKind::Label).swap_remove(3);
    let milestone = upstream
        .records(WIDGETS, RecordKind::Milestone)
        .swap_remove((0..35).find(|number| bearing(&format!(r#""title":"1.{}""#, number + 1)) > 0).unwrap());
    let (labelled, milestoned) = (bearing(&label.text), bearing(&milestone.text));
    assert!(labelled > 0 && milestoned > 0, "{labelled} {milestoned}");
    upstream.patch_record(WIDGETS, RecordKind::Label, label.id, json!({"color": "123456"}));
    assert_eq!((bearing(&label.text), bearing("123456")), (0, labelled));
    upstream.delete_record(WIDGETS, RecordKind::Label, label.id);
    upstream.delete_record(WIDGETS, RecordKind::Milestone, milestone.id);
    assert_eq!((bearing("123456"), bearing(&milestone.text)), (0, 0));
    let after = upstream.snapshot(WIDGETS);
    assert!(before.iter().zip(&after).all(|(old, new)| old.updated_at == new.updated_at));
    assert!(after.iter().all(|issue| serde_json::from_str::<Value>(&issue.text).is_ok()));
    upstream.restore_record(WIDGETS, &label);
    upstream.restore_record(WIDGETS, &milestone);
    assert_eq!(upstream.snapshot(WIDGETS), before);
    upstream.add_records(WIDGETS, RecordKind::Label, 3);
    assert_eq!(upstream.snapshot(WIDGETS), before, "no issue bears a new label");
}

#[tokio::test]
async fn silent_patches_move_nothing_and_others_move_the_record() {
    let upstream = filled().await;
    let comment = upstream.records(WIDGETS, RecordKind::ReviewComment).swap_remove(4);
    minute(&upstream);
    upstream.patch_record_silently(WIDGETS, RecordKind::ReviewComment, comment.id, json!({"position": null}));
    let find = || upstream.records(WIDGETS, RecordKind::ReviewComment).into_iter().find(|one| one.id == comment.id);
    let silent = find().unwrap();
    assert_eq!(silent.updated_at, comment.updated_at);
    assert_ne!(silent.text, comment.text);
    let now = minute(&upstream);
    upstream.patch_record(WIDGETS, RecordKind::ReviewComment, comment.id, json!({"body": "patched"}));
    assert_eq!(find().unwrap().updated_at.to_string(), now);
    upstream.patch_record(
        WIDGETS,
        RecordKind::ReviewComment,
        comment.id,
        json!({"updated_at": "2021-02-03T04:05:06Z"}),
    );
    let back = find().unwrap();
    assert_eq!(back.updated_at.to_string(), "2021-02-03T04:05:06Z");
    let list = format!("/repos/{WIDGETS}/pulls/comments?sort=updated&direction=asc&since=2021-02-03T04:05:06Z");
    assert_eq!(walk_texts(&upstream, &list).await[0], back.text);
    assert!(back.text.contains("patched") && back.text.contains("2021-02-03T04:05:06Z"));
    let edited = minute(&upstream);
    upstream.edit_record(WIDGETS, RecordKind::ReviewComment, comment.id);
    let after: Value = serde_json::from_str(&find().unwrap().text).unwrap();
    assert_eq!(after["updated_at"], edited);
    assert_ne!(after["body"], "patched");
}

#[tokio::test]
async fn mutations_add_edit_delete_and_restore_the_chosen_kinds_only() {
    let kinds = [
        RecordKind::IssueComment,
        RecordKind::ReviewComment,
        RecordKind::Release,
        RecordKind::IssueEvent,
        RecordKind::Review,
        RecordKind::Commit,
    ];
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let churn = Mutations { changes: 12, deletions: true, bulk_edits: false };
        let upstream = filled_builder().mutations(churn).mutate_records(kinds).start().await.unwrap();
        let before = kinds.map(|kind| upstream.records(WIDGETS, kind));
        let labels = upstream.records(WIDGETS, RecordKind::Label);
        for path in ["issues", "issues/comments", "labels", "pulls", "commits", "pulls/1/reviews"].repeat(25) {
            get(&upstream, &format!("/repos/{WIDGETS}/{path}?per_page=1")).await;
        }
        let after = kinds.map(|kind| upstream.records(WIDGETS, kind));
        for ((kind, before), after) in kinds.into_iter().zip(&before).zip(&after) {
            let ids = |records: &[github_server::SnapshotRecord]| -> BTreeSet<u64> {
                records.iter().map(|record| record.id).collect()
            };
            let (old, new) = (ids(before), ids(after));
            assert!(new.difference(&old).count() > 5, "{kind:?}: some were added");
            let kept = |text: &String| before.iter().any(|record| record.text == *text);
            let edited = after.iter().filter(|record| old.contains(&record.id) && !kept(&record.text)).count();
            let immutable = matches!(kind, RecordKind::IssueEvent | RecordKind::Commit);
            assert_eq!(edited > 5, !immutable, "{kind:?}: {edited} were edited");
            assert!(old.difference(&new).count() > 0, "{kind:?}: some were deleted");
        }
        assert_eq!(upstream.records(WIDGETS, RecordKind::Label), labels);
        upstream.mutate_records([]);
        let comments = upstream.records(WIDGETS, RecordKind::Release);
        get(&upstream, &format!("/repos/{WIDGETS}/issues")).await;
        assert_eq!(upstream.records(WIDGETS, RecordKind::Release), comments);
        outcomes.push((after, upstream.snapshot(WIDGETS)));
    }
    assert_eq!(outcomes[0], outcomes[1]);
}

#[tokio::test]
async fn mutations_restore_what_they_deleted() {
    let churn = Mutations { changes: 5, deletions: true, bulk_edits: false };
    let upstream = filled_builder().mutations(churn).mutate_records([RecordKind::Label]).start().await.unwrap();
    let (mut missing, mut returned) = (BTreeSet::new(), 0);
    let all: BTreeSet<u64> = upstream.records(WIDGETS, RecordKind::Label).iter().map(|label| label.id).collect();
    for _ in 0..200 {
        get(&upstream, &format!("/repos/{WIDGETS}/labels")).await;
        let now: BTreeSet<u64> = upstream.records(WIDGETS, RecordKind::Label).iter().map(|label| label.id).collect();
        returned += missing.intersection(&now).count();
        missing = all.difference(&now).copied().collect();
    }
    assert!(returned > 3, "{returned} labels returned");
}
