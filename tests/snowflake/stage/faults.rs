//! Errors and rejections of a storage, and the resulting messages.

use std::sync::atomic::Ordering;

use reqwest::Client;
use serde_json::{Value, json};
use snowfeed::internals::snowflake::stage::{Origin, upload};
use snowfeed::{ErrorKind, Retry};
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::places::sas;
use super::{answer, azure, content, gcs, presigned, s3, store, told};
use crate::peers;

const NAME: &str = "a.json.gz";

/// A response in a cloud's format, which echoes the request.
fn refusal(status: u16, code: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_string(format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>token s3cret-token</Message>\
         <StringToSign>sig=s3cret</StringToSign><AWSAccessKeyId>AKIAS3CRET</AWSAccessKeyId></Error>"
    ))
}

fn stored() -> ResponseTemplate {
    ResponseTemplate::new(201).insert_header("etag", "\"1\"").insert_header("x-ms-version-id", "1")
}

fn all(url: &str) -> [Value; 4] {
    [s3(url), azure(url, "?sv=1&sig=s3cret"), gcs(url), presigned(url)]
}

fn assert_no_secret(error: &snowfeed::Error) {
    let told = told(error).to_lowercase();
    assert!(!told.contains("s3cret") && !told.contains("signature="), "{told}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[tokio::test]
async fn an_unavailable_storage_is_retried() {
    for kind in 0..4 {
        let server = MockServer::start().await;
        let broken = Mock::given(method("PUT")).respond_with(refusal(503, "SlowDown"));
        broken.up_to_n_times(2).expect(2).mount(&server).await;
        Mock::given(method("PUT")).respond_with(stored()).expect(1).mount(&server).await;
        let content = content(700_000);
        store(all(&server.uri())[kind].clone(), NAME, &content).await.unwrap();
        let requests = server.received_requests().await.unwrap();
        assert!(requests.iter().all(|request| request.body == content.concat()), "each time with the whole file");
    }
}

#[tokio::test]
async fn a_storage_that_stays_unavailable_is_named_and_retries_end() {
    let server = MockServer::start().await;
    Mock::given(method("PUT")).respond_with(refusal(503, "SlowDown")).expect(7).mount(&server).await;
    let gone = format!("http://127.0.0.1:{}", peers::free_port());
    let content = content(10);
    let (unavailable, unreachable) =
        futures::join!(store(s3(&server.uri()), NAME, &content), store(presigned(&gone), NAME, &content));
    let error = unavailable.unwrap_err();
    assert_no_secret(&error);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.to_string(), "Amazon S3 rejected the file (host: 127.0.0.1, status: 503, code: SlowDown)");
    let error = unreachable.unwrap_err();
    assert_no_secret(&error);
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never));
    assert!(error.to_string().starts_with("Google Cloud Storage cannot be reached: "), "{error}");
    assert!(error.to_string().to_lowercase().contains("connection refused"), "{error}");
    assert_eq!(
        error.help().unwrap(),
        "let this machine reach the host; SYSTEM$ALLOWLIST() in Snowflake lists all that are needed"
    );
}

#[tokio::test]
async fn a_storage_that_breaks_every_connection_is_named_and_retried() {
    let (url, connections) = peers::hang_up();
    let error = store(presigned(&url), NAME, &content(10)).await.unwrap_err();
    assert_no_secret(&error);
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never));
    assert!(error.to_string().starts_with("the connection to Google Cloud Storage broke: "), "{error}");
    assert!(error.to_string().ends_with(" (host: 127.0.0.1)"), "{error}");
    assert!(error.help().unwrap().contains("SYSTEM$ALLOWLIST"));
    assert_eq!(connections.load(Ordering::SeqCst), 7);
}

#[tokio::test]
async fn expired_credentials_have_their_own_error_kind_and_are_tried_once() {
    let cases = [
        (400, "ExpiredToken", "Amazon S3"),
        (403, "AuthenticationFailed", "Azure Blob Storage"),
        (401, "AuthenticationRequired", "Google Cloud Storage"),
        (400, "ExpiredToken", "Google Cloud Storage"),
    ];
    for (kind, (status, code, cloud)) in cases.into_iter().enumerate() {
        let server = MockServer::start().await;
        Mock::given(method("PUT")).respond_with(refusal(status, code)).expect(1).mount(&server).await;
        let error = store(all(&server.uri())[kind].clone(), NAME, &content(10)).await.unwrap_err();
        assert_no_secret(&error);
        assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
        assert!(error.to_string().starts_with(cloud), "{error}");
        assert!(error.context().any(|fact| fact == ("code", code)), "{error}");
    }
}

#[tokio::test]
async fn credentials_unknown_to_s3_are_a_one_line_error() {
    // The one that the other tests share requires no credentials.
    let Some(server) = peers::start_moto() else { return };
    Client::new().post(format!("{}/moto-api/reset-auth", server.url())).body("0").send().await.unwrap();
    for size in [10, super::LARGE] {
        let error = store(s3(&server.url()), NAME, &content(size)).await.unwrap_err();
        assert_no_secret(&error);
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(error.to_string().contains("InvalidAccessKeyId"), "{error}");
    }
}

