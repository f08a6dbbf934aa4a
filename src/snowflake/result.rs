//! Gathers the rows of a result: those that came with the response, and those that are stored elsewhere.

use std::io::Read;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;

use super::login::SessionTokens;
use super::polling::refetch_result;
use super::row::{QueryResult, Row};
use super::transport::{MAX_PART_BYTES, Transport, too_large};
use super::wire::{Chunk, QueryData};
use super::{arrow, blocking};
use crate::{Error, Result, Retry};

/// How many parts of a result are downloaded concurrently.
const CONCURRENT_DOWNLOADS: usize = 4;

/// The memory for parts in flight, in all sessions of the process, in MiB. A larger part goes alone.
const MAX_IN_FLIGHT_MIB: u32 = 256;
static IN_FLIGHT: Semaphore = Semaphore::const_new(MAX_IN_FLIGHT_MIB as usize);

/// The assumed size of a part, in bytes, if Snowflake does not send it.
const DEFAULT_PART_BYTES: u64 = 16 << 20;

/// Rows of a response up to this size, in bytes, are decoded in place: a thread costs more.
const MAX_SYNC_BYTES: usize = 64 << 10;

/// Collects all rows of a result, in order.
///
/// Links to parts expire after some hours. Snowflake then creates new ones, as long as each round downloads more parts.
pub(super) async fn collect_rows(
    transport: &Transport,
    tokens: &SessionTokens,
    mut data: QueryData,
) -> Result<QueryResult> {
    let total = data.total;
    let mut parts = Parts::of(&mut data)?;
    let mut answer = decode_inline(data).await?;
    let (mut done, mut renewed) = (0, None);
    while let Err(error) = parts.fetch(transport, &mut done, &mut answer.rows).await {
        if !is_expired(&error) || renewed == Some(done) {
            return Err(error);
        }
        tracing::debug!(parts = done, "the links to the parts of a result have expired");
        renewed = Some(done);
        let mut again = refetch_result(transport, tokens, &answer.query_id).await?;
        parts = parts.with_new_links(Parts::of(&mut again)?)?;
    }
    if let Some(total) = total {
        check_complete(u64::try_from(answer.rows.len()).unwrap_or(u64::MAX), total)?;
    }
    Ok(answer)
}

/// The parts of a result in a cloud storage.
struct Parts {
    chunks: Vec<Chunk>,
    headers: HeaderMap,
    is_arrow: bool,
}

impl Parts {
    fn of(data: &mut QueryData) -> Result<Self> {
        let headers = headers(data)?;
        let is_arrow = data.query_result_format.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("arrow"));
        Ok(Self { chunks: data.chunks.take().unwrap_or_default(), headers, is_arrow })
    }

    /// Appends the rows of the remaining parts; `done` counts those that are complete.
    async fn fetch(&self, transport: &Transport, done: &mut usize, rows: &mut Vec<Row>) -> Result<()> {
        let rest: Vec<Chunk> = self.chunks.iter().skip(*done).cloned().collect();
        let fetched = rest.into_iter().map(|chunk| fetch(transport, chunk, self.headers.clone(), self.is_arrow));
        let mut fetched = stream::iter(fetched).buffered(CONCURRENT_DOWNLOADS);
        while let Some(more) = fetched.try_next().await? {
            rows.extend(more);
            *done += 1;
        }
        Ok(())
    }

    /// The same parts with new links.
    fn with_new_links(&self, new: Self) -> Result<Self> {
        let rows = |parts: &Self| parts.chunks.iter().map(|chunk| chunk.row_count).collect::<Vec<_>>();
        if rows(self) == rows(&new) && self.is_arrow == new.is_arrow {
            return Ok(new);
        }
        Err(Error::invalid_data("Snowflake returned links to a different result").with_retry(Retry::Backoff))
    }
}

/// Whether the storage reports an expired link, or a wrong signature.
fn is_expired(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 401 | 403))
}

/// The part of an answer that came with it.
async fn decode_inline(data: QueryData) -> Result<QueryResult> {
    if data.rowset_base64.as_ref().is_some_and(|rows| rows.len() > MAX_SYNC_BYTES) {
        return blocking::run(move || inline_rows(data)).await;
    }
    inline_rows(data)
}

