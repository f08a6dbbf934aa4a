//! An image on its way into a registry.

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
use self::error::Fault;
use self::registry::Registry;
use super::layout::Image;
use crate::{Error, ErrorKind, Result, RetryConfig};

const RETRY: RetryConfig = RetryConfig {
    max_attempts: 3,
    timeout: Duration::MAX,
    first_delay: Duration::from_millis(200),
    max_delay: Duration::from_secs(5),
};

/// What a push does next, or has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step<'a> {
    /// The registry has this part already.
    Present {
        /// The part's digest.
        digest: &'a str,
        /// Its size in bytes.
        size: u64,
    },
    /// This part is being sent.
    Sending {
        /// The part's digest.
        digest: &'a str,
        /// Its size in bytes.
        size: u64,
    },
    /// This part has been sent.
    Sent {
        /// The part's digest.
        digest: &'a str,
        /// Its size in bytes.
        size: u64,
    },
}

/// An image that a registry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Where it is: `host/path:tag`.
    pub reference: String,
    /// What it is: [`Image::digest`].
    pub digest: String,
    /// How many bytes were sent.
    pub sent: u64,
    /// Whether the tag was set; false: it stood for this image already, and nothing was done.
    pub changed: bool,
}

/// Who is told the steps.
type Progress<'a> = dyn Fn(Step<'_>) + Send + Sync + 'a;

/// The work of bringing an image into a registry.
///
/// A tag is set once: a version of an app names its image by it, and what it names must not change. Parts that the registry has
/// are not sent again. A push that was interrupted, or dropped, leaves no tag; the next one goes on with the parts that are missing.
pub struct Push<'a> {
    image: &'a Image,
    address: Address,
    credentials: Option<Credentials>,
    token_hosts: Vec<String>,
    overwrite: bool,
    progress: Option<Box<Progress<'a>>>,
}

impl<'a> Push<'a> {
    /// Of `image` to `repository` (host, path and name, as `SHOW IMAGE REPOSITORIES` says in `repository_url` plus the name of the
    /// image) under `tag`. With `http://` in front, where the host is this machine, it goes unencrypted.
    ///
    /// # Errors
    /// [`Configuration`](ErrorKind::Configuration) when the repository or the tag is malformed, or would send a password in the clear.
    pub fn new(image: &'a Image, repository: &str, tag: &str) -> Result<Self> {
        let address = Address::new(repository, tag)?;
        Ok(Self { image, address, credentials: None, token_hosts: Vec::new(), overwrite: false, progress: None })
    }

    /// Who pushes. Nobody unless set, which few registries allow.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Another host that credentials may be sent to, encrypted, where the registry trades them for a token there. Without it they
    /// go to the registry's own host only; for a registry of Snowflake's, to its other hosts, too.
    #[must_use]
    pub fn token_host(mut self, host: impl Into<String>) -> Self {
        self.token_hosts.push(host.into());
        self
    }

    /// Whether a tag that stands for another image may be set anew. An app that uses it then changes without a new version.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Is told each [`Step`].
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(Step<'_>) + Send + Sync + 'a) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Pushes. One part at a time is held in memory, compressed. Faults that may pass are tried three times.
    ///
    /// # Cancellation
    /// Dropping the future leaves parts behind that no tag names; the next push finds them.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) when the tag stands for another image; [`Authentication`](ErrorKind::Authentication) when the
    /// registry refuses the credentials or their rights; [`NotFound`](ErrorKind::NotFound) when it has no such repository;
    /// [`Unavailable`](ErrorKind::Unavailable) when it cannot be reached or fails; [`InvalidData`](ErrorKind::InvalidData) when the
    /// image is damaged.
    pub async fn run(self) -> Result<Pushed> {
        let registry = Registry::new(&self.address, self.credentials.as_ref(), &self.token_hosts)?;
        Upload { push: &self, registry }.run().await
    }

    fn told(&self, step: Step<'_>) {
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

/// A push with a client.
struct Upload<'a> {
    push: &'a Push<'a>,
    registry: Registry<'a>,
}

impl Upload<'_> {
    async fn run(self) -> Result<Pushed> {
        let (push, image) = (self.push, self.push.image);
        self.tried(|| self.registry.sign_in()).await?;

        let pushed = |sent, changed| Pushed {
            reference: push.address.to_string(),
            digest: image.digest().to_owned(),
            sent,
            changed,
        };
        match self.tagged().await? {
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

    /// The digest of what the tag stands for; `None`: it is not set.
    async fn tagged(&self) -> Result<Option<String>> {
        absent(self.asked(|| self.registry.manifest_digest()).await).map_err(|fault| self.error(fault))
    }

    /// Sends a part that the registry lacks; how many bytes.
    async fn send(&self, blob: &OciDescriptor) -> Result<u64> {
        let (digest, size) = (blob.digest.as_str(), u64::try_from(blob.size).unwrap_or_default());
        if self.has(blob).await? {
            self.push.told(Step::Present { digest, size });
            return Ok(0);
        }
        self.push.told(Step::Sending { digest, size });
        let bytes = self.push.image.read_blob(blob)?;
        self.tried(|| self.registry.upload(&bytes, digest)).await?;
        self.push.told(Step::Sent { digest, size });
        Ok(size)
    }

    /// Whether the registry has a part.
    async fn has(&self, blob: &OciDescriptor) -> Result<bool> {
        absent(self.asked(|| self.registry.has(&blob.digest)).await)
            .map(|answer| answer.unwrap_or_default())
            .map_err(|fault| self.error(fault))
    }

    /// Sets the tag, and sees that it stands for this image.
    async fn set_tag(&self) -> Result<()> {
        let image = self.push.image;
        let media_type = HeaderValue::from_str(image.media_type())
            .map_err(|_| Error::invalid_data(format!("the image in {} is damaged", image.folder().display())))?;
        self.tried(|| self.registry.set_tag(image.manifest(), &media_type)).await?;
        match self.tagged().await? {
            Some(digest) if digest == image.digest() => Ok(()),
            other => Err(Error::new(ErrorKind::Conflict, format!("{} stands for another image", self.push.address))
                .with_context("pushed", image.digest())
                .with_context("found", other.as_deref().unwrap_or("none"))
                .with_help("somebody else pushed at the same time: push again")),
        }
    }

    /// Calls the registry, and again where that can help.
    async fn tried<T, F>(&self, call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        self.asked(call).await.map_err(|fault| self.error(fault))
    }

    async fn asked<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        // The HTTP client may log a token.
        let silent = || call().with_subscriber(NoSubscriber::new());
        RETRY.run(silent, Fault::retry).await
    }

    fn error(&self, fault: Fault) -> Error {
        fault.error(&self.push.address)
    }

    fn conflict(&self, found: &str) -> Error {
        let address = &self.push.address;
        Error::new(ErrorKind::Conflict, format!("{address} stands for another image already"))
            .with_context("pushed", self.push.image.digest())
            .with_context("found", found)
            .with_help("push under a new tag: a version of an app must keep the image that it was made with")
    }
}

/// `None` for what the registry does not have.
fn absent<T>(answer: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match answer {
        Err(Fault::Absent(_)) => Ok(None),
        answer => answer.map(Some),
    }
}
