//! How the resources stand, and what was done.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::Session;
use crate::cli::Exit;
use crate::cli::output::{COUNTS, counts, duration, table, time};
use crate::cli::progress;
use crate::engine::Schedule;
use crate::state::ResourceStatus;
use crate::{Error, Resource, ResourceConfig, Result, RunRecord, RunStatus, Source};

/// How one resource stands.
#[derive(Debug, Serialize)]
struct Standing {
    resource: Resource,
    enabled: bool,
    schedule: String,
    state: Option<ResourceStatus>,
    message: Option<String>,
    /// Since when a full pass has been under way.
    reconciling_since: Option<Timestamp>,
    last_run: Option<RunRecord>,
    next_due: Option<Timestamp>,
}

impl Standing {
    fn of(resource: Resource, config: &ResourceConfig, found: crate::Standing) -> Result<Self> {
        let schedule: Schedule = config.schedule.as_deref().map(str::parse).transpose()?.unwrap_or_default();
        let (entry, last_run) = (found.entry.map(|entry| entry.state), found.run);
        let now = Timestamp::now();
        // A run in the future was written by a clock that was wrong.
        let past = last_run.as_ref().filter(|run| run.started_at <= now);
        let due = past.map_or(Some(now), |run| schedule.next(run.started_at).map(|due| due.max(now)));
        Ok(Self {
            resource,
            enabled: config.enabled,
            schedule: schedule.to_string(),
            state: entry.as_ref().map(|state| state.status),
            message: entry.as_ref().and_then(|state| state.message.clone()),
            reconciling_since: entry
                .and_then(|state| state.reconcile)
                .filter(|pass| !pass.is_reset)
                .map(|pass| pass.started_at),
            last_run,
            next_due: due.filter(|_| config.enabled),
        })
    }

    fn row(&self) -> Vec<String> {
        let state = match self.state {
            None => "never run",
            Some(ResourceStatus::Running) => "running",
            Some(ResourceStatus::Done) => "done",
            Some(ResourceStatus::Failed) => "failed",
        };
        let last = self.last_run.as_ref();
        vec![
            self.resource.to_string(),
            if self.enabled { "yes" } else { "no" }.into(),
            self.schedule.clone(),
            state.into(),
            last.map_or_else(String::new, |run| time(run.started_at)),
            last.map_or_else(String::new, |run| progress::status(run).into()),
            self.next_due.map_or_else(String::new, time),
            self.message.clone().unwrap_or_default(),
        ]
    }
}

pub(super) async fn status<S: Source>(session: Session<S>) -> Result<Exit> {
    let (output, kind) = (session.output, session.spec.resource_kind.clone());
    let connector = session.look()?;
    let (resources, configs): (Vec<_>, Vec<_>) = connector.resources().await?.into_iter().unzip();
    let found = connector.standings(&resources).await?;
    let each = resources.into_iter().zip(&configs).zip(found);
    let standings: Vec<Standing> =
        each.map(|((resource, config), found)| Standing::of(resource, config, found)).collect::<Result<_>>()?;
    if standings.is_empty() {
        output.note(&format!("no {kind} is known here; `enable` or `ingest` one"));
    }
    output.result(&json!({"resources": standings}), || {
        let header = [kind.as_str(), "enabled", "schedule", "state", "last run", "ended", "next due", "message"];
        table(&header, &[], standings.iter().map(Standing::row))
    })?;
    Ok(Exit::Complete)
}

pub(super) async fn runs<S: Source>(session: Session<S>, name: Option<String>, limit: usize) -> Result<Exit> {
    let (output, kind) = (session.output, session.spec.resource_kind.clone());
    let resource = name.map(Resource::new).transpose()?;
    let connector = session.look()?;
    let mut runs = connector.runs(resource.as_ref(), limit).await?;
    show_crashes(&mut runs);
    if runs.is_empty() {
        if let Some(resource) = resource
            && !connector.resources().await?.iter().any(|(known, _)| *known == resource)
        {
            let error = Error::new(crate::ErrorKind::NotFound, format!("the {kind} {resource} is not known here"));
            return Err(error.with_help("`status` lists those that are"));
        }
        output.note("nothing has run yet");
    }
    output.result(&json!({"runs": runs}), || {
        let header = [&["started", kind.as_str(), "mode", "status"], &COUNTS[..], &["took", "error"]].concat();
        table(&header, &header[4..12], runs.iter().map(row))
    })?;
    Ok(Exit::Complete)
}

/// A run that has no end and has been followed by another one was interrupted, by a crash. `runs` has the newest first.
fn show_crashes(runs: &mut [RunRecord]) {
    let mut newer = HashSet::new();
    for run in runs {
        if !newer.insert(run.resource.clone()) && run.status == RunStatus::Running {
            run.status = RunStatus::Partial;
            run.interrupted = true;
        }
    }
}

fn row(run: &RunRecord) -> Vec<String> {
    let mut row = vec![
        time(run.started_at),
        run.resource.clone(),
        serde_json::to_value(run.mode).ok().as_ref().and_then(Value::as_str).unwrap_or_default().to_owned(),
        progress::status(run).into(),
    ];
    row.extend(counts(run));
    row.push(duration(run.timings.total_ms));
    let why = run.error.as_ref().map(|error| error.message.clone());
    row.push(why.or_else(|| (run.counts.rejected > 0).then(|| progress::rejected(run))).unwrap_or_default());
    row
}
