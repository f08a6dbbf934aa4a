//! Settings and their check.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use clap_complete::Shell;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::session::Session;
use crate::cli::Exit;
use crate::cli::args::Configure;
use crate::cli::completion;
use crate::cli::destination::check_cost;
use crate::cli::labels::Labels;
use crate::cli::output::{Output, counted, table};
use crate::cli::progress::Progress;
use crate::cli::settings::parse_argument;
use crate::cost::Budget;
use crate::engine::{Connector, Event, StreamCheck};
use crate::error::REDACTED;
use crate::{Error, Resource, Result, Source, SourceEvent, SourceSpec};

/// One check and its result.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
}

/// All checks, and the errors of those that failed, by name.
#[derive(Default)]
struct Checks {
    all: Vec<Check>,
    errors: Vec<(String, Error)>,
    /// What the source has warned about meanwhile.
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Checks {
    fn add(&mut self, name: impl Into<String>, result: Result<String>) {
        let (name, ok) = (name.into(), result.is_ok());
        let detail = result.unwrap_or_else(|error| {
            let text = error.to_string();
            self.errors.push((name.clone(), error));
            text
        });
        self.all.push(Check { name, ok, detail });
    }

    /// What the source has warned about, each once.
    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what the source warns about.
    fn watch(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let warnings = self.warnings.clone();
        move |event| {
            let (Event::Remote(event) | Event::Source { event, .. }) = event else { return };
            if let SourceEvent::Warning(warning) = event {
                let mut warnings = warnings.lock().unwrap_or_else(PoisonError::into_inner);
                if !warnings.contains(warning) {
                    warnings.push(warning.clone());
                }
            }
        }
    }

    fn table(&self) -> String {
        let word = |ok: bool| if ok { "ok" } else { "failed" };
        let row = |check: &Check| vec![check.name.to_owned(), word(check.ok).to_owned(), check.detail.clone()];
        table(&["check", "result", "detail"], &[], self.all.iter().map(row))
    }
}

pub(super) async fn check<S: Source>(session: Session<S>) -> Result<Exit> {
    let (output, spec, warnings) = (session.output, session.spec.clone(), session.warnings.clone());
    let checks = run_checks(session).await;
    let warnings: Vec<String> = warnings.into_iter().chain(checks.warnings()).collect();
    let error = checks.errors.first().map(|(_, error)| error.report());
    let document = json!({"source": spec.name, "version": spec.version, "warnings": warnings, "checks": checks.all, "error": error});
    output.result(&document, || checks.table())?;
    if !output.is_json() {
        for (name, error) in &checks.errors {
            output.report(Some(name), &error.report());
        }
    }
    Ok(checks.errors.first().map_or(Exit::Complete, |(_, error)| Exit::from_kind(error.kind())))
}

/// Runs the checks in order, until one fails on which the others depend.
async fn run_checks<S: Source>(session: Session<S>) -> Checks {
    let mut checks = Checks::default();
    for found in session.destination.check().await {
        checks.add(found.name, found.result);
    }
    if !checks.errors.is_empty() {
        return checks;
    }
    let name = session.spec.name.clone();
    let given = match session.overrides.values().len() as u64 {
        0 => "no overrides of the stored settings".to_owned(),
        n => format!("{} overriding the stored ones", counted(n, "setting")),
    };
    let connector = match session.open_existing() {
        Ok(connector) => connector,
        Err(error) => {
            checks.add("database", Err(error));
            return checks;
        }
    };
    checks.add("settings", connector.settings().await.map(|_| given));
    if checks.errors.is_empty() {
        let (progress, watching) = (session.progress.clone(), session.progress.clone());
        let warned = checks.watch();
        let connector = connector.observer(move |event: &Event| {
            watching.event(event);
            warned(event);
        });
        let answer = progress.watch(&name, connector.check()).await;
        checks.add("remote", answer.map(|()| format!("{name} answers")));
        if checks.errors.is_empty() {
            check_streams(&mut checks, &connector, &progress).await;
        }
    }
    checks
}

/// Checks the selected streams of the enabled resources.
async fn check_streams(checks: &mut Checks, connector: &Connector, progress: &Progress) {
    let labels = Labels::new(connector.spec());
    match progress.watch(&connector.spec().name, connector.check_streams()).await {
        Ok(streams) => {
            for StreamCheck { resource, stream, result, .. } in streams {
                let detail = |read: Option<()>| match read {
                    Some(()) => "can be read".to_owned(),
                    None => "not checked: none of the records to which its records belong is stored yet".to_owned(),
                };
                checks.add(labels.label(resource.name(), &stream), result.map(detail));
            }
        }
        Err(error) => checks.add("streams", Err(error)),
    }
}

pub(super) async fn discover<S: Source>(session: Session<S>) -> Result<Exit> {
    let (output, kind) = (session.output, session.spec.resource_kind.clone());
    let progress = session.progress.clone();
    let connector = session.open_existing()?.observer(move |event: &Event| progress.event(event));
    let resources = session.progress.watch(&session.spec.name, connector.discover()).await?;
    if resources.is_empty() {
        output.note(&format!("the settings give access to no {kind} by themselves; name one to `enable` or `ingest`"));
    }
    let names: Vec<&str> = resources.iter().map(Resource::name).collect();
    let titles: BTreeMap<&str, &str> =
        resources.iter().filter_map(|resource| Some((resource.name(), resource.title()?))).collect();
    output.result(&json!({"resources": names, "titles": titles}), || {
        if titles.is_empty() {
            return table(&[&kind], &[], names.iter().map(|name| vec![name.to_string()]));
        }
        let row = |name: &&str| vec![name.to_string(), titles.get(name).copied().unwrap_or_default().to_owned()];
        table(&[&kind, "title"], &[], names.iter().map(row))
    })?;
    Ok(Exit::Complete)
}

pub(super) async fn configure<S: Source>(session: Session<S>, given: &Configure) -> Result<Exit> {
    let (output, spec) = (session.output, session.spec.clone());
    let settings = &given.settings;
    if settings.is_empty() && given.budget().is_none() {
        return show_settings(session).await;
    }
    check_cost(&*session.destination, "--budget", given.budget().is_some())?;
    let budget = given.budget().map(|budget| if budget == "none" { Ok(None) } else { budget.parse().map(Some) });
    let budget: Option<Option<Budget>> = budget.transpose()?;
    let values = settings.iter().map(|argument| stored(&spec, argument)).collect::<Result<Map<_, _>>>()?;
    // Rejected settings must not create a database.
    if session.destination.missing().is_some() {
        session.connector(&*session.destination.open_existing()?).provision(values.clone()).await?;
    }
    let connector = session.open()?;
    if !values.is_empty() {
        connector.provision(values.clone()).await?;
    }
    if let Some(budget) = budget {
        connector.set_budget(budget).await?;
    }
    let shown: Map<String, Value> =
        values.iter().map(|(name, value)| (name.clone(), shown(&spec, name, value))).collect();
    let document = json!({"stored": shown, "budget": given.budget()});
    output.result(&document, || {
        let line = |(name, value): (&String, &Value)| match value {
            Value::Null => format!("removed {name}"),
            _ if spec.settings.is_hidden(name) => format!("stored {name}"),
            value => format!("stored {name} = {value}"),
        };
        let budget = budget.map(|budget| match budget {
            Some(budget) => format!("stored the budget {budget}"),
            None => "removed the budget".to_owned(),
        });
        values.iter().map(line).chain(budget).collect::<Vec<_>>().join("\n")
    })?;
    if let Err(error) = connector.check_credentials().await {
        // It stays stored: the credential may exist only on another machine.
        let help = error.help().unwrap_or_default();
        output.note(&format!("note: this setting cannot be used yet: {}; {help}", error.message()));
    }
    Ok(Exit::Complete)
}

/// A value as it is shown.
fn shown(spec: &SourceSpec, name: &str, value: &Value) -> Value {
    if spec.settings.is_hidden(name) && !value.is_null() { REDACTED.into() } else { value.clone() }
}

/// Reads `KEY=VALUE`; without a value it means that the key is to be removed, as a null does.
fn stored(spec: &SourceSpec, argument: &str) -> Result<(String, Value)> {
    match argument.split_once('=') {
        Some((name, "")) => Ok((name.to_owned(), Value::Null)),
        _ => parse_argument(spec, argument),
    }
}

/// An effective setting, and its origin.
#[derive(Debug, Serialize)]
struct EffectiveSetting {
    name: String,
    value: Value,
    from: String,
}

async fn show_settings<S: Source>(session: Session<S>) -> Result<Exit> {
    let (output, spec) = (session.output, session.spec.clone());
    let leaves = spec.settings.leaves();
    let origins: Vec<_> = leaves.iter().map(|name| session.overrides.origin(name).map(ToString::to_string)).collect();
    let config = session.open_existing()?.settings().await?;
    let effective = |(name, origin): (&String, Option<String>)| {
        let value = config.get(name).cloned();
        let from = match (&value, origin) {
            (None, _) => "default".to_owned(),
            (Some(_), None) => "the database".to_owned(),
            (Some(_), Some(origin)) => origin,
        };
        let value = value.or_else(|| spec.settings.default_of(name)).unwrap_or_default();
        let value = shown(&spec, name, &value);
        EffectiveSetting { name: name.clone(), value, from }
    };
    let settings: Vec<EffectiveSetting> = leaves.iter().zip(origins).map(effective).collect();
    output.result(&json!({"settings": settings}), || {
        let row = |s: &EffectiveSetting| vec![s.name.clone(), s.value.to_string(), s.from.clone()];
        table(&["setting", "value", "given by"], &[], settings.iter().map(row))
    })?;
    Ok(Exit::Complete)
}

pub(super) fn schema(spec: &SourceSpec, output: Output) -> Result<Exit> {
    let schema = spec.settings.schema();
    output.foreign(schema, || format!("{:#}", schema.as_value()))?;
    Ok(Exit::Complete)
}

pub(super) fn completions(program: &str, shell: Shell) -> Result<Exit> {
    let mut script = Vec::new();
    completion::register(&shell.to_string(), program, &mut script)
        .map_err(|error| Error::internal("the script cannot be made").with_source(error))?;
    match io::Write::write_all(&mut io::stdout().lock(), &script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::unavailable("the script cannot be written to standard output").with_source(error))
        }
        _ => Ok(Exit::Complete),
    }
}
