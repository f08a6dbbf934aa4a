//! How far the read of a run has come, for the records of its commits.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::{RunProgress, SourceEvent};

/// How far a read has come. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Position {
    reading: Arc<Mutex<Reading>>,
    /// Whether the read is of one list. The children of many parents are in many lists.
    is_list: bool,
}

#[derive(Debug, Default)]
struct Reading {
    batches: u64,
    /// The pages of the list, if the source knows their number.
    pages: Option<u64>,
    waiting_until: Option<Timestamp>,
}

impl Position {
    pub(super) fn new(is_list: bool) -> Self {
        Self { reading: Arc::default(), is_list }
    }

    /// Begins anew: the read starts over.
    pub(super) fn restart(&self) {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = Reading::default();
    }

    pub(super) fn event(&self, event: &SourceEvent) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            SourceEvent::Waiting { until, .. } => reading.waiting_until = Some(*until),
            SourceEvent::Resumed => reading.waiting_until = None,
            // A source that reads on from the newest record counts the rest only.
            SourceEvent::Pages(pages) => reading.pages = reading.pages.max(Some(*pages)),
            SourceEvent::Quota { .. } | SourceEvent::Warning(_) => {}
        }
    }

    /// Notes that a batch has arrived.
    pub(super) fn batch(&self) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.batches += 1;
        reading.waiting_until = None;
    }

    /// What is known at a time; `None` if nothing is.
    pub(super) fn at(&self, now: Timestamp) -> Option<RunProgress> {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        // The source may have counted pages that are not read, or more may come.
        let pages = reading.pages.filter(|pages| self.is_list && *pages > 1 && (1..*pages).contains(&reading.batches));
        let waiting_until = reading.waiting_until.filter(|until| *until > now);
        (pages.is_some() || waiting_until.is_some()).then_some(RunProgress {
            at: now,
            read: reading.batches,
            of: pages,
            waiting_until,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_progress_of_a_list_is_known_where_its_length_is() {
        let position = Position::new(true);
        position.batch();
        assert_eq!(position.at(second(1)), None, "its length is not known");
        position.event(&SourceEvent::Pages(4));
        position.event(&SourceEvent::Pages(3));
        let progress = position.at(second(1)).unwrap();
        assert_eq!((progress.read, progress.of, progress.waiting_until), (1, Some(4), None));
        for _ in 0..3 {
            position.batch();
        }
        assert_eq!(position.at(second(1)), None, "the list was longer than it said, or is at its end");
        position.restart();
        position.batch();
        assert_eq!(position.at(second(1)), None, "another list");
        let children = Position::new(false);
        children.event(&SourceEvent::Pages(4));
        children.batch();
        assert_eq!(children.at(second(1)), None, "one of many lists");
    }

    #[test]
    fn a_wait_is_known_until_it_is_over() {
        let position = Position::new(false);
        let waiting = SourceEvent::Waiting { reason: "limit".to_owned(), until: second(9) };
        position.event(&waiting);
        assert_eq!(position.at(second(1)).unwrap().waiting_until, Some(second(9)));
        assert_eq!(position.at(second(9)), None);
        position.event(&SourceEvent::Resumed);
        assert_eq!(position.at(second(1)), None);
        position.event(&waiting);
        position.batch();
        assert_eq!(position.at(second(1)), None);
    }
}
