//! Reads a list in the order of its versions.
//!
//! Where pages drift, the list is asked for again from the last version. That takes for granted that the filter includes this version. Some
//! APIs exclude it: then the rows of that version that the page before did show are missing from the answer, and so would be those that it
//! did not show. From then on, each question begins one step earlier.
//!
//! Rows of one version that fill more than a page are paged inside, and drift: they are read again until a pass has brought no new one of them.
//! The list then goes on from the first later version, if this is on a page with the last of them: nothing can hide between two rows of a page.
//!
//! Pages also drift where a token is the key of a record: the server goes on from where that record is now, and one that has changed is at the
//! end. The key is that of the last record of a page, or of the first of the next page, which shows only when that page is there. Then it is
//! not read.

use std::collections::HashSet;

use async_stream::try_stream;
use futures::StreamExt;

use super::super::fields::Row;
use super::super::time::now;
use super::ask::Answer;
use super::began::Began;
use super::list::{End, Reading};
use super::page::Page;
use super::position::Position;
use super::progress::{Next, Progress};
use super::request::{Prepared, text_of};
use crate::record::content_hash;
use crate::{Batch, BatchStream, Error, Result};

impl Reading {
    /// Reads a list in the order of versions. Pages with numbers drift while rows change: such a list is asked for again from the last
    /// version of each page.
    pub(super) fn by_version(self) -> BatchStream {
        try_stream! {
            let mut list = VersionList::new(self)?;
            'questions: loop {
                let mut question = list.question()?;
                let end = loop {
                    match list.next_page(&mut question).await? {
                        Step::Page(batch, end) => {
                            if let Some(batch) = batch {
                                yield batch;
                            }
                            if let Some(end) = end {
                                break end;
                            }
                        }
                        Step::End(end) => break end,
                        Step::StartOver => {}
                        Step::AskAgain => continue 'questions,
                        Step::Skip => return,
                    }
                };
                if list.judge(&question, end)? == Verdict::Complete {
                    break;
                }
            }
            if let Some(batch) = list.last_mark()? {
                yield batch;
            }
        }
        .boxed()
    }
}

/// A list in the order of versions, as far as it was read.
struct VersionList {
    reading: Reading,
    /// The first value of all.
    start: i64,
    began: Began,
    overlap: i64,
    /// The version to ask from; `None`: from the beginning.
    anchor: Option<i64>,
    /// The newest version up to which nothing is missing.
    newest: Option<i64>,
    /// The last mark that a batch has carried.
    written: Option<i64>,
    restarts: u32,
    /// The rows that have the version of the anchor, as far as they are known.
    tied: HashSet<[u8; 16]>,
    /// Whether the filter leaves out the version that it names.
    excludes: bool,
    /// Whether an earlier question has led to the anchor.
    is_again: bool,
    /// Whether tokens are keys of records.
    has_keys_as_tokens: bool,
}

/// One question, and the pages of its answer so far.
struct Question {
    prepared: Prepared,
    /// The version that is asked from, as the filter takes it.
    base: i64,
    progress: Progress,
    /// Where the next page is.
    at: Option<Next>,
    /// The newest version of all pages.
    furthest: i64,
    /// The same without versions in the future: a mark there would hide what changes until that time.
    reached: Option<i64>,
    /// The newest version since the list began again.
    previous: Option<i64>,
    /// The numbers of rows that were not known before: those of the version `base`, and those of later ones.
    unknown: [u64; 2],
    /// The keys and the versions on the last page.
    last_page: Vec<([u8; 16], i64)>,
}

/// What the answer to one request brings.
enum Step {
    /// The rows of a page, and the end of the question if it is the last one.
    Page(Option<Batch>, Option<End>),
    End(End),
    /// The pages begin again.
    StartOver,
    /// The question has to be asked in another way.
    AskAgain,
    /// The list stays as it is.
    Skip,
}

/// What follows from the pages of a question.
#[derive(PartialEq)]
enum Verdict {
    Complete,
    /// There may be more: ask again, from the anchor.
    AskAgain,
}

