//! Reads immutable records from the newest down.

use async_stream::try_stream;
use futures::StreamExt;

use super::super::fields::Row;
use super::super::template::Placeholder;
use super::super::time::{latest, now};
use super::list::{End, Reached, Reading, micros};
use super::position::Position;
use super::progress::{Next, Progress};
use crate::{BatchStream, Result};

impl Reading {
    /// Reads immutable records from the newest down. Where the request takes `{since}`, a read from the top asks only for what is newer
    /// than the newest record of the last such read, less the overlap: what is older is stored, or below a checkpoint of its own.
    pub(super) fn downwards(mut self) -> BatchStream {
        try_stream! {
            let plan = self.reader.plan.clone();
            let (mut start, mut has_start) = self.start()?;
            let now = now();
            let has_until = plan.request.has(&Placeholder::Until);
            let window = plan.since.window.map(micros).filter(|_| has_until);
            let below = self.position.below;
            if let Some(known) = self.known.filter(|_| below.is_none()) {
                (start, has_start) = (start.max(known.saturating_sub(self.overlap())), true);
            }
            // One more second: an upper bound may be exclusive.
            let newest = latest();
            let mut top = below.map_or(newest, |below| below.saturating_add(1_000_000).min(newest));
            let (mut span, mut restarts) = (window, 0);
            let mut lowest = below;
            loop {
                let bottom = span.map(|span| top.saturating_sub(span).max(start));
                let since = bottom.or(has_start.then_some(start));
                let prepared = self.question(since, has_until.then_some(top), start)?;
                let (mut progress, mut at) = (Progress::default(), None::<Next>);
                let ending = loop {
                    let (page, next) = match self.page(&prepared, &mut at, &mut progress, &mut restarts).await? {
                        Reached::Page(page, next) => (page, next),
                        Reached::End(end) => break end,
                        Reached::Skip(error) => {
                            self.skipped(error)?;
                            return;
                        }
                    };
                    let mut rows = page.rows;
                    self.check_descending(&rows)?;
                    // Without an upper bound, the list begins at the top again.
                    rows.retain(|row| below.is_none_or(|below| row.since.is_none_or(|value| value <= below)));
                    let values = rows.iter().filter_map(|row| row.since);
                    lowest = values.chain(lowest).min();
                    // What is newer than this read, and comes later, may still be older than a record with a time in the future.
                    let latest = if plan.since.format.is_instant() { now } else { i64::MAX };
                    let newest = rows.iter().filter_map(|row| row.since).max().map(|newest| newest.min(latest));
                    let mut batch = self.batch(rows, now).await?;
                    if batch.offered() > 0 {
                        if let Some(lowest) = lowest {
                            batch = batch.checkpoint(Position::below(lowest, newest).checkpoint()?);
                        }
                        yield batch;
                    }
                    if self.is_capped(&progress) {
                        break End::Capped(self.cap_error(&progress));
                    }
                    if next == Next::End {
                        break End::Complete;
                    }
                    at = Some(next);
                };
                match (ending, bottom) {
                    (End::Capped(error), None) => Err(error)?,
                    (End::Capped(error), Some(bottom)) => {
                        span = Some(self.half(top.saturating_sub(bottom), error)?);
                    }
                    (_, Some(bottom)) if bottom > start => {
                        (top, span) = (bottom, self.next_span(span, window, &progress));
                    }
                    _ => break,
                }
            }
        }
        .boxed()
    }

    /// Checks that the newest rows of a page come first: what is below the last one counts as unread, and all others as read.
    ///
    /// # Errors
    /// `InvalidData` for a page in another order.
    fn check_descending(&self, rows: &[Row]) -> Result<()> {
        let mut lowest = None::<i64>;
        for value in rows.iter().filter_map(|row| row.since) {
            match lowest {
                Some(before) if value.saturating_sub(self.overlap()) > before => {
                    let help = "let the request sort the list, or remove `kind = \"append\"`";
                    return Err(self.unsorted("with the newest first", before, value, help));
                }
                _ => lowest = Some(lowest.map_or(value, |before| before.min(value))),
            }
        }
        Ok(())
    }
}
