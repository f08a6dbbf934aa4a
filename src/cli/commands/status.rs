//! The status of the resources and their streams.

use jiff::Timestamp;
use serde::Serialize;

use super::session::Session;
use crate::cli::Exit;
use crate::cli::destination::check_cost;
use crate::cli::labels::Labels;
use crate::cli::output::{count, table, time};
use crate::cli::progress::new_columns;
use crate::cost::{BudgetUse, CostEntry};
use crate::engine::{Connector, Schedule, next_due};
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
        rejects: Option<&OutstandingRejects>,
    ) -> Self {
        let (entry, last_run) = (found.entry.map(|entry| entry.state), found.run);
        // The state of a superseded run is that of the newer run.
        let failure = last_run.as_ref().and_then(|run| run.error.as_ref()).map(|error| error.message.clone());
        let message = entry.as_ref().and_then(|state| state.message.clone()).or(failure);
        Self {
            stream: key.stream.clone(),
            selected,
            state: entry.as_ref().map(|state| state.status),
            message: if exists { message } else { Some(DROPPED.to_owned()) },
            rejects: rejects.map(|rejects| rejects.counts.get(key).copied().unwrap_or(0)),
            reconciling_since: entry
                .and_then(|state| state.reconcile)
                .filter(|reconciliation| !reconciliation.is_reset)
                .map(|reconciliation| reconciliation.started_at),
            last_run,
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
        rejects: Option<&OutstandingRejects>,
        now: Timestamp,
    ) -> Result<Self> {
        let schedule: Schedule = config.schedule.as_deref().map(str::parse).transpose()?.unwrap_or_default();
        let read = || streams.iter().filter(|stream| stream.is_read());
        // The earliest, as in a schedule: a stream that was selected only now is read at once.
        let last = read().map(|stream| stream.last_run.as_ref().map(|run| run.started_at)).min().flatten();
        let due = next_due([&schedule], last, now).map(|due| due.max(now));
        let is_scheduled = config.enabled && read().next().is_some();
        // Of several, the first one declared.
        let worst = read().rev().max_by_key(|stream| stream.severity());
        let last_run = streams.iter().filter_map(|stream| stream.last_run.as_ref()).max_by_key(|run| run.started_at);
        Ok(Self {
            enabled: config.enabled,
            schedule: schedule.to_string(),
            state: worst.and_then(|stream| stream.state),
            message: worst.map_or_else(|| Some(UNREAD.to_owned()), |stream| stream.message.clone()),
            rejects: rejects.map(|rejects| rejects.of(resource.name())),
            reconciling_since: read().filter_map(|stream| stream.reconciling_since).min(),
            last_run: last_run.cloned(),
            next_due: due.filter(|_| is_scheduled),
            streams,
            resource,
        })
    }

    /// The row of a stream; without one, that of a resource of which nothing is read.
    fn row(&self, stream: Option<&StreamEntry>, has_streams: bool) -> Vec<String> {
        let name = match stream {
            Some(StreamEntry { stream, selected: true, .. }) => stream.clone(),
            Some(StreamEntry { stream, .. }) => format!("{stream} (not selected)"),
            None => String::new(),
        };
        let last = stream.and_then(|stream| stream.last_run.as_ref());
        let message = stream.map_or(self.message.as_ref(), |stream| stream.message.as_ref());
        let mut row = vec![self.resource.to_string()];
        row.extend(has_streams.then_some(name));
        row.extend([
            if self.enabled { "yes" } else { "no" }.into(),
            self.schedule.clone(),
            stream.and_then(|stream| stream.state).map_or("never run", RunStatus::as_str).into(),
            last.map_or_else(String::new, |run| time(run.started_at)),
            last.map_or_else(String::new, |run| run.status.to_string()),
            self.next_due.filter(|_| stream.is_some_and(StreamEntry::is_read)).map_or_else(String::new, time),
            stream.and_then(|stream| stream.rejects).map_or_else(String::new, count),
            message.cloned().unwrap_or_default(),
        ]);
        row
    }

    /// One row for each stream.
    fn rows(&self, has_streams: bool) -> Vec<Vec<String>> {
        if self.streams.is_empty() {
            return vec![self.row(None, has_streams)];
        }
        self.streams.iter().map(|stream| self.row(Some(stream), has_streams)).collect()
    }
}

/// The keys of a resource's streams, and of the source-wide ones that it selects.
fn keys(connector: &Connector, resource: &Resource, config: &ResourceConfig) -> Vec<StateKey> {
    let mut keys = connector.keys(resource, Some(config));
    let source_wide = connector.streams(Some(config)).into_iter().filter(|stream| stream.is_source_wide);
    keys.extend(source_wide.map(|stream| StateKey::new(stream.owner(resource).name(), &stream.name)));
    keys
}