#[tokio::test]
async fn tokens_rejected_by_azure_are_a_one_line_error() {
    let Some(server) = peers::azurite() else { return };
    let good = sas("2099-01-01T00:00:00Z");
    let forged = good.replace("sp=rwdlac", "sp=rwdlacup");
    for token in [sas("2020-01-01T00:00:00Z"), forged] {
        for size in [10, super::LARGE] {
            let error = store(azure(&server.url(), &token), NAME, &content(size)).await.unwrap_err();
            let signature = token.rsplit_once("sig=").unwrap().1;
            assert!(!told(&error).contains(signature), "{error:?}");
            assert_no_secret(&error);
            assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
        }
    }
}

#[tokio::test]
async fn a_missing_bucket_is_reported() {
    let Some(server) = peers::gcs() else { return };
    let mut stage = gcs(&server.url());
    stage["location"] = json!("no-such-bucket/run/");
    let error = store(stage, NAME, &content(10)).await.unwrap_err();
    assert_no_secret(&error);
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn a_large_file_that_fails_halfway_is_cleaned_up() {
    let server = MockServer::start().await;
    let begun = "<InitiateMultipartUploadResult><Bucket>stage</Bucket><Key>a</Key><UploadId>u1</UploadId>\
                 </InitiateMultipartUploadResult>";
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200).set_body_string(begun)).mount(&server).await;
    let refused = Mock::given(method("PUT")).and(query_param("partNumber", "2"));
    refused.respond_with(refusal(403, "AccessDenied")).mount(&server).await;
    Mock::given(method("PUT")).respond_with(stored()).mount(&server).await;
    let aborted = Mock::given(method("DELETE")).and(query_param("uploadId", "u1"));
    aborted.respond_with(refusal(500, "InternalError")).up_to_n_times(1).mount(&server).await;
    let gone = Mock::given(method("DELETE")).and(query_param("uploadId", "u1"));
    gone.respond_with(ResponseTemplate::new(204)).expect(1).mount(&server).await;
    let error = store(s3(&server.uri()), NAME, &content(super::LARGE)).await.unwrap_err();
    assert_no_secret(&error);
    assert!(error.to_string().contains("AccessDenied"), "the error reports the first fault, not the last: {error}");
}

#[tokio::test]
async fn the_google_token_is_sent_in_a_header_and_a_presigned_url_verbatim() {
    let server = MockServer::start().await;
    let with_token = Mock::given(method("PUT")).and(path("/stage/tables/1/run/a.json.gz"));
    with_token
        .and(header("authorization", "Bearer s3cret-token"))
        .respond_with(stored())
        .expect(1)
        .mount(&server)
        .await;
    let signed = Mock::given(method("PUT")).and(path("/bucket/run/a.json.gz"));
    signed.and(query_param("X-Goog-Signature", "s3cret")).respond_with(stored()).expect(1).mount(&server).await;
    store(gcs(&server.uri()), NAME, &content(10)).await.unwrap();
    store(presigned(&server.uri()), NAME, &content(10)).await.unwrap();
    let requests = server.received_requests().await.unwrap();
    assert!(!requests[1].headers.contains_key("authorization"));
    let encoding = |request: &wiremock::Request| request.headers["content-encoding"].to_str().unwrap().to_owned();
    assert!(
        requests.iter().all(|request| encoding(request).is_empty()),
        "the file stays compressed, and the signature may cover it"
    );
}

#[tokio::test]
async fn a_remote_server_cannot_redirect_uploads_to_local_folders_or_plain_http() {
    let folder = tempfile::tempdir().unwrap();
    let server = MockServer::start().await;
    let local = json!({ "locationType": "LOCAL_FS", "location": folder.path(), "creds": {} });
    for stage in all(&server.uri()).into_iter().chain([local]) {
        let error = upload(&answer(stage), Origin::Remote, NAME, &content(10)).await.unwrap_err();
        assert_no_secret(&error);
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_stage_that_wants_encrypted_files_is_sent_nothing() {
    let server = MockServer::start().await;
    let material = json!({ "queryStageMasterKey": "s3cret", "queryId": "q", "smkId": 1 });
    let wanting = json!({ "stageInfo": s3(&server.uri()), "encryptionMaterial": material });
    let wanting = serde_json::from_value(wanting).unwrap();
    let error = upload(&wanting, Origin::Loopback, NAME, &content(10)).await.unwrap_err();
    assert_no_secret(&error);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.help().unwrap().contains("SNOWFLAKE_SSE"));
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_stage_without_a_key_is_not_encrypted_by_the_client() {
    for material in [json!([]), json!({}), Value::Null, json!([{}]), json!({ "queryStageMasterKey": "" })] {
        let server = MockServer::start().await;
        Mock::given(method("PUT")).respond_with(stored()).expect(1).mount(&server).await;
        let answer = json!({ "stageInfo": s3(&server.uri()), "encryptionMaterial": material });
        let answer = serde_json::from_value(answer).unwrap();
        upload(&answer, Origin::Loopback, NAME, &content(10)).await.unwrap();
    }
}
