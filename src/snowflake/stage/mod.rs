//! Files on an internal stage. Snowflake responds to a PUT statement with a location and credentials for it; `upload` stores the
//! file there, in Amazon S3, Azure Blob Storage or Google Cloud Storage. [`GzipLines`] writes such files.
//!
//! # Encryption
//! The stage must encrypt on the server: `CREATE STAGE … ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')`. A stage without that clause
//! requires encryption by the client, which is unsupported.
//!
//! # Credentials
//! They are valid for about an hour, and belong to one PUT statement. If a storage rejects them, the error's kind is
//! [`Authentication`](crate::ErrorKind::Authentication): repeat the PUT statement, once, and upload with its response.
//! No other error of `upload` has that kind.

mod error;
mod gzip_lines;
mod location;
mod put_response;
mod upload;

use bytes::Bytes;

pub use gzip_lines::GzipLines;
pub use location::Origin;
pub use put_response::PutResponse;

use crate::{Error, Result};

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

/// Whether a name needs no escaping in a URL, in SQL and in a folder.
fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.trim_matches('.').is_empty() && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_path_are_not_plain() {
        for name in ["", ".", "..", "a/b", "a b", "a?b", "a%2Fb", "é", "a\\b", "a'b"] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
