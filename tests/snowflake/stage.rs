//! Files on a stage: stored with the clouds' emulators and read back, and the errors when a storage rejects them.

mod faults;
mod places;

use bytes::Bytes;
use serde_json::{Value, json};
use snowfeed::internals::snowflake::stage::{Origin, PutResponse, upload};
use snowfeed::{Error, Result};

/// Larger than one request, and not a whole number of parts.
const LARGE: usize = 20 * 1024 * 1024 + 7;

fn answer(stage: Value) -> PutResponse {
    serde_json::from_value(json!({ "command": "UPLOAD", "stageInfo": stage, "encryptionMaterial": null })).unwrap()
}

fn s3(url: &str) -> Value {
    json!({
        "locationType": "S3", "location": "stage/tables/1/run/", "path": "tables/1/run/", "region": "eu-west-1",
        "isClientSideEncrypted": false, "endPoint": url, "storageAccount": null, "presignedUrl": null,
        "creds": { "AWS_KEY_ID": "AKIAS3CRET", "AWS_SECRET_KEY": "s3cret-key", "AWS_TOKEN": "s3cret-token" },
    })
}

fn azure(url: &str, token: &str) -> Value {
    json!({
        "locationType": "AZURE", "location": "stage/tables/1/run/", "storageAccount": "devstoreaccount1",
        "endPoint": format!("{url}/devstoreaccount1"), "creds": { "AZURE_SAS_TOKEN": token },
    })
}

fn gcs(url: &str) -> Value {
    json!({
        "locationType": "GCS", "location": "stage/tables/1/run/", "endPoint": url, "useRegionalUrl": true,
        "region": "europe-west4", "creds": { "GCS_ACCESS_TOKEN": "s3cret-token" },
    })
}

fn presigned(url: &str) -> Value {
    json!({
        "locationType": "GCS", "location": "D.S.STAGE/", "creds": {},
        "presignedUrl": format!("{url}/bucket/run/a.json.gz?X-Goog-Expires=3599&X-Goog-Signature=s3cret"),
    })
}

/// Content that does not repeat, in pieces of odd sizes.
fn content(size: usize) -> Vec<Bytes> {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(7).fill(&mut bytes);
    bytes.chunks(300_001).map(Bytes::copy_from_slice).collect()
}

async fn store(stage: Value, name: &str, content: &[Bytes]) -> Result<u64> {
    upload(&answer(stage), Origin::Loopback, name, content).await
}

/// The complete text of an error.
fn told(error: &Error) -> String {
    format!("{error} {error:?} {error:#?} {:?} {:?}", error.report(), error.help())
}
