//! Tracks the outstanding rejects of a stream during a run: a valid record clears those about its subject.

use std::collections::BTreeMap;

use super::batcher::Rows;
use crate::record::{DOCUMENT_OF, document_of};
use crate::{OutstandingRejects, Reject, RejectQuery, RejectReason, Resource, Source};

/// The maximum number of tracked rejects, the most recently seen first.
const MAX_TRACKED: usize = 128;

/// The maximum size of a tracked reject, so that all of them take at most as much memory as the read-ahead.
const MAX_TRACKED_BYTES: usize = 48 << 10;

/// The number of different reasons to count.
const MAX_REASONS: usize = 64;

/// The outstanding rejects with their subjects.
#[derive(Debug)]
pub(super) struct RejectTracker {
    stream: String,
    known: Vec<TrackedReject>,
    /// Whether there may be others in the destination.
    has_untracked: bool,
    /// How often the run has rejected something for each of the first reasons.
    reasons: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct TrackedReject {
    reject: Reject,
    subject: Option<String>,
}

impl RejectTracker {
    /// The query for the rejects to track.
    pub(super) fn query(resource: &Resource, stream: &str) -> RejectQuery {
        RejectQuery::new(MAX_TRACKED).resource(resource.clone()).stream(stream).max_raw(MAX_TRACKED_BYTES)
    }

    pub(super) fn new(stream: &str, source: &dyn Source, found: OutstandingRejects) -> Self {
        let has_untracked = found.total() > found.rejects.len() as u64;
        let mut new = Self { stream: stream.to_owned(), has_untracked, known: Vec::new(), reasons: BTreeMap::new() };
        for found in found.rejects {
            new.add(source, Reject { reason: found.reason, raw: found.raw });
        }
        new
    }

    /// The most frequent reason of the run.
    pub(super) fn main_reason(&self) -> Option<RejectReason> {
        // Of equal ones the first, so that the same records have the same reason.
        let (reason, count) = self.reasons.iter().rev().max_by_key(|(_, count)| **count)?;
        Some(RejectReason { reason: reason.clone(), count: *count })
    }

    pub(super) fn may_have_any(&self) -> bool {
        self.has_untracked || !self.known.is_empty()
    }

    /// Notes that the destination may have others.
    pub(super) fn note_untracked(&mut self) {
        self.has_untracked = true;
    }

    /// Adds to the rows the rejects that their records correct, and tracks the new rejects, before the rows are committed. Returns whether
    /// the outstanding rejects change, as far as it is known.
    pub(super) fn track(&mut self, source: &dyn Source, rows: &mut Rows) -> bool {
        for reject in &rows.rejects {
            if let Some(count) = self.reasons.get_mut(&reject.reason) {
                *count += 1;
            } else if self.reasons.len() < MAX_REASONS {
                self.reasons.insert(reject.reason.clone(), 1);
            }
        }
        let is_new = |reject: &Reject| self.known.iter().all(|known| known.reject != *reject);
        let adds_any = rows.rejects.iter().any(is_new);
        let is_rejected_again = |reject: &Reject| rows.rejects.contains(reject);
        rows.corrected.retain(|reject| !is_rejected_again(reject));
        let known = std::mem::take(&mut self.known);
        let corrected = corrected(source, &self.stream, rows, &known);
        for (known, is_corrected) in known.into_iter().zip(corrected) {
            if is_corrected && !is_rejected_again(&known.reject) {
                rows.corrected.push(known.reject);
            } else if !rows.corrected.contains(&known.reject) {
                self.known.push(known);
            }
        }
        for reject in &rows.rejects {
            self.add(source, reject.clone());
        }
        adds_any || !rows.corrected.is_empty()
    }

    fn add(&mut self, source: &dyn Source, reject: Reject) {
        if self.known.iter().any(|known| known.reject == reject) {
            return;
        }
        if self.known.len() >= MAX_TRACKED || reject.raw.len() > MAX_TRACKED_BYTES {
            self.has_untracked = true;
            return;
        }
        let subject = source.subject(&self.stream, &reject.raw);
        self.known.push(TrackedReject { reject, subject });
    }
}

/// Whether the records correct each of these rejects.
fn corrected(source: &dyn Source, stream: &str, rows: &Rows, known: &[TrackedReject]) -> Vec<bool> {
    let mut corrected = vec![false; known.len()];
    let has_subjects = known.iter().any(|known| known.subject.is_some());
    let has_keys = known.iter().any(|known| known.reject.reason.starts_with(DOCUMENT_OF));
    if !has_subjects && !has_keys {
        return corrected;
    }
    for record in &rows.records {
        let subject = record.json().filter(|_| has_subjects).and_then(|json| source.subject(stream, json));
        let document = has_keys.then(|| document_of(&record.key));
        for (known, corrected) in known.iter().zip(&mut corrected) {
            *corrected |= subject.is_some() && known.subject == subject;
            *corrected |= document.as_ref().is_some_and(|document| known.reject.reason.starts_with(document.as_str()));
        }
    }
    corrected
}
