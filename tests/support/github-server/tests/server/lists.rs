//! Lists of issues: pages, links, filters and orders.

use std::collections::{BTreeMap, BTreeSet};

use github_server::GithubServer;
use serde_json::value::RawValue;

use crate::{WIDGETS, get, truth, walk};

async fn widgets(issues: u32) -> GithubServer {
    GithubServer::builder().seed(42).repository(WIDGETS, issues).start().await.unwrap()
}

#[tokio::test]
async fn links_walk_a_quiet_repository_once() {
    let upstream = widgets(1_037).await;
    for query in [
        "state=all&per_page=100",
        "state=all&sort=updated&direction=asc&per_page=7",
        "state=all&sort=comments&per_page=99",
    ] {
        let ids = walk(&upstream, &format!("/repos/{WIDGETS}/issues?{query}")).await;
        assert_eq!(ids.len(), 1_037, "{query}");
        assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), truth(&upstream), "{query}");
    }
}

#[tokio::test]
async fn links_name_every_relation_by_the_repositorys_id() {
    let upstream = widgets(95).await;
    let id = upstream.repository_id(WIDGETS);
    let address = format!("{}/repositories/{id}/issues?state=all&page", upstream.url());
    let first = get(&upstream, "/repos/acme/widgets/issues?state=all").await;
    assert_eq!(first.header("link").unwrap(), format!("<{address}=2>; rel=\"next\", <{address}=4>; rel=\"last\""));
    let last = get(&upstream, &first.link("last").unwrap()).await;
    assert_eq!(last.ids().len(), 5);
    assert_eq!(last.header("link").unwrap(), format!("<{address}=3>; rel=\"prev\", <{address}=1>; rel=\"first\""));
    let whole = get(&upstream, "/repos/acme/widgets/issues?state=all&per_page=1000").await;
    assert_eq!((whole.ids().len(), whole.header("link")), (95, None));
    let beyond = get(&upstream, "/repos/acme/widgets/issues?state=all&page=9").await;
    assert_eq!((beyond.status, beyond.text.as_str()), (200, "[]"));
}

#[tokio::test]
async fn lists_default_to_open_issues_by_creation() {
    let upstream = widgets(300).await;
    let open = walk(&upstream, "/repos/acme/widgets/issues").await;
    let closed = walk(&upstream, "/repos/acme/widgets/issues?state=closed").await;
    assert!(open.len() > 30 && closed.len() > 30);
    assert_eq!(open.iter().chain(&closed).copied().collect::<BTreeSet<_>>(), truth(&upstream));
    let page = get(&upstream, "/repos/acme/widgets/issues").await;
    assert!(page.column("state").iter().all(|state| state == "open"));
    let created = page.column("created_at");
    assert!(created.is_sorted_by(|left, right| left >= right));
    assert_ne!(created.first(), created.last());
}

#[tokio::test]
async fn orders_hold_in_both_directions() {
    let upstream = widgets(500).await;
    for sort in ["created", "updated", "comments"] {
        let path = format!("/repos/acme/widgets/issues?state=all&sort={sort}&per_page=100&direction=");
        let ascending = walk(&upstream, &format!("{path}asc")).await;
        let mut descending = walk(&upstream, &format!("{path}desc")).await;
        descending.reverse();
        assert_eq!(ascending, descending, "{sort}");
    }
    let page = get(&upstream, "/repos/acme/widgets/issues?state=all&sort=updated&direction=asc&per_page=100").await;
    assert!(page.column("updated_at").is_sorted());
    let page = get(&upstream, "/repos/acme/widgets/issues?state=all&sort=comments&per_page=100").await;
    let page = page.json();
    assert!(page.as_array().unwrap().is_sorted_by_key(|issue| -issue["comments"].as_i64().unwrap()));
}

#[tokio::test]
async fn since_includes_its_second_if_configured() {
    for inclusive in [true, false] {
        let upstream =
            GithubServer::builder().repository(WIDGETS, 400).since_inclusive(inclusive).start().await.unwrap();
        let mut issues = upstream.snapshot(WIDGETS);
        issues.sort_by_key(|issue| (issue.updated_at, issue.number));
        let pivot = issues[200].updated_at;
        for sort in ["updated", "created", "comments"] {
            let ids = walk(&upstream, &format!("/repos/acme/widgets/issues?state=all&sort={sort}&since={pivot}")).await;
            let expected: BTreeSet<u64> = issues
                .iter()
                .filter(|issue| issue.updated_at > pivot || inclusive && issue.updated_at == pivot)
                .map(|issue| issue.id)
                .collect();
            assert_eq!(ids.len(), expected.len());
            assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), expected, "{sort}, inclusive: {inclusive}");
        }
        let fraction = pivot + jiff::SignedDuration::from_millis(1);
        let ids = walk(&upstream, &format!("/repos/acme/widgets/issues?state=all&since={fraction}")).await;
        assert_eq!(ids.len(), issues.iter().filter(|issue| issue.updated_at > pivot).count());
    }
    let upstream = widgets(1).await;
    assert_eq!(get(&upstream, "/repos/acme/widgets/issues?since=yesterday").await.status, 422);
}

