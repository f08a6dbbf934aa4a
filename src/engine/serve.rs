//! Keeps every enabled resource on its schedule.

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
use super::run::PrefetchedState;
use super::settings::Configured;
use crate::{Mode, Resource, Result, RunStatus, Settings};

/// How often the configuration is read again, so that what another program enables or disables is noticed.
const REFRESH: Duration = Duration::from_secs(15);

/// How often where every call is paid for. There it is read besides whenever a resource is due.
const REFRESH_METERED: Duration = Duration::from_secs(30 * 60);

/// By how much the clocks of two machines may differ. A run that began later than that from now was dated by a clock that was
/// wrong, and holds nothing back.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

impl Connector {
    /// Keeps every enabled resource on its schedule until `cancel` is cancelled, at most `concurrency` at once. A resource
    /// never overlaps itself, and runs that were missed are made up for by one. Resources that are enabled, disabled or
    /// rescheduled meanwhile are noticed within 15 seconds; where every call to the configuration
    /// [is paid for](crate::StateStore::is_metered), when a resource is due next, or after 30 minutes.
    ///
    /// The failure of a run is told to the [observer](super::Observer) and stops nothing.
    ///
    /// # Errors
    /// Settings that are malformed, and stores that cannot be read, at the start; later they are logged and tried again.
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
                // Beside the runs: one of them may be next in turn for what the reading waits for, and must be polled.
                reading.set(self.plan().fuse());
            }
            let is_reading = !reading.is_terminated();
            // One look at the clock: what fell due between two of them would be neither started nor waited for.
            let now = self.now();
            // What may have been disabled is not started.
            let starting = if is_reading { Vec::new() } else { timetable.start(now, concurrency) };
            for (resource, start) in starting {
                let (runner, config, cancel) = (&runner, config.clone(), cancel.clone());
                runs.push(async move {
                    drop(runner.run(resource.clone(), config, Mode::Incremental, start, cancel).await);
                    resource
                });
            }
            let look_again = (read_at + every).min(Instant::now() + timetable.pause(now, every));
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(resource) = runs.next() => { timetable.running.remove(&resource); }
                read = &mut reading => {
                    read_at = Instant::now();
                    match read {
                        Ok(read) => (config, timetable.plan) = read,
                        Err(error) => {
                            tracing::error!(%error, "the configuration cannot be read; going on with the last one")
                        }
                    }
                }
                () = sleep_until(look_again), if !is_reading => {}
            }
        }
        // Nobody polls it any more, and a run may wait behind it.
        reading.set(Fuse::terminated());
        while runs.next().await.is_some() {}
        Ok(())
    }

    /// How often the configuration is read again where nothing is due.
    pub(crate) fn refresh_interval(&self) -> Duration {
        if self.state.is_metered() { REFRESH_METERED } else { REFRESH }
    }

    /// The settings in force, and each enabled resource with its schedule and the start of its last run.
    async fn plan(&self) -> Result<(Settings, BTreeMap<Resource, PlannedResource>)> {
        let Configured { config, resources: known, .. } = self.configuration().await?;
        let (resources, configs): (Vec<_>, Vec<_>) = known.into_iter().filter(|(_, config)| config.enabled).unzip();
        let standings = self.statuses(&resources).await?;
        let mut plan = BTreeMap::new();
        let is_metered = self.state.is_metered();
        for ((resource, config), standing) in resources.into_iter().zip(configs).zip(standings) {
            let schedule = match config.schedule.as_deref().map(str::parse).transpose() {
                Ok(schedule) => schedule.unwrap_or_default(),
                Err(error) => {
                    tracing::error!(
                        %resource, %error, help = "`enable` it again with a schedule such as `30m`",
                        "the schedule in the table RESOURCE_CONFIGURATION cannot be read; the resource is left out"
                    );
                    continue;
                }
            };
            let start = PrefetchedState::of(standing.entry, is_metered);
            let run = standing.run;
            let cut_off =
                run.as_ref().is_some_and(|run| matches!(run.status, RunStatus::Interrupted | RunStatus::Running));
            plan.insert(
                resource,
                PlannedResource { schedule, last: run.map(|run| run.started_at), is_unfinished: cut_off, start },
            );
        }
        Ok((config, plan))
    }
}

