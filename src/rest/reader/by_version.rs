//! Reads a list in the order of its versions.
//!
//! Where pages drift, the list is asked for again from the last version. That takes for granted that the filter includes this version. Some
//! APIs exclude it: then the rows of that version that the page before did show are missing from the answer, and so would be those that it
//! did not show. From then on, each question begins one step earlier.
//!
//! Rows of one version that fill more than a page are paged inside, and drift: they are read again until a pass has brought no new one of them.
//! The list then goes on from the first later version, if this is on a page with the last of them: nothing can hide between two rows of a page.

use std::collections::HashSet;

use async_stream::try_stream;
use futures::StreamExt;

use super::super::time::now;
use super::ask::Answer;
use super::list::{End, Reading};
use super::page::{Next, Progress};
use super::position::Position;
use crate::record::content_hash;
use crate::{Batch, BatchStream};

impl Reading {
    /// Reads a list in the order of versions. Pages with numbers drift while rows change: such a list is asked for again from the last
    /// version of each page.
    pub(super) fn by_version(mut self) -> BatchStream {
        try_stream! {
            let plan = self.reader.plan.clone();
            let format = plan.since.format;
            let (start, has_start) = self.start()?;
            let now = now();
            let overlap = self.overlap();
            let mut anchor = self.position.mark.map(|mark| mark.saturating_sub(overlap));
            if has_start {
                anchor = anchor.or(Some(start));
            }
            let (mut newest, mut started, mut restarts) = (self.position.mark, None, 0);
            // The rows that have the version of the anchor, as far as they are known.
            let mut tied: HashSet<[u8; 16]> = HashSet::new();
            let mut written = self.position.mark;
            let (mut excludes, mut is_again) = (false, false);
            'questions: loop {
                let asked = anchor.map(|anchor| if excludes && is_again { format.before(anchor) } else { anchor });
                let prepared = self.question(asked, None, start)?;
                let base = format.floor(anchor.unwrap_or(start));
                let (mut progress, mut at) = (Progress::default(), None::<Next>);
                let (mut furthest, mut previous, mut unknown) = (base, None::<i64>, [0_u64; 2]);
                let mut last_page: Vec<([u8; 16], i64)> = Vec::new();
                let ending = loop {
                    let (page, next) = match self.ask(&prepared, at.as_ref(), &mut progress).await? {
                        Answer::Page(page, next) => (page, next),
                        Answer::Empty => break End::Complete,
                        Answer::Skip(error) => {
                            self.skipped(error)?;
                            return;
                        }
                        Answer::Gone(error) => Err(self.gone(&error))?,
                        Answer::Restart(error) => {
                            self.restarted(&mut restarts, error)?;
                            if format.floor(furthest) > base {
                                break End::Anchor;
                            }
                            (progress, at, previous) = (Progress::default(), None, None);
                            continue;
                        }
                        Answer::Split(error) => break End::Capped(error),
                    };
                    let keys = || page.rows.iter().filter_map(|row| Some(content_hash(&row.content.as_ref().ok()?.key)));
                    let is_first = is_again && progress.pages == 1 && !excludes && !tied.is_empty();
                    if is_first && !keys().any(|key| tied.contains(&key)) {
                        // They may also have changed meanwhile: then an earlier question shows the same once more.
                        excludes = true;
                        continue 'questions;
                    }
                    if progress.pages == 1 {
                        self.check_since(&page.rows)?;
                    }
                    let began = *started.get_or_insert(Self::started(page.date, now));
                    last_page.clear();
                    for row in &page.rows {
                        if let Some(value) = row.since {
                            if previous.is_some_and(|previous| previous.saturating_sub(overlap) > value) {
                                let help = "let the request sort the list, or remove `order = \"version\"`";
                                let order = "by its version, the oldest first";
                                Err(self.unsorted(order, previous.unwrap_or_default(), value, help))?;
                            }
                            previous = previous.max(Some(value));
                            furthest = furthest.max(value);
                        }
                        if let Ok(record) = &row.content {
                            let key = content_hash(&record.key);
                            let value = row.since.unwrap_or(base);
                            let is_later = format.floor(value) > base;
                            unknown[usize::from(is_later)] += u64::from(tied.insert(key));
                            last_page.push((key, value));
                        }
                    }
                    let has_advanced = format.floor(furthest) > base;
                    // Among tied rows, pages drift until a pass has brought nothing new.
                    let is_certain = !(progress.is_numbered && progress.pages > 1);
                    if is_certain && previous.is_some() {
                        newest = newest.max(Some(furthest));
                    }
                    let is_past_start = format.is_instant() && furthest > began;
                    let mut batch = self.batch(page.rows, began).await?;
                    if batch.offered() > 0 {
                        if newest.is_some() {
                            batch = batch.checkpoint(Position::mark(newest).checkpoint()?);
                            written = newest;
                        }
                        yield batch;
                    }
                    if next == Next::End {
                        break if self.is_capped(&progress) { End::Capped(self.cap_error(&progress)) } else { End::Complete };
                    }
                    if self.is_capped(&progress) {
                        break End::Capped(self.cap_error(&progress));
                    }
                    if progress.is_numbered && has_advanced {
                        break End::Anchor;
                    }
                    if !progress.is_numbered && is_past_start {
                        break End::Complete;
                    }
                    at = Some(next);
                };
                let has_drifted = progress.is_numbered && progress.pages > 1 && !matches!(ending, End::Capped(_));
                let values = || last_page.iter().map(|(_, value)| format.floor(*value));
                let later = values().filter(|value| *value > base).min().filter(|_| values().any(|value| value == base));
                let [tied_rows, later_rows] = unknown;
                if has_drifted && (tied_rows > 0 || later.is_none() && later_rows > 0) {
                    continue;
                }
                let (furthest, ending) = match later.filter(|_| has_drifted) {
                    Some(later) => (later, End::Anchor),
                    None => (furthest, ending),
                };
                if furthest > base || progress.records > 0 && newest.is_some() {
                    newest = newest.max(Some(furthest));
                }
                let next_anchor = format.floor(furthest);
                match ending {
                    End::Complete => break,
                    End::Capped(error) if next_anchor <= base => Err(error.with_help(
                        "ask for smaller parts: more records than `cap` have the same version, so that no question gets past them",
                    ))?,
                    End::Capped(_) | End::Anchor => {
                        if started.is_some_and(|started| format.is_instant() && furthest > started) {
                            break;
                        }
                        tied = last_page
                            .iter()
                            .filter(|(_, value)| format.floor(*value) == next_anchor)
                            .map(|(key, _)| *key)
                            .collect();
                        (anchor, is_again) = (Some(next_anchor), true);
                    }
                }
            }
            if newest != written {
                yield Batch::new().checkpoint(Position::mark(newest).checkpoint()?);
            }
        }
        .boxed()
    }
}
