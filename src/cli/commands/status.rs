//! The status of the resources and their streams.

mod text;
mod watch;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::session::{Session, with_heartbeat};
use crate::cli::Exit;
use crate::cli::age::{ago, span};
use crate::cli::args::Status;
use crate::cli::destination::{Destination, check_cost};
use crate::cli::labels::Labels;
use crate::cli::output::{Output, count};
use crate::cli::progress::new_columns;
use crate::cli::terminal;
use crate::cost::{BudgetUse, CostEntry};
use crate::engine::{Connector, Health, HealthFacts, Schedule, Survey, next_due};
use crate::{
    ErrorKind, OutstandingRejects, RejectQuery, Resource, ResourceConfig, Result, RunRecord, RunStatus, Source,
    StateKey, StreamStatus,
};

/// The number of days whose cost `--cost` shows.
const DAYS: usize = 30;

/// The status of one resource: that of its selected streams together, and that of each stream.
#[derive(Debug, Serialize)]
struct ResourceEntry {
    resource: Resource,
    enabled: bool,
    schedule: String,
    /// The worst state of its selected streams.
    state: Option<RunStatus>,
    /// The message of the stream with that state.
    message: Option<String>,
    /// The number of outstanding rejects; `None` if the destination cannot tell.
    rejects: Option<u64>,
    /// The start of the earliest reconciliation of its selected streams that is not complete yet.
    reconciling_since: Option<Timestamp>,
    /// The newest run of any stream.
    last_run: Option<RunRecord>,
    next_due: Option<Timestamp>,
    #[serde(flatten)]
    facts: HealthFacts,
    /// The selected streams, and others that were once read.
    streams: Vec<StreamEntry>,
}

/// The status of one stream of a resource.
#[derive(Debug, Serialize)]
struct StreamEntry {
    stream: String,
    selected: bool,
    state: Option<RunStatus>,
    /// Why it is not complete, or why its last run was not.
    message: Option<String>,
    rejects: Option<u64>,
    reconciling_since: Option<Timestamp>,
    last_run: Option<RunRecord>,
    /// A stream that is not read is paused.
    #[serde(flatten)]
    facts: HealthFacts,
    /// Whether the source has this stream.
    #[serde(skip)]
    exists: bool,
}

/// The message of a resource that has no stream to read.
const UNREAD: &str = "no stream of the source is selected; `enable` with `--streams` selects some";

/// The message of a selected stream that the source does not have.
const DROPPED: &str = "this version of the source has no such stream; `enable` with `--streams` selects others";

impl StreamEntry {
    fn new(
        key: &StateKey,
        [selected, exists]: [bool; 2],
        found: StreamStatus,
        facts: HealthFacts,
        rejects: Option<&OutstandingRejects>,
        now: Timestamp,
    ) -> Self {
        let (entry, last_run) = (found.entry.map(|entry| entry.state), found.run);
        let died = last_run.as_ref().is_some_and(|run| run.status_at(now) != run.status);
        let last_run = last_run.map(|run| RunRecord { status: run.status_at(now), ..run });
        // The state of a superseded run is that of the newer run.
        let failure = last_run.as_ref().and_then(|run| run.error.as_ref()).map(|error| error.message.clone());
        let message = entry.as_ref().and_then(|state| state.message.clone()).or(failure);
        Self {
            stream: key.stream.clone(),
            selected,
            state: entry.as_ref().map(|state| match state.status {
                RunStatus::Running if died => RunStatus::Interrupted,
                status => status,
            }),
            message: if exists { message } else { Some(DROPPED.to_owned()) },
            rejects: rejects.map(|rejects| rejects.counts.get(key).copied().unwrap_or(0)),
            reconciling_since: entry
                .and_then(|state| state.reconcile)
                .filter(|reconciliation| !reconciliation.is_reset)
                .map(|reconciliation| reconciliation.started_at),
            last_run,
            facts,
            exists,
        }
    }

    /// Whether it is read.
    fn is_read(&self) -> bool {
        self.selected && self.exists
    }

    /// Whether it is neither read nor was.
    fn is_unused(&self) -> bool {
        !self.selected && self.state.is_none() && self.last_run.is_none()
    }

    /// How bad its state is.
    fn severity(&self) -> u8 {
        match self.state {
            Some(RunStatus::Failed) => 5,
            Some(RunStatus::Interrupted) => 4,
            Some(RunStatus::Partial) => 3,
            Some(RunStatus::Running) => 2,
            Some(RunStatus::Complete) => 1,
            None => 0,
        }
    }
}

