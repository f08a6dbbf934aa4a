//! Runs every enabled resource on its schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures::future::{Fuse, FusedFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ingest::ConcurrentRuns;
use super::planned::PlannedStream;
use super::settings::Configured;
use super::timetable::{PlannedResource, Timetable};
use super::unstarted::Unstarted;
use super::{Connector, Event, Schedule};
use crate::{Mode, Resource, Result, RunStatus, Settings};

/// How often the configuration is read again, to notice what another program has enabled or disabled.
const REFRESH: Duration = Duration::from_secs(15);

/// How often in a metered store, which is also read when a resource becomes due.
const REFRESH_METERED: Duration = Duration::from_secs(30 * 60);

impl Connector {
    /// Runs every enabled resource on its [schedule](Schedule) until `cancel` is cancelled, with at most `concurrency` concurrent runs.
    /// Runs of a stream never overlap, one run makes up for all missed ones, and a stream that takes long delays no other stream of its
    /// resource. Changes to the enabled resources, their streams and their schedules take effect within 15 seconds; in a
    /// [metered](crate::StateStore::is_metered) store, when a resource becomes due again, or becomes due a minute or more after the last
    /// read, or after 30 minutes.
    ///
    /// While the [budget](Self::set_budget) is used up, nothing starts; another budget takes effect within 30 minutes.
    ///
    /// The failure of a run is reported to the [observer](super::Observer) and does not stop the others.
    ///
    /// # Errors
    /// At the start, malformed settings, of which a failed run of each stream is recorded that is due, and unreadable stores. Later, these errors are logged, and the read is retried.
    pub async fn serve(&self, concurrency: usize, cancel: CancellationToken) -> Result<()> {
        let metered = self.state.is_metered();
        let every = self.refresh_interval();
        let concurrency = concurrency.max(1);
        let runner = ConcurrentRuns::new(self, concurrency);
        let Some(read) = cancel.run_until_cancelled(self.plan()).await else { return Ok(()) };
        let (mut config, plan) = match read {
            Ok(read) => read,
            Err(error) => {
                self.record_misconfigured(&[], Mode::Incremental, true, &error).await;
                self.known.note_outage(&error, self.now());
                return Err(error);
            }
        };
        let mut timetable = Timetable::resume(plan, self.now());
        let (mut read_at, mut cycle, mut told) = (Instant::now(), None, None);
        let mut reading = pin!(Fuse::terminated());
        let mut runs = FuturesUnordered::new();
        let (ended, mut ends) = mpsc::unbounded_channel();
        while !cancel.is_cancelled() {
            // One reading of the clock: what became due between two readings would be neither started nor waited for.
            let now = self.now();
            let paused_until = self.paused_until(now);
            let due = metered && paused_until.is_none() && timetable.begins_cycle(*cycle.get_or_insert(now), now);
            if reading.is_terminated() && (due || read_at.elapsed() >= every) {
                // Concurrently with the runs: one of them may hold what this read waits for, and must be polled.
                reading.set(self.record_and_plan().fuse());
            }
            let is_reading = !reading.is_terminated();
            // During a read, start nothing: the resource may have been disabled. Nor while the budget is used up.
            let starting =
                if is_reading || paused_until.is_some() { Vec::new() } else { timetable.start(now, concurrency) };
            for (resource, streams) in starting {
                self.warn_of_dropped(&resource, timetable.dropped(&resource));
                let (runner, config, cancel, ended) = (&runner, config.clone(), cancel.clone(), ended.clone());
                runs.push(async move {
                    // The receiver lives as long as the runs.
                    let end = |stream: &str| drop(ended.send((resource.clone(), stream.to_owned())));
                    runner.run_all(streams, &config, Mode::Incremental, &cancel, end).await;
                });
            }
            if runs.is_empty() && !is_reading {
                self.end_cycle().await;
                let next_due = timetable.next_due(now).filter(|_| paused_until.is_none());
                if let Some(next_due) = next_due.filter(|next_due| told != Some(*next_due)) {
                    told = Some(next_due);
                    self.emit(Event::Idle { next_due });
                }
            }
            let pause = match paused_until {
                Some(until) => Duration::try_from(until - now).unwrap_or_default(),
                None => timetable.pause(now, every),
            };
            let next_check = (read_at + every).min(Instant::now() + pause);
            tokio::select! {
                () = cancel.cancelled() => break,
                Some((resource, stream)) = ends.recv() => timetable.end(&resource, &stream, self.now()),
                Some(()) = runs.next() => {}
                read = &mut reading => {
                    (read_at, cycle) = (Instant::now(), None);
                    match read {
                        Ok((settings, plan)) => {
                            self.known.note_usable();
                            config = settings;
                            timetable.set_plan(plan, self.now());
                        }
                        Err(error) => {
                            self.known.note_outage(&error, self.now());
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
        self.end_cycle().await;
        Ok(())
    }

    /// How often the configuration is read again if no resource is due.
    pub(crate) fn refresh_interval(&self) -> Duration {
        if self.state.is_metered() { REFRESH_METERED } else { REFRESH }
    }

    /// Records the idle runs of the cycle before, and plans the next one.
    async fn record_and_plan(&self) -> Result<(Settings, BTreeMap<Resource, PlannedResource>)> {
        self.record_idle_runs().await;
        self.plan().await
    }

    /// Reads the effective settings, and each enabled resource with its schedule and the start of its last run. Resources that cannot be
    /// scheduled are logged and skipped; a failed run of each of their streams is recorded when it would have been due.
    async fn plan(&self) -> Result<(Settings, BTreeMap<Resource, PlannedResource>)> {
        let configured = self.configuration().await?;
        self.read_budget(configured.budget, &configured.resources).await?;
        let Configured { config, resources: known, unreadable, .. } = configured;
        let mut unstarted: Vec<Unstarted> =
            unreadable.iter().map(|(name, error)| self.unstarted(name, None, error)).collect();
        let (mut selected, mut schedules, mut dropped) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for (resource, config) in known.into_iter().filter(|(_, config)| config.enabled) {
            let selection = self.selection(Some(&config));
            let schedule = selection.check(&self.spec).and_then(|()| Schedule::stored(&config));
            let schedule = match schedule {
                Ok(schedule) => schedule,
                Err(error) => {
                    let help = error.help().unwrap_or_default();
                    tracing::error!(%resource, %error, help, "the resource is skipped");
                    unstarted.push(self.unstarted(resource.name(), Some(&config), &error));
                    continue;
                }
            };
            let owners: BTreeSet<Resource> = selection.streams.iter().map(|stream| stream.owner(&resource)).collect();
            for owner in owners {
                let schedules: &mut Vec<Schedule> = schedules.entry(owner).or_default();
                if !schedules.contains(&schedule) {
                    schedules.push(schedule.clone());
                }
            }
            dropped.insert(resource.clone(), selection.dropped);
            selected.push((resource, selection.streams));
        }
        self.record_unstarted(&unstarted, Mode::Incremental, true).await;
        let planned = |(resource, streams): (Resource, Vec<PlannedStream>)| {
            let schedules = schedules.remove(&resource).unwrap_or_default();
            let (last, is_unfinished, unread) = (None, false, BTreeSet::new());
            let dropped = dropped.remove(&resource).unwrap_or_default();
            (resource, PlannedResource { schedules, last, is_unfinished, streams, unread, dropped })
        };
        let mut plan: BTreeMap<_, _> = PlannedStream::selected(&self.spec, selected).into_iter().map(planned).collect();
        let streams = plan.values_mut().flat_map(|planned| &mut planned.streams);
        let mut statuses = self.prefetch(streams).await?.into_iter();
        for planned in plan.values_mut() {
            let mut starts = Vec::with_capacity(planned.streams.len());
            for (stream, status) in planned.streams.iter().zip(&mut statuses) {
                let run = status.run.as_ref();
                match run {
                    Some(run) => starts.push(run.started_at),
                    None => drop(planned.unread.insert(stream.stream.name.clone())),
                }
                planned.is_unfinished |=
                    run.is_some_and(|run| matches!(run.status, RunStatus::Interrupted | RunStatus::Running));
            }
            planned.last = starts.into_iter().min();
        }
        Ok((config, plan))
    }
}
