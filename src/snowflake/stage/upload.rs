//! Stores a file in a storage, whole or in parts.

use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, PutPayload};

use super::error::FailureRecorder;
use crate::{Error, ErrorKind, Result};

/// A file up to this size is uploaded in one request.
const MAX_SINGLE_BYTES: usize = 16 * 1024 * 1024;
/// The size of a part. S3 accepts at most 10,000, each of at least 5 MiB except the last.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Concurrent uploads of parts.
const CONCURRENCY: usize = 4;
/// The timeout for removing the parts of a failed upload.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// The destination of one file in a storage.
pub(super) struct UploadTarget {
    pub(super) store: Box<dyn ObjectStore>,
    pub(super) path: Path,
    /// Whether a large file is uploaded in parts.
    pub(super) in_parts: bool,
    pub(super) kind: StorageKind,
}

/// The kind of storage, for its errors.
pub(super) enum StorageKind {
    /// A cloud, by name.
    Cloud { name: &'static str, presigned: bool, failures: FailureRecorder },
    /// A folder of this machine.
    Folder,
}

impl UploadTarget {
    /// Uploads the file completely or not at all.
    pub(super) async fn upload(&self, content: &[Bytes], size: usize) -> Result<()> {
        if self.in_parts && size > MAX_SINGLE_BYTES {
            return self.upload_parts(content).await;
        }
        let stored = self.store.put(&self.path, content.iter().cloned().collect()).await;
        stored.map(drop).map_err(|error| self.explain(error))
    }

    async fn upload_parts(&self, content: &[Bytes]) -> Result<()> {
        let mut upload = self.store.put_multipart(&self.path).await.map_err(|error| self.explain(error))?;
        let parts = stream::iter(parts(content)).map(|part| upload.put_part(part));
        let mut stored = parts.buffer_unordered(CONCURRENCY).try_collect::<()>().await;
        if stored.is_ok() {
            stored = upload.complete().await.map(drop);
        }
        match stored {
            Ok(()) => Ok(()),
            Err(error) => {
                // Before the clean-up, whose own errors and timeouts do not matter.
                let error = self.explain(error);
                let _ = tokio::time::timeout(CLEAN_UP, upload.abort()).await;
                Err(error)
            }
        }
    }

    fn explain(&self, error: object_store::Error) -> Error {
        match &self.kind {
            StorageKind::Cloud { name, presigned, failures } => failures.explain(name, *presigned),
            StorageKind::Folder => {
                Error::new(ErrorKind::Unavailable, "the file cannot be written into the stage's folder")
                    .with_source(error)
            }
        }
    }
}

/// The maximum bytes in flight for a file of `size` bytes.
pub(super) fn in_flight(size: usize, in_parts: bool) -> usize {
    if in_parts && size > MAX_SINGLE_BYTES { PART_BYTES * CONCURRENCY } else { size }
}

/// Splits the content into parts of the same size, without copying.
fn parts(content: &[Bytes]) -> Vec<PutPayload> {
    let (mut parts, mut part, mut remaining) = (Vec::new(), Vec::new(), PART_BYTES);
    for piece in content {
        let mut piece = piece.clone();
        while piece.has_remaining() {
            let taken = piece.split_to(remaining.min(piece.len()));
            remaining -= taken.len();
            part.push(taken);
            if remaining == 0 {
                parts.push(std::mem::take(&mut part).into_iter().collect());
                remaining = PART_BYTES;
            }
        }
    }
    if !part.is_empty() {
        parts.push(part.into_iter().collect());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_one_size_and_lose_nothing() {
        let content: Vec<Bytes> = (0..50_u8).map(|n| vec![n; 777_777]).map(Bytes::from).collect();
        let parts = parts(&content);
        let (last, full) = parts.split_last().unwrap();
        assert!(full.iter().all(|part| part.content_length() == PART_BYTES) && last.content_length() <= PART_BYTES);
        let bytes = |pieces: &mut dyn Iterator<Item = &Bytes>| {
            pieces.fold(Vec::new(), |all, piece| [&all, &piece[..]].concat())
        };
        assert!(bytes(&mut content.iter()) == bytes(&mut parts.iter().flatten()));
        assert_eq!(super::parts(&[Bytes::from(vec![1; PART_BYTES])]).len(), 1);
    }
}
