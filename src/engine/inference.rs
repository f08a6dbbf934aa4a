//! Infers the columns of a stream from its documents, and extends the view before the first commit that needs them.

mod scan;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::scan::{Node, Slot, Slots};
use super::run::Run;
use crate::stream::{Column, Inferred, column_name};
use crate::{Record, Result, SourceEvent, Step, StreamSpec};

/// The number of columns that are inferred for a view.
pub(super) const MAX_COLUMNS: usize = 300;

/// The longest member, in bytes, that becomes a column.
const MAX_MEMBER: usize = 255;

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
    fn changed(&self) -> Option<Vec<Column>> {
        let mut learned = self.lock();
        std::mem::take(&mut learned.slots.is_changed).then(|| columns(&learned.slots.all))
    }

    /// Makes [`changed`](Self::changed) return everything once more.
    fn set_changed(&self) {
        self.lock().slots.is_changed = true;
    }

    /// Whether members were left out because of a limit.
    fn has_left_out(&self) -> bool {
        self.lock().slots.has_left_out
    }

    /// Whether it was not called before.
    fn is_first_report(&self) -> bool {
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

impl Run<'_> {
    /// Extends the view by the columns that the records read so far have brought, or whose types they have widened.
    pub(super) async fn extend_columns(&mut self) -> Result<()> {
        let Some(inference) = self.inference.clone() else { return Ok(()) };
        let Some(learned) = inference.changed() else { return Ok(()) };
        let extended = self.extend_by(learned, &inference).await;
        if extended.is_err() {
            inference.set_changed();
        }
        extended
    }

    async fn extend_by(&mut self, mut learned: Vec<Column>, inference: &ColumnInference) -> Result<()> {
        let sink = self.connector.sink.clone();
        let known = match &self.known_columns {
            Some(known) => known.clone(),
            None => sink.columns(&self.resource, &self.stream.name).await?,
        };
        let is_known = |column: &Column| known.iter().any(|known| known.path == column.path);
        let inferred = known.iter().filter(|column| column.inferred == Inferred::All).count();
        let mut room = MAX_COLUMNS.saturating_sub(inferred);
        let mut has_left_out = inference.has_left_out();
        learned.retain(|column| {
            let fits = column.inferred == Inferred::Type || is_known(column) || room > 0;
            if column.inferred == Inferred::All && !is_known(column) {
                room = room.saturating_sub(1);
            }
            has_left_out |= !fits;
            fits
        });
        if has_left_out && inference.is_first_report() {
            self.monitor.event(SourceEvent::Warning(format!(
                "the documents have members that are not columns, because at most {MAX_COLUMNS} columns are inferred, of names of at \
                 most {MAX_MEMBER} bytes: read them from the raw documents, or declare columns in the source"
            )));
        }
        let paths: Vec<_> = learned.iter().map(|column| column.path.clone()).collect();
        let mut stream = self.stream.clone();
        stream.columns.extend(learned);
        let columns = stream.merged_columns(&known);
        let is_new = |column: &&Column| column.inferred != Inferred::Nothing && !known.contains(column);
        let new: Vec<String> =
            columns.iter().filter(is_new).map(|column| format!("{}.{}", self.stream.name, column.name)).collect();
        if !new.is_empty() {
            let is_learned = |column: &&Column| column.inferred != Inferred::Nothing && paths.contains(&column.path);
            stream.columns = self.stream.columns.clone();
            stream.columns.extend(columns.iter().filter(is_learned).cloned());
            sink.ensure_streams(&self.resource, &[stream]).await?;
            for name in new {
                if !self.record.new_columns.contains(&name) {
                    self.record.new_columns.push(name);
                }
            }
        }
        self.known_columns = Some(columns);
        Ok(())
    }
}
