//! The source that a description is.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::address;
use super::api::Api;
use super::auth::{Authorization, Secrets};
use super::pace::Pace;
use super::paginator::Paginator;
use super::reader::RestReader;
use super::reader::plan::{ApiPlan, Kind, PagingPlan, StreamPlan};
use super::reader::request::Values;
use super::settings;
use crate::http::{Authorize, Client};
use crate::{ConnectContext, Error, Reader, Resource, Result, RetryConfig, Settings, Source, SourceSpec, StreamSpec};

/// A source that reads what an [`Api`] describes.
///
/// ```
/// use snowfeed::Source;
/// use snowfeed::rest::{Api, Auth, Order, Paginate, RestSource, Stream};
///
/// let api = Api::new("helpdesk", "{url}").auth(Auth::bearer("{token}")).stream(
///     Stream::new("tickets", "/tickets?limit=100")
///         .records("/data")
///         .version("/updated_at")
///         .cursor("updated_since")
///         .order(Order::Version)
///         .paginate(Paginate::token("/next_cursor", "cursor")),
/// );
/// let source = RestSource::new(api)?;
/// assert!(source.spec().settings.is_secret("token"));
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RestSource {
    plan: Arc<ApiPlan>,
    spec: SourceSpec,
    retry: RetryConfig,
    authorize: Option<Arc<dyn Authorize>>,
    by_hand: BTreeMap<String, Arc<dyn Reader>>,
}

impl RestSource {
    /// Checks a description.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), with the place, for a description that cannot be read.
    pub fn new(api: Api) -> Result<Self> {
        let api = api.validated()?;
        let plan = ApiPlan::parse(&api)?;
        let spec = spec(&api, &plan)?;
        validate(&spec)?;
        let (retry, by_hand) = (RetryConfig::default(), BTreeMap::new());
        Ok(Self { plan: Arc::new(plan), spec, retry, authorize: None, by_hand })
    }

    /// Signs in with credentials of the program's own, in place of what the description says.
    #[must_use]
    pub fn with_authorization(mut self, authorize: Arc<dyn Authorize>) -> Self {
        self.authorize = Some(authorize);
        self
    }

    /// Lets a stream continue as the program says, in place of what the description says.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if no stream of the description has this name.
    pub fn with_paginator(mut self, stream: &str, paginator: Arc<dyn Paginator>) -> Result<Self> {
        if !Arc::make_mut(&mut self.plan).set_paginator(stream, paginator) {
            return Err(Error::configuration(format!("there is no stream {stream:?} to paginate"))
                .with_help("name a stream of the description"));
        }
        Ok(self)
    }

    /// Adds a stream that is not described, which `reader` reads and verifies. It comes after the described ones, and may depend on them.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if the source cannot have this stream, such as two of one name.
    pub fn with_stream(mut self, stream: StreamSpec, reader: Arc<dyn Reader>) -> Result<Self> {
        self.by_hand.insert(stream.name.clone(), reader);
        self.spec = self.spec.stream(stream);
        validate(&self.spec)?;
        Ok(self)
    }

    /// Sets how often, and for how long, a failed request is retried.
    #[must_use]
    pub fn retry(mut self, retry: RetryConfig) -> Self {
        self.retry = retry;
        self
    }
}

/// # Errors
/// `Configuration` for what no destination can store.
fn validate(spec: &SourceSpec) -> Result<()> {
    spec.validate().map_err(|error| {
        let help = error.help().unwrap_or_default().to_owned();
        Error::configuration(error.message().to_owned()).with_help(help)
    })
}

impl RestSource {
    /// The values of the settings that are not secret, as texts, and the references of the secret ones. Defaults hold where nothing is set.
    fn values(&self, settings: &Settings) -> (BTreeMap<String, String>, BTreeMap<String, Value>) {
        let schema = &self.spec.settings;
        let (mut plain, mut references) = (BTreeMap::new(), BTreeMap::new());
        for name in schema.names() {
            let default = || schema.property(name).ok()?.get("default");
            let Some(value) = settings.get(name).or_else(default) else { continue };
            if schema.is_secret(name) {
                references.insert(name.to_owned(), value.clone());
            } else {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                plain.insert(name.to_owned(), text);
            }
        }
        (plain, references)
    }
}

#[async_trait]
impl Source for RestSource {
    fn spec(&self) -> SourceSpec {
        self.spec.clone()
    }

