//! The storage in a PUT response, and the location of a file in it.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderValue};
use object_store::aws::AmazonS3Builder;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::error::FailureRecorder;
use super::put_response::{LocationType, PutResponse, StageInfo};
use super::upload::{StorageKind, UploadTarget, in_flight};
use crate::net::is_loopback_url;
use crate::{Error, Result, RetryConfig};

/// The retry policy of uploads, which `object_store` carries out.
const RETRY: RetryConfig = RetryConfig {
    max_attempts: 7,
    timeout: Duration::from_secs(5 * 60),
    first_delay: Duration::from_millis(100),
    max_delay: Duration::from_secs(15),
};
/// The timeout of an empty request.
const BASE_TIMEOUT: Duration = Duration::from_secs(60);
/// The slowest connection on which no request times out, in bytes per second.
const MIN_BYTES_PER_SECOND: u32 = 256 * 1024;

/// The region with a host of its own, although Snowflake does not flag it.
const GCS_ME_CENTRAL_2: &str = "me-central2";

/// The server that responded to the PUT statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A remote server. It must not make this machine write into local folders, nor send anything without TLS.
    Remote,
    /// A server on this machine, as in tests. It may name a folder (`LOCAL_FS`), and loopback endpoints without TLS.
    Loopback,
}

/// Finds the location of the file `name`, which has `size` bytes.
pub(super) fn locate(answer: &PutResponse, origin: Origin, name: &str, size: usize) -> Result<UploadTarget> {
    answer.refuse_client_side_encryption()?;
    let stage = answer.stage();
    let endpoint = stage.end_point.as_deref().map(|text| Endpoint::parse(text, origin)).transpose()?;
    let location = StageLocation { stage, endpoint, origin, name, size, failures: FailureRecorder::default() };
    match stage.location_type {
        LocationType::S3 => location.s3("Amazon S3"),
        LocationType::Azure => location.azure("Azure Blob Storage"),
        LocationType::Gcs => location.gcs("Google Cloud Storage"),
        LocationType::Folder => location.folder(),
    }
}

struct StageLocation<'a> {
    stage: &'a StageInfo,
    endpoint: Option<Endpoint>,
    origin: Origin,
    name: &'a str,
    size: usize,
    failures: FailureRecorder,
}