impl ResourceEntry {
    fn new(
        resource: Resource,
        config: &ResourceConfig,
        streams: Vec<StreamEntry>,
        facts: HealthFacts,
        rejects: Option<&OutstandingRejects>,
        now: Timestamp,
    ) -> Self {
        let schedule = Schedule::stored(config).ok();
        let read = || streams.iter().filter(|stream| stream.is_read());
        // The earliest, as in a schedule: a stream that was selected only now is read at once.
        let last = read().map(|stream| stream.last_run.as_ref().map(|run| run.started_at)).min().flatten();
        let due = schedule.as_ref().and_then(|schedule| next_due([schedule], last, now)).map(|due| due.max(now));
        let is_scheduled = config.enabled && read().next().is_some();
        // Of several, the first one declared.
        let worst = read().rev().max_by_key(|stream| stream.severity());
        let last_run = streams.iter().filter_map(|stream| stream.last_run.as_ref()).max_by_key(|run| run.started_at);
        Self {
            enabled: config.enabled,
            schedule: match schedule {
                Some(schedule) => schedule.to_string(),
                None => config.schedule.clone().unwrap_or_default(),
            },
            state: worst.and_then(|stream| stream.state),
            message: worst.map_or_else(|| Some(UNREAD.to_owned()), |stream| stream.message.clone()),
            rejects: rejects.map(|rejects| rejects.of(resource.name())),
            reconciling_since: read().filter_map(|stream| stream.reconciling_since).min(),
            last_run: last_run.cloned(),
            next_due: due.filter(|_| is_scheduled),
            facts,
            streams,
            resource,
        }
    }
}

/// The status of all resources, and their health.
async fn entries(connector: &Connector) -> Result<(Vec<ResourceEntry>, Survey)> {
    let mut survey = connector.survey().await?;
    let rejects = match connector.rejects(RejectQuery::default()).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => None,
        rejects => Some(rejects?),
    };
    let now = survey.health.as_of;
    let mut entries = Vec::with_capacity(survey.configs.len());
    for ((resource, config), health) in survey.configs.iter().zip(&survey.health.resources) {
        let read = connector.streams(Some(config));
        let dropped = connector.dropped_streams(Some(config));
        let source_wide = read.iter().filter(|stream| stream.is_source_wide);
        let mut keys = connector.keys(resource, Some(config));
        keys.extend(source_wide.map(|stream| StateKey::new(stream.owner(resource).name(), &stream.name)));
        let facts: BTreeMap<&str, &HealthFacts> =
            health.streams.iter().map(|stream| (stream.stream.as_str(), &stream.facts)).collect();
        let streams = keys.iter().map(|key| {
            let exists = !dropped.contains(&key.stream.as_str());
            let selected = !exists || read.iter().any(|stream| stream.name == key.stream);
            let facts =
                facts.get(key.stream.as_str()).map_or(HealthFacts::new(Health::Paused), |facts| (*facts).clone());
            // A source-wide stream is that of several resources.
            let found = survey.statuses.get(key).cloned().unwrap_or_default();
            StreamEntry::new(key, [selected, exists], found, facts, rejects.as_ref(), now)
        });
        let streams = streams.filter(|stream| !stream.is_unused()).collect();
        let (resource, facts) = (resource.clone(), health.facts.clone());
        entries.push(ResourceEntry::new(resource, config, streams, facts, rejects.as_ref(), now));
    }
    survey.statuses.clear();
    Ok((entries, survey))
}

/// The statuses, as JSON.
#[derive(Serialize)]
struct StatusDocument {
    as_of: Timestamp,
    #[serde(flatten)]
    facts: HealthFacts,
    /// The number of resources of each health.
    health_counts: BTreeMap<&'static str, usize>,
    resources: Vec<ResourceEntry>,
    /// The enabled resources that are older than `--fail-if-stale` allows; `None` without it.
    stale: Option<Vec<Resource>>,
    /// How much of the budget is used.
    budget: Option<BudgetUse>,
    /// What the account says; `None` without `--cost`.
    cost: Option<Vec<CostEntry>>,
}

/// What a status is read from, and how it is shown.
struct View {
    connector: Connector,
    destination: std::sync::Arc<dyn Destination>,
    output: Output,
    kind: String,
    labels: Labels,
    with_cost: bool,
}

