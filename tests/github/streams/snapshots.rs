//! Labels, milestones and releases.

use std::collections::BTreeMap;

use github_server::{Fault, GithubServer, RecordKind};
use serde_json::{Value, json};
use snowfeed::Batch;

use super::{StreamReading, requests, split, truth, upstream_of};
use crate::support::REPOSITORY;

const KINDS: [(&str, RecordKind); 3] =
    [("labels", RecordKind::Label), ("milestones", RecordKind::Milestone), ("releases", RecordKind::Release)];

fn listed(batches: &[Batch]) -> BTreeMap<String, String> {
    let records = batches.iter().flat_map(|batch| &batch.records);
    records.map(|record| (record.key.clone(), record.json().unwrap().to_string())).collect()
}

#[track_caller]
fn assert_unchanged(batches: &[Batch]) {
    assert!(batches.len() == 1 && batches[0].is_unchanged && batches[0].offered() == 0, "{batches:?}");
}

#[tokio::test]
async fn a_list_is_read_whole_and_its_validators_come_last() {
    for (stream, kind) in KINDS {
        for count in [0, 1, 5, 57, 100, 101, 250, 300] {
            let upstream = upstream_of(kind, count).await;
            let mut reading = StreamReading::new(&upstream, stream).await;
            let batches = reading.batches().await.unwrap();
            assert_eq!(listed(&batches), truth(&upstream, kind), "{stream} {count}");
            let (last, others) = batches.split_last().unwrap();
            assert!(last.checkpoint.is_some() && others.iter().all(|batch| batch.checkpoint.is_none()));
            // One request for the repository, one for each page, and one more that finds out where the list ends.
            let sent = requests(&upstream);
            assert!(sent.len() <= 3 + count as usize / 100, "{count}: {sent:?}");
            reading.checkpoint = last.checkpoint.clone();
            assert_unchanged(&reading.batches().await.unwrap());
            let sent = requests(&upstream);
            assert!(sent.iter().all(|(_, status)| *status == 304), "{sent:?}");
            assert!(sent.len() <= 1 + count as usize / 100, "{count}: {sent:?}");
        }
    }
}

/// Also on the last page only, and where the list was a full page.
#[tokio::test]
async fn a_change_on_any_page_is_seen() {
    for (stream, kind) in KINDS {
        for count in [5, 100, 250] {
            let upstream = upstream_of(kind, count).await;
            let mut reading = StreamReading::new(&upstream, stream).await;
            reading.read().await.unwrap();
            let ids: Vec<u64> = upstream.records(REPOSITORY, kind).iter().map(|record| record.id).collect();
            for id in [ids[0], ids[ids.len() / 2], ids[ids.len() - 1]] {
                upstream.patch_record_silently(REPOSITORY, kind, id, json!({ "description": format!("changed {id}") }));
                reading.read().await.unwrap();
                assert_eq!(reading.texts(), truth(&upstream, kind), "{stream} {count}");
            }
            upstream.add_records(REPOSITORY, kind, 1);
            reading.read().await.unwrap();
            assert_eq!(reading.texts(), truth(&upstream, kind), "{stream} {count}");
            upstream.delete_record(REPOSITORY, kind, ids[1]);
            let batches = reading.batches().await.unwrap();
            assert_eq!(listed(&batches), truth(&upstream, kind), "{stream} {count}");
        }
    }
}

#[tokio::test]
async fn a_gateway_that_cuts_pages_and_drops_links_hides_nothing() {
    for (stream, kind) in KINDS {
        for (count, limit, has_links) in
            [(90, 30, false), (57, 57, false), (57, 20, true), (90, 30, true), (3, 100, false)]
        {
            let builder = GithubServer::builder().repository(REPOSITORY, 20).records(kind, count).page_limit(limit);
            let upstream = if has_links { builder } else { builder.without_links() }.start().await.unwrap();
            let mut reading = StreamReading::new(&upstream, stream).await;
            for _ in 0..2 {
                reading.read().await.unwrap();
                assert_eq!(reading.texts(), truth(&upstream, kind), "{stream} {count} {limit}");
                upstream.add_records(REPOSITORY, kind, 2);
            }
            reading.read().await.unwrap();
            assert_eq!(reading.texts(), truth(&upstream, kind), "{stream} {count} {limit}");
        }
    }
}

#[tokio::test]
async fn tags_of_other_credentials_or_pages_are_not_used() {
    let upstream = upstream_of(RecordKind::Label, 150).await;
    let mut reading = StreamReading::new(&upstream, "labels").await;
    reading.read().await.unwrap();
    for more in [json!({ "page_size": 50 }), json!({ "token": "env:PATH" })] {
        requests(&upstream);
        reading.reconnect(&upstream, more).await;
        assert_eq!(listed(&reading.batches().await.unwrap()), truth(&upstream, RecordKind::Label));
        assert!(requests(&upstream).iter().all(|(_, status)| *status == 200));
    }
    let long = format!("\"{}\"", "x".repeat(5_000));
    upstream.fault_while(|_| true, Fault::Header("etag", long));
    reading.reconnect(&upstream, json!({})).await;
    reading.checkpoint = None;
    reading.read().await.unwrap();
    assert!(reading.checkpoint.as_ref().unwrap().as_str().len() < 400);
    assert_eq!(listed(&reading.batches().await.unwrap()), truth(&upstream, RecordKind::Label));
}

