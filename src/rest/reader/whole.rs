//! Reads a list to its end, in one question or by windows, and down to the mark where the newest come first.

use async_stream::try_stream;
use futures::StreamExt;

use super::super::template::Placeholder;
use super::super::time::{latest, now, whole_second};
use super::super::version::Order;
use super::began::Began;
use super::list::{End, Reached, Reading, micros};
use super::plan::Kind;
use super::position::Position;
use super::progress::{Next, Progress};
use crate::{Batch, BatchStream, SourceEvent};

impl Reading {
    /// Reads a list to its end.
    pub(super) fn whole(mut self) -> BatchStream {
        try_stream! {
            let plan = self.reader.plan.clone();
            let (start, has_start) = self.start()?;
            let (now, latest) = (now(), latest());
            let keeps_mark = matches!(plan.kind, Kind::Incremental | Kind::DeletionsOf(_));
            let is_instant = plan.since.format.is_instant();
            let mark = self.position.mark.map(|mark| if is_instant { whole_second(mark) } else { mark });
            let floor = mark.map(|mark| mark.saturating_sub(self.overlap()));
            let is_descending = plan.order == Some(Order::VersionDescending);
            let stops_at = floor.filter(|_| is_descending);
            let relies_on_since = plan.kind == Kind::Incremental && (is_descending || !plan.since.format.is_instant());
            let has_until = plan.request.has(&Placeholder::Until);
            let resumed = self.position.read.clone();
            let mut began = Began::new(now, resumed.as_ref());
            let mut from = resumed.as_ref().map(|read| read.at).or(floor);
            if has_start || plan.since.window.is_some() {
                from = from.or(Some(start));
            }
            let window = plan.since.window.map(micros).filter(|_| has_until);
            let (mut span, mut restarts, mut offered) = (window, 0, 0);
            let (mut newest, mut pending) = (self.position.mark, None::<Batch>);
            let mut is_unfinished = resumed.is_some();
            loop {
                let end = span.map_or(latest, |span| from.unwrap_or(start).saturating_add(span).min(latest));
                let until = has_until.then_some(end);
                let prepared = self.question(from, until, start)?;
                let (mut progress, mut at) = (Progress::default(), None::<Next>);
                let ending = loop {
                    let (page, next) = match self.page(&prepared, &mut at, &mut progress, &mut restarts).await? {
                        Reached::Page(page, next) => (page, next),
                        Reached::End(end) => break end,
                        Reached::Skip(error) => {
                            if let Some(batch) = pending.take() {
                                yield batch;
                            }
                            if let Some(unchanged) = self.skipped(error)?.filter(|_| offered == 0) {
                                yield unchanged;
                            }
                            return;
                        }
                    };
                    began.answered(page.date);
                    if relies_on_since && progress.pages == 1
                        && let Err(error) = self.check_since(&page.rows)
                    {
                        let warning = format!("{}: each run reads all of it", error.message());
                        self.asker.monitor.event(SourceEvent::Warning(warning));
                    }
                    let values: Vec<Option<i64>> = page.rows.iter().map(|row| row.since).collect();
                    newest = newest.max(values.iter().copied().flatten().max());
                    began.saw(values.iter().copied().flatten().filter(|_| is_instant));
                    let is_below = |stop: i64| {
                        !values.is_empty() && values.iter().all(|value| value.is_some_and(|value| value < stop))
                    };
                    let is_done = next == Next::End || stops_at.is_some_and(is_below);
                    let batch = self.batch(page.rows, began.time()).await?;
                    offered += batch.offered();
                    if batch.offered() > 0
                        && let Some(before) = pending.replace(batch)
                    {
                        yield before;
                    }
                    if self.is_capped(&progress) {
                        break End::Capped(self.cap_error(&progress));
                    }
                    if is_done {
                        break End::Complete;
                    }
                    at = Some(next);
                };
                match ending {
                    End::Complete | End::Anchor if end < latest && has_until && span.is_some() => {
                        let read = Position::unfinished(self.position.mark, began.unfinished(end));
                        if keeps_mark && let Some(batch) = pending.take() {
                            is_unfinished = true;
                            yield batch.checkpoint(read.checkpoint()?);
                        }
                        (from, span) = (Some(end), self.next_span(span, window, &progress));
                    }
                    End::Complete | End::Anchor => break,
                    End::Capped(error) => {
                        let asked = end.saturating_sub(from.unwrap_or(start));
                        if span.is_none() {
                            Err(error)?;
                        } else {
                            span = Some(self.half(asked, error)?);
                        }
                    }
                }
            }
            let mark = if is_instant { began.mark(self.position.mark) } else { newest };
            if keeps_mark && mark.is_none() && offered > 0 && plan.request.has(&Placeholder::Since) {
                self.asker.monitor.event(SourceEvent::Warning(format!(
                    "stream {:?}: its answers have no header `Date`, and its records no time: each run reads all of it; add `version` or \
                     `since.at`, the pointer to what the API filters by",
                    plan.name
                )));
            }
            let is_news = keeps_mark && (offered > 0 || is_unfinished);
            match (pending.take(), is_news && (mark.is_some() || is_unfinished)) {
                (batch, true) => yield batch.unwrap_or_default().checkpoint(Position::mark(mark).checkpoint()?),
                (Some(batch), false) => yield batch,
                (None, false) => {}
            }
        }
        .boxed()
    }
}
