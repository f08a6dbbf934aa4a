//! The number of requests per read, however its issues are spread over time.
//!
//! `cargo test --all-features --test github requests -- --nocapture` prints the tables; `SNOWFEED_LATENCIES=50,200` makes
//! the last one measure time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use github_server::GithubServer;
use serde_json::json;

use crate::recordings::history;
use crate::support::{REPOSITORY, Reading};

const YEAR: i64 = 365 * 86_400;

/// 1 January 2015.
const BEGINNING: i64 = 1_420_070_400;

/// The upper bound for few requests: one for each page of 100, one in twenty more, and six.
fn few(issues: usize) -> u64 {
    let pages = issues.div_ceil(100) as u64;
    pages + pages / 20 + 6
}

/// An upstream with one small issue at each of these seconds.
async fn upstream_at(seconds: impl IntoIterator<Item = i64>) -> GithubServer {
    let issue = |(index, second)| {
        let time = jiff::Timestamp::from_second(second).unwrap().to_string();
        let number: usize = index + 1;
        json!({ "id": 1_000 + number, "number": number, "title": "t", "created_at": time, "updated_at": time })
            .to_string()
    };
    let issues = seconds.into_iter().enumerate().map(issue);
    GithubServer::builder().repository_from(REPOSITORY, issues).start().await.unwrap()
}

/// A burst: this many issues, with this many in each second.
fn burst(begin: i64, issues: i64, each_second: i64) -> impl Iterator<Item = i64> {
    (0..issues).map(move |n| begin + n / each_second)
}

/// Name and seconds of each distribution.
fn distributions() -> Vec<(&'static str, Vec<i64>)> {
    let evenly = |issues: i64| (0..issues).map(move |n| BEGINNING + n * (8 * YEAR / issues));
    let share = |n: i64| i64::try_from(i128::from(n).pow(7) * i128::from(8 * YEAR) / 3_000_i128.pow(7)).unwrap();
    vec![
        ("10,000 evenly", evenly(10_000).collect()),
        ("120 + 120, nine years apart", burst(BEGINNING, 120, 1).chain(burst(BEGINNING + 9 * YEAR, 120, 1)).collect()),
        ("400 + 40, nine years apart", burst(BEGINNING, 400, 1).chain(burst(BEGINNING + 9 * YEAR, 40, 1)).collect()),
        ("5,000 in one second", burst(BEGINNING, 5_000, 5_000).collect()),
        ("250 in one second, 30 around it", evenly(30).chain(burst(BEGINNING + YEAR, 250, 250)).collect()),
        ("3,000, 60 in each second", burst(BEGINNING, 3_000, 60).collect()),
        ("ten bulk edits of 450", (0..10).flat_map(|n| burst(BEGINNING + n * YEAR / 3, 450, 450)).collect()),
        ("3,000, ever faster", (0..3_000).rev().map(|n| BEGINNING + 8 * YEAR - share(n)).collect()),
        ("3,000, ever slower", (0..3_000).map(|n| BEGINNING + share(n)).collect()),
        ("1,000 and one next year", evenly(1_000).chain([1_900_000_000]).collect()),
        ("1,000 and one long ago", evenly(1_000).chain([86_400]).collect()),
        ("100, exactly a page", evenly(100).collect()),
        ("101", evenly(101).collect()),
        ("7", evenly(7).collect()),
        ("none", Vec::new()),
    ]
}

/// Reads everything, each issue once; returns the requests and the time that it took.
async fn read(upstream: &GithubServer, concurrency: usize) -> (u64, Duration) {
    let (reading, requests, time) = read_until_idle(upstream, concurrency).await;
    assert_eq!(reading.offered, reading.table.len() as u64, "an issue came twice");
    (requests, time)
}

