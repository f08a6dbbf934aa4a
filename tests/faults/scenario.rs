//! An ingestion through a proxy into a file, and a comparison of both ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use github_server::GithubServer;
use serde_json::{Value, json};
use snowfeed::backends::Sqlite;
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::sources::github::GithubIssues;
use snowfeed::{Limits, Resource, RunRecord};

use crate::faulty_proxy::FaultyProxy;

pub(crate) const REPOSITORY: &str = "acme/widgets";

/// An upstream, a proxy to it, a file, and a token that must not leak.
pub(crate) struct Scenario {
    pub(crate) upstream: GithubServer,
    pub(crate) proxy: FaultyProxy,
    pub(crate) sqlite: Sqlite,
    folder: tempfile::TempDir,
}

impl Scenario {
    pub(crate) async fn new() -> Self {
        let upstream = GithubServer::builder().repository(REPOSITORY, 400).start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hush").unwrap();
        let proxy = FaultyProxy::to(upstream.url());
        Self { proxy, sqlite: Sqlite::open(folder.path().join("x.db")).unwrap(), upstream, folder }
    }

    pub(crate) fn resource(&self) -> Resource {
        Resource::new(REPOSITORY).unwrap()
    }

    pub(crate) fn request(&self) -> IngestRequest {
        IngestRequest::new([self.resource()])
    }

    /// A connector with these settings and the token, which commits every page.
    pub(crate) fn connector(&self, mut settings: Value) -> Connector {
        settings["token"] = json!(format!("file:{}", self.folder.path().join("token").display()));
        let Value::Object(settings) = settings else { unreachable!() };
        Connector::new(GithubIssues::default(), Arc::new(self.sqlite.clone()))
            .with_settings(settings)
            .limits(Limits::default().commit_rows(20))
    }

    /// See [`missing`].
    pub(crate) fn missing(&self) -> usize {
        missing(&self.upstream, self.sqlite.path())
    }
}

/// Issues of the upstream whose row is missing or different, and surplus rows of an issue.
pub(crate) fn missing(upstream: &GithubServer, file: &Path) -> usize {
    missing_or_unreadable(upstream, file).unwrap()
}

/// The same for a file that may not be readable.
pub(crate) fn missing_or_unreadable(upstream: &GithubServer, file: &Path) -> rusqlite::Result<usize> {
    let reader = rusqlite::Connection::open(file)?;
    let mut select = reader.prepare("SELECT id, raw FROM issues WHERE deleted_at IS NULL")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut rows: BTreeMap<i64, String> = rows.collect::<rusqlite::Result<_>>()?;
    let all = upstream.snapshot(REPOSITORY);
    let lost = all.iter().filter(|issue| rows.remove(&i64::try_from(issue.id).unwrap()).as_ref() != Some(&issue.text));
    Ok(lost.count() + rows.len())
}

/// Ingests the repository into a file.
pub(crate) async fn ingest_into(file: &Path, settings: Value) -> RunRecord {
    let Value::Object(settings) = settings else { unreachable!() };
    let sqlite = Sqlite::open(file).unwrap();
    let connector = Connector::new(GithubIssues::default(), Arc::new(sqlite)).with_settings(settings);
    let request = IngestRequest::new([Resource::new(REPOSITORY).unwrap()]);
    connector.ingest(request).await.unwrap().runs.remove(0)
}
