//! The traits that a connector's author implements.

mod request;
mod spec;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

pub use self::request::{ConnectContext, Parent, ReadRequest, VerifyRequest};
pub use self::spec::SourceSpec;
use crate::{Batch, Checkpoint, Record, Resource, Result, Settings, SourceEvent};

/// The batches of one read, in the order in which the engine commits them.
pub type BatchStream = BoxStream<'static, Result<Batch>>;

/// The resources that a reader discovers.
pub type ResourceStream = BoxStream<'static, Result<Resource>>;

/// A source of data: describes itself, and connects with settings to a [`Reader`].
///
/// ```
/// use async_trait::async_trait;
/// use futures::{StreamExt, stream};
/// use snowfeed::prelude::*;
///
/// #[derive(Debug)]
/// struct Planets;
///
/// #[async_trait]
/// impl Source for Planets {
///     fn spec(&self) -> SourceSpec {
///         SourceSpec::new("planets", "1.0.0")
///             .resource_kind("star")
///             .stream(StreamSpec::new("planets").column("name", "name", ColumnType::Text))
///     }
///
///     async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
///         Ok(Box::new(Catalog))
///     }
/// }
///
/// #[derive(Debug)]
/// struct Catalog;
///
/// #[async_trait]
/// impl Reader for Catalog {
///     async fn check(&self) -> Result<()> {
///         Ok(())
///     }
///
///     fn discover(&self) -> ResourceStream {
///         stream::iter([Resource::new("sun")]).boxed()
///     }
///
///     fn read(&self, _: ReadRequest) -> BatchStream {
///         let earth = Record::upsert("3", Version::NONE, r#"{"name":"Earth"}"#);
///         stream::iter([Ok(Batch::new().record(earth))]).boxed()
///     }
/// }
/// ```
///
/// # Contract
/// 1. `spec` is constant and pure: no I/O, the same result every time, at least one stream, each once. The names of the source, its
///    streams and their columns consist of lower-case letters, digits and `_`.
/// 2. `connect` validates the settings and sends no request. [`check`](Reader::check) connects to the remote; it changes nothing.
/// 3. A read returns records of the requested stream. They have a key of 1 to 255 bytes that identifies an object permanently, a
///    version that never falls when the object changes, and a JSON document. In some records, every declared column has a value of
///    its type.
/// 4. A checkpoint covers its own batch and all batches before it in the stream: a read that resumes from it returns every record that
///    these batches did not contain. It is a lower bound: repeats are legal, gaps are not.
/// 5. A stream that ends without an error has delivered everything that existed when the read began. What a source cannot
///    read is an error or a [`Reject`](crate::Reject), never dropped silently. After an error the stream ends.
/// 6. A reader works only when polled, holds a bounded number of records, and keeps nothing between two reads that belongs in a
///    checkpoint.
/// 7. A source keeps no settings: it may connect any number of times, with different settings. A reader serves any number of reads at
///    the same time.
/// 8. The reader retries (see `snowfeed::http`): an error in the stream ends the run.
/// 9. `verify` returns at most one record for each requested one, with the same key. It returns a deletion only on evidence about
///    that very record: an answer about the resource, the credentials or the server is an error. Its records replace what is
///    stored, whatever the version.
/// 10. A read of a [child stream](crate::StreamKind::Child) returns all children of the [parent](ReadRequest::parent) in the request, and no
///     others, without a checkpoint. [`NotFound`](crate::ErrorKind::NotFound) means that the parent was not found; the engine verifies it.
/// 11. A read of a [snapshot](crate::StreamKind::Snapshot) lists everything. Its last batch may have the validators of all pages as its
///     checkpoint; read with them, a list of which no page has changed is [`Batch::unchanged`], alone.
/// 12. A read of an [append stream](crate::StreamKind::Append) lists the newest version first, down from its checkpoint.
///
/// `source_conformance!` of the test kit tests all of them but 8.
///
/// # Wrappers
/// A type that forwards to another source or reader must forward every method, those with a default too: put
/// `#[deny(clippy::missing_trait_methods)]` on the `impl`.
#[async_trait]
pub trait Source: Debug + Send + Sync + 'static {
    /// Returns its name, version, settings and streams.
    fn spec(&self) -> SourceSpec;

    /// Parses the settings once, and builds what reading needs, such as an HTTP client. It may read files and sends no request.
    ///
    /// The engine keeps the reader for as long as the settings stay the same, and connects anew after an
    /// [`Authentication`](crate::ErrorKind::Authentication) error, so that a replaced secret is read again. It may drop the future at any
    /// await point.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) for settings.
    async fn connect(&self, settings: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>>;

    /// Returns the resource that a user means by `name`, in its canonical form: without I/O, it maps all known spellings of a name to one
    /// resource, and a canonical name to itself. `settings` may be incomplete or invalid.
    ///
    /// The default applies the [declared rule](SourceSpec::resource_names); without one, it accepts any name.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if no resource can have that name.
    fn resource(&self, settings: &Settings, name: &str) -> Result<Resource> {
        let spec = self.spec();
        let Some(names) = &spec.resource_names else { return Resource::new(name) };
        let url = names.url_setting().and_then(|setting| {
            let default = || spec.settings.property(setting).ok()?.get("default");
            settings.get(setting).or_else(default)?.as_str()
        });
        names.resolve(&spec.resource_kind, url, name)
    }

    /// Returns a stable id of the resource that a checkpoint belongs to: two checkpoints, of any streams, have the same id if and only if
    /// both were read from the same resource. The engine refuses to read one resource under two names, and the streams of two resources
    /// under one name. The default, `None`, means unknown.
    fn identity(&self, checkpoint: &Checkpoint) -> Option<String> {
        let _ = checkpoint;
        None
    }

    /// Returns the subject of a record's or a reject's text, such as the number of an issue: two texts of one stream have the same
    /// subject only if both are about the same object. A record clears the outstanding rejects of its subject. The default, `None`,
    /// means unknown: then only a reconcile run clears the reject.
    fn subject(&self, stream: &str, text: &str) -> Option<String> {
        let _ = (stream, text);
        None
    }
}

