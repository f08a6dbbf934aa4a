//! Bytes stored with each kind of storage, and read back from it.

use arrow_array::StringArray;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use snowfeed::RunId;
use snowfeed::internals::snowflake::stage::{GzipLines, Origin, upload};

use super::{LARGE, answer, azure, content, gcs, s3, store};
use crate::peers::{self, Server};

/// The key of every Azure emulator.
const AZURITE_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Fetches a file, and compares it with the stored content.
async fn assert_stored(request: RequestBuilder, content: &[bytes::Bytes]) {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{}", response.url());
    // The bytes themselves would fill the screen.
    assert!(response.bytes().await.unwrap() == content.concat(), "the content differs");
}

/// A request for a file in S3. `moto` requires a name, and accepts any.
fn in_s3(method: Method, server: &Server, name: &str) -> RequestBuilder {
    let request = Client::new().request(method, format!("{}/stage/tables/1/run/{name}", server.url()));
    request.header("authorization", "AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-1/s3/aws4_request, Signature=0")
}

async fn create(url: &str) {
    let status = Client::new().put(url).header("content-length", 0).send().await.unwrap().status();
    assert!(status.is_success() || status == StatusCode::CONFLICT, "{url}: {status}");
}

/// A token for the whole account, as Azure signs it.
pub(super) fn sas(expires: &str) -> String {
    let (permissions, version) = ("rwdlac", "2018-11-09");
    let text = format!("devstoreaccount1\n{permissions}\nb\nsco\n\n{expires}\n\nhttps,http\n{version}\n");
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(AZURITE_KEY).unwrap()).unwrap();
    mac.update(text.as_bytes());
    let mut query = url::form_urlencoded::Serializer::new(String::from("?"));
    query.extend_pairs([("sv", version), ("ss", "b"), ("srt", "sco"), ("sp", permissions), ("se", expires)]);
    query.append_pair("spr", "https,http").append_pair("sig", &STANDARD.encode(mac.finalize().into_bytes()));
    query.finish()
}

#[tokio::test]
async fn files_on_s3_are_read_back_whole_whatever_their_size() {
    let Some(server) = peers::moto() else { return };
    create(&format!("{}/stage", server.url())).await;
    for (name, size) in [("small.json.gz", 1000), ("large.json.gz", LARGE), ("empty.json.gz", 0)] {
        let content = content(size);
        assert_eq!(store(s3(&server.url()), name, &content).await.unwrap(), size as u64);
        assert_stored(in_s3(Method::GET, server, name), &content).await;
    }
    let head = in_s3(Method::HEAD, server, "large.json.gz").send().await.unwrap();
    let etag = head.headers()["etag"].to_str().unwrap();
    assert!(etag.ends_with("-3\""), "the upload has three parts: {etag}");
}

#[tokio::test]
async fn a_file_of_the_same_name_is_replaced() {
    let Some(server) = peers::moto() else { return };
    create(&format!("{}/stage", server.url())).await;
    for size in [5000, 20] {
        let content = content(size);
        store(s3(&server.url()), "again.json.gz", &content).await.unwrap();
        assert_stored(in_s3(Method::GET, server, "again.json.gz"), &content).await;
    }
}

#[tokio::test]
async fn files_on_azure_are_read_back_whole_whatever_their_size() {
    let Some(server) = peers::azurite() else { return };
    let token = sas("2099-01-01T00:00:00Z");
    let container = format!("{}/devstoreaccount1/stage", server.url());
    create(&format!("{container}{token}&restype=container")).await;
    for (name, size) in [("small.json.gz", 1000), ("large.json.gz", LARGE)] {
        let content = content(size);
        assert_eq!(store(azure(&server.url(), &token), name, &content).await.unwrap(), size as u64);
        assert_stored(Client::new().get(format!("{container}/tables/1/run/{name}{token}")), &content).await;
    }
    let blocks = format!("{container}/tables/1/run/large.json.gz{token}&comp=blocklist");
    let blocks = Client::new().get(blocks).send().await.unwrap().text().await.unwrap();
    assert_eq!(blocks.matches("<Block>").count(), 3, "the upload has three parts: {blocks}");
}

#[tokio::test]
async fn files_on_google_cloud_storage_are_read_back_whole_whatever_their_size() {
    let Some(server) = peers::gcs() else { return };
    for (name, size) in [("small.json.gz", 1000), ("large.json.gz", LARGE)] {
        let content = content(size);
        assert_eq!(store(gcs(&server.url()), name, &content).await.unwrap(), size as u64);
        assert_stored(Client::new().get(format!("{}/stage/tables/1/run/{name}", server.url())), &content).await;
    }
}

