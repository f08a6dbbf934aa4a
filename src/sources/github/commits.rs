//! Commits of the default branch.
//!
//! What is reachable from a commit never changes. So the source reads from the branch's head downwards, by the head's name, and page
//! numbers do not drift. Once all commits of a head are read, the next read asks GitHub for those that the new head has beyond it: a
//! branch that was merged late is among them, however old its commits are. Where GitHub cannot compare the two, because the old head
//! is gone, it reads the new one whole.

use std::sync::Arc;

use async_trait::async_trait;
use bytestring::ByteString;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::api::Api;
use super::batches::Batches;
use super::connection::Connection;
use super::fields::is_sha;
use super::names::Name;
use super::origin::{Origin, read_checkpoint};
use super::page;
use super::settings::GithubSettings;
use super::snapshots::api_of;
use super::streams::Stream;
use super::whole_list::WholeList;
use crate::{Batch, Checkpoint, Error, Monitor, ReadRequest, Record, Result, StoredRecord};

/// The version of the format.
const VERSION: u32 = 1;

/// How far the branch has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    v: u32,
    #[serde(flatten)]
    origin: Origin,
    /// The head of which all commits are stored.
    head: Option<String>,
    /// The entity tag of the request for the head, and the kind of credentials that received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    walk: Option<Walk>,
}

/// A head that is being read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Walk {
    head: String,
    /// The head whose commits are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<String>,
    /// The number of commits that were read.
    rows: u64,
}

impl Progress {
    /// See [`read_checkpoint`].
    fn read(connection: &Connection, checkpoint: &Checkpoint) -> Result<Self> {
        read_checkpoint(connection, checkpoint, VERSION)
    }
}

/// The head of the default branch.
enum Head {
    Unchanged,
    Commit(String, Option<String>),
    /// The repository has no commit.
    None,
}

/// A read under way.
pub(super) struct CommitsRead {
    api: Arc<Api>,
    monitor: Monitor,
    page_size: u32,
    is_id_unconfirmed: bool,
    progress: Progress,
    /// The pages of the walk.
    list: Option<WholeList>,
    /// Whether the head was requested in this read.
    has_polled: bool,
    has_ended: bool,
}

impl CommitsRead {
    pub(super) async fn open(
        connection: Arc<Connection>,
        settings: Arc<GithubSettings>,
        request: ReadRequest,
    ) -> Result<Self> {
        let ReadRequest { resource, checkpoint, incremental, monitor, .. } = request;
        let name = Name::from_resource(&resource)?;
        connection.announce(&monitor);
        let read = |checkpoint: &Checkpoint| Progress::read(&connection, checkpoint);
        let known = checkpoint.as_ref().map(read).transpose()?;
        let origin = match (&known, &incremental) {
            (Some(known), _) => Some(known.origin.clone()),
            (None, Some(incremental)) => Some(read(incremental)?.origin),
            (None, None) => None,
        };
        let (api, is_id_unconfirmed) = api_of(connection, name, origin, Stream::Commits, &monitor).await?;
        let origin = Origin::new(&api.connection, api.repository_id());
        let progress = known.unwrap_or(Progress { v: VERSION, origin, head: None, etag: None, walk: None });
        let (page_size, list) = (settings.page_size, None);
        let api = Arc::new(api);
        Ok(Self { api, monitor, page_size, is_id_unconfirmed, progress, list, has_polled: false, has_ended: false })
    }

    /// Requests the head, unless it is the known one.
    async fn poll(&mut self) -> Result<Head> {
        self.has_polled = true;
        let credentials = self.api.connection.kind.as_str();
        let etag = self.progress.etag.as_ref().filter(|(_, known)| known == credentials).map(|(etag, _)| etag.clone());
        match self.api.head(etag.as_deref(), &self.monitor).await {
            Err(error) if self.is_id_unconfirmed && error.status() == Some(404) => {
                let Some(by_name) = self.api.by_name() else { return Err(error) };
                self.api = Arc::new(by_name);
                self.is_id_unconfirmed = false;
                self.progress.origin.repository = None;
                self.api.head(None, &self.monitor).await
            }
            head => {
                self.is_id_unconfirmed = false;
                head
            }
        }
    }

    /// The list of a walk, from where it was left.
    fn list_of(&self, walk: &Walk) -> WholeList {
        let list = WholeList::new(self.api.clone(), self.page_size, self.monitor.clone());
        let Walk { head, base, rows } = walk;
        match base {
            Some(base) => list.below(format!("compare/{base}...{head}")).comparison(),
            None => list.query("sha", head.clone()),
        }
        .after(*rows)
    }