    async fn connect(&self, settings: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>> {
        let (plain, references) = self.values(settings);
        let secrets = Secrets::resolve(&references, &plain)?;
        let base_url = address::fill(&self.plan.base_url, &plain)?;
        let retry = if context.fail_fast { RetryConfig { max_attempts: 2, ..self.retry } } else { self.retry };
        let authorization = match (&self.authorize, &self.plan.auth) {
            (Some(authorize), _) => Some(Authorization::Shared(authorize.clone())),
            (None, Some(auth)) => Some(secrets.authorization(auth, retry, &context.monitor)?),
            (None, None) => None,
        };
        let headers = Values { settings: Arc::new(plain.clone()), ..Values::default() };
        let client = |pace: Option<Pace>| {
            let mut builder = Client::builder(&base_url).retry(retry);
            for (name, value) in &self.plan.headers {
                builder = builder.header(name, &headers.fill(value)?.unwrap_or_default());
            }
            if let Some(pace) = pace {
                builder = builder.pace(pace.requests, pace.per.duration());
            }
            if let Some(authorization) = &authorization {
                builder = secrets.sign_in(builder, authorization)?;
            }
            builder.build()
        };
        let shared = client(self.plan.pace)?;
        let of_stream = |stream: &StreamPlan| match stream.pace {
            // A limit of its own, so a client of its own.
            Some(pace) => client(Some(pace)),
            None => Ok(shared.clone()),
        };
        Ok(Box::new(RestReader::new(
            self.plan.clone(),
            self.by_hand.clone(),
            plain.clone(),
            context.monitor,
            of_stream,
        )?))
    }

    fn resource(&self, _: &Settings, name: &str) -> Result<Resource> {
        if self.plan.resource.is_none() && name != self.plan.name {
            return Err(Error::configuration(format!("the source has no resource {name:?}"))
                .with_help(format!("write `{}`, its only resource", self.plan.name)));
        }
        Resource::new(name)
    }
}

/// The specification that follows from a description.
fn spec(api: &Api, plan: &ApiPlan) -> Result<SourceSpec> {
    let mut spec = SourceSpec::new(plan.name.clone(), env!("CARGO_PKG_VERSION"))
        .resource_kind(plan.resource.as_ref().map_or("resource", |list| singular(&list.stream)))
        .settings(settings::schema(api, plan)?);
    for template in address::templates(plan) {
        if let Some(host) = address::host(template)? {
            spec = spec.host(host);
        }
    }
    Ok(plan.streams.iter().map(|stream| stream_spec(stream)).fold(spec, SourceSpec::stream))
}

fn stream_spec(stream: &StreamPlan) -> StreamSpec {
    let name = stream.name.as_str();
    let mut spec = match &stream.kind {
        Kind::Snapshot => StreamSpec::snapshot(name),
        Kind::Incremental => StreamSpec::new(name),
        Kind::Append => StreamSpec::append(name, i64::try_from(stream.since.overlap.as_micros()).unwrap_or(i64::MAX)),
        Kind::DeletionsOf(target) => StreamSpec::deletions_of(name, target),
        Kind::Child => {
            let parent = stream.parent.as_ref();
            let mut spec = StreamSpec::child(name, parent.map_or("", |parent| &parent.stream));
            for field in parent.iter().flat_map(|parent| &parent.fields) {
                spec = spec.parent_field(field);
            }
            if parent.is_some_and(|parent| parent.every_run) { spec.every_run() } else { spec }
        }
    };
    // Of the others, the checkpoints tell.
    if matches!(stream.kind, Kind::Append | Kind::Child) {
        spec = spec.definition(&stream.definition);
    }
    // A list of deletions has no table.
    if !matches!(stream.kind, Kind::DeletionsOf(_)) {
        for (name, path) in &stream.columns {
            spec = spec.infer_column(name, path);
        }
        if let Some(path) = &stream.spread {
            spec = spec.infer_columns_below(path);
        }
        spec = spec.infer_columns();
    }
    // A page that begins at the last key of the one before it lacks nothing, whatever changes meanwhile.
    if matches!(stream.paginate.by, PagingPlan::Last { .. }) {
        spec = spec.exact();
    }
    if stream.is_verifiable() {
        spec = spec.verifiable();
    }
    if stream.is_source_wide {
        spec = spec.source_wide();
    }
    if stream.is_default { spec } else { spec.optional() }
}

/// The singular of a plural English noun, for messages.
fn singular(plural: &str) -> &str {
    let ends = |ending: &str| plural.strip_suffix(ending).filter(|stem| stem.len() > 1);
    match () {
        () if plural.ends_with("ss") || plural.ends_with("us") => plural,
        () => ends("s").unwrap_or(plural),
    }
}
