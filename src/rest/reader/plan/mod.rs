//! A description whose templates and pointers are parsed.

mod auth;
mod definition;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub(in crate::rest) use self::auth::{AuthPlan, OAuth2Plan};
pub(in crate::rest) use self::pages::{NextPlace, PaginatePlan, PagingPlan, Place, UnseenPages};
use crate::rest::api::{Api, ResourceList};
use crate::rest::errors::{Action, Errors};
use crate::rest::fields::Pointer;
use crate::rest::pace::Pace;
use crate::rest::paginator::Paginator;
use crate::rest::pointers::Pointers;
use crate::rest::related::ParentOf;
use crate::rest::stream::{Stream, StreamType};
use crate::rest::template::{JsonTemplate, Placeholder, Template, decode, named};
use crate::rest::time::TimeFormat;
use crate::rest::version::Order;
use crate::stream::{PLAIN_NAME, is_plain};
use crate::{Error, JsonPath, Result};

/// An API whose templates and pointers are parsed.
#[derive(Debug, Clone)]
pub(in crate::rest) struct ApiPlan {
    pub(in crate::rest) name: String,
    pub(in crate::rest) base_url: Template,
    pub(in crate::rest) headers: Vec<(String, Template)>,
    pub(in crate::rest) auth: Option<AuthPlan>,
    pub(in crate::rest) pace: Option<Pace>,
    pub(in crate::rest) resource: Option<ResourcePlan>,
    /// In the order of the description.
    pub(in crate::rest) streams: Vec<Arc<StreamPlan>>,
}

/// The list of the resources.
#[derive(Debug, Clone)]
pub(in crate::rest) struct ResourcePlan {
    pub(in crate::rest) stream: String,
    pub(in crate::rest) id: Pointer,
    /// The title.
    pub(in crate::rest) name: Option<Pointer>,
}

impl ResourcePlan {
    fn parse(list: &ResourceList) -> Result<Self> {
        let name = list.name.as_deref().map(str::parse).transpose()?;
        Ok(Self { stream: list.stream.clone(), id: list.id.parse()?, name })
    }
}

/// A request, with templates.
#[derive(Debug, Clone)]
pub(in crate::rest) struct RequestPlan {
    pub(in crate::rest) path: Template,
    /// The parameters in the path, then the others.
    pub(in crate::rest) query: Vec<(String, Template)>,
    pub(in crate::rest) headers: Vec<(String, Template)>,
    pub(in crate::rest) body: Option<JsonTemplate>,
}

impl RequestPlan {
    fn parse(
        path: &str,
        query: &BTreeMap<String, String>,
        headers: &BTreeMap<String, String>,
        body: Option<&serde_json::Map<String, Value>>,
    ) -> Result<Self> {
        let (path, written) = path.split_once('?').unwrap_or((path, ""));
        let mut parameters = Vec::new();
        for pair in written.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // As in the URL of an example; the values of placeholders are not.
            parameters.push((decode(name), Template::parse(value)?.decoded()));
        }
        parameters.extend(named(query)?);
        Ok(Self {
            path: Template::parse(path)?,
            query: parameters,
            headers: named(headers)?,
            body: body.map(JsonTemplate::object).transpose()?,
        })
    }

    /// All templates.
    pub(in crate::rest) fn templates(&self) -> impl Iterator<Item = &Template> {
        let pairs = self.query.iter().chain(&self.headers).map(|(_, value)| value);
        let body = self.body.iter().flat_map(JsonTemplate::templates);
        std::iter::once(&self.path).chain(pairs).chain(body)
    }

    /// Whether it has this placeholder.
    pub(in crate::rest) fn has(&self, placeholder: &Placeholder) -> bool {
        self.templates().any(|template| template.placeholders().any(|found| found == placeholder))
    }
}

/// What a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rest) enum Kind {
    Snapshot,
    Incremental,
    /// Records never change, and the newest are listed first.
    Append,
    Child,
    /// The name of the stream whose records the list deletes.
    DeletionsOf(String),
}

/// From where on a list is asked for.
#[derive(Debug, Clone)]
pub(in crate::rest) struct SincePlan {
    /// How the API takes the value.
    pub(in crate::rest) format: TimeFormat,
    /// The value of a first read, as the description says.
    pub(in crate::rest) start: Option<String>,
    pub(in crate::rest) overlap: Duration,
    pub(in crate::rest) window: Option<Duration>,
}

