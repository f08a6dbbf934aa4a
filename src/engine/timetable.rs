//! When to start which streams of which resources.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Schedule;
use super::planned::PlannedStream;
use super::schedule::next_due;
use crate::{Resource, StateKey};

/// Resources of a metered store that become due within this time of a read share it.
const CYCLE: SignedDuration = SignedDuration::from_mins(1);

/// The schedule and the last runs of a resource.
#[derive(Debug)]
pub(super) struct PlannedResource {
    /// It is due when one of them says so. Only the [source](Resource::source_wide) can have several: those of the resources that select
    /// its streams.
    pub(super) schedules: Vec<Schedule>,
    /// The earliest start of the last runs of the streams that have ever run.
    pub(super) last: Option<Timestamp>,
    /// Whether a run was interrupted, or has not ended.
    pub(super) is_unfinished: bool,
    /// The streams, with their prefetched states for the next run; stale afterwards.
    pub(super) streams: Vec<PlannedStream>,
    /// The streams that have never run.
    pub(super) unread: BTreeSet<String>,
    /// The selected names that the source does not have.
    pub(super) dropped: Vec<String>,
}

/// The planned resources, the running streams, and the times of starts in this process.
///
/// With thousands of resources, a cycle has tens of thousands of events (starts and ends of streams), so none of them looks at every
/// resource: those that wait are kept in the order of the times when they are due.
#[derive(Debug, Default)]
pub(super) struct Timetable {
    plan: BTreeMap<Resource, PlannedResource>,
    /// The streams that are running, or wait for their turn. No set is empty.
    running: BTreeMap<Resource, BTreeSet<String>>,
    /// When the streams of a resource were started together. Needed beside the run history: a run that cannot begin leaves no record, and
    /// must not be retried without a pause.
    started: BTreeMap<Resource, Timestamp>,
    /// The streams that were ever started.
    known: BTreeSet<StateKey>,
    /// The resources with streams that are not running, and the times when these are due: by the schedule after the last run, or at once
    /// if one of them was never read.
    waiting: BTreeMap<Timestamp, BTreeSet<Resource>>,
    /// The same times, by resource.
    due: BTreeMap<Resource, Timestamp>,
}

impl Timetable {
    /// Begins with a plan. Unfinished runs are due at once, so that after a restart a resource does not wait a day for its next run.
    pub(super) fn resume(mut plan: BTreeMap<Resource, PlannedResource>, now: Timestamp) -> Self {
        plan.values_mut().filter(|planned| planned.is_unfinished).for_each(|planned| planned.last = None);
        let mut timetable = Self::default();
        timetable.set_plan(plan, now);
        timetable
    }

    /// Replaces the plan. Running streams go on.
    pub(super) fn set_plan(&mut self, plan: BTreeMap<Resource, PlannedResource>, now: Timestamp) {
        self.plan = plan;
        self.waiting.clear();
        self.due.clear();
        for resource in self.plan.keys().cloned().collect::<Vec<_>>() {
            self.update(&resource, now);
        }
    }

    /// The selected streams of a resource that the source does not have.
    pub(super) fn dropped(&self, resource: &Resource) -> &[String] {
        self.plan.get(resource).map_or(&[], |planned| &planned.dropped)
    }

    /// Returns the streams to start now, those of the longest waiting resources first, and counts them as running.
    pub(super) fn start(&mut self, now: Timestamp, concurrency: usize) -> Vec<(Resource, Vec<PlannedStream>)> {
        let free = concurrency.saturating_sub(self.running.len());
        let due = self.waiting.range(..=now).flat_map(|(due, waiting)| waiting.iter().map(|resource| (*due, resource)));
        let new = due.filter(|(_, resource)| !self.running.contains_key(resource)).take(free);
        // A resource with running streams has its place already.
        let placed = self.running.keys().filter_map(|resource| Some((*self.due.get(resource)?, resource)));
        let mut ready: Vec<_> = placed.filter(|(due, _)| *due <= now).chain(new).collect();
        ready.sort();
        let ready: Vec<Resource> = ready.into_iter().map(|(_, resource)| resource.clone()).collect();
        let start = |resource: Resource| {
            let streams = self.start_streams(&resource, now);
            (resource, streams)
        };
        ready.into_iter().map(start).collect()
    }

