//! Tokens, quotas, conditional requests and owners.

use std::sync::Arc;
use std::time::Duration;

use github_server::GithubServer;

use crate::{Answer, WIDGETS, client, get, send, walk};

const LIST: &str = "/repos/acme/widgets/issues?state=all&per_page=10";

async fn ask(upstream: &GithubServer, target: &str, token: Option<&str>, etag: Option<&str>) -> Answer {
    let mut request = client().get(format!("{}{target}", upstream.url()));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(etag) = etag {
        request = request.header("if-none-match", etag);
    }
    send(request).await.unwrap()
}

fn quota(answer: &Answer) -> (u64, u64, u64) {
    let number = |name| answer.header(name).unwrap().parse().unwrap();
    (number("x-ratelimit-limit"), number("x-ratelimit-remaining"), number("x-ratelimit-used"))
}

#[tokio::test]
async fn a_304_is_free_only_with_a_token() {
    let upstream = GithubServer::builder().repository(WIDGETS, 30).token("right").quota(100).start().await.unwrap();
    for (token, second) in [(Some("right"), (100, 99, 1)), (None, (60, 58, 2))] {
        let first = ask(&upstream, LIST, token, None).await;
        let etag = first.header("etag").unwrap().to_owned();
        assert!(etag.starts_with("W/\""));
        let again = ask(&upstream, LIST, token, Some(&etag)).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""));
        assert_eq!(again.header("etag"), Some(etag.as_str()));
        assert_eq!(quota(&again), second);
        assert_eq!(quota(&ask(&upstream, "/rate_limit", token, None).await), second, "it stays free");
    }
    assert_eq!(upstream.counts().not_modified, 2);
}

#[tokio::test]
async fn an_etag_depends_on_the_page_and_the_token() {
    let upstream = GithubServer::builder().repository(WIDGETS, 30).start().await.unwrap();
    let etag = ask(&upstream, LIST, Some("one"), None).await.header("etag").unwrap().to_owned();
    assert_eq!(ask(&upstream, LIST, Some("two"), Some(&etag)).await.status, 200);
    upstream.edit(WIDGETS, 1);
    assert_eq!(ask(&upstream, LIST, Some("one"), Some(&etag)).await.status, 304, "issue 1 is on another page");
    upstream.edit(WIDGETS, 30);
    assert_eq!(ask(&upstream, LIST, Some("one"), Some(&etag)).await.status, 200);
}

