//! Runs every enabled resource on its schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures::future::{Fuse, FusedFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Connector;
use super::Schedule;
use super::ingest::ConcurrentRuns;
use super::planned::PlannedStream;
use super::run::PrefetchedState;
use super::settings::Configured;
use crate::{Mode, Resource, Result, RunStatus, Settings, StateKey};

/// How often the configuration is read again, to notice what another program has enabled or disabled.
const REFRESH: Duration = Duration::from_secs(15);

/// How often in a metered store, which is also read whenever a resource is due.
const REFRESH_METERED: Duration = Duration::from_secs(30 * 60);

/// The allowed difference between the clocks of two machines. Runs dated further in the future are clock errors and are ignored.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

impl Connector {
    /// Runs every enabled resource on its schedule until `cancel` is cancelled, with at most `concurrency` concurrent runs. Runs of a
    /// resource never overlap, and one run makes up for all missed ones. Changes to the enabled resources and their schedules take
    /// effect within 15 seconds; in a [metered](crate::StateStore::is_metered) store, when a resource is due next, or after 30 minutes.
    ///
    /// The failure of a run is reported to the [observer](super::Observer) and does not stop the others.
    ///
    /// # Errors
    /// At the start, malformed settings and unreadable stores. Later, these errors are logged, and the read is retried.
    pub async fn serve(&self, concurrency: usize, cancel: CancellationToken) -> Result<()> {
        let metered = self.state.is_metered();
        let every = self.refresh_interval();
        let concurrency = concurrency.max(1);
        let runner = ConcurrentRuns::new(self, concurrency);
        let Some(read) = cancel.run_until_cancelled(self.plan()).await else { return Ok(()) };
        let (mut config, plan) = read?;
        let mut timetable = Timetable { plan, ..Timetable::default() };
        timetable.replan();
        let mut read_at = Instant::now();
        let mut reading = pin!(Fuse::terminated());
        let mut runs = FuturesUnordered::new();
        while !cancel.is_cancelled() {
            let due = metered && timetable.is_due(self.now()) && read_at.elapsed() >= REFRESH;
            if reading.is_terminated() && (due || read_at.elapsed() >= every) {
                // Concurrently with the runs: one of them may hold what this read waits for, and must be polled.
                reading.set(self.plan().fuse());
            }
            let is_reading = !reading.is_terminated();
            // One reading of the clock: what became due between two readings would be neither started nor waited for.
            let now = self.now();
            // During a read, start nothing: the resource may have been disabled.
            let starting = if is_reading { Vec::new() } else { timetable.start(now, concurrency) };
            for (resource, streams) in starting {
                self.warn_of_dropped(&resource, timetable.dropped(&resource));
                let (runner, config, cancel) = (&runner, config.clone(), cancel.clone());
                runs.push(async move {
                    runner.run_all(streams, &config, Mode::Incremental, &cancel).await;
                    resource
                });
            }
            let next_check = (read_at + every).min(Instant::now() + timetable.pause(now, every));
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(resource) = runs.next() => { timetable.running.remove(&resource); }
                read = &mut reading => {
                    read_at = Instant::now();
                    match read {
                        Ok(read) => (config, timetable.plan) = read,
                        Err(error) => {
                            tracing::error!(%error, "the configuration cannot be read; continuing with the last one")
                        }
                    }
                }
                () = sleep_until(next_check), if !is_reading => {}
            }
        }
        // Drop the read: it is no longer polled, and a run may wait for it.
        reading.set(Fuse::terminated());
        while runs.next().await.is_some() {}
        Ok(())
    }

    /// How often the configuration is read again if no resource is due.
    pub(crate) fn refresh_interval(&self) -> Duration {
        if self.state.is_metered() { REFRESH_METERED } else { REFRESH }
    }

    /// Reads the effective settings, and each enabled resource with its schedule and the start of its last run. Resources that cannot be
    /// scheduled are logged and skipped.
    async fn plan(&self) -> Result<(Settings, BTreeMap<Resource, PlannedResource>)> {
        let Configured { config, resources: known, .. } = self.configuration().await?;
        let mut plan = BTreeMap::new();
        for (resource, config) in known.into_iter().filter(|(_, config)| config.enabled) {
            let schedule = match config.schedule.as_deref().map(str::parse).transpose() {
                Ok(schedule) => schedule.unwrap_or_default(),
                Err(error) => {
                    tracing::error!(
                        %resource, %error, help = "`enable` it again with a schedule such as `30m`",
                        "the schedule in the table RESOURCE_CONFIGURATION cannot be read; the resource is skipped"
                    );
                    continue;
                }
            };
            let selection = self.selection(Some(&config));
            if let Err(error) = selection.check(&self.spec) {
                let help = error.help().unwrap_or_default();
                tracing::error!(%resource, %error, help, "the resource is skipped");
                continue;
            }
            let streams = PlannedStream::all(&resource, selection.streams);
            let (last, is_unfinished, dropped) = (None, false, selection.dropped);
            plan.insert(resource, PlannedResource { schedule, last, is_unfinished, streams, dropped });
        }
        let keys: Vec<StateKey> = plan.values().flat_map(|planned| &planned.streams).map(PlannedStream::key).collect();
        let mut statuses = self.statuses(&keys).await?.into_iter();
        let is_metered = self.state.is_metered();
        for planned in plan.values_mut() {
            let mut starts = Vec::with_capacity(planned.streams.len());
            for (stream, status) in planned.streams.iter_mut().zip(&mut statuses) {
                stream.start = PrefetchedState::new(status.entry, is_metered);
                let run = status.run.as_ref();
                starts.push(run.map(|run| run.started_at));
                planned.is_unfinished |=
                    run.is_some_and(|run| matches!(run.status, RunStatus::Interrupted | RunStatus::Running));
            }
            planned.last = last_start(starts);
        }
        Ok((config, plan))
    }
}

