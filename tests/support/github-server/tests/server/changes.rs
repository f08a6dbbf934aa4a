//! Data that changes, by calls and by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use github_server::{GithubServer, Mutations};
use serde_json::json;

use crate::{WIDGETS, client, get, send, walk};

async fn widgets(issues: u32) -> GithubServer {
    GithubServer::builder().seed(1).repository(WIDGETS, issues).repository("acme/gadgets", 3).start().await.unwrap()
}

#[tokio::test]
async fn edits_closes_and_new_issues_get_the_clocks_time() {
    let upstream = widgets(20).await;
    let clock = upstream.clock();
    clock.advance(Duration::from_secs(60));
    let before = get(&upstream, "/repos/acme/widgets/issues/5").await.json();
    upstream.edit(WIDGETS, 5);
    let after = get(&upstream, "/repos/acme/widgets/issues/5").await.json();
    assert_eq!(after["updated_at"], clock.now().to_string());
    assert_ne!(before["title"], after["title"]);
    assert_eq!(before["user"], after["user"]);
    upstream.close(WIDGETS, 5);
    upstream.reopen(WIDGETS, 6);
    assert_eq!(get(&upstream, "/repos/acme/widgets/issues/5").await.json()["state"], "closed");
    assert_eq!(get(&upstream, "/repos/acme/widgets/issues/6").await.json()["state"], "open");
    clock.step_back(Duration::from_secs(3_600));
    assert_eq!(upstream.create(WIDGETS, 2), [21, 22]);
    let new = get(&upstream, "/repos/acme/widgets/issues/22").await.json();
    assert_eq!(new["created_at"], clock.now().to_string());
    assert_eq!(upstream.len(WIDGETS), 22);
}

#[tokio::test]
async fn removed_issues_respond_with_410_404_or_301() {
    let upstream = widgets(20).await;
    upstream.delete(WIDGETS, 1);
    upstream.hide(WIDGETS, 2);
    assert_eq!(upstream.transfer(WIDGETS, 3, "acme/gadgets"), 4);
    let statuses = ["1", "2", "3", "99"].map(|number| format!("/repos/acme/widgets/issues/{number}"));
    let mut answers = Vec::new();
    for path in &statuses {
        answers.push(get(&upstream, path).await);
    }
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [410, 404, 301, 404]);
    let moved = get(&upstream, answers[2].header("location").unwrap()).await.json();
    assert_eq!(moved["number"], 4);
    assert_eq!(moved["repository_url"], "https://api.github.com/repos/acme/gadgets");
    assert_eq!(walk(&upstream, "/repos/acme/widgets/issues?state=all").await.len(), 17);
    assert_eq!(walk(&upstream, "/repos/acme/gadgets/issues?state=all").await.len(), 4);
}

#[tokio::test]
async fn renamed_labels_and_silent_patches_move_no_updated_at() {
    let upstream = widgets(100).await;
    let before = upstream.snapshot(WIDGETS);
    upstream.clock().advance(Duration::from_secs(5));
    upstream.rename_label(WIDGETS, "bug", "defect");
    upstream.patch_silently(WIDGETS, 7, json!({"author_association": "OWNER"})).unwrap();
    let after = upstream.snapshot(WIDGETS);
    let changed = before.iter().zip(&after).filter(|(old, new)| old.text != new.text).count();
    assert!(changed > 5, "{changed} issues bore the label");
    assert!(before.iter().zip(&after).all(|(old, new)| (old.id, old.updated_at) == (new.id, new.updated_at)));
    assert!(after.iter().all(|issue| !issue.text.contains("\"name\":\"bug\"")));
    assert!(after[6].text.contains("\"OWNER\""));
}

#[tokio::test]
async fn a_renamed_repository_redirects_to_its_id() {
    let upstream = widgets(40).await;
    let id = upstream.repository_id(WIDGETS);
    upstream.rename_repository(WIDGETS, "initech/staplers");
    let old = get(&upstream, "/repos/Acme/Widgets/issues?state=all&per_page=5").await;
    assert_eq!(old.status, 301);
    let address = format!("{}/repositories/{id}/issues?state=all&per_page=5", upstream.url());
    assert_eq!(old.header("location"), Some(address.as_str()));
    assert_eq!(get(&upstream, &address).await.ids().len(), 5);
    let repository = get(&upstream, "/repos/initech/staplers").await.json();
    assert_eq!((repository["id"].as_u64(), repository["full_name"].as_str()), (Some(id), Some("initech/staplers")));
    upstream.disable_issues("initech/staplers");
    assert_eq!(get(&upstream, &address).await.status, 410);
    assert_eq!(get(&upstream, "/repos/initech/nothing").await.status, 404);
}

#[tokio::test]
async fn a_field_can_show_up_on_page_two_first() {
    let upstream = widgets(120).await;
    upstream.add_field(WIDGETS, "issue_mood", &json!({"mood": "fine"}), 101);
    let path = "/repos/acme/widgets/issues?state=all&direction=asc&per_page=100";
    let first = get(&upstream, path).await;
    assert!(!first.text.contains("issue_mood"));
    let second = get(&upstream, &first.link("next").unwrap()).await.json();
    assert!(second.as_array().unwrap().iter().all(|issue| issue["issue_mood"]["mood"] == "fine"));
    upstream.patch(WIDGETS, 110, json!({"title": "patched"})).unwrap();
    let item = get(&upstream, "/repos/acme/widgets/issues/110").await;
    assert_eq!(item.text.matches("issue_mood").count(), 1);
}