impl VersionList {
    fn new(reading: Reading) -> Result<Self> {
        let (start, has_start) = reading.start()?;
        let (mark, overlap) = (reading.position.mark, reading.overlap());
        let anchor = mark.map(|mark| mark.saturating_sub(overlap)).or(has_start.then_some(start));
        Ok(Self {
            reading,
            start,
            began: Began::new(now(), None),
            overlap,
            anchor,
            newest: mark,
            written: mark,
            restarts: 0,
            tied: HashSet::new(),
            excludes: false,
            is_again: false,
            has_keys_as_tokens: false,
        })
    }

    /// The question from the anchor on.
    fn question(&mut self) -> Result<Question> {
        let format = self.reading.plan().since.format;
        let is_earlier = self.excludes && self.is_again;
        let asked = self.anchor.map(|anchor| if is_earlier { format.before(anchor) } else { anchor });
        let base = format.floor(self.anchor.unwrap_or(self.start));
        Ok(Question {
            prepared: self.reading.question(asked, None, self.start)?,
            base,
            progress: Progress::default(),
            at: None,
            furthest: base,
            reached: None,
            previous: None,
            unknown: [0; 2],
            last_page: Vec::new(),
        })
    }

    /// Asks for the next page of a question.
    async fn next_page(&mut self, question: &mut Question) -> Result<Step> {
        let format = self.reading.plan().since.format;
        match self.reading.ask(&question.prepared, question.at.as_ref(), &mut question.progress).await? {
            Answer::Page(page, next) => {
                let leads_to_first = leads_to(question.at.as_ref(), page.rows.first());
                let is_new = leads_to_first && !self.has_keys_as_tokens;
                self.has_keys_as_tokens |= leads_to_first || leads_to(Some(&next), page.rows.last());
                if is_new && format.floor(question.furthest) > question.base {
                    return Ok(Step::End(End::Anchor));
                }
                question.progress.is_numbered |= self.has_keys_as_tokens;
                self.read_page(question, page, next).await
            }
            Answer::Empty => Ok(Step::End(End::Complete)),
            Answer::Skip(error) => {
                self.reading.skipped(error)?;
                Ok(Step::Skip)
            }
            Answer::Gone(error) => Err(self.reading.gone(&error)),
            Answer::Restart(error) => {
                self.reading.restarted(&mut self.restarts, error)?;
                if format.floor(question.furthest) > question.base {
                    return Ok(Step::End(End::Anchor));
                }
                (question.progress, question.at, question.previous) = (Progress::default(), None, None);
                Ok(Step::StartOver)
            }
            Answer::Split(error) => Ok(Step::End(End::Capped(error))),
        }
    }

    /// Reads the rows of a page, and finds out whether the question ends with it.
    async fn read_page(&mut self, question: &mut Question, page: Page, next: Next) -> Result<Step> {
        let format = self.reading.plan().since.format;
        let mut keys = page.rows.iter().filter_map(|row| Some(content_hash(&row.content.as_ref().ok()?.key)));
        let is_first = self.is_again && question.progress.pages == 1 && !self.excludes && !self.tied.is_empty();
        if is_first && !keys.any(|key| self.tied.contains(&key)) {
            // They may also have changed meanwhile: then an earlier question shows the same once more.
            self.excludes = true;
            return Ok(Step::AskAgain);
        }
        if question.progress.pages == 1 {
            self.reading.check_since(&page.rows)?;
        }
        self.began.answered(page.date);
        self.add_rows(question, &page)?;
        let progress = &question.progress;
        let has_advanced = format.floor(question.furthest) > question.base;
        // Among tied rows, pages drift until a pass has brought nothing new.
        let is_certain = !(progress.is_numbered && progress.pages > 1);
        if is_certain && question.previous.is_some() {
            self.newest = self.newest.max(question.reached);
        }
        let is_past_start = format.is_instant() && self.began.is_before(question.furthest);
        let batch = self.reading.batch(page.rows, self.began.time()).await?;
        let batch = if batch.offered() > 0 { Some(self.with_mark(batch)?) } else { None };
        let is_capped = self.reading.is_capped(progress);
        let end = if is_capped {
            Some(End::Capped(self.reading.cap_error(progress)))
        } else if next == Next::End {
            Some(End::Complete)
        } else if progress.is_numbered && has_advanced {
            Some(End::Anchor)
        } else if !progress.is_numbered && is_past_start {
            Some(End::Complete)
        } else {
            None
        };
        question.at = Some(next);
        Ok(Step::Page(batch, end))
    }