/// When a resource last ran, and how often it is to run.
#[derive(Debug)]
struct PlannedResource {
    schedule: Schedule,
    last: Option<Timestamp>,
    /// Whether that run was interrupted, or has not ended.
    is_unfinished: bool,
    /// Where the next run begins. It serves one run only, which may move on.
    start: Option<PrefetchedState>,
}

/// What is to run, what is running, and what was started here when.
#[derive(Debug, Default)]
struct Timetable {
    plan: BTreeMap<Resource, PlannedResource>,
    running: BTreeSet<Resource>,
    /// Beside the run history, because a run that cannot begin leaves no record there and must not be tried without pause.
    started: BTreeMap<Resource, Timestamp>,
}

impl Timetable {
    /// Lets what was cut off go on at once: a program that was stopped and started again must not wait a day for it.
    fn replan(&mut self) {
        self.plan.values_mut().filter(|planned| planned.is_unfinished).for_each(|planned| planned.last = None);
    }

    /// The resources to start now, those that have waited longest first; they count as running from here on.
    fn start(&mut self, now: Timestamp, concurrency: usize) -> Vec<(Resource, Option<PrefetchedState>)> {
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
                let start = self.plan.get_mut(&resource).and_then(|planned| planned.start.take());
                (resource, start)
            })
            .collect()
    }

    /// How long there is nothing to start, at most until the configuration is read again.
    fn pause(&self, now: Timestamp, at_most: Duration) -> Duration {
        let next = self.waiting(now).map(|(due, _)| due).filter(|due| *due > now).min();
        let until = next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
        until.unwrap_or(at_most).clamp(Duration::from_millis(10), at_most)
    }

    /// Whether something that is not running is to run by now.
    fn is_due(&self, now: Timestamp) -> bool {
        self.waiting(now).any(|(due, _)| due <= now)
    }

    /// The resources that are not running, with when they are due: by their schedule after their last run, at once when
    /// there is none.
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

    fn names(starting: Vec<(Resource, Option<PrefetchedState>)>) -> Vec<Resource> {
        starting.into_iter().map(|(resource, _)| resource).collect()
    }

    /// Resources that are due at these times, and run every minute.
    fn timetable(due: &[(&str, i64)]) -> Timetable {
        let planned = |second| PlannedResource {
            schedule: "1m".parse().unwrap(),
            last: Some(at(second - 60)),
            is_unfinished: false,
            start: None,
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
    fn a_run_that_left_no_record_is_not_tried_again_without_pause() {
        let mut timetable = timetable(&[("a", 1)]);
        names(timetable.start(at(5), 4));
        timetable.running.clear();
        assert!(names(timetable.start(at(6), 4)).is_empty());
        assert_eq!(names(timetable.start(at(65), 4)), [resource("a")]);
    }

    #[test]
    fn what_has_never_run_is_due_at_once() {
        let planned = PlannedResource { schedule: Schedule::default(), last: None, is_unfinished: false, start: None };
        let mut timetable = Timetable { plan: [(resource("a"), planned)].into(), ..Timetable::default() };
        assert_eq!(names(timetable.start(at(0), 1)), [resource("a")]);
    }

    #[test]
    fn a_run_in_the_future_holds_nothing_up() {
        let mut timetable = timetable(&[("a", 9_999)]);
        assert_eq!(names(timetable.start(at(5), 4)), [resource("a")]);
        timetable.running.clear();
        assert!(names(timetable.start(at(6), 4)).is_empty());
    }

    #[test]
    fn those_that_waited_longest_start_first_within_the_limit() {
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
