//! Lists that are read whole, one page after another.

use std::sync::Arc;

use bytestring::ByteString;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::api::{Api, PageError, SMALLEST_PAGE};
use super::error::is_taken_over;
use super::page::{self, Row};
use crate::http::{More, Response};
use crate::record::content_hash;
use crate::{Batch, Error, Monitor, Result};

/// A gateway is assumed not to have cut a page with at most this many rows.
const MAX_UNCUT_PAGE: usize = 4;

/// After this many pages in a row with the same content, the server does not paginate.
const MAX_REPEATS: u32 = 8;

/// A list of a repository.
///
/// The length of a page alone does not end it: where the server does not say whether the list continues, a request for one row
/// finds out whether it sends links at all. After a full page, the next one is requested, too, even if it is empty: its entity tag
/// shows when the list grows.
#[derive(Debug)]
pub(super) struct WholeList {
    api: Arc<Api>,
    monitor: Monitor,
    /// Its path below the repository.
    path: String,
    query: Vec<(&'static str, String)>,
    content: Content,
    size: u32,
    wanted_size: u32,
    /// The next page.
    page: u64,
    /// The number of rows before it.
    rows: u64,
    has_ended: bool,
    /// Whether lookup by id is still unconfirmed.
    is_id_unconfirmed: bool,
    last_page: [u8; 16],
    repeats: u32,
}

/// Where the rows are in a response.
#[derive(Debug, Clone, Copy)]
enum Content {
    Array,
    /// In a comparison of two commits, which also has their number.
    Comparison,
}

impl Content {
    /// The array of rows, and how many rows the list has, if the response has both.
    fn rows(self, body: &ByteString) -> Result<(ByteString, Option<u64>)> {
        #[derive(Deserialize)]
        struct Comparison<'a> {
            #[serde(borrow)]
            commits: &'a RawValue,
            #[serde(default)]
            total_commits: Option<u64>,
        }
        match self {
            Self::Array => Ok((body.clone(), None)),
            Self::Comparison => {
                let Comparison { commits, total_commits } = serde_json::from_str(body).map_err(|error| {
                    Error::invalid_data("the answer is not a comparison of commits").with_source(error)
                })?;
                Ok((body.slice_ref(commits.get()), total_commits))
            }
        }
    }
}

/// One page of a list.
#[derive(Debug)]
pub(super) struct ListedPage {
    pub(super) rows: Vec<Row>,
    pub(super) etag: Option<String>,
    /// How many rows the list has, if the server counts them.
    pub(super) total: Option<u64>,
    bytes: usize,
    more: More,
    fingerprint: [u8; 16],
}

impl ListedPage {
    /// Its records and rejects.
    pub(super) fn into_batch(self) -> Batch {
        let mut batch = Batch::new();
        for row in self.rows {
            match row.content {
                Ok(record) => batch.records.push(record),
                Err(reject) => batch.rejects.push(reject),
            }
        }
        page::detach_records(&mut batch.records, self.bytes);
        batch
    }
}

impl WholeList {
    /// The list of the API's stream.
    pub(super) fn new(api: Arc<Api>, size: u32, monitor: Monitor) -> Self {
        let path = api.stream.path().to_owned();
        let query = api.stream.filter().iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self {
            api,
            monitor,
            path,
            query,
            content: Content::Array,
            size,
            wanted_size: size,
            page: 1,
            rows: 0,
            has_ended: false,
            is_id_unconfirmed: false,
            last_page: [0; 16],
            repeats: 0,
        }
    }

    /// Another list, by its path below the repository.
    pub(super) fn below(mut self, path: String) -> Self {
        self.path = path;
        self
    }

    /// Reads comparisons of commits.
    pub(super) fn comparison(mut self) -> Self {
        self.content = Content::Comparison;
        self
    }

    /// Adds a parameter to the query of each page.
    pub(super) fn query(mut self, name: &'static str, value: String) -> Self {
        self.query.push((name, value));
        self
    }

    /// Lists the repository by its name if the server does not know its id.
    pub(super) fn with_unconfirmed_id(mut self, is_unconfirmed: bool) -> Self {
        self.is_id_unconfirmed = is_unconfirmed;
        self
    }

    /// Begins after this many rows. Some of them may be returned again.
    pub(super) fn after(mut self, rows: u64) -> Self {
        self.page = rows / u64::from(self.size.max(1)) + 1;
        self.rows = (self.page - 1) * u64::from(self.size);
        self
    }

    pub(super) fn api(&self) -> &Arc<Api> {
        &self.api
    }

    /// The number of rows before the next page.
    pub(super) fn rows_read(&self) -> u64 {
        self.rows
    }

