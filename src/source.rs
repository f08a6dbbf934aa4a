//! The trait that a connector's author implements.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::resource::ResourceNames;
use crate::table::{PLAIN_NAME, is_plain};
use crate::{
    Batch, Checkpoint, Error, Mode, Monitor, Record, Resource, Result, Settings, SettingsSchema, SourceEvent,
    StoredRecord, TableSpec,
};

/// The batches of one read, in the order in which the engine commits them.
pub type BatchStream = BoxStream<'static, Result<Batch>>;

/// The description of a source: its name, settings and tables.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SourceSpec {
    /// Its name, `github`: lower-case letters, digits and `_`. It prefixes environment variables (`GITHUB_TOKEN`).
    pub name: String,
    /// Its version; by convention `env!("CARGO_PKG_VERSION")`.
    pub version: String,
    /// The kind of its resources, in the singular: `repository`.
    pub resource_kind: String,
    /// The rule for the names of its resources; `None` if any text is a name.
    pub resource_names: Option<ResourceNames>,
    /// Its settings.
    pub settings: SettingsSchema,
    /// Its tables: each resource has rows in all of them.
    pub tables: Vec<TableSpec>,
    /// The hosts that it connects to, `api.example.com` or `api.example.com:8443`, so that a closed network can allow exactly these.
    /// The hosts in settings that are URLs (see [`SettingsSchema::is_url`]) are added to them.
    pub hosts: Vec<String>,
    /// Whether a reconcile run is authoritative; see [`authoritative`](Self::authoritative).
    pub is_authoritative: bool,
}

impl SourceSpec {
    /// A source without settings and tables, whose resources are of the kind `resource`.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            resource_kind: "resource".into(),
            resource_names: None,
            settings: SettingsSchema::default(),
            tables: Vec::new(),
            hosts: Vec::new(),
            is_authoritative: false,
        }
    }

    /// Declares that a reconcile run is authoritative, like a file or a table that is read as a whole: what it lists replaces what is stored,
    /// whatever the version, and records that it does not list are deleted unless [`verify`](Source::verify) returns them.
    ///
    /// Declare it only if a reconcile run returns each record in its current state. Do not declare it for a log, which returns older
    /// states of a record first, nor for a listing that may lag behind, like that of a server with replicas, or that moves records from
    /// page to page while it is read. Without it, the engine calls [`verify`](Source::verify) for every listed state that is older than the
    /// stored one.
    #[must_use]
    pub fn authoritative(mut self) -> Self {
        self.is_authoritative = true;
        self
    }

    /// Sets the kind of its resources, in the singular.
    #[must_use]
    pub fn resource_kind(mut self, kind: impl Into<String>) -> Self {
        self.resource_kind = kind.into();
        self
    }

    /// Sets the rule for the names of resources: it rejects names, and brings them into their canonical form.
    #[must_use]
    pub fn resource_names(mut self, names: ResourceNames) -> Self {
        self.resource_names = Some(names);
        self
    }

    /// Sets the settings: [`SettingsSchema::of`] a struct.
    #[must_use]
    pub fn settings(mut self, settings: SettingsSchema) -> Self {
        self.settings = settings;
        self
    }

    /// Adds a host that it connects to: a name, with a port if that is not 443.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// The environment variable of a setting, whose name may be dotted: `GITHUB_API_URL`.
    pub(crate) fn variable(&self, setting: &str) -> String {
        format!("{}_{}", self.name, setting.replace('.', "_")).to_uppercase()
    }

    /// Checks that every destination can store the declaration: the name, and the tables with their columns.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal), with help for the source's author.
    pub fn validate(&self) -> Result<()> {
        if !is_plain(&self.name) {
            return Err(Error::internal(format!("the source's name {:?} is not allowed", self.name)).with_help(
                format!(
                    "in the source, pass a name to `SourceSpec::new` of {PLAIN_NAME}; it prefixes environment variables"
                ),
            ));
        }
        if let Some(pattern) = self.resource_names.as_ref().and_then(ResourceNames::malformed) {
            return Err(Error::internal(format!("the source {:?} declares the pattern {pattern:?}", self.name)).with_help(
                "in the source, declare regular expressions without look-around; those of addresses have the groups `host` and `name`",
            ));
        }
        if self.tables.is_empty() {
            return Err(Error::internal(format!("the source {:?} declares no table", self.name))
                .with_help("in the source, declare one with `SourceSpec::table`"));
        }
        for (index, table) in self.tables.iter().enumerate() {
            if self.tables[..index].iter().any(|other| other.name == table.name) {
                return Err(Error::internal(format!("the source declares the table {:?} twice", table.name))
                    .with_help("in the source, declare each table once, with all its columns"));
            }
            table.validate()?;
        }
        Ok(())
    }

    /// Adds a table.
    #[must_use]
    pub fn table(mut self, table: TableSpec) -> Self {
        self.tables.push(table);
        self
    }
}