/// One record, or some, by key.
#[derive(Debug, Clone)]
pub(in crate::rest) struct GetPlan {
    /// The path, as the description has it.
    pub(in crate::rest) path: String,
    pub(in crate::rest) request: RequestPlan,
    pub(in crate::rest) records: Pointer,
    /// The keys in the stubs of the list.
    pub(in crate::rest) keys: Option<Pointer>,
    pub(in crate::rest) batch: usize,
}

/// A stream whose templates and pointers are parsed.
#[derive(Debug, Clone)]
pub(in crate::rest) struct StreamPlan {
    pub(in crate::rest) name: String,
    /// What decides which records a read returns, as a digest.
    pub(in crate::rest) definition: String,
    pub(in crate::rest) kind: Kind,
    pub(in crate::rest) is_default: bool,
    pub(in crate::rest) is_source_wide: bool,
    pub(in crate::rest) request: RequestPlan,
    pub(in crate::rest) records: Pointer,
    pub(in crate::rest) key: Vec<Pointer>,
    /// What orders the states of a record, and how it is written.
    pub(in crate::rest) version: Option<(Vec<Pointer>, TimeFormat)>,
    /// What the API filters by, and how it is written.
    pub(in crate::rest) since_at: Option<(Vec<Pointer>, TimeFormat)>,
    pub(in crate::rest) since: SincePlan,
    pub(in crate::rest) order: Option<Order>,
    pub(in crate::rest) cap: Option<u64>,
    pub(in crate::rest) parent: Option<ParentPlan>,
    pub(in crate::rest) deleted: Option<(Pointer, Option<Value>)>,
    pub(in crate::rest) get: Option<GetPlan>,
    pub(in crate::rest) errors: ErrorPlan,
    pub(in crate::rest) pace: Option<Pace>,
    pub(in crate::rest) paginate: PaginatePlan,
    pub(in crate::rest) unseen: UnseenPages,
    /// The path of the object whose members are columns, too.
    pub(in crate::rest) spread: Option<String>,
    /// The declared columns: names and paths.
    pub(in crate::rest) columns: Vec<(String, String)>,
}

/// The parent of a child stream.
#[derive(Debug, Clone)]
pub(in crate::rest) struct ParentPlan {
    pub(in crate::rest) stream: String,
    /// The paths in the parent's document that the reader needs, for `{parent.x}` and `when`.
    pub(in crate::rest) fields: Vec<String>,
    /// The index of the field that tells whether the parent has a list.
    pub(in crate::rest) when: Option<usize>,
    /// Whether the parent has no version that moves.
    pub(in crate::rest) every_run: bool,
}

/// What to do about errors: what the stream says comes before what the API says.
#[derive(Debug, Clone, Default)]
pub(in crate::rest) struct ErrorPlan {
    pub(in crate::rest) code: Vec<Pointer>,
    pub(in crate::rest) actions: BTreeMap<String, Action>,
}

impl ErrorPlan {
    fn parse(api: &Errors, stream: &Errors) -> Result<Self> {
        let mut actions = api.actions.clone();
        actions.extend(stream.actions.clone());
        let code = pointers(&stream.code)?.into_iter().chain(pointers(&api.code)?).collect();
        Ok(Self { code, actions })
    }

    /// The action for an answer, and the code or the status that names it. A code says more than a status.
    pub(in crate::rest) fn action(&self, status: u16, code: Option<&str>) -> Option<(Action, String)> {
        let named = |name: &str| Some((*self.actions.get(name)?, name.to_owned()));
        // That of a success is about its list.
        code.and_then(named).or_else(|| named(&status.to_string()).filter(|_| !(200..300).contains(&status)))
    }

    /// Whether a successful answer may leave out its list: it is empty then.
    pub(in crate::rest) fn may_leave_out_list(&self, status: u16) -> bool {
        (200..300).contains(&status) && self.actions.get(&status.to_string()) == Some(&Action::Empty)
    }

    /// Whether an answer of a rate limit may mean something else than to wait.
    pub(in crate::rest) fn may_read_limits(&self) -> bool {
        !self.code.is_empty() || self.actions.contains_key("429")
    }

    /// Whether an answer of a rate limit means something else than to wait. The status 403 says nothing about limits, so that only a code
    /// changes what such an answer means.
    pub(in crate::rest) fn reads_limit(&self, status: u16, code: Option<&str>) -> bool {
        let by_code = code.and_then(|code| self.actions.get(code));
        let action = by_code.or_else(|| self.actions.get("429").filter(|_| status == 429));
        action.is_some_and(|action| *action != Action::Wait)
    }
}