    /// Whether all pages have been returned.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether pages had to be smaller than requested.
    pub(super) fn is_reduced(&self) -> bool {
        self.size < self.wanted_size
    }

    fn url(&self, page: u64, size: u32) -> Result<String> {
        let mut url = self.api.url(&self.api.path(&self.path))?;
        let mut query = url.query_pairs_mut();
        query.extend_pairs(&self.query).append_pair("per_page", &size.to_string());
        if page > 1 {
            query.append_pair("page", &page.to_string());
        }
        drop(query);
        Ok(url.into())
    }

    /// Requests a page if it has changed since this entity tag; `None` when it has not.
    pub(super) async fn changed(&self, page: u64, etag: &str) -> Result<Option<ListedPage>> {
        let url = self.url(page, self.size)?;
        match self.request(&url, Some(etag)).await {
            Ok(page) => Ok(page),
            Err(PageError::TooLarge(error)) => Err(self.api.explain(error, &self.monitor).await),
            Err(PageError::Other(error)) => Err(error),
        }
    }

    async fn request(&self, url: &str, etag: Option<&str>) -> Result<Option<ListedPage>, PageError> {
        let (stream, content) = (self.api.stream, self.content);
        let read = |response: &Response| {
            let (rows, total) = content.rows(response.body())?;
            Ok(ListedPage {
                rows: page::rows(stream, &rows)?,
                total,
                etag: response.etag().map(str::to_owned),
                bytes: response.body().len(),
                more: response.more(),
                fingerprint: content_hash(response.body()),
            })
        };
        self.api.request(url, etag, &self.monitor, read).await
    }

    /// Returns the next page; `None` after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<ListedPage>> {
        while !self.has_ended {
            let url = self.url(self.page, self.size)?;
            match self.request(&url, None).await {
                Ok(Some(page)) => return self.accept(page).await.map(Some),
                Ok(None) => {
                    return Err(Error::invalid_data("the server answers 304 to a request without an entity tag"));
                }
                Err(PageError::TooLarge(error)) if self.size > SMALLEST_PAGE => {
                    tracing::debug!(%error, size = self.size, "requesting smaller pages");
                    self.size = (self.size / 2).max(SMALLEST_PAGE);
                    let rows = self.rows;
                    self.page = rows / u64::from(self.size) + 1;
                    self.rows = (self.page - 1) * u64::from(self.size);
                }
                Err(PageError::TooLarge(error)) => return Err(self.api.explain(error, &self.monitor).await),
                Err(PageError::Other(error)) => match self.api.by_name() {
                    Some(by_name)
                        if self.is_id_unconfirmed && error.status() == Some(404) && !is_taken_over(&error) =>
                    {
                        self.api = Arc::new(by_name);
                        self.is_id_unconfirmed = false;
                    }
                    _ => return Err(error),
                },
            }
        }
        Ok(None)
    }

    /// Takes the next page, however it was requested, and finds out whether the list continues.
    pub(super) async fn accept(&mut self, page: ListedPage) -> Result<ListedPage> {
        self.is_id_unconfirmed = false;
        let rows = page.rows.len();
        self.repeats = if rows > 0 && page.fingerprint == self.last_page { self.repeats + 1 } else { 0 };
        if self.repeats >= MAX_REPEATS {
            return Err(Error::invalid_data("the server gives the same page for different page numbers")
                .with_context("url", self.url(self.page, self.size)?)
                .with_help("the API at this address does not page as GitHub's does"));
        }
        self.last_page = page.fingerprint;
        if matches!(page.more, More::Next(_) | More::Last) {
            self.api.connection.set_sends_links();
        }
        let is_full = rows >= usize::try_from(self.size).unwrap_or(usize::MAX);
        self.has_ended = match page.more {
            _ if rows == 0 => true,
            _ if page.total.is_some_and(|total| self.rows + rows as u64 >= total) => true,
            More::Next(_) => false,
            More::Last => !is_full,
            More::Unknown => !is_full && (rows <= MAX_UNCUT_PAGE || self.has_links().await?),
        };
        self.page += 1;
        self.rows += rows as u64;
        Ok(page)
    }

    /// Whether the server sends links, of a list with more than one row.
    async fn has_links(&self) -> Result<bool> {
        if self.api.connection.sends_links() {
            return Ok(true);
        }
        let url = self.url(1, 1)?;
        match self.request(&url, None).await {
            Ok(Some(page)) if matches!(page.more, More::Next(_)) => {
                self.api.connection.set_sends_links();
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(PageError::TooLarge(error) | PageError::Other(error)) => Err(error),
        }
    }
}
