//! Asks the source about single records.

use std::collections::HashSet;

use crate::{Error, Reader, Record, Result, VerifyRequest};

/// Verifies records one by one. An answer about another record, or a second one about the same, is an error.
pub(super) async fn verify(reader: &dyn Reader, request: VerifyRequest) -> Result<Vec<Record>> {
    let mut requested: HashSet<String> = request.records.iter().map(|record| record.key.clone()).collect();
    let verified = reader.verify(request).await?;
    match verified.iter().find(|record| !requested.remove(&record.key)) {
        None => Ok(verified),
        Some(record) => Err(Error::internal("the source verified a record twice, or one that was not requested")
            .with_context("key", &record.key)
            .with_help("in the source, return at most one record from `verify` for each requested one")),
    }
}