impl ApiPlan {
    /// Parses a description.
    ///
    /// # Errors
    /// `Configuration` for a malformed template or pointer, and for a stream that depends on another one that is not described before it.
    pub(in crate::rest) fn parse(api: &Api) -> Result<Self> {
        let mut plan = Self {
            name: api.name.clone(),
            base_url: Template::parse(&api.base_url)?,
            headers: named(&api.headers)?,
            auth: api.auth.as_ref().map(AuthPlan::parse).transpose()?,
            pace: api.pace,
            resource: api.resource.as_ref().map(ResourcePlan::parse).transpose()?,
            streams: Vec::new(),
        };
        for stream in &api.streams {
            let parsed =
                StreamPlan::parse(api, stream, &plan.streams).map_err(|error| in_stream(error, &stream.name))?;
            plan.streams.push(Arc::new(parsed));
        }
        Ok(plan)
    }

    /// Sets how a stream continues. Returns whether there is such a stream.
    pub(in crate::rest) fn set_paginator(&mut self, name: &str, paginator: Arc<dyn Paginator>) -> bool {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.name == name) else { return false };
        let by = PagingPlan::Custom(paginator);
        let stream = Arc::make_mut(stream);
        stream.paginate = PaginatePlan { by, more: None, done: None, pages: None };
        stream.unseen = UnseenPages::default();
        true
    }

    /// The stream of this name.
    pub(in crate::rest) fn stream(&self, name: &str) -> Option<&Arc<StreamPlan>> {
        self.streams.iter().find(|stream| stream.name == name)
    }
}

/// Adds the name of the stream.
fn in_stream(error: Error, name: &str) -> Error {
    let help = error.help().unwrap_or_default().to_owned();
    Error::configuration(format!("the stream {name:?}: {}", error.message())).with_help(help)
}

impl StreamPlan {
    fn parse(api: &Api, stream: &Stream, before: &[Arc<Self>]) -> Result<Self> {
        if !is_plain(&stream.name) {
            return Err(Error::configuration("its name is not allowed").with_help(format!("name it with {PLAIN_NAME}")));
        }
        let mut query = stream.query.clone();
        if let Some(cursor) = &stream.cursor {
            query.insert(cursor.clone(), "{since}".to_owned());
        }
        let request = RequestPlan::parse(&stream.path, &query, &stream.headers, stream.body.as_ref())?;
        let find = |name: &str| {
            before.iter().find(|other| other.name == name).ok_or_else(|| {
                Error::configuration(format!("it depends on the stream {name:?}, which is not described before it"))
                    .with_help(format!("describe the stream {name:?} first"))
            })
        };
        let parent =
            stream.parent.as_ref().map(|parent| ParentPlan::parse(parent, find(&parent.stream)?, &request, stream));
        let parent = parent.transpose()?;
        let version = stream.version.as_ref().map(|version| Ok::<_, Error>((pointers(&version.at)?, version.format)));
        let version = version.transpose()?;
        let since = stream.since.clone().unwrap_or_default();
        let since_at = match pointers(&since.at)? {
            at if at.is_empty() => version.clone(),
            at => Some((at, since.format.or(version.as_ref().map(|(_, format)| *format)).unwrap_or_default())),
        };
        let format = since.format.or(since_at.as_ref().map(|(_, format)| *format)).unwrap_or_default();
        let kind = match (&stream.deletes, &parent, stream.kind, stream.order) {
            (Some(target), ..) => {
                find(target)?;
                Kind::DeletionsOf(target.clone())
            }
            (None, Some(_), ..) => Kind::Child,
            (None, None, Some(StreamType::Append), Some(Order::VersionDescending | Order::KeyDescending)) => {
                Kind::Append
            }
            (None, None, Some(StreamType::Append), _) | (None, None, None, Some(Order::VersionDescending)) => {
                Kind::Incremental
            }
            (None, None, None, _) if request.has(&Placeholder::Since) => Kind::Incremental,
            (None, None, None, _) => Kind::Snapshot,
        };
        let required = stream.deletes.as_deref().or(parent.as_ref().map(|parent| parent.stream.as_str()));
        let is_source_wide = match required {
            Some(required) => find(required)?.is_source_wide,
            None => api.resource.is_some() && !request.has(&Placeholder::Resource),
        };
        let get = stream.get.as_ref().map(|get| {
            let none = BTreeMap::new();
            Ok::<_, Error>(GetPlan {
                path: get.path.clone(),
                request: RequestPlan::parse(&get.path, &none, &stream.headers, get.body.as_ref())?,
                records: get.records.parse()?,
                keys: get.keys.as_deref().map(str::parse).transpose()?,
                batch: usize::try_from(get.batch.max(1)).unwrap_or(usize::MAX),
            })
        });
        let deleted = stream.deleted.as_ref().map(|deleted| Ok::<_, Error>((deleted.at.parse()?, deleted.is.clone())));
        let paginate = stream.paginate.as_ref().or(api.paginate.as_ref()).map(PaginatePlan::parse).transpose()?;
        Ok(Self {
            name: stream.name.clone(),
            definition: definition::definition(api, stream),
            kind,
            is_default: stream.default,
            is_source_wide,
            request,
            records: stream.records.parse()?,
            key: pointers(&stream.key)?,
            version,
            since_at,
            since: SincePlan {
                format,
                start: since.start,
                overlap: match since.overlap {
                    // A number that is not an instant has no length of time.
                    _ if format == TimeFormat::Number => Duration::ZERO,
                    Some(overlap) => overlap.duration(),
                    None => Duration::from_secs(1),
                },
                window: since.window.map(|window| window.duration()),
            },
            order: stream.order,
            cap: stream.cap,
            parent,
            deleted: deleted.transpose()?,
            get: get.transpose()?,
            errors: ErrorPlan::parse(&api.errors, &stream.errors)?,
            pace: stream.pace,
            spread: stream.spread.as_deref().map(json_path).transpose()?,
            columns: stream
                .columns
                .iter()
                .map(|(name, pointer)| Ok((name.clone(), json_path(pointer)?)))
                .collect::<Result<_>>()?,
            unseen: UnseenPages::new(api, stream),
            paginate: paginate.unwrap_or(PaginatePlan { by: PagingPlan::None, more: None, done: None, pages: None }),
        })
    }

