//! Checks the batches of a source against its contract before the engine uses them.

use std::sync::Arc;

use futures::StreamExt;

use super::columns::ColumnCheck;
use crate::error::bounded;
use crate::{Batch, BatchStream, Error, Record, Reject, Result, SourceSpec, StreamSpec, TableRows};

/// Checks that each batch is of a declared stream, and moves invalid records to its rejects.
pub(super) fn admit(stream: BatchStream, spec: Arc<SourceSpec>, columns: ColumnCheck) -> BatchStream {
    let admitted = stream.map(move |batch| batch.and_then(|batch| admit_batch(batch, &spec.streams)));
    admitted.inspect(move |batch| batch.iter().for_each(|batch| columns.observe(batch))).boxed()
}

/// The rows of one table, with invalid records moved to the rejects.
pub(super) fn admit_records(table: &str, records: Vec<Record>) -> TableRows {
    let mut rows = TableRows { table: table.to_owned(), records, ..TableRows::default() };
    reject_defects(&mut rows.records, &mut rows.rejects);
    rows
}

fn admit_batch(mut batch: Batch, streams: &[StreamSpec]) -> Result<Batch> {
    if streams.iter().all(|stream| stream.name != batch.stream) {
        let declared: Vec<String> = streams.iter().map(|stream| format!("`{}`", stream.name)).collect();
        return Err(Error::internal(format!("the source sent a batch for the undeclared stream {:?}", batch.stream))
            .with_help(format!(
                "in the source, name a declared stream ({}), or declare this one with `SourceSpec::stream`",
                declared.join(", ")
            )));
    }
    reject_defects(&mut batch.records, &mut batch.rejects);
    Ok(batch)
}

/// Moves invalid records to the rejects, and redacts credentials in the reasons.
fn reject_defects(records: &mut Vec<Record>, rejects: &mut Vec<Reject>) {
    records.retain_mut(|record| match record.defect() {
        None => true,
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