/// A request to read a resource.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReadRequest {
    /// The resource.
    pub resource: Resource,
    /// The settings, checked against the source's schema.
    pub settings: Settings,
    /// Where to resume; `None`: at the start.
    pub checkpoint: Option<Checkpoint>,
    /// In [`Mode::Reconcile`], the checkpoint of incremental reads. Do not resume from it; use it to recover a stable id of the resource
    /// that survives renames.
    pub incremental: Option<Checkpoint>,
    /// In [`Mode::Reconcile`], the stream must contain every record that exists (unless the stream of the checkpoint did);
    /// in [`Mode::Incremental`], those that changed.
    pub mode: Mode,
    /// Receives traffic, waits and quotas.
    pub monitor: Monitor,
}

impl ReadRequest {
    /// Creates a request to read a resource incrementally from the start, without a listener. The fields set the rest.
    pub fn new(resource: Resource, settings: Settings) -> Self {
        let (checkpoint, incremental, mode) = (None, None, Mode::Incremental);
        Self { resource, settings, checkpoint, incremental, mode, monitor: Monitor::detached() }
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
    /// The resource.
    pub resource: Resource,
    /// The settings.
    pub settings: Settings,
    /// The last checkpoint of the reconciliation; if it has none, that of incremental reads.
    pub checkpoint: Option<Checkpoint>,
    /// The table that the records belong to.
    pub table: String,
    /// The records, as the destination stores them.
    pub records: Vec<StoredRecord>,
    /// Whether the deletion of any number of records is confirmed. Even then, an answer about the resource as a whole
    /// is not evidence.
    pub allow_deletions: bool,
    /// Receives traffic, waits and quotas.
    pub monitor: Monitor,
}

impl VerifyRequest {
    /// Creates a request to verify records of a table, without a listener. The fields set the rest.
    pub fn new(
        resource: Resource,
        settings: Settings,
        table: impl Into<String>,
        records: impl IntoIterator<Item = StoredRecord>,
    ) -> Self {
        let (table, records) = (table.into(), records.into_iter().collect());
        let (checkpoint, monitor) = (None, Monitor::detached());
        Self { resource, settings, checkpoint, table, records, allow_deletions: false, monitor }
    }
}

/// A source of data: the one trait that a connector's author implements.
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
///             .table(TableSpec::new("planets").column("name", "name", ColumnType::Text))
///     }
///
///     async fn check(&self, _: &Settings) -> Result<()> {
///         Ok(())
///     }
///
///     async fn discover(&self, _: &Settings) -> Result<Vec<Resource>> {
///         Ok(vec![Resource::new("sun")?])
///     }
///
///     fn read(&self, _: ReadRequest) -> BatchStream {
///         let earth = Record::upsert("3", Version::NONE, r#"{"name":"Earth"}"#);
///         stream::iter([Ok(Batch::new("planets").record(earth))]).boxed()
///     }
/// }
/// ```
///
/// # Contract
/// 1. `spec` is constant and pure: no I/O, the same result every time, at least one table, each once. The names of the source, its
///    tables and their columns consist of lower-case letters, digits and `_`.
/// 2. `check` validates the settings first and then connects to the remote; it changes nothing.
/// 3. Every batch names a table of the spec. Its records have a key of 1 to 255 bytes that identifies an object permanently, a
///    version that never falls when the object changes, and a JSON document. In some records, every declared column has a value of
///    its type.
/// 4. A checkpoint covers its own batch and all batches before it in the stream: a read that resumes from it returns every record that
///    these batches did not contain. It is a lower bound: repeats are legal, gaps are not.
/// 5. A stream that ends without an error has delivered everything that existed when the read began. What a source cannot
///    read is an error or a [`Reject`](crate::Reject), never dropped silently. After an error the stream ends.
/// 6. A source works only when polled, holds a bounded number of records, and keeps nothing between two reads that belongs in a
///    checkpoint.
/// 7. A source keeps no settings: one value serves any number of settings at the same time.
/// 8. The source retries (see `snowfeed::http`): an error in the stream ends the run.
/// 9. `verify` returns at most one record for each requested one, with the same key. It returns a deletion only on evidence about
///    that very record: an answer about the resource, the credentials or the server is an error. Its records replace what is
///    stored, whatever the version.
///
/// `source_conformance!` of the test kit tests all of them but 8.
///
/// # Wrappers
/// A type that forwards to another source must forward every method, those with a default too: put
/// `#[deny(clippy::missing_trait_methods)]` on the `impl`.
///
/// # Cancellation
/// The engine may drop the stream or the future at any await point. Leave nothing running.
///
/// # Errors
/// [`Configuration`](crate::ErrorKind::Configuration) for settings, [`Authentication`](crate::ErrorKind::Authentication),
/// [`NotFound`](crate::ErrorKind::NotFound) for a missing resource, [`RateLimited`](crate::ErrorKind::RateLimited) and
/// [`Unavailable`](crate::ErrorKind::Unavailable) after retries,
/// [`InvalidData`](crate::ErrorKind::InvalidData), [`Checkpoint`](crate::ErrorKind::Checkpoint).
#[async_trait]
pub trait Source: Debug + Send + Sync + 'static {
    /// Returns its name, version, settings and tables.
    fn spec(&self) -> SourceSpec;

