//! Events of issues.

use std::collections::BTreeMap;

use github_server::{GithubServer, Mutations, RecordKind};
use serde_json::json;

use super::{StreamReading, requests, truth, upstream_of};
use crate::support::REPOSITORY;

const KIND: RecordKind = RecordKind::IssueEvent;

fn ids(texts: &BTreeMap<String, String>) -> Vec<u64> {
    let mut ids: Vec<u64> = texts.keys().map(|key| key.parse().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn all_events_are_read_the_newest_first() {
    for count in [0, 1, 19, 57, 100, 101, 1_234] {
        let upstream = upstream_of(KIND, count).await;
        let reading = StreamReading::new(&upstream, "issue_events").await;
        let batches = reading.batches().await.unwrap();
        let read: Vec<u64> =
            batches.iter().flat_map(|batch| &batch.records).map(|record| record.key.parse().unwrap()).collect();
        let mut expected = ids(&truth(&upstream, KIND));
        expected.reverse();
        assert_eq!(read, expected, "{count}");
        assert!(
            batches.iter().flat_map(|batch| &batch.records).all(|record| record.version.0.to_string() == record.key)
        );
        let sent = requests(&upstream).len();
        assert!(sent <= 3 + count as usize / 90, "{count}: {sent}");
    }
}

/// New events push the others down, and those of deleted issues vanish, between any two pages and while the read is interrupted.
#[tokio::test]
async fn no_event_is_lost_however_the_list_moves() {
    for seed in 0..6 {
        let builder = GithubServer::builder().seed(seed).repository(REPOSITORY, 400).records(KIND, 2_000);
        let upstream = builder.page_limit(if seed % 2 == 0 { 100 } else { 30 }).start().await.unwrap();
        let there = truth(&upstream, KIND);
        let mut reading = StreamReading::new(&upstream, "issue_events").await;
        upstream.set_mutations(Mutations { deletions: true, ..Mutations::per_request(6) });
        let mut number = 1;
        while reading.read_some(3).await.unwrap() == 3 {
            for _ in 0..5 {
                upstream.delete(REPOSITORY, upstream.snapshot(REPOSITORY)[number % 40].number);
                number += 7;
            }
            upstream.add_records(REPOSITORY, KIND, 20 * u32::try_from(number % 5).unwrap());
        }
        let left = truth(&upstream, KIND);
        let lost: Vec<&String> =
            there.keys().filter(|key| left.contains_key(*key) && !reading.rows.contains_key(*key)).collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?}");
        assert!(left.len() < there.len() + 2_000);
    }
}

#[tokio::test]
async fn an_idle_read_is_one_request_that_costs_nothing() {
    for count in [0, 150] {
        let upstream = upstream_of(KIND, count).await;
        let mut reading = StreamReading::new(&upstream, "issue_events").await;
        let first = reading.batches().await.unwrap().remove(0);
        reading.incremental = first.checkpoint;
        requests(&upstream);
        let batches = reading.batches().await.unwrap();
        assert!(batches.len() == 1 && batches[0].is_unchanged, "{batches:?}");
        let sent = requests(&upstream);
        assert!(sent.len() == 1 && sent[0].1 == 304, "{sent:?}");
        let new = upstream.add_records(REPOSITORY, KIND, 1);
        let batches = reading.batches().await.unwrap();
        assert_eq!(batches[0].records[0].key, new[0].to_string());
        assert!(!requests(&upstream)[0].0.starts_with("/repos/"), "by id");
    }
}

#[tokio::test]
async fn a_gateway_that_cuts_pages_or_drops_links_hides_nothing() {
    for (limit, has_links) in [(30, true), (30, false), (57, false), (100, false), (7, true)] {
        for count in [57, 400] {
            let builder = GithubServer::builder().repository(REPOSITORY, 50).records(KIND, count).page_limit(limit);
            let upstream = if has_links { builder } else { builder.without_links() }.start().await.unwrap();
            let mut reading = StreamReading::new(&upstream, "issue_events").await;
            while reading.read_some(2).await.unwrap() == 2 {}
            assert_eq!(ids(&reading.texts()), ids(&truth(&upstream, KIND)), "{limit} {has_links} {count}");
        }
    }
}

/// GitHub refuses pages of old events.
#[tokio::test]
async fn events_that_github_does_not_page_through_are_reported() {
    let builder = GithubServer::builder().repository(REPOSITORY, 50).records(KIND, 900).page_depth(4);
    let upstream = builder.start().await.unwrap();
    let reading = StreamReading::new(&upstream, "issue_events").await;
    let batches = reading.batches().await.unwrap();
    assert!(batches.iter().map(|batch| batch.records.len()).sum::<usize>() >= 350);
    assert!(reading.warnings().iter().any(|text| text.contains("older events")), "{:?}", reading.warnings());
}

#[tokio::test]
async fn pages_at_which_the_server_fails_are_requested_smaller() {
    let upstream = upstream_of(KIND, 300).await;
    let is_large = |request: &github_server::ReceivedRequest| {
        request.path().ends_with("/events")
            && request.query("per_page").is_some_and(|size| size.parse::<u32>().unwrap() > 30)
    };
    upstream.fault_while(is_large, github_server::Fault::status(502));
    let mut reading = StreamReading::with(&upstream, "issue_events", json!({ "retries": 0 })).await;
    reading.read().await.unwrap();
    assert_eq!(ids(&reading.texts()), ids(&truth(&upstream, KIND)));
}
