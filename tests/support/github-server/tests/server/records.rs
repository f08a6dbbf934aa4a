//! The lists of records other than issues: pages, orders, filters, validators and single records.

use std::collections::BTreeSet;
use std::time::Duration;

use github_server::{GithubServer, RecordKind, SnapshotRecord};
use serde_json::{Value, json};

use crate::{WIDGETS, client, filled, filled_builder, get, send, walk_texts};

/// The kinds whose lists are below the repository, with a query that lists everything.
const LISTS: [(RecordKind, &str); 7] = [
    (RecordKind::IssueComment, "issues/comments?"),
    (RecordKind::ReviewComment, "pulls/comments?"),
    (RecordKind::Label, "labels?"),
    (RecordKind::Milestone, "milestones?state=all&"),
    (RecordKind::Release, "releases?"),
    (RecordKind::IssueEvent, "issues/events?"),
    (RecordKind::Commit, "commits?"),
];

fn texts(records: &[SnapshotRecord]) -> Vec<String> {
    records.iter().map(|record| record.text.clone()).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

async fn column(upstream: &GithubServer, path: &str, key: &str) -> Vec<Value> {
    let texts = walk_texts(upstream, &format!("/repos/{WIDGETS}/{path}")).await;
    texts.iter().map(|text| serde_json::from_str::<Value>(text).unwrap()[key].clone()).collect()
}

#[tokio::test]
async fn pages_of_every_list_hold_the_snapshot_byte_for_byte() {
    let upstream = filled().await;
    for (kind, path) in LISTS {
        let expected = sorted(texts(&upstream.records(WIDGETS, kind)));
        assert!(expected.len() > 30, "{kind:?}");
        for per_page in [7, 30, 100] {
            let served = walk_texts(&upstream, &format!("/repos/{WIDGETS}/{path}per_page={per_page}")).await;
            assert_eq!(sorted(served), expected, "{kind:?}, {per_page}");
        }
    }
}

#[tokio::test]
async fn links_and_redirects_of_lists_name_the_repository_by_its_id() {
    let upstream = filled().await;
    let address = format!("{}/repositories/{}", upstream.url(), upstream.repository_id(WIDGETS));
    for (_, path) in LISTS {
        let page = get(&upstream, &format!("/repos/{WIDGETS}/{path}per_page=10&page=2")).await;
        let previous = page.link("prev").unwrap();
        assert_eq!(previous, format!("{address}/{path}per_page=10&page=1"));
        assert_eq!(get(&upstream, &previous).await.json().as_array().unwrap().len(), 10);
    }
    upstream.rename_repository(WIDGETS, "acme/things");
    let moved = get(&upstream, "/repos/acme/widgets/labels?per_page=2").await;
    assert_eq!((moved.status, moved.header("location").unwrap()), (301, &*format!("{address}/labels?per_page=2")));
    let labels = get(&upstream, &format!("{address}/labels")).await.column("url");
    assert!(labels.iter().all(|url| url.starts_with("https://api.github.com/repos/acme/things/labels/")));
}

#[tokio::test]
async fn cursor_links_and_the_page_depth_hold_for_every_list() {
    let upstream = filled_builder().page_depth(2).cursor_links(true).start().await.unwrap();
    for (kind, path) in LISTS {
        let deep = get(&upstream, &format!("/repos/{WIDGETS}/{path}per_page=10&page=3")).await;
        assert_eq!(deep.status, 422, "{kind:?}");
        let served = walk_texts(&upstream, &format!("/repos/{WIDGETS}/{path}per_page=10")).await;
        assert_eq!(sorted(served), sorted(texts(&upstream.records(WIDGETS, kind))), "{kind:?}");
    }
}

#[tokio::test]
async fn comments_ascend_by_id_unless_they_are_sorted() {
    let upstream = filled().await;
    for path in ["issues/comments", "pulls/comments"] {
        for query in ["", "?direction=desc", "?sort=created", "?sort=created&direction=asc"] {
            let ids = column(&upstream, &format!("{path}{query}"), "id").await;
            assert!(ids.is_sorted_by_key(|id| id.as_u64()), "{path}{query}");
        }
        let newest = column(&upstream, &format!("{path}?sort=created&direction=desc"), "created_at").await;
        assert!(newest.is_sorted_by(|left, right| left.as_str() >= right.as_str()));
        assert_ne!(newest.first(), newest.last());
        let updated = format!("{path}?sort=updated&per_page=20&direction=");
        let ascending = column(&upstream, &format!("{updated}asc"), "updated_at").await;
        assert!(ascending.is_sorted_by_key(|time| time.as_str().unwrap().to_owned()));
        let mut descending = column(&upstream, &format!("{updated}desc"), "updated_at").await;
        descending.reverse();
        assert_eq!(ascending, descending);
        let by_id = column(&upstream, path, "updated_at").await;
        assert_ne!(by_id, ascending, "some were edited");
    }
}

#[tokio::test]
async fn comments_since_a_second_include_it_or_not_as_set() {
    for inclusive in [true, false] {
        let upstream = filled_builder().since_inclusive(inclusive).start().await.unwrap();
        for (kind, path) in &LISTS[..2] {
            let mut all = upstream.records(WIDGETS, *kind);
            all.sort_by_key(|record| record.updated_at);
            let pivot = all[all.len() / 2].updated_at;
            let expected = all.into_iter().filter(|one| one.updated_at > pivot || inclusive && one.updated_at == pivot);
            let expected: Vec<String> = expected.map(|record| record.text).collect();
            for sort in ["", "sort=updated&direction=asc&", "sort=created&"] {
                let query = format!("/repos/{WIDGETS}/{path}{sort}since={pivot}&per_page=10");
                let served = walk_texts(&upstream, &query).await;
                assert_eq!(sorted(served), sorted(expected.clone()), "{query}, inclusive: {inclusive}");
            }
            let invalid = get(&upstream, &format!("/repos/{WIDGETS}/{path}since=yesterday")).await;
            assert_eq!(invalid.status, 422);
        }
    }
}

#[tokio::test]
async fn labels_ascend_and_releases_events_and_commits_begin_with_the_newest() {
    let upstream = filled().await;
    let ids = column(&upstream, "labels", "id").await;
    assert!(ids.is_sorted_by_key(|id| id.as_u64()));
    for path in ["releases", "issues/events"] {
        let created = column(&upstream, path, "created_at").await;
        assert!(created.is_sorted_by(|left, right| left.as_str() >= right.as_str()), "{path}");
        assert_ne!(created.first(), created.last());
    }
    let commits = column(&upstream, "commits", "commit").await;
    let dates: Vec<&str> = commits.iter().map(|commit| commit["committer"]["date"].as_str().unwrap()).collect();
    assert!(dates.is_sorted_by(|left, right| left >= right));
    // The event that is added last comes first.
    upstream.add_records(WIDGETS, RecordKind::IssueEvent, 1);
    let newest = upstream.records(WIDGETS, RecordKind::IssueEvent).pop().unwrap().id;
    assert_eq!(column(&upstream, "issues/events", "id").await[0], newest);
}

#[tokio::test]
async fn milestones_are_filtered_by_state_and_sorted_by_due_date_or_completeness() {
    let upstream = filled().await;
    let all = upstream.records(WIDGETS, RecordKind::Milestone);
    let (open, closed) = (column(&upstream, "milestones", "state").await, "milestones?state=closed");
    let closed = column(&upstream, closed, "state").await;
    assert!(open.iter().all(|state| state == "open") && closed.iter().all(|state| state == "closed"));
    assert!(open.len() > 6 && closed.len() > 6);
    assert_eq!(open.len() + closed.len(), all.len());
    let due = column(&upstream, "milestones?state=all", "due_on").await;
    let known: Vec<&str> = due.iter().filter_map(Value::as_str).collect();
    assert!(known.is_sorted() && known.len() > 10);
    assert!(due[known.len()..].iter().all(Value::is_null), "those without a due date come last");
    let ascending = column(&upstream, "milestones?state=all&sort=completeness", "number").await;
    let mut descending = column(&upstream, "milestones?state=all&sort=completeness&direction=desc", "number").await;
    descending.reverse();
    assert_eq!(ascending, descending);
    assert_ne!(ascending, column(&upstream, "milestones?state=all", "number").await);
    // Closing one moves it to the other list.
    upstream.patch_record(WIDGETS, RecordKind::Milestone, all[0].id, json!({"state": "closed"}));
    assert_eq!(column(&upstream, "milestones?state=closed", "state").await.len(), closed.len() + 1);
}

#[tokio::test]
async fn commits_are_selected_by_time_and_by_ancestor() {
    let upstream = filled().await;
    let commits = upstream.records(WIDGETS, RecordKind::Commit);
    let (early, late) = (commits[30].created_at, commits[60].created_at);
    let count = async |query: String| walk_texts(&upstream, &format!("/repos/{WIDGETS}/commits?{query}")).await.len();
    assert_eq!(count(format!("since={late}")).await, commits.len() - 60);
    assert_eq!(count(format!("since={early}&until={late}")).await, 31);
    assert_eq!(count("sha=main".into()).await, commits.len());
    let sha = commits[9].path.strip_prefix("commits/").unwrap();
    assert_eq!(count(format!("sha={sha}")).await, 10);
    assert_eq!(count(format!("sha={sha}&since={}", commits[8].created_at)).await, 2);
    for (query, status) in [("sha=nowhere", 404), ("since=yesterday", 422), ("until=tomorrow", 422)] {
        assert_eq!(get(&upstream, &format!("/repos/{WIDGETS}/commits?{query}")).await.status, status, "{query}");
    }
    let parent: Value = serde_json::from_str(&commits[10].text).unwrap();
    assert_eq!(parent["parents"][0]["sha"], sha);
    // A branch that is merged late brings commits with older dates.
    upstream.push_commit(WIDGETS, early);
    assert_eq!(count(format!("since={late}")).await, commits.len() - 60);
    assert_eq!(count(format!("until={early}")).await, 32);
    let newest = column(&upstream, "commits", "sha").await.remove(0);
    assert!(upstream.records(WIDGETS, RecordKind::Commit).last().unwrap().path.ends_with(newest.as_str().unwrap()));
    let empty = GithubServer::builder().repository(WIDGETS, 1).start().await.unwrap();
    assert_eq!(get(&empty, &format!("/repos/{WIDGETS}/commits")).await.status, 409);
}

#[tokio::test]
async fn reviews_are_below_their_pull_request() {
    let upstream = filled().await;
    let reviews = upstream.records(WIDGETS, RecordKind::Review);
    let pulls: BTreeSet<u32> = reviews.iter().map(|review| review.parent.unwrap()).collect();
    let mut served = Vec::new();
    for pull in &pulls {
        let path = format!("/repos/{WIDGETS}/pulls/{pull}/reviews?per_page=2");
        let own = walk_texts(&upstream, &path).await;
        let times = own.iter().map(|text| serde_json::from_str::<Value>(text).unwrap()["submitted_at"].to_string());
        assert!(times.is_sorted());
        served.extend(own);
    }
    assert_eq!(sorted(served), sorted(texts(&reviews)));
    let issue = (1..=60).find(|number| !upstream.pulls(WIDGETS).iter().any(|(pull, _)| pull == number)).unwrap();
    for number in [issue.to_string(), "9999".into(), "x".into()] {
        assert_eq!(get(&upstream, &format!("/repos/{WIDGETS}/pulls/{number}/reviews")).await.status, 404);
    }
    let quiet = upstream.create_pulls(WIDGETS, 1)[0];
    assert_eq!(get(&upstream, &format!("/repos/{WIDGETS}/pulls/{quiet}/reviews")).await.text, "[]");
}

#[tokio::test]
async fn every_page_answers_304_until_it_changes() {
    let upstream = filled().await;
    let ask = async |target: &str, etag: &str| {
        let request = client().get(format!("{}{target}", upstream.url())).bearer_auth("token");
        send(request.header("if-none-match", etag)).await.unwrap()
    };
    for (kind, path) in LISTS {
        let mut pages = Vec::new();
        for page in 1..=4 {
            let target = format!("/repos/{WIDGETS}/{path}per_page=10&page={page}");
            let etag = ask(&target, "").await.header("etag").unwrap().to_owned();
            let again = ask(&target, &etag).await;
            assert_eq!((again.status, again.text.as_str()), (304, ""), "{target}");
            pages.push((target, etag));
        }
        if matches!(kind, RecordKind::IssueEvent | RecordKind::Commit) {
            continue;
        }
        let listed = walk_texts(&upstream, &format!("/repos/{WIDGETS}/{path}")).await;
        let second_page: Value = serde_json::from_str(&listed[12]).unwrap();
        upstream.patch_record_silently(WIDGETS, kind, second_page["id"].as_u64().unwrap(), json!({"body": "new"}));
        let mut changed = Vec::new();
        for (target, etag) in &pages {
            changed.push(ask(target, etag).await.status);
        }
        assert_eq!(changed, [304, 200, 304, 304], "{kind:?}");
    }
}

#[tokio::test]
async fn every_record_is_found_alone_until_it_is_deleted() {
    let upstream = filled().await;
    let status = async |path: &str| get(&upstream, &format!("/repos/{WIDGETS}/{path}")).await.status;
    let all = [
        RecordKind::IssueComment,
        RecordKind::ReviewComment,
        RecordKind::Label,
        RecordKind::Milestone,
        RecordKind::Release,
        RecordKind::IssueEvent,
        RecordKind::Review,
    ];
    let id = upstream.repository_id(WIDGETS);
    for kind in all {
        let record = &upstream.records(WIDGETS, kind)[7];
        for prefix in [format!("/repos/{WIDGETS}"), format!("/repositories/{id}")] {
            assert_eq!(get(&upstream, &format!("{prefix}/{}", record.path)).await.text, record.text, "{}", record.path);
        }
        upstream.delete_record(WIDGETS, kind, record.id);
        assert_eq!(status(&record.path).await, 404, "{}", record.path);
        assert!(upstream.records(WIDGETS, kind).iter().all(|other| other.id != record.id));
        upstream.restore_record(WIDGETS, record);
        assert_eq!(get(&upstream, &format!("/repos/{WIDGETS}/{}", record.path)).await.text, record.text);
        assert!(upstream.records(WIDGETS, kind).contains(record));
    }
    let commit = &upstream.records(WIDGETS, RecordKind::Commit)[109];
    upstream.delete_record(WIDGETS, RecordKind::Commit, commit.id);
    assert_eq!(status(&commit.path).await, 200, "a forced push leaves a commit without a branch");
    assert_eq!(upstream.records(WIDGETS, RecordKind::Commit).len(), 109);
    assert_eq!(status("commits/0000000000000000000000000000000000000000").await, 422);
    for path in ["labels/nothing", "milestones/99", "releases/1", "issues/comments/x", "pulls/comments/7", "wiki/1"] {
        assert_eq!(status(path).await, 404, "{path}");
    }
}

#[tokio::test]
async fn labels_are_found_by_encoded_names_in_any_case() {
    let upstream = filled().await;
    upstream.rename_label(WIDGETS, "question", "Needs Info");
    upstream.rename_label(WIDGETS, "bug", "c++ & 100% \u{e9}");
    for path in [
        "good%20first%20issue",
        "Good%20First%20Issue",
        "needs%20info",
        "c%2B%2B%20%26%20100%25%20%C3%A9",
        "c++%20&%20100%25%20%C3%A9",
    ] {
        assert_eq!(get(&upstream, &format!("/repos/{WIDGETS}/labels/{path}")).await.status, 200, "{path}");
    }
    assert_eq!(get(&upstream, &format!("/repos/{WIDGETS}/labels/bug")).await.status, 404);
    let renamed = &upstream.records(WIDGETS, RecordKind::Label)[0];
    let url = serde_json::from_str::<Value>(&renamed.text).unwrap()["url"].clone();
    assert_eq!(url, format!("https://api.github.com/repos/{WIDGETS}/{}", renamed.path));
}

#[tokio::test]
async fn disabled_issues_hide_their_comments_and_events() {
    let upstream = filled().await;
    let comment = upstream.records(WIDGETS, RecordKind::IssueComment)[0].path.clone();
    upstream.disable_issues(WIDGETS);
    for (path, status) in
        [("issues/comments", 410), ("issues/events", 410), (&*comment, 410), ("pulls/comments", 200), ("labels", 200)]
    {
        assert_eq!(get(&upstream, &format!("/repos/{WIDGETS}/{path}")).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn unset_counts_leave_twelve_labels_and_six_milestones() {
    let upstream = GithubServer::builder().repository(WIDGETS, 20).start().await.unwrap();
    upstream.add_repository("acme/new");
    for repository in [WIDGETS, "acme/new"] {
        let counts = LISTS.map(|(kind, _)| upstream.records(repository, kind).len());
        assert_eq!(counts, [0, 0, 12, 6, 0, 0, 0]);
    }
    for path in ["issues/comments", "pulls/comments", "releases", "issues/events"] {
        assert_eq!(get(&upstream, &format!("/repos/{WIDGETS}/{path}")).await.text, "[]", "{path}");
    }
}

#[tokio::test]
async fn seeds_give_equal_records_and_ids_ascend_over_repositories() {
    let (one, two) = (filled().await, filled().await);
    one.clock().advance(Duration::from_secs(5));
    two.clock().advance(Duration::from_secs(5));
    let mut ids = Vec::new();
    for (kind, _) in LISTS {
        for upstream in [&one, &two] {
            upstream.add_records(WIDGETS, kind, 2);
            upstream.add_records("acme/gadgets", kind, 2);
            upstream.add_records(WIDGETS, kind, 2);
        }
        for repository in [WIDGETS, "acme/gadgets"] {
            let records = one.records(repository, kind);
            assert_eq!(records, two.records(repository, kind));
            assert!(records.is_sorted_by_key(|record| (record.created_at, record.id)), "{kind:?}");
            ids.extend(records.iter().map(|record| record.id));
        }
        let newest = |repository: &str, back: usize| one.records(repository, kind).iter().rev().nth(back).unwrap().id;
        assert!(newest("acme/gadgets", 0) < newest(WIDGETS, 0) && newest("acme/gadgets", 1) > newest(WIDGETS, 2));
    }
    let distinct: BTreeSet<u64> = ids.iter().copied().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[tokio::test]
async fn commits_are_compared_page_by_page() {
    let upstream = filled().await;
    let commits = upstream.records(WIDGETS, RecordKind::Commit);
    let sha = |index: usize| commits[index].path.strip_prefix("commits/").unwrap().to_owned();
    let compare = async |query: String| get(&upstream, &format!("/repos/{WIDGETS}/compare/{query}")).await;
    let (base, head) = (sha(9), sha(commits.len() - 1));
    let (mut found, mut page) = (Vec::new(), 1);
    loop {
        let answer = compare(format!("{base}...{head}?per_page=40&page={page}")).await;
        let body: Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!((&body["status"], &body["total_commits"]), (&json!("ahead"), &json!(commits.len() - 10)));
        let shas = body["commits"].as_array().unwrap().iter().map(|commit| commit["sha"].as_str().unwrap().to_owned());
        found.extend(shas);
        if found.len() >= commits.len() - 10 {
            break;
        }
        page += 1;
    }
    assert_eq!(found, (10..commits.len()).map(sha).collect::<Vec<_>>());
    let status = async |query: String| {
        let body: Value = serde_json::from_str(&compare(query).await.text).unwrap();
        body["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(format!("{head}...{head}")).await, "identical");
    assert_eq!(status(format!("{head}...{base}")).await, "behind");
    // A forced push removes the newest commit and adds another one.
    upstream.delete_record(WIDGETS, RecordKind::Commit, commits.last().unwrap().id);
    upstream.push_commit(WIDGETS, commits[0].created_at);
    let new = upstream.records(WIDGETS, RecordKind::Commit).last().unwrap().path.replace("commits/", "");
    assert_eq!(status(format!("{head}...{new}")).await, "diverged");
    assert_eq!(compare(format!("{head}...nowhere")).await.status, 404);
}