    /// Checks these settings: validates them, then connects to the remote.
    async fn check(&self, settings: &Settings) -> Result<()>;

    /// Returns the resources that these settings can access.
    async fn discover(&self, settings: &Settings) -> Result<Vec<Resource>>;

    /// Like [`check`](Self::check), but reports waits, retries and quotas to a waiting person, and fails fast if the remote
    /// cannot be reached. The default reports nothing.
    async fn check_with(&self, settings: &Settings, monitor: &Monitor) -> Result<()> {
        let _ = monitor;
        self.check(settings).await
    }

    /// Like [`discover`](Self::discover), but reports waits, retries and quotas. The default reports nothing.
    async fn discover_with(&self, settings: &Settings, monitor: &Monitor) -> Result<Vec<Resource>> {
        let _ = monitor;
        self.discover(settings).await
    }

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

    /// Returns a stable id of the resource that a checkpoint belongs to: two checkpoints have the same id only if both were read
    /// from the same resource. The engine refuses to read one resource under two names. The default, `None`, means unknown.
    fn identity(&self, checkpoint: &Checkpoint) -> Option<String> {
        let _ = checkpoint;
        None
    }

    /// Returns the subject of a record's or a reject's text, such as the number of an issue: two texts of one table have the same
    /// subject only if both are about the same object. A record clears the outstanding rejects of its subject. The default, `None`,
    /// means unknown: then only a reconcile run clears the reject.
    fn subject(&self, table: &str, text: &str) -> Option<String> {
        let _ = (table, text);
        None
    }

    /// Reads a resource. The source starts when the stream is polled.
    fn read(&self, request: ReadRequest) -> BatchStream;

    /// Verifies records that a reconcile run has not seen, or has seen in a state older than the stored one. Returns a deletion for each
    /// one that is gone, and the current state of each one that still exists. Records that it does not return stay unchanged.
    ///
    /// The default deletes all of them if the source is [authoritative](SourceSpec::authoritative); otherwise it returns
    /// nothing, with a warning.
    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        let VerifyRequest { table, records, monitor, .. } = request;
        if !self.spec().is_authoritative {
            monitor.event(SourceEvent::Warning(format!(
                "the source cannot verify single records: {} of the table {table}, which the reconcile run did not list or listed in \
                 an older state, stay unchanged",
                records.len()
            )));
            return Ok(Vec::new());
        }
        Ok(records.into_iter().map(|record| Record::delete(record.key, record.version)).collect())
    }
}

/// A shared source is a source.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Source + ?Sized> Source for Arc<S> {
    fn spec(&self) -> SourceSpec {
        self.as_ref().spec()
    }

    async fn check(&self, settings: &Settings) -> Result<()> {
        self.as_ref().check(settings).await
    }

    async fn discover(&self, settings: &Settings) -> Result<Vec<Resource>> {
        self.as_ref().discover(settings).await
    }

    async fn check_with(&self, settings: &Settings, monitor: &Monitor) -> Result<()> {
        self.as_ref().check_with(settings, monitor).await
    }

    async fn discover_with(&self, settings: &Settings, monitor: &Monitor) -> Result<Vec<Resource>> {
        self.as_ref().discover_with(settings, monitor).await
    }

    fn resource(&self, settings: &Settings, name: &str) -> Result<Resource> {
        self.as_ref().resource(settings, name)
    }

    fn identity(&self, checkpoint: &Checkpoint) -> Option<String> {
        self.as_ref().identity(checkpoint)
    }

    fn subject(&self, table: &str, text: &str) -> Option<String> {
        self.as_ref().subject(table, text)
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        self.as_ref().read(request)
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        self.as_ref().verify(request).await
    }
}
