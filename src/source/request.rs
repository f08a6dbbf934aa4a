//! What the engine asks a source and its reader for.

use serde_json::Value;

use crate::{Checkpoint, Mode, Monitor, Resource, RowPath, StoredRecord};

/// The context of a connection, besides the settings.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectContext {
    /// Receives the traffic, waits and warnings of requests that belong to no read: those of a check, of a discovery, and for tokens.
    pub monitor: Monitor,
    /// Whether a person is waiting for a check: give up soon if the remote cannot be reached.
    pub fail_fast: bool,
}

impl ConnectContext {
    /// A context with this monitor.
    pub fn new(monitor: Monitor) -> Self {
        Self { monitor, fail_fast: false }
    }

    /// A context without a listener.
    pub fn detached() -> Self {
        Self::new(Monitor::detached())
    }

    /// Sets whether a person is waiting for a check.
    #[must_use]
    pub fn fail_fast(mut self, fail_fast: bool) -> Self {
        self.fail_fast = fail_fast;
        self
    }
}

/// A request to read one stream of a resource.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReadRequest {
    /// The resource; for a [source-wide](crate::StreamSpec::source_wide) stream, [the one](Resource::source_wide) that stands for the source.
    pub resource: Resource,
    /// The stream.
    pub stream: String,
    /// Where to resume; `None`: at the start.
    pub checkpoint: Option<Checkpoint>,
    /// A checkpoint not to resume from, which has the stable id of a resource that survives renames: in [`Mode::Reconcile`], that of
    /// incremental reads; in the read of a list, that of the stream or of its top ancestor. In the read of an
    /// [append stream](crate::StreamKind::Append) from the top, the one of the newest batch of the last such read, for a conditional request.
    pub incremental: Option<Checkpoint>,
    /// In [`Mode::Reconcile`], the stream must contain every record that exists (unless the stream of the checkpoint did);
    /// in [`Mode::Incremental`], those that changed.
    pub mode: Mode,
    /// The record whose children to list, if the stream is a [child](crate::StreamKind::Child).
    pub parent: Option<Parent>,
    /// Receives traffic, waits and quotas.
    pub monitor: Monitor,
}

/// A record whose children the engine asks for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Parent {
    /// The path of its row: the keys of its ancestors, then its own.
    pub path: RowPath,
    /// The values in its document at the [declared paths](crate::StreamSpec::parent_field), in their order; null where there is none.
    pub fields: Vec<Value>,
}

impl Parent {
    /// A parent without fields.
    pub fn new(path: RowPath) -> Self {
        Self { path, fields: Vec::new() }
    }

    /// Its own key.
    pub fn key(&self) -> &str {
        self.path.key().unwrap_or_default()
    }
}

impl ReadRequest {
    /// Creates a request to read a stream of a resource incrementally from the start, without a listener. The fields set the rest.
    pub fn new(resource: Resource, stream: impl Into<String>) -> Self {
        let (checkpoint, incremental, mode) = (None, None, Mode::Incremental);
        Self {
            resource,
            stream: stream.into(),
            checkpoint,
            incremental,
            mode,
            parent: None,
            monitor: Monitor::detached(),
        }
    }

    /// Sets the record whose children to list.
    #[must_use]
    pub fn parent(mut self, parent: Parent) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Sets how to read.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets where to resume.
    #[must_use]
    pub fn checkpoint(mut self, checkpoint: Option<Checkpoint>) -> Self {
        self.checkpoint = checkpoint;
        self
    }
}

/// A request to verify records that a reconcile run has not seen, or has seen in an older state.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifyRequest {
    /// The resource, as in [`ReadRequest`].
    pub resource: Resource,
    /// The last checkpoint of the reconciliation; if it has none, that of incremental reads.
    pub checkpoint: Option<Checkpoint>,
    /// The stream that the records belong to.
    pub stream: String,
    /// The records, as the destination stores them.
    pub records: Vec<StoredRecord>,
    /// Whether the deletion of any number of records is confirmed. Even then, an answer about the resource as a whole
    /// is not evidence.
    pub allow_deletions: bool,
    /// Receives traffic, waits and quotas.
    pub monitor: Monitor,
}

impl VerifyRequest {
    /// Creates a request to verify records of a stream, without a listener. The fields set the rest.
    pub fn new(resource: Resource, stream: impl Into<String>, records: impl IntoIterator<Item = StoredRecord>) -> Self {
        let (stream, records) = (stream.into(), records.into_iter().collect());
        let (checkpoint, monitor) = (None, Monitor::detached());
        Self { resource, checkpoint, stream, records, allow_deletions: false, monitor }
    }
}