impl StageLocation<'_> {
    fn s3(self, cloud: &'static str) -> Result<UploadTarget> {
        let (bucket, path) = self.bucket_and_path()?;
        let region = self.stage.region.as_deref().unwrap_or("us-east-1");
        let creds = &self.stage.creds;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(region)
            .with_endpoint(self.s3_url(bucket, region))
            .with_virtual_hosted_style_request(!self.is_emulated())
            .with_access_key_id(creds.aws_key_id.as_deref().ok_or_else(|| incomplete_response(cloud))?)
            .with_secret_access_key(exposed(creds.aws_secret_key.as_ref(), cloud)?);
        if let Some(token) = &creds.aws_token {
            builder = builder.with_token(token.expose_secret());
        }
        let store = builder
            .with_retry(retries())
            .with_client_options(self.options(true).with_allow_http(self.is_emulated()))
            .with_http_connector(self.failures.clone())
            .build()
            .map_err(|_| unusable_location(cloud))?;
        Ok(self.in_cloud(cloud, path, store))
    }

    fn azure(self, cloud: &'static str) -> Result<UploadTarget> {
        let (container, path) = self.bucket_and_path()?;
        let account = self.stage.storage_account.as_deref().ok_or_else(|| incomplete_response(cloud))?;
        let store = MicrosoftAzureBuilder::new()
            .with_account(account)
            .with_container_name(container)
            .with_endpoint(self.azure_url(account))
            .with_config(AzureConfigKey::SasKey, exposed(self.stage.creds.azure_sas_token.as_ref(), cloud)?)
            .with_retry(retries())
            .with_client_options(self.options(true).with_allow_http(self.is_emulated()))
            .with_http_connector(self.failures.clone())
            .build()
            .map_err(|_| unusable_location(cloud))?;
        Ok(self.in_cloud(cloud, path, store))
    }

    fn in_cloud(self, cloud: &'static str, path: Path, store: impl ObjectStore) -> UploadTarget {
        let kind = StorageKind::Cloud { name: cloud, presigned: false, failures: self.failures };
        UploadTarget { store: Box::new(store), path, in_parts: true, kind }
    }

    /// Google Cloud Storage accepts a plain PUT: with a token, or to a signed URL.
    fn gcs(self, cloud: &'static str) -> Result<UploadTarget> {
        // As in Snowflake's drivers: the file stays compressed, and the signature of a URL may cover the header.
        let mut headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(""))]);
        let folder = match (&self.stage.creds.gcs_access_token, &self.stage.presigned_url) {
            (Some(token), _) => {
                headers.insert(AUTHORIZATION, bearer(token).ok_or_else(|| incomplete_response(cloud))?);
                self.gcs_folder()
            }
            (None, Some(url)) => self.presigned_folder(url.expose_secret()),
            (None, None) => return Err(incomplete_response(cloud)),
        };
        let folder = folder.filter(|url| is_allowed(url, self.origin)).ok_or_else(|| unusable_location(cloud))?;
        let presigned = !headers.contains_key(AUTHORIZATION);
        let options = self.options(false).with_allow_http(folder.scheme() == "http").with_default_headers(headers);
        let store = HttpBuilder::new()
            .with_url(folder)
            .with_retry(retries())
            .with_client_options(options)
            .with_http_connector(self.failures.clone())
            .build()
            .map_err(|_| unusable_location(cloud))?;
        let kind = StorageKind::Cloud { name: cloud, presigned, failures: self.failures };
        Ok(UploadTarget { store: Box::new(store), path: Path::from(self.name), in_parts: false, kind })
    }

    fn folder(self) -> Result<UploadTarget> {
        if self.origin == Origin::Remote {
            return Err(Error::invalid_data("Snowflake named a local folder for its stage, which is not allowed"));
        }
        let path = std::path::Path::new(&self.stage.location).join(self.name);
        let path = Path::from_absolute_path(path)
            .map_err(|error| Error::invalid_data("the stage's folder is not a valid path").with_source(error))?;
        Ok(UploadTarget { store: Box::new(LocalFileSystem::new()), path, in_parts: false, kind: StorageKind::Folder })
    }

    /// The bucket, and the path of the file in it.
    fn bucket_and_path(&self) -> Result<(&str, Path)> {
        let (bucket, prefix) = self.bucket_and_prefix();
        let path = Path::parse(format!("{prefix}/{}", self.name)).map_err(|error| {
            Error::invalid_data("Snowflake named no usable location in a bucket for its stage").with_source(error)
        })?;
        Ok((bucket, path))
    }

    fn bucket_and_prefix(&self) -> (&str, &str) {
        let (bucket, prefix) = self.stage.location.split_once('/').unwrap_or((&self.stage.location, ""));
        (bucket, prefix.trim_matches('/'))
    }

    /// The URL of the bucket, or of an emulator. Every bucket is reachable at its region's host.
    fn s3_url(&self, bucket: &str, region: &str) -> String {
        match &self.endpoint {
            Some(Endpoint::Loopback(url)) => url.to_string(),
            Some(Endpoint::Host(host)) => format!("https://{bucket}.{host}"),
            None if region.starts_with("cn-") => format!("https://{bucket}.s3.{region}.amazonaws.com.cn"),
            None => format!("https://{bucket}.s3.{region}.amazonaws.com"),
        }
    }

    /// The URL of the account.
    fn azure_url(&self, account: &str) -> String {
        match &self.endpoint {
            Some(Endpoint::Loopback(url)) => url.to_string(),
            Some(Endpoint::Host(host)) => format!("https://{account}.{host}"),
            None => format!("https://{account}.blob.core.windows.net"),
        }
    }

    /// The URL of the folder in the bucket.
    fn gcs_folder(&self) -> Option<Url> {
        let (bucket, prefix) = self.bucket_and_prefix();
        let stage = self.stage;
        let virtual_host = stage.use_virtual_url && !self.is_emulated();
        let region = stage.region.as_deref().map(str::to_lowercase);
        let region = region.filter(|region| stage.use_regional_url || region == GCS_ME_CENTRAL_2);
        let url = match (&self.endpoint, region) {
            (Some(Endpoint::Loopback(url)), _) => url.to_string(),
            (Some(Endpoint::Host(host)), _) => format!("https://{host}"),
            (None, _) if virtual_host => format!("https://{bucket}.storage.googleapis.com"),
            (None, Some(region)) => format!("https://storage.{region}.rep.googleapis.com"),
            (None, None) => "https://storage.googleapis.com".to_owned(),
        };
        let mut url = Url::parse(&url).ok()?;
        let bucket = (!virtual_host).then_some(bucket);
        let segments = bucket.into_iter().chain(prefix.split('/').filter(|segment| !segment.is_empty()));
        url.path_segments_mut().ok()?.pop_if_empty().extend(segments);
        Some(url)
    }

    /// A presigned URL without its last segment, which must be the file's name: the signature covers one file.
    fn presigned_folder(&self, url: &str) -> Option<Url> {
        let mut url = Url::parse(url).ok()?;
        let is_ours = url.path_segments()?.next_back() == Some(self.name);
        url.path_segments_mut().ok()?.pop();
        is_ours.then_some(url)
    }

    fn is_emulated(&self) -> bool {
        matches!(self.endpoint, Some(Endpoint::Loopback(_)))
    }

    /// The options of the HTTP client.
    fn options(&self, in_parts: bool) -> ClientOptions {
        ClientOptions::new()
            .with_user_agent(HeaderValue::from_static(concat!("snowfeed/", env!("CARGO_PKG_VERSION"))))
            .with_connect_timeout(Duration::from_secs(10))
            .with_timeout(request_timeout(in_flight(self.size, in_parts)))
    }
}