pub(super) async fn status<S: Source>(session: Session<S>, args: &Status) -> Result<Exit> {
    let destination = session.destination.clone();
    check_cost(&*destination, "--cost", args.cost())?;
    let cancel = match args.watch {
        true => Some(session.interrupt.listen(session.progress.clone(), "stopped watching")?),
        false => None,
    };
    let (output, kind, labels) = (session.output, session.spec.resource_kind.clone(), Labels::new(&session.spec));
    let connector = with_heartbeat(session.open_to_read()?, args.heartbeat());
    let view = View { connector, destination, output, kind, labels, with_cost: args.cost() };
    if let Some(cancel) = cancel {
        return view.watch(&cancel).await;
    }
    let mut document = view.read().await?;
    document.stale = args.fail_if_stale.map(|limit| view.stale(&document, limit));
    view.show(&document)?;
    Ok(args.fail_if_stale.map_or(Exit::Complete, |limit| view.report_stale(&document, limit)))
}

impl View {
    async fn read(&self) -> Result<StatusDocument> {
        let (resources, survey) = entries(&self.connector).await?;
        let destination = &self.destination;
        let budget = if destination.reports_cost() { self.connector.budget().await? } else { None };
        let cost = if self.with_cost { Some(destination.cost_history(DAYS).await?) } else { None };
        let health = survey.health;
        let health_counts = health.counts.iter().map(|(health, count)| (health.as_str(), *count)).collect();
        let (as_of, facts, stale) = (health.as_of, health.facts, None);
        Ok(StatusDocument { as_of, facts, health_counts, resources, stale, budget, cost })
    }

    fn show(&self, document: &StatusDocument) -> Result<()> {
        let (output, kind) = (self.output, &self.kind);
        if document.resources.is_empty() {
            output.note(&format!("no {kind} is known here; `enable` or `ingest` one"));
        }
        output.coloured(document, || document.text(kind, &self.labels, terminal::width()))?;
        if output.is_json() {
            return Ok(());
        }
        let runs = document.resources.iter().flat_map(|entry| &entry.streams).filter_map(|it| it.last_run.as_ref());
        for run in runs.filter(|run| !run.new_columns.is_empty()) {
            output.note(&format!("{}: {}", self.labels.of(run), new_columns(run)));
        }
        if let Some(used) = &document.budget {
            output.note(&format!("budget: {used}"));
        }
        Ok(())
    }

    /// The enabled resources that were not completely read within this time.
    fn stale(&self, document: &StatusDocument, limit: SignedDuration) -> Vec<Resource> {
        let limit = limit.saturating_add(self.connector.unrecorded().unwrap_or_default());
        let is_stale = |entry: &&ResourceEntry| {
            let age = entry.facts.last_success_at.map(|success| document.as_of.duration_since(success));
            entry.enabled && age.is_none_or(|age| age > limit)
        };
        document.resources.iter().filter(is_stale).map(|entry| entry.resource.clone()).collect()
    }

    /// Reports what is stale and what to do, and returns the exit for a monitoring program.
    fn report_stale(&self, document: &StatusDocument, limit: SignedDuration) -> Exit {
        let (output, kind) = (self.output, &self.kind);
        let enabled = document.resources.iter().filter(|entry| entry.enabled).count();
        if enabled == 0 {
            output.failed_check(&format!("stale: no {kind} is enabled, so nothing is kept up to date; `enable` one"));
            return Exit::Stale;
        }
        let stale = document.stale.as_deref().unwrap_or_default();
        if stale.is_empty() {
            return Exit::Complete;
        }
        for entry in document.resources.iter().filter(|entry| stale.contains(&entry.resource)) {
            let age = match entry.facts.last_success_at {
                Some(success) => format!("its last success was {}", ago(success, document.as_of)),
                None => "it was never completely read".to_owned(),
            };
            output.failed_check(&format!("stale: {}: {age}; {}", entry.resource, advice(entry)));
        }
        let (number, limit) = (count(stale.len() as u64), span(limit));
        output.failed_check(&format!("stale: {number} of {} enabled, by a limit of {limit}", count(enabled as u64)));
        let unrecorded = self.connector.unrecorded().unwrap_or_default();
        if !unrecorded.is_zero() {
            let every = span(unrecorded);
            output.note(&format!("here a run that finds nothing new is recorded every {every}, which the limit allows for; `--heartbeat` changes it"));
        }
        Exit::Stale
    }
}

