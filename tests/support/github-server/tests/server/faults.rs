//! Every fault, as a client sees it.

use std::error::Error as _;
use std::time::Duration;

use github_server::{Fault, GithubServer, RetryAfter};
use tokio::time::timeout;

use crate::{WIDGETS, client, get, send, try_get};

const LIST: &str = "/repos/acme/widgets/issues?state=all&per_page=20";

async fn widgets() -> GithubServer {
    GithubServer::builder().seed(5).repository(WIDGETS, 60).start().await.unwrap()
}

#[tokio::test]
async fn statuses_have_githubs_messages() {
    let upstream = widgets().await;
    for code in [401, 403, 404, 409, 410, 451, 500, 502, 503] {
        upstream.fault(Fault::status(code));
        let answer = get(&upstream, LIST).await;
        assert_eq!(answer.status, code);
        assert_eq!(answer.json()["status"], code.to_string());
        assert_eq!(answer.header("retry-after"), None);
        assert_eq!(get(&upstream, LIST).await.status, 200, "the fault strikes once");
    }
    upstream.fault(Fault::Status { code: 503, retry_after: Some(RetryAfter::Seconds(7)) });
    assert_eq!(get(&upstream, LIST).await.header("retry-after"), Some("7"));
}

#[tokio::test]
async fn rate_limits_look_like_githubs() {
    let upstream = widgets().await;
    upstream.fault(Fault::PrimaryLimit { reset_in: Duration::from_secs(90) });
    let answer = get(&upstream, LIST).await;
    assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (403, Some("0")));
    let reset: i64 = answer.header("x-ratelimit-reset").unwrap().parse().unwrap();
    assert!((80..=91).contains(&(reset - jiff::Timestamp::now().as_second())));
    for (code, retry_after) in [(403, None), (429, Some(RetryAfter::Seconds(3))), (429, Some(RetryAfter::Date(60)))] {
        upstream.fault(Fault::SecondaryLimit { code, retry_after });
        let answer = get(&upstream, LIST).await;
        assert_eq!(answer.status, code);
        assert!(answer.text.contains("secondary rate limit"));
        assert_ne!(answer.header("x-ratelimit-remaining"), Some("0"));
        match (retry_after, answer.header("retry-after")) {
            (None, None) => {}
            (Some(RetryAfter::Seconds(3)), Some("3")) => {}
            (Some(RetryAfter::Date(60)), Some(date)) => {
                assert!(date.ends_with(" GMT") && date.as_bytes()[3] == b',', "{date}");
            }
            (_, header) => panic!("{retry_after:?} became {header:?}"),
        }
    }
}

#[tokio::test]
async fn bodies_can_be_truncated_with_and_without_content_length() {
    let upstream = widgets().await;
    let whole = get(&upstream, LIST).await.text;
    upstream.fault(Fault::TruncatedBody);
    assert!(try_get(&upstream, LIST).await.is_err(), "the connection ends before the length is reached");
    upstream.fault(Fault::TruncatedJson);
    let answer = get(&upstream, LIST).await;
    assert_eq!(answer.status, 200);
    assert!(whole.starts_with(&answer.text) && answer.text.len() == whole.len() / 2);
    upstream.fault(Fault::EmptyBody);
    let answer = get(&upstream, LIST).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
}

#[tokio::test]
async fn pages_can_be_nonsense_with_status_200() {
    let upstream = widgets().await;
    upstream.fault(Fault::Html);
    let answer = get(&upstream, LIST).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(answer.text.starts_with("<!DOCTYPE html>"));
    upstream.fault(Fault::EmptyPage);
    let answer = get(&upstream, &format!("{LIST}&page=2")).await;
    assert_eq!(answer.text, "[]");
    assert_eq!(answer.link("next").unwrap(), format!("{}{LIST}&page=3", upstream.url()));
    upstream.fault(Fault::InvalidUtf8);
    let raw = client().get(format!("{}{LIST}", upstream.url())).send().await.unwrap().bytes().await.unwrap();
    assert!(std::str::from_utf8(&raw).is_err() && raw.starts_with(b"[{\"url\":\"\xff"));
    upstream.fault(Fault::MissingKey("updated_at".into()));
    let records = get(&upstream, LIST).await.json();
    let lacking: Vec<usize> = (0..20).filter(|&index| records[index].get("updated_at").is_none()).collect();
    assert_eq!(lacking, [19]);
}