#[tokio::test]
async fn files_in_a_folder_are_read_back_whole_and_alone() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("stage of tests/run");
    for (name, size) in [("small.json.gz", 1000), ("large.json.gz", LARGE), ("small.json.gz", 10)] {
        let content = content(size);
        let stage = json!({ "locationType": "LOCAL_FS", "location": format!("{}/", run.display()), "creds": {} });
        assert_eq!(store(stage, name, &content).await.unwrap(), size as u64);
        assert!(std::fs::read(run.join(name)).unwrap() == content.concat());
    }
    assert_eq!(std::fs::read_dir(run).unwrap().count(), 2, "nothing else is left behind");
}

/// A session with `fakesnow`.
struct Snowflake {
    url: String,
    token: String,
}

impl Snowflake {
    async fn open(url: String) -> Self {
        let body = json!({ "data": { "SESSION_PARAMETERS": { "AUTOCOMMIT": true } } });
        let login = Client::new().post(format!("{url}/session/v1/login-request")).body(body.to_string());
        let answer: Value = serde_json::from_str(&login.send().await.unwrap().text().await.unwrap()).unwrap();
        Self { url, token: answer["data"]["token"].as_str().unwrap().to_owned() }
    }

    /// The `data` of the answer to a statement.
    async fn run(&self, sql: &str) -> Value {
        let statement = Client::new()
            .post(format!("{}/queries/v1/query-request", self.url))
            .header("authorization", format!("Snowflake Token=\"{}\"", self.token))
            .body(json!({ "sqlText": sql }).to_string());
        let answer: Value = serde_json::from_str(&statement.send().await.unwrap().text().await.unwrap()).unwrap();
        assert_eq!(answer["success"], true, "{sql}: {answer}");
        answer["data"].clone()
    }

    /// The texts in the first column.
    async fn texts(&self, sql: &str) -> Vec<String> {
        let data = self.run(sql).await;
        let bytes = STANDARD.decode(data["rowsetBase64"].as_str().unwrap()).unwrap();
        let mut texts = Vec::new();
        for batch in arrow_ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap() {
            let batch = batch.unwrap();
            let column = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap();
            texts.extend(column.iter().map(|text| text.unwrap().to_owned()));
        }
        texts
    }
}

#[tokio::test]
async fn lines_uploaded_for_a_put_statement_are_loaded_by_a_copy_statement() {
    let Some(server) = peers::fakesnow() else { return };
    let snowflake = Snowflake::open(server.url()).await;
    for sql in [
        "CREATE DATABASE IF NOT EXISTS STAGING",
        "CREATE SCHEMA IF NOT EXISTS STAGING.S",
        "CREATE STAGE IF NOT EXISTS STAGING.S.FILES ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')",
        "CREATE TABLE IF NOT EXISTS STAGING.S.ROWS_LOADED (J VARIANT)",
    ] {
        snowflake.run(sql).await;
    }
    let run = RunId::new();
    for number in 0..2 {
        let mut file = GzipLines::new();
        for line in 0..500 {
            file.push(&json!({ "k": number * 500 + line, "text": "line one\nline \"two\" ü" })).unwrap();
        }
        let name = format!("{number:05}.json.gz");
        let put =
            format!("PUT 'file:///snowfeed/{name}' @STAGING.S.FILES/{run} AUTO_COMPRESS = FALSE OVERWRITE = TRUE");
        let answer = serde_json::from_value(snowflake.run(&put).await).unwrap();
        upload(&answer, Origin::Loopback, &name, &file.finish().unwrap()).await.unwrap();
    }
    let copy = format!("COPY INTO STAGING.S.ROWS_LOADED FROM @STAGING.S.FILES/{run}/ FILE_FORMAT = (TYPE = JSON)");
    snowflake.run(&copy).await;
    let loaded = snowflake.texts("SELECT J:k::VARCHAR AS K FROM STAGING.S.ROWS_LOADED ORDER BY J:k::INT").await;
    assert_eq!(loaded, (0..1000).map(|k| k.to_string()).collect::<Vec<_>>());
    let texts = snowflake.texts("SELECT DISTINCT J:text::VARCHAR AS T FROM STAGING.S.ROWS_LOADED").await;
    assert_eq!(texts, ["line one\nline \"two\" ü"]);
}

#[tokio::test]
async fn a_presigned_url_takes_no_other_file_than_it_names() {
    let url = "http://127.0.0.1:9/bucket/run/other.json.gz?X-Goog-Signature=s3cret";
    let stage = json!({ "locationType": "GCS", "location": "b/", "creds": {}, "presignedUrl": url });
    let error = upload(&answer(stage), Origin::Loopback, "a.json.gz", &content(10)).await.unwrap_err();
    assert_eq!(error.kind(), snowfeed::ErrorKind::InvalidData);
    assert!(!super::told(&error).contains("s3cret"));
}