/// The status of all resources.
async fn entries(connector: &Connector) -> Result<Vec<ResourceEntry>> {
    let resources = connector.resources().await?;
    let keys: Vec<Vec<StateKey>> =
        resources.iter().map(|(resource, config)| keys(connector, resource, config)).collect();
    let mut found = connector.statuses(&keys.concat()).await?.into_iter();
    let rejects = match connector.rejects(RejectQuery::default()).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => None,
        rejects => Some(rejects?),
    };
    let mut entries = Vec::with_capacity(resources.len());
    for ((resource, config), keys) in resources.into_iter().zip(keys) {
        let read = connector.streams(Some(&config));
        let dropped = connector.dropped_streams(Some(&config));
        let stream = |(key, found): (&StateKey, StreamStatus)| {
            let exists = !dropped.contains(&key.stream.as_str());
            let selected = !exists || read.iter().any(|stream| stream.name == key.stream);
            StreamEntry::new(key, [selected, exists], found, rejects.as_ref())
        };
        let streams = keys.iter().zip(&mut found).map(stream).filter(|stream| !stream.is_unused()).collect();
        entries.push(ResourceEntry::new(resource, &config, streams, rejects.as_ref(), Timestamp::now())?);
    }
    Ok(entries)
}

/// The statuses, as JSON.
#[derive(Serialize)]
struct StatusDocument {
    resources: Vec<ResourceEntry>,
    /// How much of the budget is used.
    budget: Option<BudgetUse>,
    /// What the account says; `None` without `--cost`.
    cost: Option<Vec<CostEntry>>,
}

pub(super) async fn status<S: Source>(session: Session<S>, with_cost: bool) -> Result<Exit> {
    let (output, kind) = (session.output, session.spec.resource_kind.clone());
    let destination = session.destination.clone();
    check_cost(&*destination, "--cost", with_cost)?;
    let labels = Labels::new(&session.spec);
    let connector = session.open_to_read()?;
    let entries = entries(&connector).await?;
    if entries.is_empty() {
        output.note(&format!("no {kind} is known here; `enable` or `ingest` one"));
    }
    let budget = if destination.reports_cost() { connector.budget().await? } else { None };
    let cost = if with_cost { Some(destination.cost_history(DAYS).await?) } else { None };
    let document = StatusDocument { resources: entries, budget, cost };
    output.result(&document, || document.text(&kind, &labels))?;
    if !output.is_json() {
        let runs = document.resources.iter().flat_map(|entry| &entry.streams).filter_map(|it| it.last_run.as_ref());
        for run in runs.filter(|run| !run.new_columns.is_empty()) {
            output.note(&format!("{}: {}", labels.of(run), new_columns(run)));
        }
    }
    if !output.is_json()
        && let Some(used) = &document.budget
    {
        output.note(&format!("budget: {used}"));
    }
    Ok(Exit::Complete)
}

impl StatusDocument {
    fn text(&self, kind: &str, labels: &Labels) -> String {
        let entries = &self.resources;
        let streams = entries.iter().flat_map(|entry| &entry.streams);
        let has_streams = labels.need_column(streams.map(|stream| stream.stream.as_str()));
        let stream = if has_streams { &["stream"][..] } else { &[] };
        let rest = ["enabled", "schedule", "state", "last run", "ended", "next due", "rejects", "message"];
        let header = [&[kind], stream, &rest].concat();
        let mut text = table(&header, &["rejects"], entries.iter().flat_map(|entry| entry.rows(has_streams)));
        if let Some(days) = &self.cost {
            let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "(all)".to_owned());
            let row = |day: &CostEntry| {
                let (resource, stream) = (name(&day.resource), name(&day.stream));
                vec![day.day.to_string(), resource, stream, count(day.statements), day.credits.to_string()]
            };
            let header = ["day", kind, "stream", "statements", "credits"];
            text = format!("{text}\n\n{}", table(&header, &["statements", "credits"], days.iter().map(row)));
        }
        text
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

    fn stream(name: &str, selected: bool, exists: bool, found: StreamStatus) -> StreamEntry {
        StreamEntry::new(&StateKey::new("r", name), [selected, exists], found, None)
    }

    fn resource(streams: Vec<StreamEntry>) -> ResourceEntry {
        let config = ResourceConfig { enabled: true, ..ResourceConfig::default() };
        ResourceEntry::new(Resource::new("r").unwrap(), &config, streams, None, at(4_000)).unwrap()
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