/// A source that is connected: one value serves all reads, of all resources, at the same time. See the contract of [`Source`].
///
/// # Cancellation
/// The engine may drop the stream or the future at any await point. Leave nothing running.
///
/// # Errors
/// [`Authentication`](crate::ErrorKind::Authentication), [`NotFound`](crate::ErrorKind::NotFound) for a missing resource,
/// [`RateLimited`](crate::ErrorKind::RateLimited) and [`Unavailable`](crate::ErrorKind::Unavailable) after retries,
/// [`InvalidData`](crate::ErrorKind::InvalidData), [`Checkpoint`](crate::ErrorKind::Checkpoint).
#[async_trait]
pub trait Reader: Debug + Send + Sync + 'static {
    /// Checks that the remote accepts the settings.
    async fn check(&self) -> Result<()>;

    /// Lists the resources that the settings give access to.
    fn discover(&self) -> ResourceStream;

    /// Reads a resource. The source starts when the stream is polled.
    fn read(&self, request: ReadRequest) -> BatchStream;

    /// Verifies records that a reconcile run has not seen, or has seen in a state older than the stored one; that a list lacks which may
    /// have drifted; or whose children were not found. Returns a deletion for each one that is gone, and the current state of each one
    /// that still exists, which replaces the stored one [whatever its version](crate::Evidence). Records that it does not return stay
    /// unchanged.
    ///
    /// The default returns nothing, with a warning. A source that is [authoritative](SourceSpec::authoritative) is not asked.
    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        let VerifyRequest { stream, records, monitor, .. } = request;
        monitor.event(SourceEvent::Warning(format!(
            "the source cannot verify single records: {} of the stream {stream}, which the reconcile run did not list or listed in \
             an older state, stay unchanged",
            records.len()
        )));
        Ok(Vec::new())
    }
}

/// A shared source is a source.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Source + ?Sized> Source for Arc<S> {
    fn spec(&self) -> SourceSpec {
        self.as_ref().spec()
    }

    async fn connect(&self, settings: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>> {
        self.as_ref().connect(settings, context).await
    }

    fn resource(&self, settings: &Settings, name: &str) -> Result<Resource> {
        self.as_ref().resource(settings, name)
    }

    fn identity(&self, checkpoint: &Checkpoint) -> Option<String> {
        self.as_ref().identity(checkpoint)
    }

    fn subject(&self, stream: &str, text: &str) -> Option<String> {
        self.as_ref().subject(stream, text)
    }
}
