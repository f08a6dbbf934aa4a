//! Checks the batches of a source against its contract before the engine uses them.

use futures::{StreamExt, TryStreamExt};

use super::batcher::Rows;
use super::columns::ColumnCheck;
use super::inference::ColumnInference;
use crate::error::bounded;
use crate::{Batch, BatchStream, Record, Reject};

/// Moves the invalid records of each batch to its rejects, and learns columns from the others.
pub(super) fn admit(stream: BatchStream, columns: ColumnCheck, inference: Option<ColumnInference>) -> BatchStream {
    let admitted = stream.map_ok(|mut batch| {
        reject_defects(&mut batch.records, &mut batch.rejects);
        batch
    });
    let observe = move |batch: &Batch| {
        columns.observe(&batch.records);
        if let Some(inference) = &inference {
            inference.observe(&batch.records);
        }
    };
    admitted.inspect_ok(observe).boxed()
}

/// Records with the invalid ones moved to the rejects.
pub(super) fn admit_records(records: Vec<Record>) -> Rows {
    let mut rows = Rows { records, ..Rows::default() };
    reject_defects(&mut rows.records, &mut rows.rejects);
    rows
}

/// Moves invalid records to the rejects, and redacts credentials in the reasons.
fn reject_defects(records: &mut Vec<Record>, rejects: &mut Vec<Reject>) {
    records.retain_mut(|record| match record.defect() {
        None => {
            // A sink need not parse the document again.
            record.set_parsed();
            true
        }
        Some(reason) => {
            let raw = record.json().cloned().unwrap_or_else(|| record.key.as_str().into());
            rejects.push(Reject { reason, raw });
            false
        }
    });
    // A reason may quote the remote; the received text is kept unchanged.
    for reject in rejects {
        reject.reason = bounded(&reject.reason);
    }
}
