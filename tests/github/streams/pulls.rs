//! Pull requests and reviews, which are listed below other records.

use github_server::{Fault, GithubServer, RecordKind};
use serde_json::{Value, json};
use snowfeed::ErrorKind;

use super::{StreamReading, requests, split, truth, upstream_of};
use crate::support::REPOSITORY;

/// The issue with this number, as the engine passes it on.
fn issue(upstream: &GithubServer, number: u32) -> Vec<Value> {
    let issues = upstream.snapshot(REPOSITORY);
    let issue = issues.iter().find(|issue| issue.number == number).unwrap();
    let json: Value = serde_json::from_str(&issue.text).unwrap();
    vec![json["number"].clone(), json["pull_request"].clone(), json["created_at"].clone()]
}

#[tokio::test]
async fn an_issue_that_is_a_pull_request_brings_it_with_one_request() {
    let upstream = upstream_of(RecordKind::Review, 1).await;
    let reading = StreamReading::new(&upstream, "pulls").await;
    let pulls: Vec<u32> = upstream.pulls(REPOSITORY).into_iter().map(|(number, _)| number).collect();
    for snapshot in upstream.snapshot(REPOSITORY) {
        let number = snapshot.number;
        let batches = reading.children(issue(&upstream, number)).await.unwrap();
        let sent = requests(&upstream).len();
        if pulls.contains(&number) {
            assert_eq!((batches.len(), sent), (1, 1));
            let record = &batches[0].records[0];
            assert_eq!(record.json().unwrap().to_string(), upstream.pull(REPOSITORY, number));
            let json: Value = serde_json::from_str(record.json().unwrap()).unwrap();
            assert_eq!(record.key, json["id"].to_string());
        } else {
            assert_eq!((batches.len(), sent), (0, 0));
        }
    }
}

#[tokio::test]
async fn a_pull_request_that_is_gone_or_another_one_is_not_found() {
    let upstream = upstream_of(RecordKind::Review, 1).await;
    let reading = StreamReading::new(&upstream, "pulls").await;
    let (number, _) = upstream.pulls(REPOSITORY)[0];
    let mut parent = issue(&upstream, number);
    parent[2] = json!("2001-01-01T00:00:00Z");
    let error = reading.children(parent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("is not the one"), "{error}");
    let parent = issue(&upstream, number);
    upstream.delete(REPOSITORY, number);
    assert_eq!(reading.children(parent.clone()).await.unwrap_err().kind(), ErrorKind::NotFound);
    upstream.fault_while(|request| request.path().contains("/pulls/"), Fault::status(403));
    assert_eq!(reading.children(parent).await.unwrap_err().kind(), ErrorKind::Authentication);
    assert_eq!(reading.children(vec![]).await.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(
        reading.children(vec![json!("x"), json!({}), Value::Null]).await.unwrap_err().kind(),
        ErrorKind::InvalidData
    );
}

#[tokio::test]
async fn all_reviews_of_a_pull_request_are_read() {
    let upstream = upstream_of(RecordKind::Review, 400).await;
    let (busy, _) = upstream.pulls(REPOSITORY)[0];
    for _ in 0..250 {
        upstream.add_record_to(REPOSITORY, RecordKind::Review, busy);
    }
    let reading = StreamReading::new(&upstream, "reviews").await;
    let (mut total, id) = (0, upstream.repository_id(REPOSITORY));
    let all = truth(&upstream, RecordKind::Review);
    for (number, _) in upstream.pulls(REPOSITORY) {
        let batches = reading.children(vec![json!(number), json!(id)]).await.unwrap();
        for record in batches.iter().flat_map(|batch| &batch.records) {
            assert_eq!(all[&record.key], record.json().unwrap().to_string());
            total += 1;
        }
    }
    assert_eq!(total, all.len());
    assert!(requests(&upstream).iter().all(|(target, _)| target.starts_with("/repositories/")));
    // Without the repository's id, by name.
    let batches = reading.children(vec![json!(busy), Value::Null]).await.unwrap();
    assert!(batches.iter().map(|batch| batch.records.len()).sum::<usize>() >= 250);
    assert_eq!(reading.children(vec![json!(999_999), json!(id)]).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_missing_review_or_pull_request_is_deleted_only_on_evidence() {
    let upstream = upstream_of(RecordKind::Review, 60).await;
    let mut reading = StreamReading::new(&upstream, "reviews").await;
    let (number, id) = (upstream.pulls(REPOSITORY)[0].0, upstream.repository_id(REPOSITORY));
    let new: Vec<u64> = (0..3).map(|_| upstream.add_record_to(REPOSITORY, RecordKind::Review, number)).collect();
    let batches = reading.children(vec![json!(number), json!(id)]).await.unwrap();
    reading.rows =
        batches.into_iter().flat_map(|batch| batch.records).map(|record| (record.key.clone(), record)).collect();
    let keys: Vec<String> = new.iter().map(u64::to_string).collect();
    upstream.delete_record(REPOSITORY, RecordKind::Review, new[0]);
    upstream.edit_record(REPOSITORY, RecordKind::Review, new[1]);
    let (gone, found) = split(reading.verify(&keys).await.unwrap());
    assert_eq!(gone, keys[..1]);
    assert_eq!(found[&keys[1]], truth(&upstream, RecordKind::Review)[&keys[1]]);
    // Reviews of a pull request that cannot be read stay.
    upstream.fault_while(|request| request.path().contains("/pulls/"), Fault::status(404));
    assert_eq!(reading.verify(&keys).await.unwrap(), []);
    upstream.clear_faults();

    let mut reading = StreamReading::new(&upstream, "pulls").await;
    let numbers: Vec<u32> = upstream.pulls(REPOSITORY).into_iter().take(2).map(|(number, _)| number).collect();
    for number in &numbers {
        let batches = reading.children(issue(&upstream, *number)).await.unwrap();
        reading
            .rows
            .extend(batches.into_iter().flat_map(|batch| batch.records).map(|record| (record.key.clone(), record)));
    }
    let keys: Vec<String> = reading.rows.keys().cloned().collect();
    upstream.delete(REPOSITORY, numbers[0]);
    let (gone, found) = split(reading.verify(&keys).await.unwrap());
    assert_eq!((gone.len(), found.len()), (1, 1));
    upstream.fault_while(|request| request.path().contains("/pulls/"), Fault::status(404));
    assert!(reading.verify(&keys).await.is_err());
}