/// The time from which the schedule of a resource counts, given the starts of the last runs of its selected streams: the earliest, so that
/// a stream that was selected only now is read at once, and a run of some of the streams delays no other.
pub(crate) fn last_start(starts: impl IntoIterator<Item = Option<Timestamp>>) -> Option<Timestamp> {
    starts.into_iter().min().flatten()
}

/// The schedule and the last run of a resource.
#[derive(Debug)]
struct PlannedResource {
    schedule: Schedule,
    last: Option<Timestamp>,
    /// Whether a run was interrupted, or has not ended.
    is_unfinished: bool,
    /// The streams, with their prefetched states for the next run; stale afterwards.
    streams: Vec<PlannedStream>,
    /// The selected names that the source does not have.
    dropped: Vec<String>,
}

/// The planned resources, the running ones, and the times of starts in this process.
#[derive(Debug, Default)]
struct Timetable {
    plan: BTreeMap<Resource, PlannedResource>,
    running: BTreeSet<Resource>,
    /// Needed beside the run history: a run that cannot begin leaves no record, and must not be retried without a pause.
    started: BTreeMap<Resource, Timestamp>,
}

impl Timetable {
    /// Makes unfinished runs due at once, so that after a restart a resource does not wait a day for its next run.
    fn replan(&mut self) {
        self.plan.values_mut().filter(|planned| planned.is_unfinished).for_each(|planned| planned.last = None);
    }

    /// The selected streams of a resource that the source does not have.
    fn dropped(&self, resource: &Resource) -> &[String] {
        self.plan.get(resource).map_or(&[], |planned| &planned.dropped)
    }

    /// Returns the resources to start now, the longest waiting first, and counts them as running.
    fn start(&mut self, now: Timestamp, concurrency: usize) -> Vec<(Resource, Vec<PlannedStream>)> {
        let mut ready: Vec<_> =
            self.waiting(now).filter(|(due, _)| *due <= now).map(|(due, r)| (due, r.clone())).collect();
        ready.sort();
        ready.truncate(concurrency.saturating_sub(self.running.len()));
        let starting: Vec<Resource> = ready.into_iter().map(|(_, resource)| resource).collect();
        self.running.extend(starting.iter().cloned());
        self.started.extend(starting.iter().map(|resource| (resource.clone(), now)));
        starting
            .into_iter()
            .map(|resource| {
                let streams = self.plan.get_mut(&resource).map(|planned| &mut planned.streams);
                let take =
                    |planned: &mut PlannedStream| PlannedStream { start: planned.start.take(), ..planned.clone() };
                let streams = streams.map_or_else(Vec::new, |streams| streams.iter_mut().map(take).collect());
                (resource, streams)
            })
            .collect()
    }

