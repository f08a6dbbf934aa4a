//! Real data, where it is present: recorded responses of GitHub, and a history of changes replayed as an upstream.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use github_server::GithubServer;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use snowfeed::backends::Memory;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{Mode, Resource, RunStatus};

use crate::payloads::payload;
use crate::support::{REPOSITORY, Reading};

#[tokio::test]
async fn recorded_pages_of_github_arrive_byte_for_byte() {
    let Some(folder) = payload("hub4j-wiremock/AppTest/wiremock/testListIssues/__files") else { return };
    let mut issues = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().ends_with("_issues.json") {
            let page: Vec<Box<RawValue>> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            issues.extend(page.into_iter().map(|issue| issue.get().to_owned()));
        }
    }
    assert_eq!(issues.len(), 606);
    let upstream = GithubServer::builder().repository_from(REPOSITORY, issues).start().await.unwrap();
    let mut reading = Reading::new(&upstream, json!({ "page_size": 30 }));
    reading.read().await.unwrap();
    reading.assert_same(&upstream);
    assert!(reading.rejects.is_empty());
}

/// An observed state of an issue.
#[derive(Deserialize)]
pub(crate) struct Observation {
    observed_at: i64,
    pub(crate) object: Box<RawValue>,
}

/// A real history of changes, in the order of observation.
pub(crate) fn history() -> Option<impl Iterator<Item = Observation>> {
    let decoder =
        ruzstd::decoding::StreamingDecoder::new(std::fs::File::open(payload("timelapse-gui.ndjson.zst")?).unwrap());
    let lines = BufReader::new(decoder.unwrap()).lines();
    Some(lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()))
}

#[tokio::test]
async fn a_real_history_replayed_while_it_is_read_ends_as_it_ended() {
    let Some(history) = history() else { return };
    let upstream = GithubServer::builder().repository(REPOSITORY, 0).start().await.unwrap();
    let mut reading = Reading::new(&upstream, json!({ "page_size": 20 }));
    let mut now = None;
    let mut observations = 0_usize;
    for observation in history {
        // Between two observations, now and then, a few batches are read, and the reader is interrupted there.
        if now.replace(observation.observed_at) != Some(observation.observed_at) {
            observations += 1;
            if observations.is_multiple_of(3) {
                reading.read_some(observations % 7).await.unwrap();
            }
        }
        upstream.put(REPOSITORY, observation.object.get()).unwrap();
    }
    reading.read().await.unwrap();
    let truth = upstream.snapshot(REPOSITORY);
    assert!(truth.len() > 800 && observations > 2_000);
    for issue in &truth {
        let version = reading.table.get(&issue.id.to_string()).map(|record| record.version);
        assert_eq!(version, Some(issue.updated_at.into()), "issue {} is missing or stale", issue.number);
    }
    // Changes without a newer `updated_at` need a reconcile run.
    reading.read_all().await.unwrap();
    reading.assert_same(&upstream);
}

#[tokio::test]
async fn a_repository_that_grows_for_two_years_stays_in_sync() {
    let Some(folder) = payload("httpwg-snapshots") else { return };
    let mut snapshots: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    snapshots.sort();
    let name = "httpwg/http-extensions";
    let upstream = GithubServer::builder().repository(name, 0).start().await.unwrap();
    let memory = Memory::new();
    let settings = [("api_url".to_owned(), upstream.url().into()), ("page_size".to_owned(), 30.into())];
    let connector = Connector::new(GithubIssues::default(), Arc::new(memory.clone())).with_settings(settings);
    let (resource, mut kept) = (Resource::new(name).unwrap(), 0);
    for snapshot in snapshots.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        // Some are lists of pages, some are flat.
        let pages: Vec<Value> = serde_json::from_slice(&std::fs::read(snapshot).unwrap()).unwrap();
        for issue in pages.iter().flat_map(|page| page.as_array().cloned().unwrap_or_else(|| vec![page.clone()])) {
            upstream.put(name, &issue.to_string()).unwrap();
        }
        // The first snapshots hold open issues only: closed ones turn up later with times long past, which reconcile runs find.
        let request = IngestRequest::new([resource.clone()]).mode(Mode::Reconcile);
        let report = connector.ingest(request).await.unwrap();
        assert_eq!(report.status(), RunStatus::Complete, "{report:?}");
        let truth: BTreeMap<String, String> =
            upstream.snapshot(name).into_iter().map(|issue| (issue.id.to_string(), issue.text)).collect();
        let rows = memory.rows(&resource, "issues").into_iter();
        let stored: BTreeMap<String, String> = rows.map(|row| (row.key, row.json.unwrap().to_string())).collect();
        assert_eq!(stored, truth, "{}", snapshot.display());
        assert!(stored.len() >= kept);
        kept = stored.len();
    }
    assert_eq!(kept, 405);
}