/// The timeout of a request on a slow connection with `bytes` in flight.
fn request_timeout(bytes: usize) -> Duration {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    BASE_TIMEOUT + Duration::from_secs((bytes / MIN_BYTES_PER_SECOND).into())
}

fn retries() -> object_store::RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: RETRY.first_delay, max_backoff: RETRY.max_delay, ..BackoffConfig::default() };
    object_store::RetryConfig {
        max_retries: usize::try_from(RETRY.max_attempts - 1).unwrap_or(usize::MAX),
        retry_timeout: RETRY.timeout,
        backoff,
    }
}

fn exposed<'a>(secret: Option<&'a SecretString>, cloud: &str) -> Result<&'a str> {
    secret.map(ExposeSecret::expose_secret).ok_or_else(|| incomplete_response(cloud))
}

fn bearer(token: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn incomplete_response(cloud: &str) -> Error {
    Error::invalid_data(format!("the response to a PUT statement lacks what {cloud} requires"))
}

/// The cause may contain a signed URL, and is omitted.
fn unusable_location(cloud: &str) -> Error {
    Error::invalid_data(format!("Snowflake named no usable location in {cloud} for its stage"))
}

/// A host instead of a cloud's usual one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Reached with TLS; with a port if it is not 443.
    Host(String),
    /// An emulator on this machine, without TLS and without a host per bucket.
    Loopback(Url),
}

impl Endpoint {
    /// Parses an `endPoint`: usually a host, sometimes a URL.
    pub(super) fn parse(text: &str, origin: Origin) -> Result<Self> {
        let wrong =
            || Error::invalid_data("Snowflake named an invalid endpoint for its stage").with_context("endpoint", text);
        let text = text.trim();
        if text.starts_with("http://") {
            let url = Url::parse(text).map_err(|_| wrong())?;
            return if is_allowed(&url, origin) { Ok(Self::Loopback(url)) } else { Err(wrong()) };
        }
        let host = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        if !host.is_empty() && host.chars().all(is_plain) { Ok(Self::Host(host.to_owned())) } else { Err(wrong()) }
    }
}