#[tokio::test]
async fn pages_beyond_the_depth_require_a_cursor_and_cursors_reach_the_end() {
    let upstream =
        GithubServer::builder().repository(WIDGETS, 950).page_depth(3).cursor_links(true).start().await.unwrap();
    let deep = get(&upstream, "/repos/acme/widgets/issues?state=all&per_page=100&page=4").await;
    assert_eq!(deep.status, 422);
    assert!(deep.text.contains("cursor based pagination"), "{}", deep.text);
    for query in
        ["state=all&per_page=100", "state=all&sort=updated&direction=asc&per_page=100&since=2020-01-01T00:00:00Z"]
    {
        let ids = walk(&upstream, &format!("/repos/acme/widgets/issues?{query}")).await;
        let distinct: BTreeSet<u64> = ids.iter().copied().collect();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(distinct.len() == 950, !query.contains("since"));
        assert!(distinct.len() > 300, "the walk went past the depth");
    }
}

#[tokio::test]
async fn the_server_serves_the_snapshot_byte_for_byte() {
    let upstream = widgets(60).await;
    upstream.edit(WIDGETS, 9);
    upstream.close(WIDGETS, 10);
    let page = get(&upstream, "/repos/acme/widgets/issues?state=all&per_page=100").await;
    let served: Vec<Box<RawValue>> = serde_json::from_str(&page.text).unwrap();
    let mut expected: Vec<String> = upstream.snapshot(WIDGETS).into_iter().map(|issue| issue.text).collect();
    expected.reverse();
    let mut served: Vec<String> = served.iter().map(|issue| issue.get().to_owned()).collect();
    expected.sort();
    served.sort();
    assert_eq!(served, expected);
    let item = get(&upstream, "/repos/acme/widgets/issues/9").await;
    assert!(expected.contains(&item.text));
}

#[tokio::test]
async fn a_seed_gives_the_same_bytes_in_every_server() {
    let (one, two) = (widgets(200).await, widgets(200).await);
    assert_ne!(one.url(), two.url());
    assert_eq!(one.snapshot(WIDGETS), two.snapshot(WIDGETS));
    let other = GithubServer::builder().seed(43).repository(WIDGETS, 200).start().await.unwrap();
    assert_ne!(one.snapshot(WIDGETS), other.snapshot(WIDGETS));
}

#[tokio::test]
async fn generated_issues_look_like_githubs() {
    let upstream = widgets(2_000).await;
    let issues = upstream.snapshot(WIDGETS);
    let now = upstream.clock().now();
    let mut seconds: BTreeMap<_, usize> = BTreeMap::new();
    let (mut pulls, mut bytes, mut longest) = (0, 0, 0);
    let mut recent = 0;
    for issue in &issues {
        let value: serde_json::Value = serde_json::from_str(&issue.text).unwrap();
        let object = value.as_object().unwrap();
        assert!(object.len() >= 34, "{} keys", object.len());
        assert_eq!(value["updated_at"], issue.updated_at.to_string());
        assert_eq!(value["id"], issue.id);
        assert!(value["created_at"].as_str() <= value["updated_at"].as_str());
        assert_eq!(value["state"] == "closed", !value["closed_at"].is_null());
        assert!(value["reactions"].get("+1").is_some() && value["reactions"].get("-1").is_some());
        assert!(issue.updated_at <= now);
        *seconds.entry(issue.updated_at).or_default() += 1;
        recent += usize::from(now.duration_since(issue.updated_at).as_hours() < 2 * 365 * 24);
        pulls += usize::from(object.contains_key("pull_request"));
        longest = longest.max(value["body"].as_str().unwrap_or_default().chars().count());
        bytes += issue.text.len();
    }
    let mean = bytes / issues.len();
    assert!((3_000..5_500).contains(&mean), "{mean} bytes on average");
    assert!((500..700).contains(&pulls), "{pulls} pull requests");
    assert!(recent > 600, "only {recent} updated in the last two years of eight");
    assert!((60_000..=65_536).contains(&longest), "the longest body has {longest} characters");
    assert!(seconds.values().max().is_some_and(|&most| most >= 5), "issues share seconds");
    let all: String = issues.iter().map(|issue| issue.text.as_str()).collect();
    assert!(all.contains("\\u0000") && all.contains("\"user\":null") && all.contains("\"body\":null"));
}
