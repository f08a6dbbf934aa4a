//! Pull requests.

use std::time::Duration;

use serde_json::Value;

use crate::{WIDGETS, filled, get, walk_texts};

fn parsed(texts: &[String]) -> Vec<Value> {
    texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

#[tokio::test]
async fn pull_requests_are_listed_by_state_and_sorted() {
    let upstream = filled().await;
    let pulls = upstream.pulls(WIDGETS);
    let list =
        async |query: &str| parsed(&walk_texts(&upstream, &format!("/repos/{WIDGETS}/pulls?{query}&per_page=7")).await);
    let times =
        |pulls: &[Value], key: &str| -> Vec<String> { pulls.iter().map(|pull| pull[key].to_string()).collect() };
    let all = list("state=all").await;
    assert!(all.len() > 10);
    assert!(times(&all, "created_at").is_sorted_by(|left, right| left >= right), "newest first unless asked otherwise");
    let mut expected: Vec<Value> = pulls.iter().map(|(_, text)| serde_json::from_str(text).unwrap()).collect();
    expected.sort_by_key(|pull| std::cmp::Reverse((pull["created_at"].to_string(), pull["number"].as_u64())));
    assert_eq!(all, expected);
    let (open, closed) = (list("").await, list("state=closed").await);
    assert!(open.iter().all(|pull| pull["state"] == "open") && closed.iter().all(|pull| pull["state"] == "closed"));
    assert_eq!(open.len() + closed.len(), all.len());
    assert!(!open.is_empty() && !closed.is_empty());
    let ascending = list("state=all&sort=updated").await;
    assert!(times(&ascending, "updated_at").is_sorted());
    let mut descending = list("state=all&sort=updated&direction=desc").await;
    descending.reverse();
    assert_eq!(ascending, descending);
    assert!(times(&list("state=all&sort=created&direction=asc").await, "created_at").is_sorted());
    // There is no `since` for pull requests.
    assert_eq!(list("state=all&since=2100-01-01T00:00:00Z").await.len(), all.len());
}

#[tokio::test]
async fn a_pull_request_is_its_issue_with_more_keys() {
    let upstream = filled().await;
    let (number, listed) = upstream.pulls(WIDGETS).swap_remove(3);
    let path = format!("/repos/{WIDGETS}/pulls/{number}");
    let single = get(&upstream, &path).await;
    assert_eq!(single.text, upstream.pull(WIDGETS, number));
    let (single, listed) = (single.json(), serde_json::from_str::<Value>(&listed).unwrap());
    let issue = get(&upstream, &format!("/repos/{WIDGETS}/issues/{number}")).await.json();
    for key in ["title", "body", "state", "updated_at", "labels", "user", "milestone"] {
        assert_eq!((&single[key], &listed[key]), (&issue[key], &issue[key]), "{key}");
    }
    assert_ne!(single["id"], issue["id"]);
    assert!(single.get("review_comments").is_some() && listed.get("review_comments").is_none());
    upstream.clock().advance(Duration::from_secs(60));
    upstream.edit(WIDGETS, number);
    assert_eq!(get(&upstream, &path).await.json()["updated_at"], upstream.clock().now().to_string());
    upstream.close(WIDGETS, number);
    assert_eq!(get(&upstream, &path).await.json()["state"], "closed");
    upstream.delete(WIDGETS, number);
    assert_eq!(get(&upstream, &path).await.status, 404);
    assert!(upstream.pulls(WIDGETS).iter().all(|(other, _)| *other != number));
}

#[tokio::test]
async fn an_issue_is_not_a_pull_request_and_a_broken_one_fails() {
    let upstream = filled().await;
    let pulls: Vec<u32> = upstream.pulls(WIDGETS).into_iter().map(|(number, _)| number).collect();
    let status = async |path: &str| get(&upstream, &format!("/repos/{WIDGETS}/pulls{path}")).await.status;
    let issue = (1..=60).find(|number| !pulls.contains(number)).unwrap();
    assert_eq!([status(&format!("/{issue}")).await, status("/999").await, status("/x").await], [404, 404, 404]);
    upstream.break_issue(WIDGETS, pulls[0]);
    assert_eq!([status(&format!("/{}", pulls[0])).await, status("?state=all&per_page=100").await], [500, 500]);
    upstream.repair(WIDGETS);
    assert_eq!(status("?state=all&per_page=100").await, 200);
    let new = upstream.create_pulls(WIDGETS, 3);
    assert_eq!(upstream.pulls(WIDGETS).len(), pulls.len() + 3);
    assert!(get(&upstream, &format!("/repos/{WIDGETS}/issues/{}", new[2])).await.json()["pull_request"].is_object());
}

#[tokio::test]
async fn as_many_issues_are_pull_requests_as_were_asked_for() {
    for count in [0, 1, 7, 20] {
        let builder = github_server::GithubServer::builder().repository(WIDGETS, 20).pulls(count);
        let upstream = builder.start().await.unwrap();
        assert_eq!(upstream.pulls(WIDGETS).len(), count as usize);
        let says_so = upstream.snapshot(WIDGETS).into_iter().filter(|issue| issue.text.contains("\"pull_request\":{"));
        assert_eq!(says_so.count(), count as usize);
    }
}

#[tokio::test]
async fn loaded_issues_are_pull_requests_if_they_say_so() {
    let text = |number: u32, link: &str| {
        format!(
            r#"{{"id": {number}, "number": {number}, "title": "one", "state": "open", "labels": [], "pull_request": {link},
               "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z"}}"#
        )
    };
    let issues = [text(1, "null"), text(2, r#"{"merged_at": null}"#)];
    let upstream = github_server::GithubServer::builder().repository_from(WIDGETS, issues).start().await.unwrap();
    let listed = get(&upstream, &format!("/repos/{WIDGETS}/pulls")).await.json();
    assert_eq!(
        (listed.as_array().unwrap().len(), &listed[0]["number"], &listed[0]["title"]),
        (1, &2.into(), &"one".into())
    );
}
