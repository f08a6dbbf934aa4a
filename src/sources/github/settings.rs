//! The settings of the source.

use std::fs::File;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::Scope;
use crate::http::{self, Client, Url};
use crate::secret::read_bytes;
use crate::{Error, Result, RetryConfig, SecretRef, Settings, SettingsSchema};

/// The longest file of certificate authorities that is read, in bytes. Those of all public ones take 250 kB.
const LONGEST_CA_FILE: usize = 8 << 20;

/// How to reach GitHub, and what to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GithubSettings {
    /// Where the API is: `https://api.github.com`, or `https://HOST/api/v3` for GitHub Enterprise Server.
    #[schemars(extend("format" = "uri"))]
    pub api_url: String,
    /// A reference to a token, classic or fine-grained, that may read the repositories' issues and the other selected streams. Without a token and
    /// without a GitHub App, reading is anonymous: public repositories only, 60 requests an hour.
    pub token: Option<SecretRef>,
    /// The id (or client id) of a GitHub App, instead of a token.
    pub app_id: Option<String>,
    /// The id of the GitHub App's installation.
    pub installation_id: Option<u64>,
    /// A reference to the GitHub App's private key, in PEM.
    pub private_key: Option<SecretRef>,
    /// What `discover` lists: `owner/name` for one repository; `owner/*` or `owner` for all of an organisation or a user.
    pub repositories: Vec<String>,
    /// Whether pull requests are read, too; `is_pull_request` marks them. The streams that are about pull requests need it.
    pub pull_requests: bool,
    /// How many requests may be under way at once (1 to 100). GitHub's secondary limit brings it down to one for a while.
    #[schemars(range(min = 1, max = 100))]
    pub concurrency: u8,
    /// The most requests that are sent in a minute; no limit unless given.
    #[schemars(range(min = 1))]
    pub requests_per_minute: Option<u32>,
    /// How much of the hourly quota may be used, in percent (1 to 100). The rest stays for others that share it.
    #[schemars(range(min = 1, max = 100))]
    pub quota_percent: u8,
    /// How many records a page holds (1 to 100). Pages that are too heavy for GitHub are made smaller automatically.
    #[schemars(range(min = 1, max = 100))]
    pub page_size: u32,
    /// By how many seconds (1 or more) a poll looks back: a record may become visible a little after its `updated_at`.
    #[schemars(range(min = 1, max = 86_400))]
    pub overlap_seconds: u32,
    /// The longest that one attempt of a request may take, in seconds.
    #[schemars(range(min = 1, max = 3_600))]
    pub timeout_seconds: u32,
    /// How often a request that failed is tried again.
    #[schemars(range(max = 20))]
    pub retries: u32,
    /// The longest that a request waits for limits, in minutes; after that the run fails with `rate_limited`.
    pub max_wait_minutes: u32,
    /// The URL of a proxy, without a password. Unless given, the environment (`HTTPS_PROXY`, `NO_PROXY`) decides.
    #[schemars(extend("format" = "uri"))]
    pub proxy: Option<String>,
    /// A file with further certificate authorities to trust, in PEM.
    #[schemars(extend("format" = "path"))]
    pub ca_file: Option<PathBuf>,
}

impl Default for GithubSettings {
    fn default() -> Self {
        Self {
            api_url: "https://api.github.com".into(),
            token: None,
            app_id: None,
            installation_id: None,
            private_key: None,
            repositories: Vec::new(),
            pull_requests: true,
            concurrency: 8,
            requests_per_minute: None,
            quota_percent: 100,
            page_size: 100,
            overlap_seconds: 10,
            timeout_seconds: 60,
            retries: 5,
            max_wait_minutes: 65,
            proxy: None,
            ca_file: None,
        }
    }
}

