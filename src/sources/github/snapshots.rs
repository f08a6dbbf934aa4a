//! Streams that are listed whole: labels, milestones and releases.
//!
//! The checkpoint has the entity tag of every page. The list is unchanged only if no page has changed; otherwise it is read from the
//! first page on.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::api::Api;
use super::batches::Batches;
use super::connection::Connection;
use super::names::Name;
use super::origin::{Origin, read_checkpoint};
use super::settings::GithubSettings;
use super::streams::Stream;
use super::whole_list::{ListedPage, WholeList};
use crate::{Batch, Checkpoint, Monitor, ReadRequest, Result};

/// The version of the format.
const VERSION: u32 = 1;

/// What the last complete list was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Validators {
    v: u32,
    #[serde(flatten)]
    origin: Origin,
    /// The kind of credentials that received the tags; they are worthless to others.
    credentials: String,
    page_size: u32,
    /// The entity tag of each page; empty, unless each has one.
    etags: Vec<String>,
}

impl Validators {
    /// See [`read_checkpoint`].
    fn read(connection: &Connection, checkpoint: &Checkpoint) -> Result<Self> {
        read_checkpoint(connection, checkpoint, VERSION)
    }
}

/// A read under way.
pub(super) struct SnapshotRead {
    list: WholeList,
    credentials: &'static str,
    page_size: u32,
    /// The tags of the pages read so far; `None` once a page had none.
    etags: Option<Vec<String>>,
    /// Those of the last complete list.
    known: Vec<String>,
    has_ended: bool,
}

impl SnapshotRead {
    pub(super) async fn open(
        connection: Arc<Connection>,
        settings: Arc<GithubSettings>,
        stream: Stream,
        request: ReadRequest,
    ) -> Result<Self> {
        let ReadRequest { resource, checkpoint, incremental, monitor, .. } = request;
        let name = Name::from_resource(&resource)?;
        let (credentials, page_size) = (connection.kind.as_str(), settings.page_size);
        connection.announce(&monitor);
        let known = checkpoint.as_ref().map(|checkpoint| Validators::read(&connection, checkpoint)).transpose()?;
        let origin = match (&known, &incremental) {
            (Some(known), _) => Some(known.origin.clone()),
            (None, Some(incremental)) => Some(Origin::for_server(connection.client.base_url(), incremental)?),
            (None, None) => None,
        };
        let (api, is_id_unconfirmed) = api_of(connection, name, origin, stream, &monitor).await?;
        let list = WholeList::new(Arc::new(api), page_size, monitor).with_unconfirmed_id(is_id_unconfirmed);
        let known = known.filter(|known| known.credentials == credentials && known.page_size == page_size);
        let known = known.map(|known| known.etags).unwrap_or_default();
        Ok(Self { list, credentials, page_size, etags: Some(Vec::new()), known, has_ended: false })
    }

    /// Whether the list is unchanged; otherwise the first page, if that has changed.
    async fn compare(&mut self) -> Result<Comparison> {
        let known = std::mem::take(&mut self.known);
        for (number, etag) in (1..).zip(&known) {
            match self.list.changed(number, etag).await? {
                None => {}
                Some(page) if number == 1 => return Ok(Comparison::FirstPage(page)),
                Some(_) => return Ok(Comparison::Changed),
            }
        }
        Ok(if known.is_empty() { Comparison::Changed } else { Comparison::Unchanged })
    }

    fn batch(&mut self, page: ListedPage) -> Result<Batch> {
        match (&mut self.etags, &page.etag) {
            (Some(etags), Some(etag)) => etags.push(etag.clone()),
            (etags, _) => *etags = None,
        }
        let batch = page.into_batch();
        if !self.list.has_ended() {
            return Ok(batch);
        }
        self.has_ended = true;
        let etags = self.etags.take().filter(|_| !self.list.is_reduced()).unwrap_or_default();
        let api = self.list.api();
        Ok(batch.checkpoint(Checkpoint::new(&Validators {
            v: VERSION,
            origin: Origin::new(&api.connection, api.repository_id()),
            credentials: self.credentials.to_owned(),
            page_size: self.page_size,
            etags,
        })?))
    }
}

/// The repository of a read, and whether the server must still confirm that it knows the id.
pub(super) async fn api_of(
    connection: Arc<Connection>,
    name: Name,
    origin: Option<Origin>,
    stream: Stream,
    monitor: &Monitor,
) -> Result<(Api, bool)> {
    match origin {
        Some(origin) => Ok((Api::of(connection, name, origin.repository, stream), false)),
        None => Ok((Api::open(connection, name, stream, monitor).await?, true)),
    }
}

enum Comparison {
    Unchanged,
    Changed,
    FirstPage(ListedPage),
}

#[async_trait]
impl Batches for SnapshotRead {
    async fn next(&mut self) -> Result<Option<Batch>> {
        if self.has_ended {
            return Ok(None);
        }
        let first = match self.known.is_empty() {
            true => None,
            false => match self.compare().await? {
                Comparison::Unchanged => {
                    self.has_ended = true;
                    return Ok(Some(Batch::unchanged()));
                }
                Comparison::FirstPage(page) => Some(self.list.accept(page).await?),
                Comparison::Changed => None,
            },
        };
        let page = match first {
            Some(page) => Some(page),
            None => self.list.next().await?,
        };
        page.map(|page| self.batch(page)).transpose()
    }
}
