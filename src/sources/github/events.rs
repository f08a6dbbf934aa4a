//! Events of issues, the newest first.
//!
//! The list has no `since`, and it moves: new events appear at its top, and those of a deleted issue vanish. Each page is therefore
//! requested in such a way that it begins with a row that was returned before: one response has that row and all that follow, whatever
//! moved in between. Page numbers alone cannot do that, but a page size other than before can: rows 99 to 197 are page 2 of 99 rows each.
//! Where a page begins below the rows returned before, the one above it is requested.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::api::{Api, PageError, SMALLEST_PAGE};
use super::batches::Batches;
use super::connection::Connection;
use super::error::is_taken_over;
use super::names::Name;
use super::origin::{Origin, read_checkpoint};
use super::page::{self, Row};
use super::settings::GithubSettings;
use super::snapshots::api_of;
use super::streams::Stream;
use crate::http::{More, Response};
use crate::{Batch, Checkpoint, Monitor, ReadRequest, Result, SourceEvent};

/// The version of the format.
const VERSION: u32 = 1;

/// Where to go on downwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    v: u32,
    #[serde(flatten)]
    origin: Origin,
    /// Every event of the list from the beginning of the read down to this id was returned.
    below: u64,
    /// The number of rows above it, when it was read.
    above: u64,
    /// The entity tag of the first page, and the kind of credentials that received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<(String, String)>,
}

impl Place {
    /// See [`read_checkpoint`].
    fn read(connection: &Connection, checkpoint: &Checkpoint) -> Result<Self> {
        read_checkpoint(connection, checkpoint, VERSION)
    }
}

/// The smallest page that is requested unless larger ones fail: between small pages there is not always a [window](window) that overlaps.
const SMALLEST_WINDOW: u32 = 20;

/// A gateway is assumed not to have cut a page with at most this many rows.
const MAX_UNCUT_PAGE: usize = 4;

/// A read under way.
pub(super) struct EventsRead {
    api: Api,
    monitor: Monitor,
    is_id_unconfirmed: bool,
    credentials: &'static str,
    size: u32,
    /// The tag that makes the request for the first page conditional.
    etag: Option<String>,
    /// The lowest id that was returned, and the number of rows above it; `None` at the top.
    place: Option<(u64, u64)>,
    /// Whether a page was received.
    has_begun: bool,
    has_ended: bool,
}

/// A page of the list.
struct EventPage {
    rows: Vec<Row>,
    more: More,
    etag: Option<String>,
    bytes: usize,
}

/// What a request returned.
enum Answer {
    Page(EventPage),
    /// The first page is what it was.
    Unchanged,
    /// The server has no more.
    End,
}

/// A page by its size and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    size: u32,
    page: u64,
    /// Whether it begins with rows that were returned before.
    overlaps: bool,
}

impl Window {
    fn start(self) -> u64 {
        (self.page - 1).saturating_mul(self.size.into())
    }
}

/// The page that has the row with this index and as many as possible below it.
fn window(index: u64, size: u32) -> Window {
    let below = |size: u32| u64::from(size) - index % u64::from(size);
    let best = (size.div_ceil(2)..=size).max_by_key(|&size| (below(size), size)).unwrap_or(size);
    let (size, row, overlaps) = if below(best) > 1 { (best, index, true) } else { (size, index + 1, false) };
    Window { size, page: row / u64::from(size) + 1, overlaps }
}

/// The id of a row, if it can be read.
fn id(row: &Row) -> Option<u64> {
    page::number(Stream::IssueEvents, row.text())
}

impl EventsRead {
    pub(super) async fn open(
        connection: Arc<Connection>,
        settings: Arc<GithubSettings>,
        request: ReadRequest,
    ) -> Result<Self> {
        let ReadRequest { resource, checkpoint, incremental, monitor, .. } = request;
        let name = Name::from_resource(&resource)?;
        let credentials = connection.kind.as_str();
        connection.announce(&monitor);
        let read = |checkpoint: &Checkpoint| Place::read(&connection, checkpoint);
        let place = checkpoint.as_ref().map(read).transpose()?;
        let top = incremental.as_ref().map(read).transpose()?;
        let origin = place.as_ref().or(top.as_ref()).map(|known| known.origin.clone());
        let (api, is_id_unconfirmed) = api_of(connection, name, origin, Stream::IssueEvents, &monitor).await?;
        let etag = top.and_then(|top| top.etag).filter(|(_, known)| place.is_none() && known == credentials);
        Ok(Self {
            api,
            monitor,
            is_id_unconfirmed,
            credentials,
            size: settings.page_size.max(SMALLEST_WINDOW),
            etag: etag.map(|(etag, _)| etag),
            place: place.map(|place| (place.below, place.above)),
            has_begun: false,
            has_ended: false,
        })
    }

    /// Requests a page.
    async fn request(&mut self, window: Window) -> Result<Answer, PageError> {
        let etag = self.etag.take();
        let mut url = self.api.url(&self.api.list()).map_err(PageError::Other)?;
        url.query_pairs_mut().append_pair("per_page", &window.size.to_string());
        if window.page > 1 {
            url.query_pairs_mut().append_pair("page", &window.page.to_string());
        }
        let read = |response: &Response| {
            Ok(EventPage {
                rows: page::rows(Stream::IssueEvents, response.body())?,
                more: response.more(),
                etag: response.etag().map(str::to_owned),
                bytes: response.body().len(),
            })
        };
        let page = self.api.request(url.as_str(), etag.as_deref(), &self.monitor, read).await?;
        Ok(page.map_or(Answer::Unchanged, Answer::Page))
    }

