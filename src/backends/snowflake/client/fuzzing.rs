//! What Snowflake answers, for the fuzz targets.

use super::wire::{LoginData, QueryData, RenewalData, Reply};
use super::{Answer, Row, arrow, result};

/// Reads a body as every answer that there is, and gives the rows of a statement's.
pub fn answer(body: &[u8]) -> Option<Answer> {
    let _ = serde_json::from_slice::<Reply<LoginData>>(body);
    let _ = serde_json::from_slice::<Reply<RenewalData>>(body);
    let reply: Reply<QueryData> = serde_json::from_slice(body).ok()?;
    let _ = (reply.is_running(), reply.expiry());
    let data = reply.data?;
    let _ = result::headers(&data);
    result::inline(data).ok()
}

/// Reads a part of a result that is stored elsewhere; `None` when it is refused.
pub fn part(bytes: &[u8], is_arrow: bool) -> Option<Vec<Row>> {
    let bytes = result::decompressed(bytes::Bytes::copy_from_slice(bytes)).ok()?;
    if is_arrow { arrow::rows(&bytes).ok() } else { result::json(&bytes).ok() }
}
