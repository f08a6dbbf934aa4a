//! Files on an internal stage. Snowflake responds to a PUT statement with a location and credentials for it; [`upload`] stores the
//! file there, in Amazon S3, Azure Blob Storage or Google Cloud Storage. [`GzipLines`] writes such files.
//!
//! # Encryption
//! The stage must encrypt on the server: `CREATE STAGE … ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')`. A stage without that clause
//! requires encryption by the client, which is unsupported.
//!
//! # Credentials
//! They are valid for about an hour, and belong to one PUT statement. If a storage rejects them, the error's kind is
//! [`Authentication`](crate::ErrorKind::Authentication): repeat the PUT statement, once, and upload with its response.
//! No other error of [`upload`] has that kind.

mod error;
mod gzip_lines;
mod location;
mod put_response;

use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, PutPayload};
use uuid::Uuid;

use error::FailureRecorder;

pub use gzip_lines::{FULL_FILE_BYTES, GzipLines};
pub use put_response::PutResponse;

use crate::{Error, ErrorKind, Result, RunId};

/// The server that responded to the PUT statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A remote server. It must not make this machine write into local folders, nor send anything without TLS.
    Remote,
    /// A server on this machine, as in tests. It may name a folder (`LOCAL_FS`), and loopback endpoints without TLS.
    Loopback,
}

/// Uploads a file as `name` to the location in a PUT response, and returns its size in bytes. A file of the same name is replaced.
///
/// With Amazon S3 and Azure a file over 16 MiB is uploaded in parts of 8 MiB, four at a time; with Google Cloud Storage in one
/// request, because its token need not allow more. Each request is retried at most six times after a transient failure (5xx,
/// 408, 429, a broken connection).
///
/// # Cancellation
/// When the future is dropped, the file is on the stage completely or not at all. Uploaded parts stay invisible.
///
/// # Errors
/// - [`Authentication`](crate::ErrorKind::Authentication): the credentials have expired, or are rejected for another reason;
/// - [`Unsupported`](crate::ErrorKind::Unsupported): the stage requires encryption by the client;
/// - [`Unavailable`](crate::ErrorKind::Unavailable): the storage cannot be reached, or rejects the file. The upload has
///   already retried;
/// - [`NotFound`](crate::ErrorKind::NotFound): the location does not exist;
/// - [`InvalidData`](crate::ErrorKind::InvalidData): the response names no usable location;
/// - [`Internal`](crate::ErrorKind::Internal): the name contains characters other than letters, digits, `.`, `_` and `-`.
///
/// An error names the storage's host, its status and its error code, never a URL.
pub async fn upload(answer: &PutResponse, origin: Origin, name: &str, content: &[Bytes]) -> Result<u64> {
    if !is_plain(name) {
        return Err(Error::internal(format!("{name:?} is not a valid name for a file on a stage")));
    }
    let size = content.iter().map(Bytes::len).sum();
    location::locate(answer, origin, name, size)?.upload(content, size).await?;
    u64::try_from(size).map_err(|error| Error::internal("a file is larger than can be counted").with_source(error))
}

/// Returns a name for the file with this number in a run. It differs with every call, so that a leftover of one attempt is never
/// taken for the file of the next.
pub fn file_name(run: RunId, number: usize) -> String {
    format!("{run}-{}-{number:05}.json.gz", Uuid::now_v7().simple())
}

/// Whether a name needs no escaping in a URL, in SQL and in a folder.
fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.trim_matches('.').is_empty() && name.chars().all(is_plain)
}

/// A file up to this size is uploaded in one request.
const MAX_SINGLE_BYTES: usize = 16 * 1024 * 1024;
/// The size of a part. S3 accepts at most 10,000, each of at least 5 MiB except the last.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Concurrent uploads of parts.
const CONCURRENCY: usize = 4;
/// The timeout for removing the parts of a failed upload.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// The destination of one file in a storage.
struct UploadTarget {
    store: Box<dyn ObjectStore>,
    path: Path,
    /// Whether a large file is uploaded in parts.
    in_parts: bool,
    kind: StorageKind,
}

/// The kind of storage, for its errors.
enum StorageKind {
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
    let (mut parts, mut part, mut room) = (Vec::new(), Vec::new(), PART_BYTES);
    for piece in content {
        let mut piece = piece.clone();
        while piece.has_remaining() {
            let taken = piece.split_to(room.min(piece.len()));
            room -= taken.len();
            part.push(taken);
            if room == 0 {
                parts.push(std::mem::take(&mut part).into_iter().collect());
                room = PART_BYTES;
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
    fn file_names_are_plain_and_never_the_same() {
        let run = RunId::new();
        let (one, other) = (file_name(run, 7), file_name(run, 7));
        assert_ne!(one, other);
        assert!(is_plain(&one) && one.starts_with(&run.to_string()) && one.ends_with("-00007.json.gz"), "{one}");
    }

    #[test]
    fn names_that_lead_elsewhere_are_not_plain() {
        for name in ["", ".", "..", "a/b", "a b", "a?b", "a%2Fb", "é", "a\\b", "a'b"] {
            assert!(!is_plain(name), "{name:?}");
        }
    }

    #[test]
    fn parts_are_of_one_size_and_lose_nothing() {
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
