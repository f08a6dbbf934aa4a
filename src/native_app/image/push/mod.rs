//! Pushes an image to a registry.

mod address;
mod auth;
mod error;
mod registry;

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use oci_client::manifest::OciDescriptor;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use self::address::Address;
pub use self::auth::Credentials;
use self::error::RegistryError;
use self::registry::Registry;
use super::layout::Image;
use crate::{Error, ErrorKind, Result, RetryConfig};

const RETRY: RetryConfig = RetryConfig {
    max_attempts: 3,
    timeout: Duration::MAX,
    first_delay: Duration::from_millis(200),
    max_delay: Duration::from_secs(5),
};

/// A progress event of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushEvent<'a> {
    /// The registry already has this blob.
    Present {
        /// The blob's digest.
        digest: &'a str,
        /// Its size in bytes.
        size: u64,
    },
    /// The upload of this blob starts.
    Sending {
        /// The blob's digest.
        digest: &'a str,
        /// Its size in bytes.
        size: u64,
    },
    /// This blob was uploaded.
    Sent {
        /// The blob's digest.
        digest: &'a str,
        /// Its size in bytes.
        size: u64,
    },
}

/// The result of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PushReport {
    /// The image's reference: `host/path:tag`.
    pub reference: String,
    /// The image's digest, as [`Image::digest`].
    pub digest: String,
    /// The number of uploaded bytes.
    pub sent: u64,
    /// Whether the tag was set; false if it already pointed to this image, so that nothing was sent.
    pub changed: bool,
}

/// The callback for progress events.
type Progress<'a> = dyn Fn(PushEvent<'_>) + Send + Sync + 'a;

/// Pushes an image to a registry.
///
/// A tag is set only once, because a version of an app refers to its image by the tag. Blobs that the registry has are not sent again.
/// An interrupted push does not set the tag; the next one continues with the missing blobs.
pub struct Push<'a> {
    image: &'a Image,
    address: Address,
    credentials: Option<Credentials>,
    token_hosts: Vec<String>,
    overwrite: bool,
    progress: Option<Box<Progress<'a>>>,
}

impl<'a> Push<'a> {
    /// Pushes `image` to `repository` (`repository_url` of `SHOW IMAGE REPOSITORIES` and the name of the image) with `tag`. A prefix
    /// `http://` disables encryption and is allowed only for a loopback address.
    ///
    /// # Errors
    /// [`Configuration`](ErrorKind::Configuration) if the repository or the tag is malformed, or a password would be sent unencrypted.
    pub fn new(image: &'a Image, repository: &str, tag: &str) -> Result<Self> {
        let address = Address::new(repository, tag)?;
        Ok(Self { image, address, credentials: None, token_hosts: Vec::new(), overwrite: false, progress: None })
    }

    /// The credentials. Few registries allow anonymous pushes.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Another host that may receive the credentials over TLS in exchange for a token. By default only the registry's own host may, and
    /// for a Snowflake registry, Snowflake's other hosts.
    #[must_use]
    pub fn token_host(mut self, host: impl Into<String>) -> Self {
        self.token_hosts.push(host.into());
        self
    }

    /// Whether a tag of another image may be overwritten. An app that uses the tag then changes without a new version.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Is told each [`Step`].
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(PushEvent<'_>) + Send + Sync + 'a) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Pushes the image. One compressed blob at a time is in memory. Temporary errors are retried, up to three attempts.
    ///
    /// # Cancellation
    /// Dropping the future leaves untagged blobs, which the next push reuses.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict): the tag belongs to another image; [`Authentication`](ErrorKind::Authentication): the registry
    /// rejects the credentials or their rights; [`NotFound`](ErrorKind::NotFound): there is no such repository;
    /// [`Unavailable`](ErrorKind::Unavailable): the registry cannot be reached or fails; [`InvalidData`](ErrorKind::InvalidData): the
    /// image is damaged.
    pub async fn run(self) -> Result<PushReport> {
        let registry = Registry::new(&self.address, self.credentials.as_ref(), &self.token_hosts)?;
        Upload { push: &self, registry }.run().await
    }