#[tokio::test]
async fn connections_can_be_reset_or_stall_or_drip() {
    let upstream = widgets().await;
    upstream.fault(Fault::Reset);
    let error = try_get(&upstream, LIST).await.err().unwrap();
    let mut cause = error.source();
    let mut reset = false;
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        reset |= io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionReset);
        cause = error.source();
    }
    assert!(reset, "{error:?}");
    upstream.fault(Fault::Stall);
    assert!(timeout(Duration::from_millis(300), try_get(&upstream, LIST)).await.is_err());
    upstream.fault(Fault::Drip(Duration::from_millis(100)));
    let response = client().get(format!("{}{LIST}", upstream.url())).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(timeout(Duration::from_millis(500), response.text()).await.is_err());
}

#[tokio::test]
async fn a_gzip_bomb_unpacks_to_far_more_than_was_sent() {
    let upstream = widgets().await;
    let bomb = Fault::GzipBomb(8 << 20);
    upstream.fault(bomb.clone());
    assert_eq!(get(&upstream, LIST).await.text.len(), 8 << 20);
    upstream.fault(bomb);
    let blunt = reqwest::Client::builder().no_gzip().user_agent("upstream-tests").build().unwrap();
    let packed = blunt.get(format!("{}{LIST}", upstream.url())).send().await.unwrap().bytes().await.unwrap();
    assert!(packed.len() < 100_000, "{} bytes", packed.len());
}

#[tokio::test]
async fn redirects_can_have_any_target_or_none() {
    let (upstream, other) = (widgets().await, widgets().await);
    upstream.fault(Fault::RedirectTo(other.url().to_owned()));
    let answer = get(&upstream, LIST).await;
    assert_eq!((answer.status, answer.header("location").unwrap()), (302, format!("{}{LIST}", other.url()).as_str()));
    upstream.fault_on("/issues", Fault::RedirectLoop);
    let answer = get(&upstream, LIST).await;
    assert_eq!(
        (answer.status, answer.header("location").unwrap()),
        (302, format!("{}{LIST}", upstream.url()).as_str())
    );
    upstream.fault(Fault::ClockSkew(86_400));
    let date = get(&upstream, LIST).await.header("date").unwrap().to_owned();
    let honest = get(&upstream, LIST).await.header("date").unwrap().to_owned();
    assert_ne!(date[..16], honest[..16]);
}

#[tokio::test]
async fn faults_can_be_targeted() {
    let upstream = widgets().await;
    upstream.fault_at(2, Fault::status(500));
    upstream.fault_on("page=7", Fault::status(503));
    upstream.fault(Fault::status(502));
    let mut statuses = Vec::new();
    for target in [LIST, LIST, LIST, &format!("{LIST}&page=7"), &format!("{LIST}&page=7")] {
        statuses.push(get(&upstream, target).await.status);
    }
    assert_eq!(statuses, [502, 500, 200, 503, 200]);

    upstream.heavy_above(50);
    assert_eq!(get(&upstream, "/repos/acme/widgets/issues?per_page=51").await.status, 502);
    assert_eq!(get(&upstream, "/repos/acme/widgets/issues?per_page=51").await.status, 502);
    assert_eq!(get(&upstream, "/repos/acme/widgets/issues?per_page=50").await.status, 200);
    upstream.clear_faults();
    assert_eq!(get(&upstream, "/repos/acme/widgets/issues?per_page=51").await.status, 200);
}

#[tokio::test]
async fn a_fault_rate_follows_the_seed() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let upstream = widgets().await;
        upstream.fault_rate(0.3, [Fault::status(500), Fault::status(502)]);
        let client = client();
        let mut statuses = Vec::new();
        for _ in 0..100 {
            let url = format!("{}/repos/acme/widgets", upstream.url());
            statuses.push(send(client.get(url)).await.unwrap().status);
        }
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
    let faults = runs[0].iter().filter(|&&status| status != 200).count();
    assert!((10..60).contains(&faults), "{faults} of 100");
}