#[tokio::test]
async fn pages_at_which_the_server_fails_are_requested_smaller() {
    let upstream = upstream_of(RecordKind::Release, 130).await;
    let is_large = |request: &github_server::ReceivedRequest| {
        request.path().ends_with("/releases")
            && request.query("per_page").is_none_or(|size| size.parse::<u32>().unwrap() > 30)
    };
    upstream.fault_while(is_large, Fault::status(502));
    let reading = StreamReading::with(&upstream, "releases", json!({ "retries": 0 })).await;
    let batches = reading.batches().await.unwrap();
    assert_eq!(listed(&batches), truth(&upstream, RecordKind::Release));
    upstream.clear_faults();
    upstream.fault_while(|request| request.path().ends_with("/releases"), Fault::status(502));
    assert!(reading.batches().await.is_err());
}

#[tokio::test]
async fn a_missing_record_is_deleted_only_on_evidence() {
    for (stream, kind) in KINDS {
        let upstream = upstream_of(kind, 150).await;
        let mut reading = StreamReading::new(&upstream, stream).await;
        reading.read().await.unwrap();
        let ids: Vec<u64> = upstream.records(REPOSITORY, kind).iter().map(|record| record.id).collect();
        let keys: Vec<String> = ids[..3].iter().map(u64::to_string).collect();
        upstream.delete_record(REPOSITORY, kind, ids[0]);
        upstream.patch_record_silently(REPOSITORY, kind, ids[1], json!({ "name": "a/new name?" }));
        let (gone, found) = split(reading.verify(&keys).await.unwrap());
        assert_eq!(gone, keys[..1], "{stream}");
        let now = truth(&upstream, kind);
        assert_eq!(found, BTreeMap::from([&keys[1], &keys[2]].map(|key| (key.clone(), now[key].clone()))));
        let items = format!("/{stream}/");
        upstream.fault_while(move |request| request.path().contains(&items), Fault::status(404));
        assert!(reading.verify(&keys).await.is_err(), "{stream}");
        upstream.clear_faults();
        // The repository lists none to compare with.
        for id in &ids[1..] {
            upstream.delete_record(REPOSITORY, kind, *id);
        }
        let error = reading.verify(&keys).await.unwrap_err();
        assert_eq!(error.unconfirmed_deletions(), Some(3), "{stream}: {error}");
    }
}

/// Only those who may write see drafts.
#[tokio::test]
async fn a_missing_draft_is_kept_unless_the_credentials_see_drafts() {
    let upstream = upstream_of(RecordKind::Release, 6).await;
    let id = upstream.records(REPOSITORY, RecordKind::Release)[2].id;
    upstream.patch_record_silently(REPOSITORY, RecordKind::Release, id, json!({ "draft": true }));
    let mut reading = StreamReading::new(&upstream, "releases").await;
    reading.read().await.unwrap();
    upstream.delete_record(REPOSITORY, RecordKind::Release, id);
    let keys = [id.to_string()];
    assert_eq!(reading.verify(&keys).await.unwrap(), []);
    assert!(reading.warnings().iter().any(|text| text.contains("drafts")), "{:?}", reading.warnings());
    let repository = upstream.repository_id(REPOSITORY);
    let body = json!({ "id": repository, "full_name": REPOSITORY, "permissions": { "push": true } }).to_string();
    let path = format!("/repositories/{repository}");
    upstream.fault_while(move |request| request.path() == path, Fault::Body { code: 200, body });
    assert_eq!(split(reading.verify(&keys).await.unwrap()).0, keys);
}

#[tokio::test]
async fn a_list_that_is_cut_off_or_no_list_is_an_error_without_validators() {
    let upstream = upstream_of(RecordKind::Label, 250).await;
    let reading = StreamReading::with(&upstream, "labels", json!({ "retries": 0 })).await;
    let is_later = |request: &github_server::ReceivedRequest| request.query("page").is_some();
    upstream.fault_while(is_later, Fault::Body { code: 200, body: "[{\"id\":1}".into() });
    assert!(reading.batches().await.is_err());
    let upstream = upstream_of(RecordKind::Label, 7).await;
    let reading = StreamReading::with(&upstream, "labels", json!({ "retries": 0 })).await;
    upstream.fault_while(|request| request.path().ends_with("/labels"), Fault::Body { code: 200, body: "{}".into() });
    assert!(reading.batches().await.is_err());
    upstream.clear_faults();
    let body = json!([null, { "name": "x" }, { "id": 5, "name": "y" }]).to_string();
    upstream.fault_while(|request| request.path().ends_with("/labels"), Fault::Body { code: 200, body });
    let batches = reading.batches().await.unwrap();
    assert_eq!((batches[0].records.len(), batches[0].rejects.len()), (1, 2));
}

#[tokio::test]
async fn a_server_without_ids_of_repositories_is_read_by_name() {
    let upstream = upstream_of(RecordKind::Label, 120).await;
    upstream.fault_while(|request| request.path().starts_with("/repositories/"), Fault::status(404));
    let mut reading = StreamReading::new(&upstream, "labels").await;
    reading.read().await.unwrap();
    assert_eq!(reading.texts(), truth(&upstream, RecordKind::Label));
    let checkpoint: Value = reading.checkpoint.as_ref().unwrap().parse().unwrap();
    assert_eq!(checkpoint["repository_id"], Value::Null);
    assert_unchanged(&reading.batches().await.unwrap());
}