impl GithubSettings {
    /// The schema of these settings, with the rules between them.
    pub(super) fn declaration() -> &'static SettingsSchema {
        static DECLARATION: LazyLock<SettingsSchema> =
            LazyLock::new(|| SettingsSchema::of::<GithubSettings>().rule(GithubSettings::validate));
        &DECLARATION
    }

    /// Reads the settings, and checks everything that needs no request.
    pub(super) fn from_settings(config: &Settings) -> Result<Self> {
        Self::declaration().configure(config.values().clone())?.read()
    }

    fn validate(&self) -> Result<()> {
        let wrong = |name: &str, why: &str| Error::configuration(format!("the setting `{name}` {why}"));
        let url = self.api_url.parse::<Url>().ok().filter(Url::has_host);
        let Some(url) = url else {
            return Err(wrong("api_url", "is not the URL of an API")
                .with_help("write `https://api.github.com`, or `https://HOST/api/v3` for GitHub Enterprise Server"));
        };
        if matches!(url.host_str(), Some("github.com" | "www.github.com")) {
            return Err(wrong("api_url", "is the address of the web site, not of the API")
                .with_help("write `https://api.github.com`"));
        }
        let app = [self.app_id.is_some(), self.installation_id.is_some(), self.private_key.is_some()];
        if let Some(token) = &self.token
            && app.contains(&true)
        {
            return Err(Error::configuration(format!("both a token ({token}) and a GitHub App are configured"))
                .with_help(
                    "remove `token` (if it is not configured, it comes from the environment variable GITHUB_TOKEN), or `app_id`, \
                     `installation_id` and `private_key`",
                ));
        }
        if app.contains(&true) && app.contains(&false) {
            return Err(Error::configuration("the GitHub App is configured only in part")
                .with_help("set all of `app_id`, `installation_id` and `private_key`"));
        }
        for entry in &self.repositories {
            Scope::parse(entry)?;
        }
        Ok(())
    }

    /// Builds a client without credentials.
    pub(super) fn client(&self) -> Result<http::Builder> {
        let mut builder = Client::builder(&self.api_url)
            .header("x-github-api-version", "2022-11-28")
            .timeout(Duration::from_secs(self.timeout_seconds.into()))
            .retry(RetryConfig { max_attempts: self.retries + 1, ..RetryConfig::default() })
            .max_wait(Duration::from_secs(60 * u64::from(self.max_wait_minutes)))
            .concurrency(self.concurrency.into())
            .budget(self.quota_percent);
        if let Some(requests) = self.requests_per_minute {
            builder = builder.per_minute(requests);
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy);
        }
        if let Some(file) = &self.ca_file {
            let pem = File::open(file).and_then(|file| read_bytes(&file, LONGEST_CA_FILE)).map_err(|error| {
                Error::configuration("the file with certificate authorities cannot be read")
                    .with_context("ca_file", file.display())
                    .with_source(error)
            })?;
            builder = builder.certificate_authority(&pem);
        }
        Ok(builder)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(value: Value) -> Result<GithubSettings> {
        let Value::Object(values) = value else { panic!("an object") };
        GithubSettings::from_settings(&values.into_iter().collect())
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(config(json!({})).unwrap(), GithubSettings::default());
        GithubSettings::default().client().unwrap().build().unwrap();
    }

    #[test]
    fn malformed_settings_are_named_with_help() {
        for (settings, named) in [
            (json!({"api_url": "api.github.com"}), "api_url"),
            (json!({"api_url": "https://github.com"}), "api_url"),
            (json!({"api_url": "https://user:hunter2@ghe.example/api/v3"}), "api_url"),
            (json!({"proxy": "http://user:hunter2@proxy.example:3128"}), "proxy"),
            (json!({"proxy": "user:hunter2@proxy.example"}), "proxy"),
            (json!({"token": "env:A", "app_id": "1"}), "a GitHub App are configured"),
            (json!({"app_id": "1", "installation_id": 2}), "only in part"),
            (json!({"concurrency": 0}), "concurrency"),
            (json!({"page_size": 101}), "page_size"),
            (json!({"quota_percent": 0}), "quota_percent"),
            (json!({"overlap_seconds": 0}), "overlap_seconds"),
            (json!({"requests_per_minute": 0}), "requests_per_minute"),
            (json!({"repositories": ["acme/a/b"]}), "acme/a/b"),
            (json!({"tokn": "env:A"}), "tokn"),
        ] {
            let error = config(settings).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Configuration);
            assert!(error.to_string().contains(named) && error.help().is_some(), "{error} {:?}", error.help());
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }

    /// The token is the one that the environment sets implicitly.
    #[test]
    fn a_token_in_addition_to_a_github_app_is_reported_with_its_origin() {
        let error = config(json!({"token": "env:GITHUB_TOKEN", "app_id": "1"})).unwrap_err();
        assert!(error.message().contains("env:GITHUB_TOKEN"), "{error}");
        assert!(error.help().unwrap().contains("variable"), "{:?}", error.help());
    }
}
