//! Real data, where it is present: recorded answers of GitHub, and a history of changes replayed as an upstream.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use snowfeed::testkit::upstream::Upstream;

use crate::support::{REPOSITORY, Reading};

fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("SNOWFEED_REAL_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        println!("skipped: {name} is not here; SNOWFEED_REAL_DATA names the folder");
        return None;
    }
    Some(path)
}

#[tokio::test]
async fn recorded_pages_of_github_arrive_byte_for_byte() {
    let Some(folder) = data("hub4j-wiremock/AppTest/wiremock/testListIssues/__files") else { return };
    let mut issues = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().ends_with("_issues.json") {
            let page: Vec<Box<RawValue>> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            issues.extend(page.into_iter().map(|issue| issue.get().to_owned()));
        }
    }
    assert_eq!(issues.len(), 606);
    let upstream = Upstream::builder().repository_from(REPOSITORY, issues).start().await.unwrap();
    let mut reading = Reading::of(&upstream, json!({ "page_size": 30 }));
    reading.read().await.unwrap();
    reading.assert_same(&upstream);
    assert!(reading.rejects.is_empty());
}

#[derive(Deserialize)]
struct Observation {
    observed_at: i64,
    object: Box<RawValue>,
}

#[tokio::test]
async fn a_real_history_replayed_while_it_is_read_ends_as_it_ended() {
    let Some(path) = data("timelapse-gui.ndjson.zst") else { return };
    let decoder = ruzstd::decoding::StreamingDecoder::new(std::fs::File::open(path).unwrap()).unwrap();
    let upstream = Upstream::builder().repository(REPOSITORY, 0).start().await.unwrap();
    let mut reading = Reading::of(&upstream, json!({ "page_size": 20 }));
    let mut now = None;
    let mut observations = 0_usize;
    for line in BufReader::new(decoder).lines() {
        let observation: Observation = serde_json::from_str(&line.unwrap()).unwrap();
        // Between two observations, now and then, a few batches are read, and the reader is cut off wherever that is.
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
    // What changed without a newer `updated_at` takes a full pass.
    reading.read_all().await.unwrap();
    reading.assert_same(&upstream);
}
