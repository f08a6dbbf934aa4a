//! Rows at which the server fails, whatever the size of the page. They are read around, one row per page, so that one such row
//! does not block the others.
//!
//! The single-row pages are read from the last to the first. A row that changes meanwhile moves to the end of the list, and the
//! rows behind it move up by one: read backward, none of them is missed. `ranges.rs` explains why.

use super::super::api::{Api, PageError};
use super::super::error::explain;
use super::super::page::{self, Page, Row, UnreadRow};
use super::super::streams::Stream;
use super::step::{PageInfo, UnixSecond};
use crate::http::{self, Url, links};
use crate::record::content_hash;
use crate::{Batch, Error, Monitor, Reject, Result};

/// How many rows after the page are read, too: reading can only continue from a row behind the failing one.
const ROWS_BEHIND: u32 = 2;

/// If the last one fails, too, `MORE` are read, repeatedly, up to the limit.
const MORE: u32 = 4;
const LIMIT: u32 = 24;

/// How often a single row is requested.
const ATTEMPTS: u32 = 2;

/// The row at one index of the list.
enum SingleRow {
    Row(Row),
    Failed,
    /// The list ends before this index.
    End,
}

/// Reads the page of `size` rows at `url` around the rows at which the server fails. `failure` is the error of the whole page.
///
/// # Errors
/// `failure`, when single rows cannot be read either, or only a cursor identifies the page.
pub(super) async fn read_around(
    api: &Api,
    url: &str,
    size: u32,
    failure: Error,
    monitor: &Monitor,
) -> Result<Page, PageError> {
    let give_up = |failure| PageError::Other(explain(failure, &api.name, api.stream));
    let Some(list) = url.parse().ok().and_then(|url| page::by_number(&url)) else { return Err(give_up(failure)) };
    let page_number = u32::try_from(links::page_number(&list)).unwrap_or(u32::MAX);
    let Some(start) = (page_number - 1).checked_mul(size) else { return Err(give_up(failure)) };
    // Start one earlier, so that a failing row at the beginning has a neighbour that identifies it.
    let first = start.saturating_sub(1);
    let mut count = start - first + size + ROWS_BEHIND;
    let found_rows = loop {
        let mut found_rows = Vec::new();
        for place in (first..first.saturating_add(count)).rev() {
            found_rows.push(single(api, &list, place, monitor).await?);
        }
        if !matches!(found_rows.first(), Some(SingleRow::Failed)) {
            found_rows.reverse();
            break found_rows;
        }
        let any = found_rows.iter().any(|place| !matches!(place, SingleRow::Failed));
        if !any || count >= LIMIT {
            return Err(give_up(failure));
        }
        count += MORE;
    };
    tracing::warn!(error = %failure, url, "read the rows of a page one by one, because the server fails at the page");
    assemble(api.stream, url, size, &list, first, found_rows).map_err(PageError::Other)
}

/// Reads the row at this index, counted from 0.
async fn single(api: &Api, list: &Url, place: u32, monitor: &Monitor) -> Result<SingleRow, PageError> {
    let mut url = links::numbered(list, u64::from(place) + 1);
    let others: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(name, _)| name != "per_page").collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair("per_page", "1");
    let request = api.connection.get(url.as_str()).max_attempts_at_this_size(ATTEMPTS);
    match request.send_with(monitor, |response| page::rows(api.stream, response.body())).await {
        Ok(mut rows) if rows.len() <= 1 => Ok(rows.pop().map_or(SingleRow::End, SingleRow::Row)),
        Ok(_) => Err(PageError::Other(
            Error::invalid_data("the server sends more rows than requested").with_context("url", url),
        )),
        Err(error) if http::error::may_depend_on_size(&error) => Ok(SingleRow::Failed),
        Err(error) => Err(PageError::Other(explain(error, &api.name, api.stream))),
    }
}

/// Assembles one page from the rows at index `first` and after.
fn assemble(stream: Stream, url: &str, size: u32, list: &Url, first: u32, found_rows: Vec<SingleRow>) -> Result<Page> {
    let since = list.query_pairs().find(|(name, _)| name == "since").and_then(|(_, since)| since.parse().ok());
    let since: Option<UnixSecond> = since.map(|since: jiff::Timestamp| since.into());
    let (mut rows, mut unread): (Vec<Row>, Vec<UnreadRow>) = Default::default();
    let (mut ended, mut found) = (false, 0_usize);
    for (index, place) in (0..).zip(found_rows) {
        match place {
            SingleRow::End => ended = true,
            SingleRow::Row(row) => {
                found += 1;
                let number = row.number(stream);
                unread.iter_mut().filter(|one| one.before.is_none()).for_each(|one| one.before = number);
                rows.push(row);
            }
            SingleRow::Failed => {
                found += 1;
                let after = rows.last().and_then(|row| row.number(stream));
                unread.push(place_of(&rows, &unread, since, first + index, after));
            }
        }
    }
    let (earliest, latest) = page::edges(&rows, url)?;
    let unconfirmed_next = if ended { None } else { Some(page::following(list.as_str())?) };
    let text: String = rows.iter().map(Row::text).collect();
    let info = PageInfo {
        url: url.to_owned(),
        size,
        rows: found,
        first: earliest,
        last: latest,
        unconfirmed_next,
        fingerprint: content_hash(&text),
        ..PageInfo::default()
    };
    Ok(Page { rows, info, etag: None, unread })
}

