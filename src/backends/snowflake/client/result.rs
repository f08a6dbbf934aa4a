//! The rows of an answer: those that came with it, and those that are stored elsewhere.

use std::io::Read;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::transport::Transport;
use super::wire::{Chunk, QueryData};
use super::{Answer, Row, arrow};
use crate::{Error, Result, Retry};

/// How many parts of a result are fetched at once.
const PARALLEL: usize = 4;

/// The largest part that is taken, in bytes, compressed or not: Snowflake makes none of more than 160 MB.
pub(super) const LARGEST: usize = 256 << 20;

/// Gathers all rows of an answer, in order.
pub(super) async fn gather(transport: &Transport, mut data: QueryData) -> Result<Answer> {
    let headers = headers(&data)?;
    let is_arrow = data.query_result_format.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("arrow"));
    let (chunks, total) = (data.chunks.take().unwrap_or_default(), data.total);
    let mut answer = inline(data)?;
    let mut fetched =
        stream::iter(chunks).map(|chunk| fetch(transport, chunk, headers.clone(), is_arrow)).buffered(PARALLEL);
    while let Some(more) = fetched.try_next().await? {
        answer.rows.extend(more);
    }
    if let Some(total) = total {
        complete(u64::try_from(answer.rows.len()).unwrap_or(u64::MAX), total)?;
    }
    Ok(answer)
}

/// The part of an answer that came with it.
pub(super) fn inline(data: QueryData) -> Result<Answer> {
    let columns = data.rowtype.unwrap_or_default().into_iter().map(|column| column.name).collect();
    let rows = match (data.rowset, data.rowset_base64) {
        (Some(rows), _) => rows.into_iter().map(row).collect(),
        (None, Some(encoded)) => arrow::rows(&base64(&encoded)?)?,
        (None, None) => Vec::new(),
    };
    Ok(Answer { columns, rows, query_id: data.query_id.unwrap_or_default() })
}

async fn fetch(transport: &Transport, chunk: Chunk, headers: HeaderMap, is_arrow: bool) -> Result<Vec<Row>> {
    let bytes = decompressed(transport.fetch(&chunk.url, headers).await?)?;
    let rows = if is_arrow { arrow::rows(&bytes)? } else { json(&bytes)? };
    if rows.len() != chunk.row_count {
        return Err(incomplete(rows.len(), chunk.row_count));
    }
    Ok(rows)
}

/// Snowflake has been seen to answer with fewer rows than it says there are.
fn complete(rows: u64, total: u64) -> Result<()> {
    if rows < total { Err(incomplete(rows, total)) } else { Ok(()) }
}

fn incomplete(rows: impl ToString, expected: impl ToString) -> Error {
    Error::invalid_data("a part of a result is missing")
        .with_context("rows", rows)
        .with_context("expected", expected)
        .with_retry(Retry::Backoff)
}

/// What the storage wants to see: headers that Snowflake gave, or made from the key it gave.
pub(super) fn headers(data: &QueryData) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut set = |name: &str, value: &str| {
        let name = HeaderName::try_from(name);
        let value = HeaderValue::try_from(value);
        let (Ok(name), Ok(mut value)) = (name, value) else {
            return Err(Error::invalid_data("Snowflake gave a header for a result that cannot be sent"));
        };
        // It may be the key that the result is encrypted with.
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    };
    match (&data.chunk_headers, &data.qrmk) {
        (Some(given), _) => given.iter().try_for_each(|(name, value)| set(name, value))?,
        (None, Some(key)) => {
            set("x-amz-server-side-encryption-customer-algorithm", "AES256")?;
            set("x-amz-server-side-encryption-customer-key", key)?;
        }
        (None, None) => {}
    }
    Ok(headers)
}

fn base64(encoded: &str) -> Result<Vec<u8>> {
    BASE64_STANDARD
        .decode(encoded)
        .map_err(|error| Error::invalid_data("the rows of an answer are garbled").with_source(error))
}

/// The storage does not always say that it hands out compressed bytes, so that the HTTP client leaves them as they are.
pub(super) fn decompressed(bytes: Bytes) -> Result<Bytes> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    // One byte more than is allowed, by which it is known to be too much.
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(bytes.as_ref())
        .take(most)
        .read_to_end(&mut plain)
        .map_err(|error| Error::invalid_data("a part of a result is garbled").with_source(error))?;
    if plain.len() > LARGEST { Err(too_large()) } else { Ok(plain.into()) }
}

/// A part of which more would come than Snowflake ever makes.
pub(super) fn too_large() -> Error {
    Error::invalid_data("a part of a result is larger than any that Snowflake makes")
        .with_context("bytes allowed", LARGEST)
        .with_help("check the proxy, if there is one: it may have changed what it passed on")
}

/// Rows with commas between them, without brackets around them.
pub(super) fn json(bytes: &[u8]) -> Result<Vec<Row>> {
    let whole = [b"[", bytes, b"]"].concat();
    // The cause is left out: it may repeat a value.
    let rows: Vec<Vec<Option<String>>> =
        serde_json::from_slice(&whole).map_err(|_| Error::invalid_data("a part of a result is garbled"))?;
    Ok(rows.into_iter().map(row).collect())
}

fn row(cells: Vec<Option<String>>) -> Row {
    Row(cells.into_iter().map(|cell| cell.map(Into::into)).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn a_part_that_grows_without_end_is_refused() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        let zeros = vec![0; 1 << 20];
        for _ in 0..=LARGEST >> 20 {
            bomb.write_all(&zeros).unwrap();
        }
        let bomb = bomb.finish().unwrap();
        assert!(bomb.len() < 8 << 20, "{}", bomb.len());
        let error = decompressed(bomb.into()).unwrap_err();
        assert!(error.to_string().contains("larger than any"), "{error}");
    }
}