/// Reads everything, and polls once more; returns the requests and the time that the read took.
async fn read_until_idle(upstream: &GithubServer, concurrency: usize) -> (Reading, u64, Duration) {
    upstream.forget_requests();
    let before = upstream.counts().requests;
    let mut reading = Reading::new(upstream, json!({ "concurrency": concurrency }));
    let begin = Instant::now();
    reading.read().await.unwrap();
    let time = begin.elapsed();
    reading.assert_same(upstream);
    let (requests, offered) = (upstream.counts().requests - before, reading.offered);
    upstream.forget_requests();
    reading.read().await.unwrap();
    let idle: Vec<_> = upstream.requests().iter().map(|request| request.status()).collect();
    assert_eq!((idle, reading.offered), (vec![Some(304)], offered), "an idle poll");
    (reading, requests, time)
}

#[tokio::test]
async fn requests_are_few_at_any_concurrency_and_for_any_distribution() {
    println!("| issues | pages | few | at 1 | at 8 | at 32 | at 64 |\n|---|---|---|---|---|---|---|");
    let mut many = Vec::new();
    for (name, seconds) in distributions() {
        let upstream = upstream_at(seconds.iter().copied()).await;
        let (pages, few) = (seconds.len().div_ceil(100), few(seconds.len()));
        let mut line = format!("| {name} | {pages} | {few} ");
        for concurrency in [1, 8, 32, 64] {
            let (requests, _) = read(&upstream, concurrency).await;
            line += &format!("| {requests} ");
            if requests > few {
                many.push(format!("{name}: {requests} at {concurrency}"));
            }
        }
        println!("{line}|");
    }
    assert_eq!(many, Vec::<String>::new());
}

#[tokio::test]
async fn requests_for_10_000_issues_are_106_at_the_most() {
    let (_, seconds) = distributions().swap_remove(0);
    let upstream = upstream_at(seconds).await;
    let (requests, _) = read(&upstream, 8).await;
    assert!(requests <= 106, "{requests}");
}

/// The anonymous quota of an hour is enough for a real history.
#[tokio::test]
async fn requests_for_a_real_history_are_within_the_anonymous_quota() {
    let Some(history) = history() else { return };
    let ended: BTreeMap<u64, String> = history
        .map(|seen| {
            let issue: serde_json::Value = serde_json::from_str(seen.object.get()).unwrap();
            (issue["id"].as_u64().unwrap(), seen.object.get().to_owned())
        })
        .collect();
    for concurrency in [1, 8, 32] {
        let builder = GithubServer::builder().repository_from(REPOSITORY, ended.values()).quota(60);
        let (upstream, issues) = (builder.start().await.unwrap(), ended.len());
        let (requests, _) = read(&upstream, concurrency).await;
        println!("{issues} issues of a real history: {requests} requests at {concurrency}");
        assert!(requests <= few(issues), "{requests} requests at {concurrency}");
    }
}

/// Reads once more; returns the responses' statuses.
async fn poll(reading: &mut Reading, upstream: &GithubServer) -> Vec<u16> {
    upstream.forget_requests();
    reading.read().await.unwrap();
    reading.assert_same(upstream);
    upstream.requests().iter().map(|request| request.status().unwrap()).collect()
}

#[tokio::test]
async fn an_idle_poll_is_one_request_however_many_issues_share_the_last_second() {
    for cursors in [false, true] {
        for (edited, page_size) in [(29, 100), (99, 100), (100, 100), (101, 100), (250, 100), (1_500, 100), (90, 20)] {
            let builder = GithubServer::builder().repository(REPOSITORY, 2_000).cursor_links(cursors);
            let upstream = builder.start().await.unwrap();
            let mut reading = Reading::new(&upstream, json!({ "page_size": page_size }));
            reading.read().await.unwrap();
            upstream.clock().advance(Duration::from_secs(3_600));
            upstream.bulk_edit(REPOSITORY, edited);
            let pages = edited.div_ceil(page_size);
            let requests = poll(&mut reading, &upstream).await.len();
            // By key, every page of a second is read twice.
            let few = if cursors { 4 * pages + 8 } else { pages + 6 };
            assert!(requests <= few, "{requests} requests for {edited} edits");
            for _ in 0..3 {
                assert_eq!(poll(&mut reading, &upstream).await, [304], "{edited} edits, cursors: {cursors}");
            }
            // Later changes are still found, and idle polls stay cheap.
            upstream.edit(REPOSITORY, 5);
            poll(&mut reading, &upstream).await;
            upstream.create(REPOSITORY, 1);
            poll(&mut reading, &upstream).await;
            assert_eq!(poll(&mut reading, &upstream).await, [304], "{edited} edits, cursors: {cursors}");
        }
    }
}