/// Where to request a row again: close to it, where the rows before it show how many there are since a given second.
fn place_of(
    rows: &[Row],
    others: &[UnreadRow],
    since: Option<UnixSecond>,
    index: u32,
    after: Option<u64>,
) -> UnreadRow {
    let near = rows.iter().rev().find_map(|row| row.second).map(|second| second.minus(1));
    let outside = |row: &Row| row.second.is_some_and(|second| Some(second) < near);
    match near {
        Some(near) if rows.first().is_some_and(outside) => {
            let within = rows.iter().filter(|row| row.second.is_none_or(|second| second >= near)).count();
            let place = u32::try_from(within + others.len()).unwrap_or(u32::MAX).saturating_add(1);
            UnreadRow { since: Some(near), place, after, before: None }
        }
        _ => UnreadRow { since, place: index + 1, after, before: None },
    }
}

/// Requests a row again at which the server failed in an earlier read; `None` when it still fails.
pub(super) async fn retry(api: &Api, unread: &UnreadRow, monitor: &Monitor) -> Result<Option<Vec<Row>>, PageError> {
    let size = unread.place.min(100);
    let url = api.since(unread.since, size).map_err(PageError::Other)?;
    let url = match unread.place.div_ceil(size.max(1)) {
        0 | 1 => url,
        page => format!("{url}&page={page}"),
    };
    let request = api.connection.get(&url).max_attempts_at_this_size(1);
    let mut rows = match request.send_with(monitor, |response| page::rows(api.stream, response.body())).await {
        Ok(rows) => rows,
        Err(error) if http::error::may_depend_on_size(&error) => return Ok(None),
        Err(error) => return Err(PageError::Other(explain(error, &api.name, api.stream))),
    };
    // Keep the rows between the neighbours; where one of them has moved, more.
    let position = |rows: &[Row], number: Option<u64>| {
        number.and_then(|number| rows.iter().position(|row| row.number(api.stream) == Some(number)))
    };
    if let Some(before) = position(&rows, unread.before) {
        rows.truncate(before);
    }
    if let Some(after) = position(&rows, unread.after) {
        rows.drain(..=after);
    }
    Ok(Some(rows))
}

/// The rows at which the server fails.
#[derive(Default)]
pub(super) struct FailingRows {
    known: Vec<UnreadRow>,
    /// How many an earlier read left.
    before: usize,
}

impl FailingRows {
    pub(super) fn new(known: Vec<UnreadRow>) -> Self {
        Self { before: known.len(), known }
    }

    pub(super) fn known(&self) -> Vec<UnreadRow> {
        self.known.clone()
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn is_changed(&self) -> bool {
        self.known.len() != self.before
    }

    /// Requests the rows of an earlier read again: delivers those that succeed, and rejects the others again.
    pub(super) async fn retry_all(&mut self, api: &Api, monitor: &Monitor) -> Result<Batch> {
        let mut batch = Batch::new();
        for unread in std::mem::take(&mut self.known) {
            match retry(api, &unread, monitor).await {
                Ok(None) => {
                    batch.rejects.push(unread.reject(api.stream));
                    self.known.push(unread);
                }
                Ok(Some(rows)) => {
                    batch.corrected.push(unread.reject(api.stream));
                    for row in rows {
                        match row.content {
                            Ok(record) => batch.records.push(record),
                            Err(reject) => batch.rejects.push(reject),
                        }
                    }
                }
                // The read itself will meet this error.
                Err(_) => self.known.push(unread),
            }
        }
        Ok(batch)
    }

    /// Adds rows, and returns rejects for the new ones.
    pub(super) fn add(&mut self, stream: Stream, unread: Vec<UnreadRow>) -> Vec<Reject> {
        let mut rejects = Vec::new();
        for one in unread {
            match self.known.iter_mut().find(|known| known.is_same(&one)) {
                // Of several in a row, the last place covers all.
                Some(known) if known.since == one.since => known.place = known.place.max(one.place),
                Some(_) => {}
                None => {
                    rejects.push(one.reject(stream));
                    self.known.push(one);
                }
            }
        }
        rejects
    }
}
