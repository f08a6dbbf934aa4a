//! Parsing of Snowflake's responses, for the fuzz targets.

use super::wire::{LoginData, QueryData, RenewalData, Response};
use super::{QueryResult, Row, arrow, result};

/// Parses a body as each kind of response, and returns the rows if it is a statement's.
pub fn answer(body: &[u8]) -> Option<QueryResult> {
    let _ = serde_json::from_slice::<Response<LoginData>>(body);
    let _ = serde_json::from_slice::<Response<RenewalData>>(body);
    let reply: Response<QueryData> = serde_json::from_slice(body).ok()?;
    let _ = (reply.is_running(), reply.expiry());
    let data = reply.data?;
    let _ = result::headers(&data);
    result::inline_rows(data).ok()
}

/// Reads a part of a result that is stored elsewhere; `None` when it is refused.
pub fn part(bytes: &[u8], is_arrow: bool) -> Option<Vec<Row>> {
    let bytes = result::decompress(bytes::Bytes::copy_from_slice(bytes)).ok()?;
    if is_arrow { arrow::rows(&bytes).ok() } else { result::json_rows(&bytes).ok() }
}