    /// The time until the next resource is due, at most until the configuration is read again.
    fn pause(&self, now: Timestamp, max: Duration) -> Duration {
        let next = self.waiting(now).map(|(due, _)| due).filter(|due| *due > now).min();
        let until = next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
        until.unwrap_or(max).clamp(Duration::from_millis(10), max)
    }

    /// Whether a resource that is not running is due.
    fn is_due(&self, now: Timestamp) -> bool {
        self.waiting(now).any(|(due, _)| due <= now)
    }

    /// The resources that are not running, with the times when they are due: by their schedule after their last run, or at once if
    /// they have never run.
    fn waiting(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, &Resource)> {
        let is_past = move |began: &Timestamp| began.duration_since(now) <= SKEW;
        let waiting = self.plan.iter().filter(|(resource, _)| !self.running.contains(*resource));
        waiting.filter_map(move |(resource, planned)| {
            let last = planned.last.filter(is_past).max(self.started.get(resource).copied().filter(is_past));
            let due = last.map_or(Some(Timestamp::MIN), |last| planned.schedule.next(last))?;
            Some((due, resource))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn resource(name: &str) -> Resource {
        Resource::new(name).unwrap()
    }

    fn names(starting: Vec<(Resource, Vec<PlannedStream>)>) -> Vec<Resource> {
        starting.into_iter().map(|(resource, _)| resource).collect()
    }

    /// Resources that are due at these times, and run every minute.
    fn timetable(due: &[(&str, i64)]) -> Timetable {
        let planned = |second| PlannedResource {
            schedule: "1m".parse().unwrap(),
            last: Some(at(second - 60)),
            is_unfinished: false,
            streams: Vec::new(),
            dropped: Vec::new(),
        };
        let plan = due.iter().map(|(name, second)| (resource(name), planned(*second))).collect();
        Timetable { plan, ..Timetable::default() }
    }

    #[test]
    fn a_running_resource_is_not_started_again() {
        let mut timetable = timetable(&[("a", 1)]);
        assert_eq!(names(timetable.start(at(5), 4)), [resource("a")]);
        assert!(names(timetable.start(at(99), 4)).is_empty());
        timetable.running.clear();
        assert_eq!(names(timetable.start(at(99), 4)), [resource("a")]);
    }

    #[test]
    fn a_run_without_a_record_is_retried_only_after_a_pause() {
        let mut timetable = timetable(&[("a", 1)]);
        names(timetable.start(at(5), 4));
        timetable.running.clear();
        assert!(names(timetable.start(at(6), 4)).is_empty());
        assert_eq!(names(timetable.start(at(65), 4)), [resource("a")]);
    }

    #[test]
    fn a_resource_that_never_ran_is_due_at_once() {
        let mut timetable = timetable(&[("a", 1)]);
        timetable.plan.values_mut().for_each(|planned| planned.last = None);
        assert_eq!(names(timetable.start(at(0), 1)), [resource("a")]);
    }

    #[test]
    fn a_future_dated_run_delays_nothing() {
        let mut timetable = timetable(&[("a", 9_999)]);
        assert_eq!(names(timetable.start(at(5), 4)), [resource("a")]);
        timetable.running.clear();
        assert!(names(timetable.start(at(6), 4)).is_empty());
    }

    #[test]
    fn the_longest_waiting_resources_start_first() {
        let mut timetable = timetable(&[("a", 3), ("b", 1), ("c", 2), ("d", 60)]);
        assert_eq!(names(timetable.start(at(5), 2)), [resource("b"), resource("c")]);
        assert!(names(timetable.start(at(5), 2)).is_empty());
    }

    #[test]
    fn the_pause_ends_when_the_next_one_is_due() {
        assert_eq!(timetable(&[("a", 8), ("b", 6)]).pause(at(5), REFRESH), Duration::from_secs(1));
        assert_eq!(timetable(&[("a", 60)]).pause(at(5), REFRESH), REFRESH);
        assert_eq!(timetable(&[]).pause(at(5), REFRESH), REFRESH);
    }
}
