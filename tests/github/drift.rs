//! Page drift, on a real history: the losses of reading page numbers while a list changes, beside this source.
//!
//! `cargo test --all-features --test github drift -- --nocapture` prints the table.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{join, join_all};
use github_server::GithubServer;
use serde::Deserialize;
use serde_json::json;
use snowfeed::Monitor;
use snowfeed::http::Client;
use tokio::task::JoinHandle;

use crate::recordings::history;
use crate::support::{REPOSITORY, Reading};

const PAGE: usize = 30;

/// `updated_at` by id: a reader's rows.
type Table = BTreeMap<u64, String>;

#[derive(Deserialize)]
struct Issue {
    id: u64,
    updated_at: String,
}

/// What a reader lacks once the list has stopped changing and it has polled once more.
#[derive(Debug, Default, PartialEq)]
struct Discrepancies {
    missing: usize,
    stale: usize,
}

fn discrepancies(upstream: &GithubServer, table: &Table) -> Discrepancies {
    let mut discrepancies = Discrepancies::default();
    for issue in upstream.snapshot(REPOSITORY) {
        match table.get(&issue.id) {
            None => discrepancies.missing += 1,
            Some(updated) => discrepancies.stale += usize::from(updated.parse().ok() != Some(issue.updated_at)),
        }
    }
    discrepancies
}

/// Reads as connectors commonly do: by `updated`, ascending, page after page, from the newest known time.
async fn read_page_numbers(upstream: &GithubServer, table: &mut Table) {
    let client = Client::builder(upstream.url()).build().unwrap();
    let monitor = Monitor::detached();
    let since = table.values().max().map(|newest| format!("&since={newest}")).unwrap_or_default();
    for page in 1.. {
        let path = format!(
            "repos/{REPOSITORY}/issues?state=all&sort=updated&direction=asc&per_page={PAGE}&page={page}{since}"
        );
        let answer = client.get(&path).send(&monitor).await.unwrap();
        let issues: Vec<Issue> = answer.json().unwrap();
        let last = issues.len() < PAGE;
        table.extend(issues.into_iter().map(|issue| (issue.id, issue.updated_at)));
        if last {
            break;
        }
    }
}

/// A repository with the first half of the history, while the second half happens.
struct Changing {
    upstream: Arc<GithubServer>,
    stopped: Arc<AtomicBool>,
    changes_task: JoinHandle<()>,
}

impl Changing {
    async fn new(rate: u32, latency: Duration) -> Self {
        let upstream = GithubServer::builder().latency(latency).repository(REPOSITORY, 0).start().await.unwrap();
        let (upstream, stopped) = (Arc::new(upstream), Arc::new(AtomicBool::new(false)));
        let mut changes: Vec<String> = history().unwrap().map(|seen| seen.object.get().to_owned()).collect();
        // Issues that were observed at the same time are in this order by now.
        changes.sort_by_cached_key(|issue| serde_json::from_str::<Issue>(issue).unwrap().updated_at);
        let later = changes.split_off(changes.len() / 2);
        for issue in changes {
            upstream.put(REPOSITORY, &issue).unwrap();
        }
        let (changed, ended) = (upstream.clone(), stopped.clone());
        let changes_task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
            for issue in later {
                tick.tick().await;
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                changed.put(REPOSITORY, &issue).unwrap();
            }
        });
        Self { upstream, stopped, changes_task }
    }

    /// Stops all changes.
    async fn end(self) -> Arc<GithubServer> {
        self.stopped.store(true, Ordering::SeqCst);
        self.changes_task.await.unwrap();
        self.upstream
    }
}

/// The missing issues, and the number of requests.
type Outcome = (Discrepancies, u64);

async fn by_page_number(rate: u32, latency: Duration) -> Outcome {
    let changing = Changing::new(rate, latency).await;
    let mut table = Table::new();
    read_page_numbers(&changing.upstream, &mut table).await;
    let upstream = changing.end().await;
    read_page_numbers(&upstream, &mut table).await;
    (discrepancies(&upstream, &table), upstream.counts().requests)
}

/// One request at a time, like the other reader.
async fn by_source(rate: u32, latency: Duration) -> Outcome {
    let changing = Changing::new(rate, latency).await;
    let mut reading = Reading::new(&changing.upstream, json!({ "page_size": PAGE, "concurrency": 1 }));
    reading.read().await.unwrap();
    let upstream = changing.end().await;
    reading.read().await.unwrap();
    let rows = reading.table.values().map(|record| {
        let issue: Issue = serde_json::from_str(record.json().unwrap()).unwrap();
        (issue.id, issue.updated_at)
    });
    (discrepancies(&upstream, &rows.collect()), upstream.counts().requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn page_numbers_lose_rows_to_drift_and_this_source_does_not() {
    if history().is_none() {
        return;
    }
    let cells: Vec<(u32, u64)> =
        [20, 100, 400].into_iter().flat_map(|latency| [5, 25, 100].map(|rate| (rate, latency))).collect();
    let outcomes = join_all(cells.iter().map(|&(rate, latency)| {
        let latency = Duration::from_millis(latency);
        join(by_page_number(rate, latency), by_source(rate, latency))
    }));
    println!(
        "| latency | changes a second | changes a page | by page number: missing | stale | requests | snowfeed: missing | stale \
         | requests |\n|---|---|---|---|---|---|---|---|---|"
    );
    let mut lost = 0;
    for (&(rate, latency), outcome) in cells.iter().zip(outcomes.await) {
        let ((by_page, by_page_requests), (by_source, source_requests)) = outcome;
        println!(
            "| {latency} ms | {rate} | {:.1} | **{}** | {} | {by_page_requests} | **{}** | {} | {source_requests} |",
            f64::from(rate) * Duration::from_millis(latency).as_secs_f64(),
            by_page.missing,
            by_page.stale,
            by_source.missing,
            by_source.stale
        );
        assert_eq!(by_source, Discrepancies::default(), "{rate} changes a second, {latency} ms");
        lost += by_page.missing;
    }
    assert!(lost > 0, "nothing drifted");
}