    /// Takes note of the versions and the keys on a page.
    fn add_rows(&mut self, question: &mut Question, page: &Page) -> Result<()> {
        let format = self.reading.plan().since.format;
        question.last_page.clear();
        for row in &page.rows {
            if let Some(value) = row.since {
                if let Some(previous) =
                    question.previous.filter(|previous| previous.saturating_sub(self.overlap) > value)
                {
                    let help = "let the request sort the list, or remove `order = \"version\"`";
                    return Err(self.reading.unsorted("by its version, the oldest first", previous, value, help));
                }
                question.previous = question.previous.max(Some(value));
                question.furthest = question.furthest.max(value);
                if !(format.is_instant() && value > self.began.time()) {
                    question.reached = question.reached.max(Some(value));
                }
            }
            if let Ok(record) = &row.content {
                let key = content_hash(&record.key);
                let value = row.since.unwrap_or(question.base);
                let is_later = format.floor(value) > question.base;
                question.unknown[usize::from(is_later)] += u64::from(self.tied.insert(key));
                question.last_page.push((key, value));
            }
        }
        Ok(())
    }

    /// Adds the mark to rows up to which nothing is missing.
    fn with_mark(&mut self, batch: Batch) -> Result<Batch> {
        if self.newest.is_none() {
            return Ok(batch);
        }
        self.written = self.newest;
        Ok(batch.checkpoint(Position::mark(self.newest).checkpoint()?))
    }

    /// Decides whether the pages of a question were all that there is, and from where to ask again otherwise.
    ///
    /// # Errors
    /// That of a cap which no question gets past.
    fn judge(&mut self, question: &Question, end: End) -> Result<Verdict> {
        let format = self.reading.plan().since.format;
        let Question { base, progress, unknown, last_page, .. } = question;
        let has_drifted = progress.is_numbered && progress.pages > 1 && !matches!(end, End::Capped(_));
        let values = || last_page.iter().map(|(_, value)| format.floor(*value));
        let later = values().filter(|value| value > base).min().filter(|_| values().any(|value| value == *base));
        let [tied_rows, later_rows] = *unknown;
        if has_drifted && (tied_rows > 0 || later.is_none() && later_rows > 0) {
            return Ok(Verdict::AskAgain);
        }
        let (furthest, end) = match later.filter(|_| has_drifted) {
            Some(later) => (later, End::Anchor),
            None => (question.furthest, end),
        };
        if furthest > *base || progress.records > 0 && self.newest.is_some() {
            self.newest = self.newest.max(question.reached.map(|reached| reached.min(furthest)));
        }
        let next_anchor = format.floor(furthest);
        match end {
            End::Complete => return Ok(Verdict::Complete),
            End::Capped(error) if next_anchor <= *base => return Err(past_no_cap(error)),
            End::Capped(_) | End::Anchor => {}
        }
        if format.is_instant() && self.began.is_before(furthest) {
            return Ok(Verdict::Complete);
        }
        let is_tied = |value: i64| format.floor(value) == next_anchor;
        self.tied = last_page.iter().filter(|(_, value)| is_tied(*value)).map(|(key, _)| *key).collect();
        (self.anchor, self.is_again) = (Some(next_anchor), true);
        Ok(Verdict::AskAgain)
    }

    /// The mark at the end, unless a batch has carried it.
    fn last_mark(&self) -> Result<Option<Batch>> {
        let is_new = self.newest != self.written;
        is_new.then(|| Ok(Batch::new().checkpoint(Position::mark(self.newest).checkpoint()?))).transpose()
    }
}

/// Whether what leads to a page is the key of this record.
fn leads_to(next: Option<&Next>, row: Option<&Row>) -> bool {
    let (Some(Next::Set(_, token)), Some(Ok(record))) = (next, row.map(|row| &row.content)) else { return false };
    text_of(token) == record.key
}

fn past_no_cap(error: Error) -> Error {
    error.with_help(
        "ask for smaller parts: more records than `cap` have the same version, so that no question gets past them",
    )
}