/// Whether a file and its credentials may be sent to a URL: with TLS, or within this machine.
pub(super) fn is_allowed(url: &Url, origin: Origin) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback_url(url) && origin == Origin::Loopback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Calls `ask` with the place of a file on this stage.
    fn at<T>(mut stage: Value, ask: impl FnOnce(&StageLocation<'_>) -> T) -> T {
        stage["location"] = json!("bucket/some/where/");
        let answer: PutResponse = serde_json::from_value(json!({ "stageInfo": stage })).unwrap();
        let stage = answer.stage();
        let endpoint = stage.end_point.as_deref().map(|text| Endpoint::parse(text, Origin::Remote).unwrap());
        ask(&StageLocation {
            stage,
            endpoint,
            origin: Origin::Remote,
            name: "a.json.gz",
            size: 1,
            failures: FailureRecorder::default(),
        })
    }

    #[test]
    fn s3_uses_the_regional_host_unless_another_is_named() {
        let url = |region, stage| at(stage, |location| location.s3_url("bucket", region));
        assert_eq!(url("us-west-2", json!({ "locationType": "S3" })), "https://bucket.s3.us-west-2.amazonaws.com");
        assert_eq!(url("cn-north-1", json!({ "locationType": "S3" })), "https://bucket.s3.cn-north-1.amazonaws.com.cn");
        let fips = json!({ "locationType": "S3", "endPoint": "s3-fips.us-gov-west-1.amazonaws.com" });
        assert_eq!(url("us-gov-west-1", fips), "https://bucket.s3-fips.us-gov-west-1.amazonaws.com");
    }

    #[test]
    fn azure_uses_the_host_of_the_account() {
        let url = |end_point| {
            at(json!({ "locationType": "AZURE", "endPoint": end_point }), |location| location.azure_url("account"))
        };
        assert_eq!(url(json!("blob.core.windows.net")), "https://account.blob.core.windows.net");
        assert_eq!(url(json!("blob.core.chinacloudapi.cn")), "https://account.blob.core.chinacloudapi.cn");
        assert_eq!(url(Value::Null), "https://account.blob.core.windows.net");
    }

    #[test]
    fn google_uses_the_host_in_the_response() {
        let url = |stage| at(stage, |location| location.gcs_folder().unwrap().to_string());
        let gcs = |more: Value| {
            let mut stage = json!({ "locationType": "GCS", "region": "EUROPE-WEST4" });
            stage.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            stage
        };
        assert_eq!(url(gcs(json!({}))), "https://storage.googleapis.com/bucket/some/where");
        let regional = gcs(json!({ "useRegionalUrl": true }));
        assert_eq!(url(regional), "https://storage.europe-west4.rep.googleapis.com/bucket/some/where");
        let me_central = gcs(json!({ "region": "ME-CENTRAL2" }));
        assert_eq!(url(me_central), "https://storage.me-central2.rep.googleapis.com/bucket/some/where");
        let virtual_host = gcs(json!({ "useVirtualUrl": true }));
        assert_eq!(url(virtual_host), "https://bucket.storage.googleapis.com/some/where");
        let named = gcs(json!({ "endPoint": "storage.example.com" }));
        assert_eq!(url(named), "https://storage.example.com/bucket/some/where");
    }

    #[test]
    fn a_presigned_url_keeps_its_signature_and_loses_the_name() {
        let folder = |url: &str| at(json!({ "locationType": "GCS" }), |location| location.presigned_folder(url));
        let url = folder("https://storage.googleapis.com/bucket/run%20one/a.json.gz?X-Goog-Signature=ab%2Bcd").unwrap();
        assert_eq!(url.as_str(), "https://storage.googleapis.com/bucket/run%20one?X-Goog-Signature=ab%2Bcd");
        assert_eq!(folder("https://storage.googleapis.com/bucket/run/b.json.gz?X-Goog-Signature=ab"), None);
    }

    #[test]
    fn the_timeout_of_a_large_file_allows_for_a_slow_connection() {
        assert_eq!(request_timeout(0), BASE_TIMEOUT);
        assert_eq!(request_timeout(100_000_000), BASE_TIMEOUT + Duration::from_secs(381));
    }

    #[test]
    fn hosts_are_read_with_and_without_a_scheme() {
        let host = |text| Endpoint::parse(text, Origin::Remote).unwrap();
        for text in ["blob.core.windows.net", "https://blob.core.windows.net", " https://blob.core.windows.net/ "] {
            assert_eq!(host(text), Endpoint::Host("blob.core.windows.net".into()));
        }
    }

    #[test]
    fn plain_http_is_allowed_on_this_machine_only() {
        for text in ["http://127.0.0.1:9", "http://localhost:9/account", "http://[::1]:9"] {
            assert!(matches!(Endpoint::parse(text, Origin::Loopback), Ok(Endpoint::Loopback(_))), "{text}");
            assert!(Endpoint::parse(text, Origin::Remote).is_err(), "{text}");
        }
        for text in
            ["http://example.com", "http://10.0.0.1", "http://127.0.0.1.example.com", "http://localhost@10.0.0.1"]
        {
            assert!(Endpoint::parse(text, Origin::Loopback).is_err(), "{text}");
        }
    }

    #[test]
    fn an_invalid_host_is_not_a_location() {
        for text in ["a/b", "user@host", "host?x", "host#x", "ftp://host", "", "https://"] {
            assert!(Endpoint::parse(text, Origin::Loopback).is_err(), "{text:?}");
        }
    }
}