    /// Reads the next page of a walk.
    async fn step(&mut self, mut walk: Walk) -> Result<Option<Batch>> {
        let mut list = self.list.take().unwrap_or_else(|| self.list_of(&walk));
        let page = match list.next().await {
            Ok(page) => page,
            // One of the two is gone, or they cannot be compared.
            Err(error) if walk.base.is_some() && !matches!(error.status(), None | Some(401 | 403 | 429)) => {
                tracing::debug!(%error, "reading the whole branch");
                self.progress.walk = Some(Walk { base: None, rows: 0, ..walk });
                return Ok(None);
            }
            // The head that an earlier read left is gone.
            Err(error) if !self.has_polled && matches!(error.status(), Some(404 | 409 | 422)) => {
                tracing::debug!(%error, "reading another head");
                (self.progress.walk, self.progress.etag) = (None, None);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let total = page.as_ref().and_then(|page| page.total);
        let batch = page.map(super::whole_list::ListedPage::into_batch);
        walk.rows = list.rows_read();
        if !list.has_ended() {
            self.list = Some(list);
            self.progress.walk = Some(walk);
        } else if walk.base.is_some() && total.is_none_or(|total| walk.rows < total) {
            // The comparison is cut off.
            self.progress.walk = Some(Walk { base: None, rows: 0, ..walk });
        } else {
            self.progress.head = Some(walk.head);
            self.progress.walk = None;
        }
        let batch = batch.unwrap_or_default();
        Ok(Some(batch.checkpoint(Checkpoint::new(&self.progress)?)))
    }
}

#[async_trait]
impl Batches for CommitsRead {
    async fn next(&mut self) -> Result<Option<Batch>> {
        while !self.has_ended {
            if let Some(walk) = self.progress.walk.clone() {
                if let Some(batch) = self.step(walk).await? {
                    return Ok(Some(batch));
                }
                continue;
            }
            if self.has_polled {
                break;
            }
            match self.poll().await? {
                Head::Unchanged | Head::None => break,
                Head::Commit(head, etag) => {
                    let etag = etag.map(|etag| (etag, self.api.connection.kind.as_str().to_owned()));
                    let is_new_tag = self.progress.etag != etag;
                    self.progress.etag = etag;
                    if self.progress.head.as_ref() != Some(&head) {
                        let base = self.progress.head.clone();
                        self.progress.walk = Some(Walk { head, base, rows: 0 });
                    } else if is_new_tag {
                        return Ok(Some(Batch::new().checkpoint(Checkpoint::new(&self.progress)?)));
                    }
                }
            }
        }
        self.has_ended = true;
        Ok(None)
    }
}

/// A comparison of a commit with the head.
#[derive(Deserialize)]
struct Comparison<'a> {
    status: &'a str,
    #[serde(borrow)]
    base_commit: &'a RawValue,
}

impl Api {
    /// The head of the default branch, unless it matches the entity tag.
    async fn head(&self, etag: Option<&str>, monitor: &Monitor) -> Result<Head> {
        let mut request = self.connection.get(&self.list()).query(&[("per_page", "1")]).allow_status(&[409]);
        if let Some(etag) = etag {
            request = request.if_none_match(etag);
        }
        let head =
            request.send_with(monitor, |response| {
                if response.is_not_modified() {
                    return Ok(Head::Unchanged);
                }
                // GitHub's answer for an empty repository.
                if response.status() == 409 {
                    return Ok(Head::None);
                }
                let rows = page::rows(Stream::Commits, response.body())?;
                let etag = response.etag().map(str::to_owned);
                match rows.into_iter().next().map(|row| row.content) {
                    None => Ok(Head::None),
                    Some(Ok(record)) => Ok(Head::Commit(record.key.clone(), etag)),
                    Some(Err(reject)) => Err(Error::invalid_data("the head of the branch cannot be read")
                        .with_context("reason", reject.reason)),
                }
            });
        match head.await {
            Ok(head) => Ok(head),
            Err(error) => Err(self.explain(error, monitor).await),
        }
    }

    /// The commit, if it is part of the branch with this head.
    async fn ancestor(&self, sha: &str, head: &str, monitor: &Monitor) -> Result<Option<Record>> {
        // Only the first page of a comparison has the changed files.
        let path = self.path(&format!("compare/{sha}...{head}"));
        let request = self.connection.get(&path).query(&[("per_page", "1"), ("page", "2")]);
        let compared = request.allow_status(&[404]).send_with(monitor, |response| {
            if response.status() == 404 {
                return Ok(None);
            }
            let unreadable =
                |error| Error::invalid_data("the answer is not a comparison of commits").with_source(error);
            let Comparison { status, base_commit } = serde_json::from_str(response.body()).map_err(unreadable)?;
            let document: ByteString = response.body().slice_ref(base_commit.get());
            let record = page::item(Stream::Commits, &document)?;
            if record.key != sha {
                return Err(Error::invalid_data("the server compares another commit than the one that was asked for"));
            }
            Ok(matches!(status, "ahead" | "identical").then_some(record))
        });
        match compared.await {
            Ok(record) => Ok(record),
            Err(error) => Err(self.explain(error, monitor).await),
        }
    }

    /// Finds out which commits are still part of the default branch. A commit that is not may still exist.
    pub(super) async fn verify_commits(
        &self,
        records: Vec<StoredRecord>,
        concurrency: usize,
        monitor: &Monitor,
    ) -> Result<Vec<Record>> {
        let Head::Commit(head, _) = self.head(None, monitor).await? else { return Ok(Vec::new()) };
        // Otherwise the server may answer so to every comparison.
        if self.ancestor(&head, &head, monitor).await?.is_none() {
            return Err(Error::invalid_data(
                "the server lists a commit and does not compare it, so that it cannot be found out which \
                 commits were removed from the branch",
            )
            .with_help("check the gateway between this program and GitHub: it must let `/compare/` through, too"));
        }
        let head = &head;
        stream::iter(records.into_iter().filter(|record| is_sha(&record.key)))
            .map(|record| async move {
                let found = self.ancestor(&record.key, head, monitor).await?;
                Ok(found.unwrap_or_else(|| Record::delete(record.key, record.version)))
            })
            .buffer_unordered(concurrency)
            .try_collect()
            .await
    }
}