#[tokio::test]
async fn a_used_up_quota_answers_403_until_the_window_ends() {
    let upstream = GithubServer::builder().repository(WIDGETS, 3).quota(2).start().await.unwrap();
    assert_eq!(quota(&get(&upstream, LIST).await), (2, 1, 1));
    assert_eq!(quota(&get(&upstream, "/rate_limit").await), (2, 1, 1));
    assert_eq!(quota(&get(&upstream, LIST).await), (2, 0, 2));
    let refused = get(&upstream, LIST).await;
    assert_eq!((refused.status, quota(&refused)), (403, (2, 0, 2)));
    assert!(refused.text.contains("API rate limit exceeded"));
    let reset: i64 = refused.header("x-ratelimit-reset").unwrap().parse().unwrap();
    let ahead = reset - jiff::Timestamp::now().as_second();
    assert!((3_500..=3_600).contains(&ahead), "{ahead}");
    assert_eq!(get(&upstream, "/rate_limit").await.json()["resources"]["core"]["remaining"], 0);
    upstream.clock().advance(Duration::from_secs(3_601));
    assert_eq!(quota(&get(&upstream, LIST).await), (2, 1, 1));
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_none_is_anonymous() {
    let upstream = GithubServer::builder().repository(WIDGETS, 3).token("right").start().await.unwrap();
    let wrong = ask(&upstream, LIST, Some("wrong"), None).await;
    assert_eq!((wrong.status, wrong.json()["message"].as_str()), (401, Some("Bad credentials")));
    assert_eq!(ask(&upstream, LIST, Some("right"), None).await.status, 200);
    assert_eq!(quota(&ask(&upstream, LIST, None, None).await).0, 60);
    let seen: Vec<_> =
        upstream.requests().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    assert_eq!(seen, [Some("Bearer wrong".to_owned()), Some("Bearer right".to_owned()), None]);
    let no_agent = reqwest::Client::new().get(format!("{}{LIST}", upstream.url()));
    assert_eq!(send(no_agent).await.unwrap().status, 403);
}

#[tokio::test]
async fn an_app_gets_installation_tokens_that_expire() {
    let upstream = GithubServer::builder().repository(WIDGETS, 3).token("right").start().await.unwrap();
    let new_token = async |jwt: &str| {
        let url = format!("{}/app/installations/12/access_tokens", upstream.url());
        send(client().post(url).bearer_auth(jwt)).await.unwrap()
    };
    assert_eq!(new_token("right").await.status, 401);
    let answer = new_token("eyJh.eyJp.c2ln").await;
    assert_eq!(answer.status, 201);
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let expiry: jiff::Timestamp = answer.json()["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(expiry > jiff::Timestamp::now());
    assert_eq!(ask(&upstream, LIST, Some(&token), None).await.status, 200);
    assert_eq!(ask(&upstream, "/installation/repositories", Some(&token), None).await.json()["total_count"], 1);
    upstream.clock().advance(Duration::from_secs(3_600));
    assert_eq!(ask(&upstream, LIST, Some(&token), None).await.status, 401);
    let token = new_token("eyJh.eyJp.c2ln").await.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(ask(&upstream, LIST, Some(&token), None).await.status, 200);
    upstream.revoke_installation_tokens();
    assert_eq!(ask(&upstream, LIST, Some(&token), None).await.status, 401);
}

#[tokio::test]
async fn owners_are_users_or_organisations_with_pages_of_repositories() {
    let mut builder = GithubServer::builder().organization("acme").repository("ada/notes", 1);
    for index in 0..45 {
        builder = builder.repository(format!("acme/r{index}"), 1);
    }
    let upstream = builder.path_prefix("/api/v3").start().await.unwrap();
    assert!(upstream.url().ends_with("/api/v3"));
    assert_eq!(get(&upstream, "/users/acme").await.json()["type"], "Organization");
    assert_eq!(get(&upstream, "/users/ada").await.json()["type"], "User");
    assert_eq!(get(&upstream, "/users/nobody").await.status, 404);
    assert_eq!(get(&upstream, "/orgs/ada/repos").await.status, 404);
    for path in ["/orgs/acme/repos", "/users/acme/repos?per_page=20", "/orgs/acme/repos?per_page=100"] {
        assert_eq!(walk(&upstream, path).await.len(), 45, "{path}");
    }
    let names = get(&upstream, "/users/ada/repos").await.column("full_name");
    assert_eq!(names, ["ada/notes"]);
    assert_eq!(get(&upstream, "/repos/ada/notes").await.json()["owner"]["login"], "ada");
}

#[tokio::test]
async fn requests_in_flight_are_counted_and_can_be_too_many() {
    let upstream =
        GithubServer::builder().repository(WIDGETS, 3).latency(Duration::from_secs(2)).most_at_once(4).start().await;
    let upstream = Arc::new(upstream.unwrap());
    let client = client();
    let asking = (0..6).map(|_| send(client.get(format!("{}{LIST}", upstream.url()))));
    let answers = futures::future::join_all(asking).await;
    let refused: Vec<_> = answers.into_iter().map(Result::unwrap).filter(|answer| answer.status == 403).collect();
    assert_eq!(upstream.counts().max_in_flight, 6);
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|answer| answer.text.contains("secondary rate limit") && quota(answer).1 > 0));
    upstream.forget_requests();
    assert_eq!((upstream.requests().len(), upstream.counts().requests), (0, 0));
    get(&upstream, LIST).await;
    assert_eq!(upstream.requests()[0].number(), 7);
    assert_eq!(upstream.requests()[0].status(), Some(200));
    assert_eq!(upstream.requests_to("/repos/acme/widgets/issues"), 1);
}

#[tokio::test]
async fn a_dropped_server_stops() {
    let upstream = GithubServer::builder().repository(WIDGETS, 3).start().await.unwrap();
    let url = format!("{}{LIST}", upstream.url());
    let client = client();
    assert_eq!(send(client.get(&url)).await.unwrap().status, 200);
    drop(upstream);
    let mut refused = false;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        refused = client.get(&url).send().await.is_err();
        if refused {
            break;
        }
    }
    assert!(refused);
}
