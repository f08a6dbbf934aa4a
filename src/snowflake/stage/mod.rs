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
mod upload;

use bytes::Bytes;
use uuid::Uuid;

pub use gzip_lines::{FULL_FILE_BYTES, GzipLines};
pub use location::Origin;
pub use put_response::PutResponse;

use crate::{Error, Result, RunId};

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
}
