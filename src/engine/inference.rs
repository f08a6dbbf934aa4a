//! Infers the columns of a stream from its documents.

pub(super) mod scan;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::scan::{Node, Slot, Slots};
use crate::stream::{Column, Inferred, column_name};
use crate::{Record, Step, StreamSpec};

/// What the documents of a run say about columns whose types, or which, are to be inferred. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct ColumnInference(Arc<Mutex<Learned>>);

#[derive(Debug)]
struct Learned {
    stream: String,
    root: Node,
    slots: Slots,
    documents: u64,
    /// Whether a limit was reported.
    is_reported: bool,
}

impl ColumnInference {
    /// `None` if nothing is inferred for the stream.
    pub(super) fn new(stream: &StreamSpec) -> Option<Self> {
        if stream.inference.is_empty() || !stream.has_table() {
            return None;
        }
        let (root, slots) = scan::plan(stream);
        Some(Self(Arc::new(Mutex::new(Learned {
            stream: stream.name.clone(),
            root,
            slots,
            documents: 0,
            is_reported: false,
        }))))
    }

    /// Learns from records.
    pub(super) fn observe(&self, records: &[Record]) {
        let mut learned = self.lock();
        let Learned { root, slots, documents, .. } = &mut *learned;
        for json in records.iter().filter_map(Record::json) {
            *documents += 1;
            scan::scan(root, slots, json);
        }
    }

    /// All that was learned, if it has changed since this was last called.
    pub(super) fn changed(&self) -> Option<Vec<Column>> {
        let mut learned = self.lock();
        std::mem::take(&mut learned.slots.is_changed).then(|| columns(&learned.slots.all))
    }

    /// Makes [`changed`](Self::changed) return everything once more.
    pub(super) fn set_changed(&self) {
        self.lock().slots.is_changed = true;
    }

    /// Whether members were left out because of a limit.
    pub(super) fn has_left_out(&self) -> bool {
        self.lock().slots.has_left_out
    }

    /// Whether it was not called before.
    pub(super) fn is_first_report(&self) -> bool {
        !std::mem::replace(&mut self.lock().is_reported, true)
    }

    /// The declared columns that no document has, as `stream.column`, if at least `documents` were read.
    pub(super) fn missing(&self, documents: u64) -> Vec<String> {
        let learned = self.lock();
        if learned.documents < documents.max(1) {
            return Vec::new();
        }
        let missing = learned.slots.all.iter().filter(|slot| slot.name.is_some() && !slot.is_found);
        missing.filter_map(|slot| Some(format!("{}.{}", learned.stream, slot.name.as_ref()?))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Learned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The columns of which a value was found, in the order of the documents. Of members whose names become the same one, the first is the
/// one that has the name itself, and then they are ordered by path, so that the order of the documents matters little.
fn columns(slots: &[Slot]) -> Vec<Column> {
    let typed = slots.iter().filter_map(|slot| {
        let kind = slot.kind?;
        Some(match &slot.name {
            Some(name) => Column { inferred: Inferred::Type, ..Column::new(name.clone(), slot.path.clone(), kind) },
            None => Column {
                inferred: Inferred::All,
                ..Column::new(column_name(last_member(slot)), slot.path.clone(), kind)
            },
        })
    });
    let mut columns: Vec<Column> = typed.collect();
    let is_second = |column: &mut Column| {
        let others = slots.iter().filter(|slot| slot.name.is_none() && slot.path != column.path);
        let same = others.filter(|slot| column_name(last_member(slot)) == column.name).count();
        column.inferred == Inferred::All
            && same > 0
            && !matches!(column.path.steps().last(), Some(Step::Member(member)) if *member == column.name)
    };
    let mut second: Vec<Column> = columns.extract_if(.., is_second).collect();
    second.sort_by_key(|column| column.path.to_string());
    columns.extend(second);
    columns
}

fn last_member(slot: &Slot) -> &str {
    match slot.path.steps().last() {
        Some(Step::Member(member)) => member,
        Some(Step::Each) | None => "",
    }
}