/// The clock runs: an issue edited right after a read has the time of the issues that the read ended with.
#[tokio::test]
async fn no_change_is_missed_within_the_last_second() {
    let upstream = GithubServer::builder().repository(REPOSITORY, 300).live_clock().start().await.unwrap();
    let mut reading = Reading::new(&upstream, json!({ "page_size": 20, "overlap_seconds": 1 }));
    for round in 0..12 {
        upstream.bulk_edit(REPOSITORY, 70);
        poll(&mut reading, &upstream).await;
        upstream.edit(REPOSITORY, 1 + round);
        poll(&mut reading, &upstream).await;
    }
    upstream.bulk_edit(REPOSITORY, 70);
    poll(&mut reading, &upstream).await;
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    poll(&mut reading, &upstream).await;
    assert_eq!(poll(&mut reading, &upstream).await, [304]);
}

/// Without counted pages, the source splits time ranges, and now and then reads an empty page.
#[tokio::test]
async fn requests_are_bounded_when_the_server_does_not_count_pages() {
    for (name, seconds) in
        distributions().into_iter().filter(|(name, _)| !name.contains("bulk") && !name.contains(" in "))
    {
        let issue = |(index, second): (usize, &i64)| {
            let (time, number) = (jiff::Timestamp::from_second(*second).unwrap().to_string(), index + 1);
            json!({ "id": number, "number": number, "created_at": time, "updated_at": time }).to_string()
        };
        let issues: Vec<_> = seconds.iter().enumerate().map(issue).collect();
        for concurrency in [1, 8, 32] {
            let builder = GithubServer::builder().repository_from(REPOSITORY, &issues).cursor_links(true);
            let upstream = builder.start().await.unwrap();
            let mut reading = Reading::new(&upstream, json!({ "concurrency": concurrency }));
            let requests = poll(&mut reading, &upstream).await.len() as u64;
            assert!(requests <= few(seconds.len()) + 12, "{name}: {requests} requests at {concurrency}");
        }
    }
}

/// Issues with future times may move at any time, and are read by key: the pages of each second more than once.
#[tokio::test]
async fn requests_for_a_burst_in_the_future_are_bounded() {
    for concurrency in [1, 8, 32] {
        let upstream = upstream_at(burst(1_900_000_000, 1_200, 100)).await;
        let (_, requests, _) = read_until_idle(&upstream, concurrency).await;
        println!("1,200 issues of the future, 100 in each second: {requests} requests at {concurrency}");
        assert!(requests <= 12 * 12, "{requests} requests at {concurrency}");
    }
}

#[tokio::test]
async fn concurrent_requests_save_time() {
    let Ok(latencies) = std::env::var("SNOWFEED_LATENCIES") else { return };
    for latency in latencies.split(',').map(|ms| Duration::from_millis(ms.parse().unwrap())) {
        let builder = GithubServer::builder().repository(REPOSITORY, 10_000).latency(latency);
        let upstream = builder.start().await.unwrap();
        for concurrency in [1, 8, 32] {
            let mut reading = Reading::new(&upstream, json!({ "concurrency": concurrency }));
            let (before, begin) = (upstream.counts().requests, Instant::now());
            reading.read().await.unwrap();
            let requests = upstream.counts().requests - before;
            println!("{latency:?} at {concurrency}: {requests} requests, {:.2?}", begin.elapsed());
        }
    }
}