/// The part of an answer that came with it.
pub(super) fn inline_rows(data: QueryData) -> Result<QueryResult> {
    let columns = data.rowtype.unwrap_or_default().into_iter().map(|column| column.name).collect();
    let rows = match (data.rowset, data.rowset_base64) {
        (Some(rows), _) => rows.into_iter().map(row).collect(),
        (None, Some(encoded)) => arrow::rows(&base64(&encoded)?)?,
        (None, None) => Vec::new(),
    };
    Ok(QueryResult { columns, rows, query_id: data.query_id.unwrap_or_default() })
}

async fn fetch(transport: &Transport, chunk: Chunk, headers: HeaderMap, is_arrow: bool) -> Result<Vec<Row>> {
    let size = chunk.uncompressed_size.unwrap_or(DEFAULT_PART_BYTES).div_ceil(1 << 20);
    let size = u32::try_from(size).unwrap_or(u32::MAX).clamp(1, MAX_IN_FLIGHT_MIB);
    let permit = IN_FLIGHT.acquire_many(size).await;
    let permit =
        permit.map_err(|error| Error::internal("no memory is available for a part of a result").with_source(error))?;
    let packed = transport.fetch(&chunk.url, headers).await?;
    let rows = blocking::run(move || {
        let _permit = permit;
        let bytes = decompress(packed)?;
        if is_arrow { arrow::rows(&bytes) } else { json_rows(&bytes) }
    });
    let rows = rows.await?;
    if rows.len() != chunk.row_count {
        return Err(incomplete(rows.len(), chunk.row_count));
    }
    Ok(rows)
}

/// Snowflake has returned fewer rows than it announced.
fn check_complete(rows: u64, total: u64) -> Result<()> {
    if rows < total { Err(incomplete(rows, total)) } else { Ok(()) }
}

fn incomplete(rows: impl ToString, expected: impl ToString) -> Error {
    Error::invalid_data("a part of a result is missing")
        .with_context("rows", rows)
        .with_context("expected", expected)
        .with_retry(Retry::Backoff)
}

/// The headers for the storage: those that Snowflake gave, or made from the key that it gave.
pub(super) fn headers(data: &QueryData) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut set = |name: &str, value: &str| {
        let name = HeaderName::try_from(name);
        let value = HeaderValue::try_from(value);
        let (Ok(name), Ok(mut value)) = (name, value) else {
            return Err(Error::invalid_data("Snowflake gave a header for a result that cannot be sent"));
        };
        // It may be the encryption key of the result.
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
        .map_err(|error| Error::invalid_data("the rows of a result are malformed").with_source(error))
}

/// Decompresses a part. The storage does not always declare compression, so that the HTTP client leaves the bytes alone.
pub(super) fn decompress(bytes: Bytes) -> Result<Bytes> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    // One byte more than allowed, to detect the excess.
    let most = u64::try_from(MAX_PART_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(bytes.as_ref())
        .take(most)
        .read_to_end(&mut plain)
        .map_err(|error| Error::invalid_data("a part of a result is malformed").with_source(error))?;
    if plain.len() > MAX_PART_BYTES { Err(too_large()) } else { Ok(plain.into()) }
}

/// Reads rows that are separated by commas, without brackets around them.
pub(super) fn json_rows(bytes: &[u8]) -> Result<Vec<Row>> {
    let whole = [b"[", bytes, b"]"].concat();
    // The cause is left out: it may repeat a value.
    let rows: Vec<Vec<Option<String>>> =
        serde_json::from_slice(&whole).map_err(|_| Error::invalid_data("a part of a result is malformed"))?;
    Ok(rows.into_iter().map(row).collect())
}

fn row(cells: Vec<Option<String>>) -> Row {
    Row(cells.into_iter().map(|cell| cell.map(Into::into)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    #[test]
    fn an_endlessly_growing_part_is_rejected() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        let zeros = vec![0; 1 << 20];
        for _ in 0..=MAX_PART_BYTES >> 20 {
            bomb.write_all(&zeros).unwrap();
        }
        let bomb = bomb.finish().unwrap();
        assert!(bomb.len() < 8 << 20, "{}", bomb.len());
        let error = decompress(bomb.into()).unwrap_err();
        assert!(error.to_string().contains("larger than any"), "{error}");
    }
}
