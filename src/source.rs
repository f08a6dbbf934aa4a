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

/// The batches of one read, in the order in which they are to be committed.
pub type BatchStream = BoxStream<'static, Result<Batch>>;

/// What a source says about itself.
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// Its name, `github`: lower-case letters, digits and `_`. It prefixes environment variables (`GITHUB_TOKEN`).
    pub name: String,
    /// Its version; by convention `env!("CARGO_PKG_VERSION")`.
    pub version: String,
    /// What one resource is, in the singular: `repository`.
    pub resource_kind: String,
    /// How its resources are named; none where any text is a name.
    pub resource_names: Option<ResourceNames>,
    /// The settings it takes.
    pub settings: SettingsSchema,
    /// The tables that every resource fills.
    pub tables: Vec<TableSpec>,
    /// The hosts that it talks to, `api.example.com` or `api.example.com:8443`, so that a network that is closed can be opened
    /// for them and nothing else. The hosts of settings that are URLs (see [`SettingsSchema::is_url`]) come on top.
    pub hosts: Vec<String>,
    /// Whether a full pass is the truth; see [`authoritative`](Self::authoritative).
    pub is_authoritative: bool,
}

impl SourceSpec {
    /// A source without settings and tables whose resources are called "resource".
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

    /// Declares that a full pass lists the truth, as a file or a table that is read whole: what it lists replaces what is stored,
    /// whatever the version, and what it leaves out is gone unless [`verify`](Source::verify) says otherwise.
    ///
    /// Declare it only where a full pass brings each record in its present state. Do not declare it of a log, in which older states
    /// of a record come first, nor of a listing that may lag behind, as that of a server with replicas does, or that moves records from page to page while it is read. Without it, a listed state that is older than the stored one is a reason to ask
    /// [`verify`](Source::verify).
    #[must_use]
    pub fn authoritative(mut self) -> Self {
        self.is_authoritative = true;
        self
    }

    /// Says what one resource is, in the singular.
    #[must_use]
    pub fn resource_kind(mut self, kind: impl Into<String>) -> Self {
        self.resource_kind = kind.into();
        self
    }

    /// Declares how resources are named, so that a name is refused, or brought into its canonical form, where it is given.
    #[must_use]
    pub fn resource_names(mut self, names: ResourceNames) -> Self {
        self.resource_names = Some(names);
        self
    }

    /// Declares the settings: [`SettingsSchema::of`] a struct.
    #[must_use]
    pub fn settings(mut self, settings: SettingsSchema) -> Self {
        self.settings = settings;
        self
    }

    /// Declares a host that it talks to: a name, with a port where that is not 443.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// The environment variable of a setting, whose name may be dotted: `GITHUB_API_URL`.
    pub(crate) fn variable(&self, setting: &str) -> String {
        format!("{}_{}", self.name, setting.replace('.', "_")).to_uppercase()
    }

    /// Checks that every destination can hold what is declared: the name, and the tables with their columns.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal), with advice for the source's author.
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

    /// Declares a table.
    #[must_use]
    pub fn table(mut self, table: TableSpec) -> Self {
        self.tables.push(table);
        self
    }
}

/// What to read.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// The resource.
    pub resource: Resource,
    /// The settings, checked against what the source declared.
    pub settings: Settings,
    /// Where to resume; `None`: at the start.
    pub checkpoint: Option<Checkpoint>,
    /// In [`Mode::Reconcile`], how far incremental reads have come. It is no place to resume, but may tell what the resource is where
    /// its name does not: an id that outlives renames.
    pub incremental: Option<Checkpoint>,
    /// In [`Mode::Reconcile`], every record that exists must be in the stream (or have been in the one that the
    /// checkpoint stems from); in [`Mode::Incremental`], those that changed.
    pub mode: Mode,
    /// Where to report traffic, waits and quotas.
    pub monitor: Monitor,
}

/// Records that a full pass did not come across, or came across in an older state, for the source to look at once more.
#[derive(Debug, Clone)]
pub struct VerifyRequest {
    /// The resource.
    pub resource: Resource,
    /// The settings.
    pub settings: Settings,
    /// The checkpoint with which the pass ended; where it brought none, that of incremental reads.
    pub checkpoint: Option<Checkpoint>,
    /// The table that the records belong to.
    pub table: String,
    /// The records, as the destination has them.
    pub records: Vec<StoredRecord>,
    /// Whether a person has confirmed that any number of records may be gone. An answer that is about the resource as a whole is
    /// no evidence even so.
    pub allow_deletions: bool,
    /// Where to report traffic, waits and quotas.
    pub monitor: Monitor,
}

