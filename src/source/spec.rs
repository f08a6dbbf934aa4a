//! The description of a source.

use crate::config::variable;
use crate::resource::ResourceNames;
use crate::stream::{PLAIN_NAME, is_plain};
use crate::{Error, Result, SettingsSchema, StreamSpec};

/// The description of a source: its name, settings and streams.
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
    /// Its streams, parents before their children: each resource has all of them, and users select those that are read.
    pub streams: Vec<StreamSpec>,
    /// The hosts that it connects to, `api.example.com` or `api.example.com:8443`, so that a closed network can allow exactly these. A
    /// setting may stand in a host, `{subdomain}.example.com`. The hosts in settings that are URLs (see [`SettingsSchema::is_url`]) are added to them.
    pub hosts: Vec<String>,
    /// Whether a reconcile run is authoritative; see [`authoritative`](Self::authoritative).
    pub is_authoritative: bool,
}

impl SourceSpec {
    /// A source without settings and streams, whose resources are of the kind `resource`.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            resource_kind: "resource".into(),
            resource_names: None,
            settings: SettingsSchema::default(),
            streams: Vec::new(),
            hosts: Vec::new(),
            is_authoritative: false,
        }
    }

    /// Declares that a reconcile run is authoritative, like a file or a table that is read as a whole: what it lists replaces what is
    /// stored, whatever the version, and records that it does not list are deleted, without a call of
    /// [`verify`](crate::Reader::verify).
    ///
    /// Declare it only if a reconcile run returns each record in its current state. Do not declare it for a log, which returns older
    /// states of a record first, nor for a listing that may lag behind, like that of a server with replicas, or that moves records from
    /// page to page while it is read. Without it, the engine calls [`verify`](crate::Reader::verify) for every listed state that is older than the
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

    /// Adds a host that it connects to: a name, with a port if that is not 443. A setting in braces stands for its value.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// The environment variable of a setting, whose name may be dotted: `GITHUB_API_URL`.
    pub(crate) fn variable(&self, setting: &str) -> String {
        variable(&self.name, setting)
    }

    /// Checks that every destination can store the declaration: the name, and the streams with their columns.
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
        if self.streams.is_empty() {
            return Err(Error::internal(format!("the source {:?} declares no stream", self.name))
                .with_help("in the source, declare one with `SourceSpec::stream`"));
        }
        if !self.streams.iter().any(|stream| stream.is_default) {
            return Err(Error::internal(format!("the source {:?} reads no stream by default", self.name))
                .with_help("in the source, leave at least one stream without `StreamSpec::optional`"));
        }
        for (index, stream) in self.streams.iter().enumerate() {
            if self.streams[..index].iter().any(|other| other.name == stream.name) {
                return Err(Error::internal(format!("the source declares the stream {:?} twice", stream.name))
                    .with_help("in the source, declare each stream once, with all its columns"));
            }
            stream.validate()?;
            let Some(required) = stream.requires() else { continue };
            let name = &stream.name;
            let found = self.streams[..index].iter().find(|other| other.name == required && other.has_table());
            let Some(found) = found else {
                return Err(Error::internal(format!(
                    "the stream {name:?} depends on the table {required:?}, which no stream before it declares"
                ))
                .with_help("in the source, declare the parent, or the target of deletions, before the stream that depends on it"));
            };
            if found.is_source_wide != stream.is_source_wide {
                return Err(Error::internal(format!(
                    "one of the streams {required:?} and {name:?}, which depends on it, is source-wide, and the other is not"
                ))
                .with_help("in the source, declare both with `StreamSpec::source_wide`, or neither"));
            }
        }
        Ok(())
    }

    /// The stream that a resource's name alone stands for: the only one of its own with a table, or the only default one of these.
    pub(crate) fn sole_stream(&self) -> Option<&str> {
        let with_table = || self.streams.iter().filter(|stream| stream.has_table() && !stream.is_source_wide);
        let all: Vec<&StreamSpec> = with_table().collect();
        let defaults: Vec<&StreamSpec> = with_table().filter(|stream| stream.is_default).collect();
        match (all.as_slice(), defaults.as_slice()) {
            ([sole], _) | (_, [sole]) => Some(&sole.name),
            _ => None,
        }
    }

    /// Decides which stream's view takes the name of its resource. It depends on the whole declaration, not on what a user selects, so
    /// that a selection renames no view.
    pub(crate) fn assign_resource_names(&mut self) {
        let sole = self.sole_stream().map(str::to_owned);
        for stream in &mut self.streams {
            stream.takes_resource_name = Some(sole.as_ref() == Some(&stream.name));
        }
    }

    /// Adds a stream. A child comes after its parent, and is [source-wide](StreamSpec::source_wide) if that is.
    #[must_use]
    pub fn stream(mut self, mut stream: StreamSpec) -> Self {
        let required = self.streams.iter().find(|other| stream.requires() == Some(&other.name));
        stream.is_source_wide |= required.is_some_and(|required| required.is_source_wide);
        self.streams.push(stream);
        self
    }
}