#[tokio::test]
async fn given_issues_are_served_as_given_and_replaced_by_number() {
    let text = |title: &str, second: u8| {
        format!(
            r#"{{"id": 77, "number": 4,  "title": "{title}\u0000", "state": "open", "labels": [{{"name": "old"}}],
               "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:{second:02}Z"}}"#
        )
    };
    let upstream = GithubServer::builder().repository_from(WIDGETS, [text("one", 1)]).start().await.unwrap();
    let list = || async { get(&upstream, "/repos/acme/widgets/issues?sort=updated").await };
    assert_eq!(list().await.text, format!("[{}]", text("one", 1)));
    upstream.put(WIDGETS, &text("two", 2)).unwrap();
    assert_eq!(list().await.text, format!("[{}]", text("two", 2)));
    assert_eq!(upstream.snapshot(WIDGETS)[0].updated_at.to_string(), "2020-01-01T00:00:02Z");
    upstream.rename_label(WIDGETS, "old", "new");
    assert_eq!(list().await.json()[0]["labels"][0]["name"], "new");
    upstream.edit(WIDGETS, 4);
    upstream.close(WIDGETS, 4);
    let item = get(&upstream, "/repos/acme/widgets/issues/4").await.json();
    assert_eq!(item["updated_at"], upstream.clock().now().to_string());
    assert_eq!(item["state"], "closed");
    assert!(item["title"].as_str().unwrap().starts_with("two\0 (edited)"));
    assert!(upstream.put(WIDGETS, r#"{"number": 1}"#).is_err());
    let refused = GithubServer::builder().repository_from(WIDGETS, ["[]"]).start().await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn bulk_edits_share_one_second_across_pages() {
    let upstream = widgets(400).await;
    upstream.bulk_edit(WIDGETS, 150);
    let now = upstream.clock().now();
    let ids = walk(&upstream, &format!("/repos/acme/widgets/issues?state=all&sort=updated&since={now}")).await;
    assert_eq!(ids.len(), 150);
}

/// The naive reader.
async fn read_by_page_number(upstream: &GithubServer) -> BTreeSet<u64> {
    walk(upstream, "/repos/acme/widgets/issues?state=all&sort=updated&direction=asc&per_page=50")
        .await
        .into_iter()
        .collect()
}

/// A reader by keyset: always page 1 of the rows not older than the last one.
async fn read_by_keyset(upstream: &GithubServer) -> BTreeSet<u64> {
    let client = client();
    let mut seen = BTreeMap::new();
    let mut since = "2000-01-01T00:00:00Z".to_owned();
    let mut page = 1;
    loop {
        let url = format!(
            "{}/repos/acme/widgets/issues?state=all&sort=updated&direction=asc&per_page=50&since={since}&page={page}",
            upstream.url()
        );
        let answer = send(client.get(url)).await.unwrap();
        if upstream.counts().requests == 60 {
            // The changes must stop at some time, or the newest second would never end.
            upstream.set_mutations(Mutations::NONE);
        }
        let times = answer.column("updated_at");
        let fresh = answer
            .ids()
            .into_iter()
            .zip(times.clone())
            .filter(|(id, time)| seen.insert(*id, time.clone()).as_ref() != Some(time));
        let fresh = fresh.count();
        let Some(last) = times.last() else { break };
        if *last == since && fresh == 0 {
            break;
        }
        page = if *last == since { page + 1 } else { 1 };
        last.clone_into(&mut since);
    }
    seen.into_keys().collect()
}

#[tokio::test]
async fn mutations_make_page_numbers_lose_rows_but_not_keysets() {
    let churning = || GithubServer::builder().seed(9).repository(WIDGETS, 1_500).changes_per_request(5).start();
    let upstream = churning().await.unwrap();
    let there_all_along: BTreeSet<u64> = upstream.snapshot(WIDGETS).into_iter().map(|issue| issue.id).collect();
    let lost = there_all_along.difference(&read_by_page_number(&upstream).await).count();
    assert!(lost > 10, "reading by page number lost {lost} rows");

    let upstream = churning().await.unwrap();
    let lost = there_all_along.difference(&read_by_keyset(&upstream).await).count();
    assert_eq!(lost, 0);
}

#[tokio::test]
async fn mutations_follow_the_seed_and_can_delete_and_edit_in_bulk() {
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let churn = Mutations { changes: 10, deletions: true, bulk_edits: true };
        let upstream = GithubServer::builder().seed(3).repository(WIDGETS, 300).mutations(churn).start().await.unwrap();
        for _ in 0..100 {
            get(&upstream, "/repos/acme/widgets/issues?per_page=1").await;
        }
        outcomes.push(upstream.snapshot(WIDGETS));
    }
    assert_eq!(outcomes[0], outcomes[1]);
    let numbers: BTreeSet<u32> = outcomes[0].iter().map(|issue| issue.number).collect();
    assert!((1..=300).any(|number| !numbers.contains(&number)), "something was deleted");
    assert!(numbers.last().is_some_and(|&last| last > 300), "something was created");
    let mut seconds: BTreeMap<_, usize> = BTreeMap::new();
    for issue in &outcomes[0] {
        *seconds.entry(issue.updated_at).or_default() += 1;
    }
    assert!(seconds.values().any(|&count| count > 20), "some share a second: {:?}", seconds.values().max());
}