/// Where data comes from: the one trait that a connector's author implements.
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
///     async fn check(&self, _: &Config) -> Result<()> {
///         Ok(())
///     }
///
///     async fn discover(&self, _: &Config) -> Result<Vec<Resource>> {
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
/// 1. `spec` is constant and pure: no I/O, the same answer every time, at least one table, each once. Names of the source, its
///    tables and their columns are of lower-case letters, digits and `_`.
/// 2. `check` looks at the settings' shape first and then reaches the remote; it changes nothing.
/// 3. Every batch names a table of the spec. Its records carry a key of 1 to 255 bytes that identifies a thing permanently, a
///    version that never falls when the thing changes, and a document that is JSON, in which every declared column
///    finds a value of its type in some records.
/// 4. A checkpoint covers its own batch and all batches before it in the stream: read again from it, and every record that
///    the earlier batches did not bring comes (again). It is a lower bound: repeats are legal, gaps are not.
/// 5. A stream that ends without an error has delivered everything that existed when the read began. What a source cannot
///    read is an error or a [`Reject`](crate::Reject), never silence. After an error the stream ends.
/// 6. Reading is pull: a source does nothing that is not polled, holds a bounded number of records, and keeps nothing
///    between two reads that a checkpoint would have to hold.
/// 7. A source keeps no configuration: one value serves any number of configurations at the same time.
/// 8. Retrying is the source's own business (see `snowfeed::http`): an error that comes out of the stream ends the run.
/// 9. `verify` gives at most one record for each one asked about, with the same key. It gives a deletion only on evidence about
///    that very record: an answer about the resource, the credentials or the server is an error. What it gives replaces what is
///    stored, whatever the version.
///
/// The suite is `source_conformance!` of the test kit.
///
/// # Cancellation
/// The engine drops the stream or the future at any await point. Nothing may be left running.
///
/// # Errors
/// [`Configuration`](crate::ErrorKind::Configuration) for settings, [`Authentication`](crate::ErrorKind::Authentication),
/// [`NotFound`](crate::ErrorKind::NotFound) for a resource that is missing, [`RateLimited`](crate::ErrorKind::RateLimited) and
/// [`Unavailable`](crate::ErrorKind::Unavailable) once retrying did not help,
/// [`InvalidData`](crate::ErrorKind::InvalidData), [`Checkpoint`](crate::ErrorKind::Checkpoint).
#[async_trait]
pub trait Source: Debug + Send + Sync + 'static {
    /// Its name, version, settings and tables.
    fn spec(&self) -> SourceSpec;

    /// Whether these settings work: their shape first, then the remote.
    async fn check(&self, config: &Settings) -> Result<()>;

    /// The resources that these settings give access to.
    async fn discover(&self, config: &Settings) -> Result<Vec<Resource>>;

    /// As [`check`](Self::check), and reports waits, retries and quotas meanwhile, for a person who waits. It gives up soon on a remote
    /// that cannot be reached. By default it reports nothing.
    async fn check_with(&self, config: &Settings, monitor: &Monitor) -> Result<()> {
        let _ = monitor;
        self.check(config).await
    }

    /// As [`discover`](Self::discover), and reports waits, retries and quotas meanwhile. By default it reports nothing.
    async fn discover_with(&self, config: &Settings, monitor: &Monitor) -> Result<Vec<Resource>> {
        let _ = monitor;
        self.discover(config).await
    }

    /// The resource that a user means by `name`, in its canonical form: all names that can be told to be of one thing without asking
    /// the remote give one resource, and a canonical name gives itself. `settings` is not checked: it may be incomplete or invalid.
    ///
    /// By default the [declared rule](SourceSpec::resource_names) decides; without one, any name is one.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when no resource can have that name.
    fn resource(&self, config: &Settings, name: &str) -> Result<Resource> {
        let spec = self.spec();
        let Some(names) = &spec.resource_names else { return Resource::new(name) };
        let url = names.url_setting().and_then(|setting| {
            let default = || spec.settings.property(setting).ok()?.get("default");
            config.get(setting).or_else(default)?.as_str()
        });
        names.resolve(&spec.resource_kind, url, name)
    }

    /// What the resource behind a checkpoint is, whatever its name: equal for two checkpoints only if both were read from the same
    /// thing. The engine refuses to read one thing under two names. `None`, the default: it cannot be told.
    fn identity(&self, checkpoint: &Checkpoint) -> Option<String> {
        let _ = checkpoint;
        None
    }

    /// What the text of a record or of a reject is about, such as the number of an issue: equal for two texts of one table only if
    /// both are about the same thing. A record clears the outstanding rejects about it. `None`, the default: it cannot be told, and
    /// only a reconcile run clears the reject.
    fn subject(&self, table: &str, text: &str) -> Option<String> {
        let _ = (table, text);
        None
    }

    /// Reads a resource. Nothing happens before the stream is polled.
    fn read(&self, request: ReadRequest) -> BatchStream;

    /// Looks once more at records that a full pass did not come across, or came across in a state that is older than the stored
    /// one: gives for each one that is gone a deletion, and for each one that is still there its present state. A record that it
    /// gives nothing for stays as it is.
    ///
    /// By default all of them are gone where the full pass is [authoritative](SourceSpec::authoritative); elsewhere it gives
    /// nothing, and reports so.
    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        let VerifyRequest { table, records, monitor, .. } = request;
        if !self.spec().is_authoritative {
            monitor.event(SourceEvent::Warning(format!(
                "the source cannot look at single records: {} of the table {table}, which a full pass did not list or listed in an \
                 older state, stay as they are",
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

    async fn check(&self, config: &Settings) -> Result<()> {
        self.as_ref().check(config).await
    }

    async fn discover(&self, config: &Settings) -> Result<Vec<Resource>> {
        self.as_ref().discover(config).await
    }

    async fn check_with(&self, config: &Settings, monitor: &Monitor) -> Result<()> {
        self.as_ref().check_with(config, monitor).await
    }

    async fn discover_with(&self, config: &Settings, monitor: &Monitor) -> Result<Vec<Resource>> {
        self.as_ref().discover_with(config, monitor).await
    }

    fn resource(&self, config: &Settings, name: &str) -> Result<Resource> {
        self.as_ref().resource(config, name)
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