    /// Requests a page, in the way that the server can answer.
    async fn answer(&mut self) -> Result<(Answer, Window)> {
        loop {
            let top = Window { size: self.size, page: 1, overlaps: true };
            let window = self.place.map_or(top, |(_, above)| window(above, self.size));
            match self.request(window).await {
                Ok(answer) => {
                    self.is_id_unconfirmed = false;
                    return Ok((answer, window));
                }
                Err(PageError::TooLarge(error)) if self.size > SMALLEST_PAGE => {
                    tracing::debug!(%error, size = self.size, "requesting smaller pages");
                    self.size = (self.size / 2).max(SMALLEST_PAGE);
                }
                Err(PageError::TooLarge(error)) => return Err(self.api.explain(error, &self.monitor).await),
                Err(PageError::Other(error)) if error.status() == Some(422) && window.page > 1 => {
                    self.monitor.event(SourceEvent::Warning(
                        "GitHub does not page through older events of this repository, so that they are not read"
                            .into(),
                    ));
                    return Ok((Answer::End, window));
                }
                Err(PageError::Other(error)) => match self.api.by_name() {
                    Some(by_name)
                        if self.is_id_unconfirmed && error.status() == Some(404) && !is_taken_over(&error) =>
                    {
                        self.api = by_name;
                        self.is_id_unconfirmed = false;
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    /// Requests pages until one begins at or above the rows returned so far, and takes its place.
    async fn page(&mut self) -> Result<Answer> {
        loop {
            let (answer, window) = self.answer().await?;
            let Answer::Page(page) = answer else { return Ok(answer) };
            let (rows, lowest) = (page.rows.len(), page.rows.iter().filter_map(id).min());
            let starts_below = |below| page.rows.iter().find_map(id).is_none_or(|first| first < below);
            if let Some((below, _)) = self.place
                && window.page > 1
                && window.overlaps
                && starts_below(below)
            {
                self.place = Some((below, window.start() - 1));
                continue;
            }
            let is_first = !std::mem::replace(&mut self.has_begun, true);
            let is_short = rows < usize::try_from(window.size).unwrap_or(usize::MAX);
            // A gateway may send fewer rows than requested: then its pages are where smaller ones would be.
            let connection = &self.api.connection;
            let may_be_cut = match page.more {
                More::Next(_) => true,
                More::Last => false,
                More::Unknown => is_first && rows > MAX_UNCUT_PAGE && !connection.sends_links(),
            };
            if !matches!(page.more, More::Unknown) {
                connection.set_sends_links();
            }
            let cut_size = u32::try_from(rows).unwrap_or(u32::MAX).max(2);
            let is_cut = is_short && may_be_cut && cut_size < self.size;
            if is_cut {
                self.size = cut_size;
                if self.place.is_some() {
                    continue;
                }
            }
            // The next page begins with the last row of this one, also if that was known.
            let last = (window.start() + rows as u64).saturating_sub(1);
            self.place = match (self.place, lowest) {
                (Some((below, _)), Some(lowest)) => Some((below.min(lowest), last)),
                (None, Some(lowest)) => Some((lowest, last)),
                (place, None) => place,
            };
            self.has_ended = rows == 0 || (is_short && !is_cut);
            return Ok(Answer::Page(page));
        }
    }
}

#[async_trait]
impl Batches for EventsRead {
    async fn next(&mut self) -> Result<Option<Batch>> {
        while !self.has_ended {
            let (before, is_top) = (self.place.map(|(below, _)| below), self.place.is_none());
            let page = match self.page().await? {
                Answer::Page(page) => page,
                answer => {
                    self.has_ended = true;
                    return Ok(matches!(answer, Answer::Unchanged).then(Batch::unchanged));
                }
            };
            let mut batch = Batch::new();
            for row in page.rows {
                let is_known = id(&row).zip(before).is_some_and(|(id, below)| id >= below);
                match row.content {
                    Ok(record) if !is_known => batch.records.push(record),
                    Ok(_) => {}
                    Err(reject) => batch.rejects.push(reject),
                }
            }
            // Each batch makes progress, so that a read that is interrupted again and again ends nevertheless.
            if batch.offered() == 0 && !is_top {
                continue;
            }
            page::detach_records(&mut batch.records, page.bytes);
            // Of an empty list, every event is below.
            let (below, above) = self.place.unwrap_or((u64::MAX, 0));
            let etag = page.etag.filter(|_| is_top).map(|etag| (etag, self.credentials.to_owned()));
            let origin = Origin::new(&self.api.connection, self.api.repository_id());
            return Ok(Some(batch.checkpoint(Checkpoint::new(&Place { v: VERSION, origin, below, above, etag })?)));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_the_row_and_others_below_it() {
        // The number of rows below, at least: smaller pages have fewer sizes to choose from.
        for (size, fewest) in [(20, 2), (33, 8), (100, 33)] {
            let mut index = 0;
            while index < 100_000 {
                let window = window(index, size);
                assert!(window.overlaps && window.start() <= index, "{index} {window:?}");
                let end = window.start() + u64::from(window.size);
                assert!(end - index > fewest, "{index} {window:?}");
                index = end - 1;
            }
        }
    }

    #[test]
    fn small_pages_that_cannot_overlap_follow_each_other() {
        assert_eq!(window(59, 5), Window { size: 5, page: 13, overlaps: false });
        assert_eq!(window(58, 5), Window { size: 5, page: 12, overlaps: true });
    }
}