    fn emit(&self, step: PushEvent<'_>) {
        if let Some(progress) = &self.progress {
            progress(step);
        }
    }
}

impl fmt::Debug for Push<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push")
            .field("image", &self.image.digest())
            .field("address", &self.address)
            .field("credentials", &self.credentials)
            .field("overwrite", &self.overwrite)
            .finish_non_exhaustive()
    }
}

/// A running push.
struct Upload<'a> {
    push: &'a Push<'a>,
    registry: Registry<'a>,
}

impl Upload<'_> {
    async fn run(self) -> Result<PushReport> {
        let (push, image) = (self.push, self.push.image);
        self.call(|| self.registry.sign_in()).await?;

        let pushed = |sent, changed| PushReport {
            reference: push.address.to_string(),
            digest: image.digest().to_owned(),
            sent,
            changed,
        };
        match self.tag_digest().await? {
            Some(digest) if digest == image.digest() => return Ok(pushed(0, false)),
            Some(digest) if !push.overwrite => return Err(self.conflict(&digest)),
            _ => {}
        }
        let mut sent = 0;
        for blob in image.blobs() {
            sent += self.send(blob).await?;
        }
        self.set_tag().await?;
        Ok(pushed(sent, true))
    }

    /// The digest of the tag's image; `None` if the tag is not set.
    async fn tag_digest(&self) -> Result<Option<String>> {
        none_if_not_found(self.retry(|| self.registry.manifest_digest()).await).map_err(|fault| self.error(fault))
    }

    /// Uploads a blob that the registry lacks; returns the number of bytes.
    async fn send(&self, blob: &OciDescriptor) -> Result<u64> {
        let (digest, size) = (blob.digest.as_str(), u64::try_from(blob.size).unwrap_or_default());
        if self.has(blob).await? {
            self.push.emit(PushEvent::Present { digest, size });
            return Ok(0);
        }
        self.push.emit(PushEvent::Sending { digest, size });
        let bytes = self.push.image.read_blob(blob)?;
        self.call(|| self.registry.upload(&bytes, digest)).await?;
        self.push.emit(PushEvent::Sent { digest, size });
        Ok(size)
    }

    /// Whether the registry has a blob.
    async fn has(&self, blob: &OciDescriptor) -> Result<bool> {
        none_if_not_found(self.retry(|| self.registry.has(&blob.digest)).await)
            .map(|answer| answer.unwrap_or_default())
            .map_err(|fault| self.error(fault))
    }

    /// Sets the tag and verifies that it points to this image.
    async fn set_tag(&self) -> Result<()> {
        let image = self.push.image;
        let media_type = HeaderValue::from_str(image.media_type())
            .map_err(|_| Error::invalid_data(format!("the image in {} is damaged", image.folder().display())))?;
        self.call(|| self.registry.set_tag(image.manifest(), &media_type)).await?;
        match self.tag_digest().await? {
            Some(digest) if digest == image.digest() => Ok(()),
            other => Err(Error::new(ErrorKind::Conflict, format!("{} belongs to another image", self.push.address))
                .with_context("pushed", image.digest())
                .with_context("found", other.as_deref().unwrap_or("none"))
                .with_help("another push ran at the same time: push again")),
        }
    }

    /// Calls the registry, with retries, and converts the error.
    async fn call<T, F>(&self, call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        self.retry(call).await.map_err(|fault| self.error(fault))
    }

    async fn retry<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        // The HTTP client may log a token.
        let silent = || call().with_subscriber(NoSubscriber::new());
        RETRY.run(silent, RegistryError::retry).await
    }

    fn error(&self, fault: RegistryError) -> Error {
        fault.error(&self.push.address)
    }

    fn conflict(&self, found: &str) -> Error {
        let address = &self.push.address;
        Error::new(ErrorKind::Conflict, format!("{address} already belongs to another image"))
            .with_context("pushed", self.push.image.digest())
            .with_context("found", found)
            .with_help("push with a new tag: a version of an app must keep its image")
    }
}

/// Converts `NotFound` to `None`.
fn none_if_not_found<T>(answer: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match answer {
        Err(RegistryError::NotFound(_)) => Ok(None),
        answer => answer.map(Some),
    }
}