/// What to do about a resource that is stale.
fn advice(entry: &ResourceEntry) -> String {
    match (entry.facts.health, entry.facts.failing.as_ref()) {
        (_, Some(failing)) => failing.help.clone().unwrap_or_else(|| failing.message.clone()),
        (Health::Running, _) => "a run is under way: wait for it".to_owned(),
        _ => "no run has ended in time: check that `run`, or what starts `ingest`, is alive".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Reconciliation, StateEntry, StreamState};
    use crate::{Mode, RunId, StateVersion};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A stream whose last run started at this second and ended like this, and whose state is this.
    fn found(state: RunStatus, second: i64, error: Option<&str>) -> StreamStatus {
        let state = StreamState::new(state, RunId::new());
        let entry = StateEntry { version: StateVersion(2), at: at(second), state };
        let error = error.map(|message| crate::Error::new(ErrorKind::Conflict, message.to_owned()).report());
        let run = RunRecord::new(RunId::new(), StateKey::new("r", "s"), Mode::Incremental, at(second));
        let run = RunRecord { status: RunStatus::Failed, error, ..run };
        StreamStatus { entry: Some(entry), run: Some(run) }
    }

    fn facts() -> HealthFacts {
        HealthFacts::new(Health::Healthy)
    }

    fn stream(name: &str, selected: bool, exists: bool, found: StreamStatus) -> StreamEntry {
        StreamEntry::new(&StateKey::new("r", name), [selected, exists], found, facts(), None, at(4_000))
    }

    fn resource(streams: Vec<StreamEntry>) -> ResourceEntry {
        let config = ResourceConfig { enabled: true, ..ResourceConfig::default() };
        ResourceEntry::new(Resource::new("r").unwrap(), &config, streams, facts(), None, at(4_000))
    }

    #[test]
    fn a_superseded_run_is_shown_with_the_newer_state() {
        let entry = stream("s", true, true, found(RunStatus::Complete, 0, Some("another run has moved on")));
        assert_eq!(entry.state, Some(RunStatus::Complete));
        assert_eq!(entry.message.as_deref(), Some("another run has moved on"));
        assert_eq!(entry.rejects, None);
    }

    #[test]
    fn a_resource_has_the_worst_state_of_its_selected_streams() {
        use RunStatus::{Complete, Failed, Interrupted, Partial, Running};
        let order = [Some(Failed), Some(Interrupted), Some(Partial), Some(Running), Some(Complete), None];
        for (index, worst) in order.iter().enumerate() {
            for other in &order[index..] {
                for [one, two] in [[worst, other], [other, worst]] {
                    let of = |name: &str, state: &Option<RunStatus>| {
                        let found = state.map_or(StreamStatus::new(None, None), |state| found(state, 1, Some(name)));
                        stream(name, true, true, found)
                    };
                    let entry = resource(vec![of("one", one), of("two", two)]);
                    assert_eq!(entry.state, *worst, "{one:?} {two:?}");
                    if worst.is_some() && worst != other {
                        assert_eq!(entry.message.as_deref(), Some(if one == worst { "one" } else { "two" }));
                    }
                }
            }
        }
    }

    #[test]
    fn streams_that_are_not_read_do_not_count() {
        let failed = || found(RunStatus::Failed, 9, Some("down"));
        let entry = resource(vec![
            stream("read", true, true, found(RunStatus::Complete, 5, None)),
            stream("deselected", false, true, failed()),
            stream("dropped", true, false, failed()),
        ]);
        assert_eq!((entry.state, entry.message.as_deref()), (Some(RunStatus::Complete), None));
        assert_eq!(entry.last_run.unwrap().started_at, at(9), "the newest run, whatever it read");
        assert_eq!(entry.streams[1].message.as_deref(), Some("down"));
        assert_eq!(entry.streams[2].message.as_deref(), Some(DROPPED));
    }

    #[test]
    fn the_schedule_counts_from_the_stream_that_was_read_first() {
        let complete = |second| found(RunStatus::Complete, second, None);
        let due = |streams| resource(streams).next_due;
        let one = || stream("one", true, true, complete(3_605));
        assert_eq!(due(vec![one()]), Some(at(5_400)), "at the next half hour, and it is 4,000 now");
        assert_eq!(due(vec![one(), stream("two", true, true, complete(1_805))]), Some(at(4_000)), "a beat was missed");
        assert_eq!(due(vec![one(), stream("new", true, true, StreamStatus::new(None, None))]), Some(at(4_000)));
        let dropped = || stream("dropped", true, false, StreamStatus::new(None, None));
        assert_eq!(due(vec![one(), dropped()]), Some(at(5_400)));
        assert_eq!(due(vec![dropped()]), None);
    }

    #[test]
    fn the_earliest_reconciliation_is_shown() {
        let since = |second, is_reset| {
            let mut found = found(RunStatus::Partial, second, None);
            let reconcile = Reconciliation { is_reset, ..Reconciliation::new(RunId::new(), at(second)) };
            found.entry.as_mut().unwrap().state.reconcile = Some(reconcile);
            found
        };
        let streams = [("one", 7, false), ("two", 5, false), ("three", 3, true)];
        let entry = resource(streams.map(|(name, at, is_reset)| stream(name, true, true, since(at, is_reset))).into());
        assert_eq!(entry.reconciling_since, Some(at(5)), "a reset is none");
    }
}