    /// Starts the streams of a resource that are not running: all of them if its schedule says so, otherwise those that were never read.
    fn start_streams(&mut self, resource: &Resource, now: Timestamp) -> Vec<PlannedStream> {
        let Some(planned) = self.plan.get(resource) else { return Vec::new() };
        let is_due = self.scheduled(resource, planned, now).is_some_and(|due| due <= now);
        let starting: BTreeSet<String> = self
            .idle(resource, planned)
            .filter(|stream| is_due || self.is_new(planned, stream))
            .map(|stream| stream.stream.name.clone())
            .collect();
        if is_due {
            self.started.insert(resource.clone(), now);
        }
        self.known.extend(starting.iter().map(|stream| StateKey::new(resource.name(), stream)));
        self.running.entry(resource.clone()).or_default().extend(starting.iter().cloned());
        self.update(resource, now);
        let streams = self.plan.get_mut(resource).into_iter().flat_map(|planned| &mut planned.streams);
        let streams = streams.filter(|stream| starting.contains(&stream.stream.name));
        let started = |stream: &mut PlannedStream| {
            let (start, newest_run) = (stream.start.take(), stream.newest_run.take());
            PlannedStream { start, newest_run, ..stream.clone() }
        };
        streams.map(started).collect()
    }

    /// Notes that the run of a stream has ended.
    pub(super) fn end(&mut self, resource: &Resource, stream: &str, now: Timestamp) {
        if let Some(running) = self.running.get_mut(resource) {
            running.remove(stream);
            if running.is_empty() {
                self.running.remove(resource);
            }
        }
        self.update(resource, now);
    }

    /// The time until the next resource is due, at most until the configuration is read again.
    pub(super) fn pause(&self, now: Timestamp, max: Duration) -> Duration {
        let until = self.next_due(now).and_then(|next| Duration::try_from(next.duration_since(now)).ok());
        until.unwrap_or(max).clamp(Duration::from_millis(10), max)
    }

