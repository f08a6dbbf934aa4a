//! The parsers of GitHub's responses and of checkpoints, for the fuzz targets.

use bytestring::ByteString;

use super::page;
use super::streams::Stream;
use super::updates::checkpoint::Position;
use crate::http::{Response, Url};
use crate::{Checkpoint, Record, Reject};

/// Reads a response as a page of `size` issues; `None` when it is rejected.
pub fn page(url: &Url, size: u32, response: &Response) -> Option<Vec<Result<Record, Reject>>> {
    let page = page::read(Stream::Issues, url.as_str(), size, response).ok()?;
    Some(page.rows.into_iter().map(|row| row.content).collect())
}

/// Reads one issue; `None` when it is rejected.
pub fn item(body: &ByteString) -> Option<Record> {
    page::item(Stream::Issues, body).ok()
}

/// Reads a checkpoint and writes it again; `None` when it is rejected.
pub fn rewritten(checkpoint: &Checkpoint) -> Option<Checkpoint> {
    Position::read(checkpoint).ok()?.write().ok()
}
