//! Reads a stream of immutable records from the newest down to what is known, and fills the gaps that interruptions leave.

use std::sync::Arc;

use async_stream::try_stream;
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use crate::{Batch, BatchStream, Checkpoint, ReadRequest, Reader};

/// The number of gaps to remember. One more is joined to the one before it, which reads some records again.
const MAX_GAPS: usize = 2;

/// How far an append stream was read: the checkpoint of the stream.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct AppendProgress {
    /// Every record up to this version is stored, except those in the gaps, and late ones; `None`: nothing was read. Records dated in the future
    /// do not count: they stay at the top of the list, and would make each first page look like the end of what is new.
    known: Option<i64>,
    /// The ranges that an interruption left unread, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<Gap>,
    /// The checkpoint of the newest batch of the last read, for a conditional request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    top: Option<Checkpoint>,
    /// What the list was, if the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) definition: Option<String>,
}

/// An unread range of versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Gap {
    /// The highest known version below it; `None`: it reaches down to the first record.
    floor: Option<i64>,
    /// Where to resume reading downwards.
    resume: Checkpoint,
}

impl AppendProgress {
    fn insert(&mut self, gap: Gap) {
        self.gaps.insert(0, gap);
        if self.gaps.len() > MAX_GAPS {
            let older = self.gaps.remove(1);
            self.gaps[0].floor = older.floor;
        }
    }
}

/// The newest of some versions, of those that are not after `now` if there are any: versions may also be numbers that mean no time.
fn newest(versions: impl Iterator<Item = i64> + Clone, now: i64) -> Option<i64> {
    versions.clone().filter(|version| *version <= now).max().or_else(|| versions.max())
}

/// Whether a batch reaches below a version by more than the overlap, so that reading can end.
fn reaches_below(batch: &Batch, floor: Option<i64>, overlap: i64) -> bool {
    let lowest = batch.records.iter().map(|record| record.version.0).min();
    lowest.zip(floor).is_some_and(|(lowest, floor)| lowest < floor.saturating_sub(overlap))
}

/// Reads the head of the list, then the gaps. The batches have the progress as checkpoints. `now` is in microseconds since 1970.
pub(super) fn read(
    reader: Arc<dyn Reader>,
    request: ReadRequest,
    mut progress: AppendProgress,
    overlap: i64,
    now: i64,
) -> BatchStream {
    let at = move |checkpoint, top| ReadRequest { checkpoint, incremental: top, ..request.clone() };
    try_stream! {
        let mut head = reader.read(at(None, progress.top.clone()));
        let mut floor = progress.known;
        let (mut is_first, mut is_done) = (true, false);
        // The progress without the gap below the batches read so far.
        let mut closed = progress.clone();
        while let Some(mut batch) = head.try_next().await? {
            if batch.is_unchanged {
                break;
            }
            if is_first {
                closed.top = batch.checkpoint.clone();
                is_first = false;
            }
            let versions = batch.records.iter().map(|record| record.version.0);
            // All that is known is dated in the future, which says nothing about the present.
            if floor.is_some_and(|floor| floor > now) && versions.clone().any(|version| version <= now) {
                floor = None;
            }
            closed.known = newest(versions.chain(closed.known), now);
            is_done = reaches_below(&batch, floor, overlap);
            if is_done {
                batch.checkpoint = Some(Checkpoint::new(&closed)?);
            } else if closed.known == progress.known {
                // Nothing is new so far: an interruption here leaves no gap.
                batch.checkpoint = None;
            } else if let Some(resume) = batch.checkpoint.take() {
                let mut open = closed.clone();
                open.insert(Gap { floor, resume });
                batch.checkpoint = Some(Checkpoint::new(&open)?);
            }
            yield batch;
            if is_done {
                break;
            }
        }
        drop(head);
        if !is_done && closed != progress {
            yield Batch::new().checkpoint(Checkpoint::new(&closed)?);
        }
        progress = closed;
        while let Some(Gap { floor, resume }) = progress.gaps.first().cloned() {
            let mut rest = reader.read(at(Some(resume), None));
            while let Some(mut batch) = rest.try_next().await? {
                let is_done = reaches_below(&batch, floor, overlap);
                if let Some(resume) = batch.checkpoint.take() {
                    progress.gaps[0].resume = resume;
                    batch.checkpoint = Some(Checkpoint::new(&progress)?);
                }
                yield batch;
                if is_done {
                    break;
                }
            }
            progress.gaps.remove(0);
            yield Batch::new().checkpoint(Checkpoint::new(&progress)?);
        }
    }
    .boxed()
}