    /// When the next resource is due.
    pub(super) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.waiting.range((Bound::Excluded(now), Bound::Unbounded)).next().map(|(due, _)| *due)
    }

    /// Whether a resource is due that cannot share the read of the cycle that began at `began`: one that became due later than [`CYCLE`], or
    /// one that was started with it, so that its prefetched states are used up. One that only waits for a free place can.
    pub(super) fn begins_cycle(&self, began: Timestamp, now: Timestamp) -> bool {
        let has_started = |resource| self.started.get(resource).is_some_and(|started| *started >= began);
        // What was started with the cycle is due again only after that start.
        let due = self.waiting.range((Bound::Excluded(began), Bound::Included(now.max(began))));
        let mut due = due.rev().flat_map(|(due, waiting)| waiting.iter().map(|resource| (*due, resource)));
        due.any(|(due, resource)| due.duration_since(began) > CYCLE || has_started(resource))
    }

    /// Determines anew when a resource is due.
    fn update(&mut self, resource: &Resource, now: Timestamp) {
        if let Some(due) = self.due.remove(resource)
            && let Some(waiting) = self.waiting.get_mut(&due)
        {
            waiting.remove(resource);
            if waiting.is_empty() {
                self.waiting.remove(&due);
            }
        }
        if let Some(due) = self.next(resource, now) {
            self.due.insert(resource.clone(), due);
            self.waiting.entry(due).or_default().insert(resource.clone());
        }
    }

    /// When the streams of a resource that are not running are due; `None` if there are none, or never.
    fn next(&self, resource: &Resource, now: Timestamp) -> Option<Timestamp> {
        let planned = self.plan.get(resource)?;
        let mut idle = self.idle(resource, planned).peekable();
        idle.peek()?;
        match idle.any(|stream| self.is_new(planned, stream)) {
            true => Some(Timestamp::MIN),
            false => self.scheduled(resource, planned, now),
        }
    }

    /// The streams of a resource that are not running.
    fn idle<'a>(
        &'a self,
        resource: &Resource,
        planned: &'a PlannedResource,
    ) -> impl Iterator<Item = &'a PlannedStream> {
        let running = self.running.get(resource);
        planned
            .streams
            .iter()
            .filter(move |stream| running.is_none_or(|running| !running.contains(&stream.stream.name)))
    }

    /// Whether a stream was neither read before nor started in this process.
    fn is_new(&self, planned: &PlannedResource, stream: &PlannedStream) -> bool {
        planned.unread.contains(&stream.stream.name) && !self.known.contains(&stream.key())
    }

    /// When all streams of a resource are due.
    fn scheduled(&self, resource: &Resource, planned: &PlannedResource, now: Timestamp) -> Option<Timestamp> {
        let started = self.started.get(resource).copied();
        next_due(&planned.schedules, planned.last.into_iter().chain(started), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamSpec;

    const REFRESH: Duration = Duration::from_secs(15);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn resource(name: &str) -> Resource {
        Resource::new(name).unwrap()
    }

    fn names(starting: Vec<(Resource, Vec<PlannedStream>)>) -> Vec<Resource> {
        starting.into_iter().map(|(resource, _)| resource).collect()
    }

    fn end(timetable: &mut Timetable, name: &str, stream: &str, second: i64) {
        timetable.end(&resource(name), stream, at(second));
    }

    /// The names of the streams of the only resource that starts.
    fn streams(mut starting: Vec<(Resource, Vec<PlannedStream>)>) -> Vec<String> {
        assert!(starting.len() <= 1, "{starting:?}");
        let streams = starting.pop().map(|(_, streams)| streams).unwrap_or_default();
        streams.into_iter().map(|stream| stream.stream.name).collect()
    }

    /// Resources with these streams that are due at these full minutes, and run every minute.
    fn timetable_of(due: &[(&str, i64)], streams: &[&str]) -> Timetable {
        let planned = |resource: &Resource, second| PlannedResource {
            schedules: vec!["1m".parse().unwrap()],
            last: Some(at(second - 30)),
            is_unfinished: false,
            streams: PlannedStream::all(resource, streams.iter().map(|name| StreamSpec::new(*name)).collect()),
            unread: BTreeSet::new(),
            dropped: Vec::new(),
        };
        let resources = due.iter().map(|(name, second)| (resource(name), *second));
        let last = due.iter().map(|(_, second)| second - 30).max().unwrap_or_default();
        Timetable::resume(resources.map(|(name, second)| (name.clone(), planned(&name, second))).collect(), at(last))
    }

    fn timetable(due: &[(&str, i64)]) -> Timetable {
        timetable_of(due, &["t"])
    }

    #[test]
    fn a_running_stream_delays_no_other_stream_of_its_resource() {
        let mut timetable = timetable_of(&[("a", 60)], &["quick", "slow"]);
        assert_eq!(streams(timetable.start(at(65), 1)), ["quick", "slow"]);
        assert!(timetable.start(at(120), 1).is_empty());
        end(&mut timetable, "a", "quick", 120);
        assert!(timetable.start(at(119), 1).is_empty(), "it is due at the full minute");
        assert_eq!(streams(timetable.start(at(120), 1)), ["quick"]);
        end(&mut timetable, "a", "quick", 120);
        end(&mut timetable, "a", "slow", 120);
        assert_eq!(streams(timetable.start(at(180), 1)), ["quick", "slow"]);
    }

    #[test]
    fn a_resource_keeps_its_place_while_one_of_its_streams_runs() {
        let mut timetable = timetable_of(&[("a", 60), ("b", 120)], &["quick", "slow"]);
        assert_eq!(names(timetable.start(at(60), 1)), [resource("a")]);
        end(&mut timetable, "a", "quick", 60);
        assert_eq!(names(timetable.start(at(120), 1)), [resource("a")]);
        assert_eq!(names(timetable.start(at(120), 2)), [resource("b")]);
    }

    #[test]
    fn a_stream_that_is_selected_later_starts_at_once_and_alone() {
        let mut timetable = timetable_of(&[("a", 60)], &["old", "new"]);
        let plan = |timetable: &mut Timetable| {
            let planned = timetable.plan.get_mut(&resource("a")).unwrap();
            planned.unread.insert("new".to_owned());
            timetable.update(&resource("a"), at(80));
        };
        timetable.plan.get_mut(&resource("a")).unwrap().streams.pop();
        timetable.update(&resource("a"), at(60));
        assert_eq!(streams(timetable.start(at(65), 1)), ["old"]);
        end(&mut timetable, "a", "old", 65);
        let planned = timetable_of(&[("a", 120)], &["old", "new"]).plan;
        timetable.set_plan(planned, at(80));
        plan(&mut timetable);
        assert_eq!(streams(timetable.start(at(80), 1)), ["new"]);
        end(&mut timetable, "a", "new", 80);
        assert!(timetable.start(at(81), 1).is_empty(), "without a record, it waits for its schedule like the others");
        assert_eq!(streams(timetable.start(at(120), 1)), ["old", "new"]);
    }

    #[test]
    fn a_running_resource_is_not_started_again() {
        let mut timetable = timetable(&[("a", 60)]);
        assert_eq!(names(timetable.start(at(65), 4)), [resource("a")]);
        assert!(names(timetable.start(at(150), 4)).is_empty());
        end(&mut timetable, "a", "t", 150);
        assert_eq!(names(timetable.start(at(150), 4)), [resource("a")]);
    }

    #[test]
    fn a_run_without_a_record_is_retried_only_at_the_next_beat() {
        let mut timetable = timetable(&[("a", 60)]);
        names(timetable.start(at(65), 4));
        end(&mut timetable, "a", "t", 65);
        assert!(names(timetable.start(at(66), 4)).is_empty());
        assert_eq!(names(timetable.start(at(120), 4)), [resource("a")]);
    }

    #[test]
    fn several_missed_beats_are_made_up_by_one_run() {
        let mut timetable = timetable(&[("a", 60)]);
        assert_eq!(names(timetable.start(at(1_000), 4)), [resource("a")]);
        end(&mut timetable, "a", "t", 1_000);
        assert!(names(timetable.start(at(1_019), 4)).is_empty());
        assert_eq!(names(timetable.start(at(1_020), 4)), [resource("a")]);
    }

    #[test]
    fn an_unfinished_run_is_due_at_once_after_a_restart() {
        let mut timetable = timetable(&[("a", 60)]);
        timetable.plan.values_mut().for_each(|planned| planned.is_unfinished = true);
        let mut timetable = Timetable::resume(timetable.plan, at(0));
        assert_eq!(names(timetable.start(at(0), 1)), [resource("a")]);
    }

    #[test]
    fn a_future_dated_run_delays_nothing() {
        let mut timetable = timetable(&[("a", 9_960)]);
        let plan = std::mem::take(&mut timetable.plan);
        timetable.set_plan(plan, at(5));
        assert_eq!(names(timetable.start(at(5), 4)), [resource("a")]);
        end(&mut timetable, "a", "t", 5);
        assert!(names(timetable.start(at(6), 4)).is_empty());
    }

    /// What the index says is what a look at all resources would say.
    #[test]
    fn random_starts_and_ends_leave_the_resources_in_the_order_of_their_times() {
        let names: Vec<String> = (0..20).map(|number| format!("r{number}")).collect();
        for seed in 0..50 {
            let mut random = fastrand::Rng::with_seed(seed);
            let due: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), random.i64(1..6) * 60)).collect();
            let mut timetable = timetable_of(&due, &["one", "two", "three"]);
            let mut running: Vec<(Resource, String)> = Vec::new();
            let mut now = 300;
            for _ in 0..200 {
                now += random.i64(0..20);
                for (resource, streams) in timetable.start(at(now), 5) {
                    running.extend(streams.into_iter().map(|stream| (resource.clone(), stream.stream.name)));
                }
                if !running.is_empty() {
                    let (resource, stream) = running.swap_remove(random.usize(0..running.len()));
                    timetable.end(&resource, &stream, at(now));
                }
                let all = timetable.plan.keys().filter_map(|it| Some((timetable.next(it, at(now))?, it.clone())));
                let all: BTreeSet<_> = all.collect();
                let index = timetable.waiting.iter().flat_map(|(due, them)| them.iter().map(|it| (*due, it.clone())));
                assert_eq!(index.collect::<BTreeSet<_>>(), all, "seed {seed}");
                assert!(timetable.running.len() <= 5);
                let began = at(now - random.i64(0..180));
                let has_started = |it: &Resource| timetable.started.get(it).is_some_and(|started| *started >= began);
                let begins = |(due, it): &(Timestamp, Resource)| {
                    *due <= at(now) && (due.duration_since(began) > CYCLE || has_started(it))
                };
                assert_eq!(timetable.begins_cycle(began, at(now)), all.iter().any(begins), "seed {seed}");
            }
        }
    }

    #[test]
    fn the_longest_waiting_resources_start_first() {
        let mut timetable = timetable(&[("a", 180), ("b", 60), ("c", 120), ("d", 240)]);
        assert_eq!(names(timetable.start(at(200), 2)), [resource("b"), resource("c")]);
        assert!(names(timetable.start(at(200), 2)).is_empty());
    }

    #[test]
    fn a_resource_begins_a_cycle_if_it_is_late_or_due_again() {
        let mut timetable = timetable(&[("a", 60), ("b", 60)]);
        assert!(!timetable.begins_cycle(at(-1), at(59)) && timetable.begins_cycle(at(-1), at(60)), "late");
        assert!(!timetable.begins_cycle(at(0), at(61)), "it shares the cycle");
        assert_eq!(names(timetable.start(at(61), 1)), [resource("a")]);
        end(&mut timetable, "a", "t", 61);
        // `b` still waits for a place. At 120, `a` has used up the states that were read with the cycle.
        assert!(!timetable.begins_cycle(at(55), at(119)) && timetable.begins_cycle(at(55), at(120)));
        assert!(!timetable.begins_cycle(at(119), at(121)), "they were read again");
    }

    #[test]
    fn the_pause_ends_when_the_next_one_is_due() {
        assert_eq!(timetable(&[("a", 120), ("b", 60)]).pause(at(59), REFRESH), Duration::from_secs(1));
        assert_eq!(timetable(&[("a", 60)]).pause(at(5), REFRESH), REFRESH);
        assert_eq!(timetable(&[]).pause(at(5), REFRESH), REFRESH);
    }
}
