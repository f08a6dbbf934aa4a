//! Files on an internal stage: a PUT statement answers where a file belongs and gives credentials for that place;
//! [`upload`] stores it there, with Amazon S3, Azure Blob Storage or Google Cloud Storage. [`GzipLines`] writes such files.
//!
//! # Encryption
//! The stage must encrypt on the server: `CREATE STAGE … ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')`. A stage without that clause
//! wants files encrypted by the client, which is refused here with an error that says so.
//!
//! # Credentials
//! They last about an hour and belong to one PUT statement. When a storage refuses them, the error's kind is
//! [`Authentication`](crate::ErrorKind::Authentication): repeat the PUT statement, once, and upload with its answer.
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

/// Who answered the PUT statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A server elsewhere. It must not make this machine write into its own folders, nor send anything without TLS.
    Remote,
    /// A server on this machine, as in tests. It may name a folder (`LOCAL_FS`), and endpoints of loopback without TLS.
    Loopback,
}

/// Stores a file under `name` where a PUT statement said, and gives its size in bytes. A file of the same name is replaced.
///
/// With Amazon S3 and Azure a file over 16 MiB travels in parts of 8 MiB, four at a time; with Google Cloud Storage in one
/// request, because the token given for it need not allow more. What fails in passing (5xx, 408, 429, a broken
/// connection) is tried again by the request, six times at most.
///
/// # Cancellation
/// When the future is dropped, the file is on the stage whole or not at all. Parts that were sent stay invisible.
///
/// # Errors
/// - [`Authentication`](crate::ErrorKind::Authentication): the credentials have expired, or are refused for another reason;
/// - [`Unsupported`](crate::ErrorKind::Unsupported): the stage wants files encrypted by the client;
/// - [`Unavailable`](crate::ErrorKind::Unavailable): the storage cannot be reached, or does not take the file. Trying again
///   was part of the upload;
/// - [`NotFound`](crate::ErrorKind::NotFound): the storage has no such place;
/// - [`InvalidData`](crate::ErrorKind::InvalidData): the answer names no place that a file may be stored at;
/// - [`Internal`](crate::ErrorKind::Internal): the name has other characters than letters, digits, `.`, `_` and `-`.
///
/// An error names the storage's host, its status and its error code, never a URL.
pub async fn upload(answer: &PutResponse, origin: Origin, name: &str, content: &[Bytes]) -> Result<u64> {
    if !is_plain(name) {
        return Err(Error::internal(format!("{name:?} is no name for a file on a stage")));
    }
    let size = content.iter().map(Bytes::len).sum();
    location::locate(answer, origin, name, size)?.upload(content, size).await?;
    u64::try_from(size).map_err(|error| Error::internal("a file is larger than can be counted").with_source(error))
}

/// A name for the file with this number among the files of a run. It differs with every call, so that what an attempt has
/// left on the stage is never taken for the file of the next one.
pub fn file_name(run: RunId, number: usize) -> String {
    format!("{run}-{}-{number:05}.json.gz", Uuid::now_v7().simple())
}

/// Whether a name means the same in a URL, in SQL and in a folder.
fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.trim_matches('.').is_empty() && name.chars().all(is_plain)
}

/// A file up to this size travels in one request.
const MAX_SINGLE_BYTES: usize = 16 * 1024 * 1024;
/// The size of a part. S3 takes no more than 10,000, and none under 5 MiB but the last.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts that travel at the same time.
const CONCURRENCY: usize = 4;
/// How long a failed upload may take to remove its parts.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// The place of one file in a storage.
struct UploadTarget {
    store: Box<dyn ObjectStore>,
    path: Path,
    /// Whether a large file travels in parts.
    in_parts: bool,
    kind: StorageKind,
}

/// Where the store's faults come from.
enum StorageKind {
    /// A cloud, by name.
    Cloud { name: &'static str, presigned: bool, failures: FailureRecorder },
    /// A folder of this machine.
    Folder,
}

impl UploadTarget {
    /// Stores the file whole, or not at all.
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
                // Before the clean-up, whose own faults are of no interest, nor is it waited for when nothing answers.
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

/// The most bytes that travel at the same time for a file of `size` bytes.
pub(super) fn in_flight(size: usize, in_parts: bool) -> usize {
    if in_parts && size > MAX_SINGLE_BYTES { PART_BYTES * CONCURRENCY } else { size }
}

/// The content in parts of the same size, without copying any of it.
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