    /// Whether single records can be asked for by their key.
    pub(in crate::rest) fn is_verifiable(&self) -> bool {
        let Some(get) = &self.get else { return false };
        let is_known = |placeholder: &Placeholder| {
            !matches!(placeholder, Placeholder::Parent(_) | Placeholder::Since | Placeholder::Until)
        };
        get.request.has(if get.keys.is_some() { &Placeholder::Keys } else { &Placeholder::Key })
            && get.request.templates().flat_map(Template::placeholders).all(is_known)
            && self.key.len() == 1
    }
}

impl ParentPlan {
    fn parse(parent: &ParentOf, plan: &StreamPlan, request: &RequestPlan, stream: &Stream) -> Result<Self> {
        if let Kind::DeletionsOf(_) = plan.kind {
            return Err(Error::configuration(format!("its parent {:?} is a list of deletions", parent.stream))
                .with_help("name a stream with records as the parent"));
        }
        let mut templates: Vec<&Template> = request.templates().collect();
        let get = stream
            .get
            .as_ref()
            .map(|get| RequestPlan::parse(&get.path, &BTreeMap::new(), &BTreeMap::new(), get.body.as_ref()));
        let get = get.transpose()?;
        templates.extend(get.iter().flat_map(RequestPlan::templates));
        let fields: BTreeSet<String> = templates
            .into_iter()
            .flat_map(Template::placeholders)
            .filter_map(|placeholder| match placeholder {
                Placeholder::Parent(field) => Some(field.clone()),
                _ => None,
            })
            .collect();
        let mut fields: Vec<String> = fields.into_iter().collect();
        let mut when = None;
        if let Some(pointer) = &parent.when {
            when = Some(fields.len());
            fields.push(json_path(pointer)?);
        }
        Ok(Self { stream: parent.stream.clone(), fields, when, every_run: plan.version.is_none() })
    }
}

/// The path of a pointer, as the engine takes it.
///
/// # Errors
/// `Configuration` for what is not a pointer, and for the root.
fn json_path(pointer: &str) -> Result<String> {
    let pointer: Pointer = pointer.parse()?;
    let steps = pointer.steps().iter().map(|step| format!("\"{}\"", step.replace('\\', "\\\\").replace('"', "\\\"")));
    let path = steps.collect::<Vec<_>>().join(".");
    path.parse::<JsonPath>()?;
    Ok(path)
}

fn pointers(pointers: &Pointers) -> Result<Vec<Pointer>> {
    pointers.iter().map(str::parse).collect()
}
