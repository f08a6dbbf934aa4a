//! The source that a description is.

use std::sync::Arc;

use async_trait::async_trait;

use super::api::Api;
use super::reader::plan::{ApiPlan, Kind, PagingPlan, StreamPlan};
use super::settings;
use super::template::Part;
use crate::http::Url;
use crate::{
    Checkpoint, ConnectContext, Error, Reader, Resource, Result, RetryConfig, Settings, Source, SourceSpec, StreamSpec,
};

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
}

impl RestSource {
    /// Checks a description.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), with the place, for a description that cannot be read.
    pub fn new(api: Api) -> Result<Self> {
        let plan = ApiPlan::parse(&api)?;
        let spec = spec(&api, &plan)?;
        spec.validate().map_err(|error| {
            let help = error.help().unwrap_or_default().to_owned();
            Error::configuration(error.message().to_owned()).with_help(help)
        })?;
        Ok(Self { plan: Arc::new(plan), spec, retry: RetryConfig::default() })
    }

    /// Sets how often, and for how long, a failed request is retried.
    #[must_use]
    pub fn retry(mut self, retry: RetryConfig) -> Self {
        self.retry = retry;
        self
    }
}

#[async_trait]
impl Source for RestSource {
    fn spec(&self) -> SourceSpec {
        self.spec.clone()
    }

    async fn connect(&self, settings: &Settings, context: ConnectContext) -> Result<Box<dyn Reader>> {
        let _ = (settings, context, &self.plan, self.retry);
        Err(Error::new(crate::ErrorKind::Unsupported, "described sources cannot be read yet"))
    }

    fn resource(&self, _: &Settings, name: &str) -> Result<Resource> {
        if self.plan.resource.is_none() && name != self.plan.name {
            return Err(Error::configuration(format!("the source has no resource {name:?}"))
                .with_help(format!("write `{}`, its only resource", self.plan.name)));
        }
        Resource::new(name)
    }

    fn identity(&self, _: &Checkpoint) -> Option<String> {
        None
    }
}

/// The specification that follows from a description.
fn spec(api: &Api, plan: &ApiPlan) -> Result<SourceSpec> {
    let mut spec = SourceSpec::new(plan.name.clone(), env!("CARGO_PKG_VERSION"))
        .resource_kind(plan.resource.as_ref().map_or("resource", |list| singular(&list.stream)))
        .settings(settings::schema(api, plan)?);
    for template in settings::url_templates(plan) {
        let [Part::Text(url)] = template.parts() else { continue };
        spec = spec.host(host(url)?);
    }
    Ok(plan.streams.iter().map(|stream| stream_spec(stream)).fold(spec, SourceSpec::stream))
}

/// The host of a URL, with its port unless that is 443.
fn host(url: &str) -> Result<String> {
    let parsed = Url::parse(url).ok().filter(|parsed| matches!(parsed.scheme(), "http" | "https"));
    let host = parsed.as_ref().and_then(|parsed| Some((parsed.host_str()?, parsed.port_or_known_default())));
    match host {
        Some((host, None | Some(443))) => Ok(host.to_owned()),
        Some((host, Some(port))) => Ok(format!("{host}:{port}")),
        None => Err(Error::configuration(format!("{url:?} is not the URL of an API"))
            .with_help("write `https://HOST/PATH`; a setting may stand in it: `https://{name}.example.com`")),
    }
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
