//! When to start which streams of which resources.

use std::collections::{BTreeMap, BTreeSet};
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
#[derive(Debug, Default)]
pub(super) struct Timetable {
    pub(super) plan: BTreeMap<Resource, PlannedResource>,
    /// The streams that are running, or wait for their turn. No set is empty.
    running: BTreeMap<Resource, BTreeSet<String>>,
    /// When the streams of a resource were started together. Needed beside the run history: a run that cannot begin leaves no record, and
    /// must not be retried without a pause.
    started: BTreeMap<Resource, Timestamp>,
    /// The streams that were ever started.
    known: BTreeSet<StateKey>,
}

impl Timetable {
    pub(super) fn new(plan: BTreeMap<Resource, PlannedResource>) -> Self {
        Self { plan, ..Self::default() }
    }

    /// Makes unfinished runs due at once, so that after a restart a resource does not wait a day for its next run.
    pub(super) fn replan(&mut self) {
        self.plan.values_mut().filter(|planned| planned.is_unfinished).for_each(|planned| planned.last = None);
    }

    /// The selected streams of a resource that the source does not have.
    pub(super) fn dropped(&self, resource: &Resource) -> &[String] {
        self.plan.get(resource).map_or(&[], |planned| &planned.dropped)
    }

    /// Returns the streams to start now, those of the longest waiting resources first, and counts them as running.
    pub(super) fn start(&mut self, now: Timestamp, concurrency: usize) -> Vec<(Resource, Vec<PlannedStream>)> {
        let mut ready: Vec<_> =
            self.waiting(now).filter(|(due, _)| *due <= now).map(|(due, resource)| (due, resource.clone())).collect();
        ready.sort();
        let mut free = concurrency.saturating_sub(self.running.len());
        // A resource with running streams has its place already.
        ready.retain(|(_, resource)| {
            let has_place = self.running.contains_key(resource) || free > 0;
            free -= usize::from(has_place && !self.running.contains_key(resource));
            has_place
        });
        ready.into_iter().map(|(_, resource)| (resource.clone(), self.start_streams(&resource, now))).collect()
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
        let streams = self.plan.get_mut(resource).into_iter().flat_map(|planned| &mut planned.streams);
        let streams = streams.filter(|stream| starting.contains(&stream.stream.name));
        let started = |stream: &mut PlannedStream| {
            let (start, newest_run) = (stream.start.take(), stream.newest_run.take());
            PlannedStream { start, newest_run, ..stream.clone() }
        };
        streams.map(started).collect()
    }

    /// Notes that the run of a stream has ended.
    pub(super) fn end(&mut self, resource: &Resource, stream: &str) {
        if let Some(running) = self.running.get_mut(resource) {
            running.remove(stream);
            if running.is_empty() {
                self.running.remove(resource);
            }
        }
    }

    /// The time until the next resource is due, at most until the configuration is read again.
    pub(super) fn pause(&self, now: Timestamp, max: Duration) -> Duration {
        let until = self.next_due(now).and_then(|next| Duration::try_from(next.duration_since(now)).ok());
        until.unwrap_or(max).clamp(Duration::from_millis(10), max)
    }

    /// When the next resource is due.
    pub(super) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.waiting(now).map(|(due, _)| due).filter(|due| *due > now).min()
    }

    /// Whether a resource is due that cannot share the read of the cycle that began at `began`: one that was started with it, so that its
    /// prefetched states are used up, or one that became due later than [`CYCLE`]. One that only waits for a free place can.
    pub(super) fn begins_cycle(&self, began: Timestamp, now: Timestamp) -> bool {
        let has_started = |resource| self.started.get(resource).is_some_and(|started| *started >= began);
        let is_late = |due: Timestamp| due.duration_since(began) > CYCLE;
        self.waiting(now).any(|(due, resource)| due <= now && (is_late(due) || has_started(resource)))
    }

    /// The resources with streams that are not running, and the times when these are due: by the schedule after the last run, or at once
    /// if one of them was never read.
    fn waiting(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, &Resource)> {
        self.plan.iter().filter_map(move |(resource, planned)| {
            let mut idle = self.idle(resource, planned).peekable();
            idle.peek()?;
            let due = match idle.any(|stream| self.is_new(planned, stream)) {
                true => Timestamp::MIN,
                false => self.scheduled(resource, planned, now)?,
            };
            Some((due, resource))
        })
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
        Timetable::new(resources.map(|(name, second)| (name.clone(), planned(&name, second))).collect())
    }

    fn timetable(due: &[(&str, i64)]) -> Timetable {
        timetable_of(due, &["t"])
    }

    #[test]
    fn a_running_stream_delays_no_other_stream_of_its_resource() {
        let mut timetable = timetable_of(&[("a", 60)], &["quick", "slow"]);
        assert_eq!(streams(timetable.start(at(65), 1)), ["quick", "slow"]);
        assert!(timetable.start(at(120), 1).is_empty());
        timetable.end(&resource("a"), "quick");
        assert!(timetable.start(at(119), 1).is_empty(), "it is due at the full minute");
        assert_eq!(streams(timetable.start(at(120), 1)), ["quick"]);
        timetable.end(&resource("a"), "quick");
        timetable.end(&resource("a"), "slow");
        assert_eq!(streams(timetable.start(at(180), 1)), ["quick", "slow"]);
    }

    #[test]
    fn a_resource_keeps_its_place_while_one_of_its_streams_runs() {
        let mut timetable = timetable_of(&[("a", 60), ("b", 120)], &["quick", "slow"]);
        assert_eq!(names(timetable.start(at(60), 1)), [resource("a")]);
        timetable.end(&resource("a"), "quick");
        assert_eq!(names(timetable.start(at(120), 1)), [resource("a")]);
        assert_eq!(names(timetable.start(at(120), 2)), [resource("b")]);
    }

    #[test]
    fn a_stream_that_is_selected_later_starts_at_once_and_alone() {
        let mut timetable = timetable_of(&[("a", 60)], &["old", "new"]);
        let plan = |timetable: &mut Timetable| {
            let planned = timetable.plan.get_mut(&resource("a")).unwrap();
            planned.unread.insert("new".to_owned());
        };
        timetable.plan.get_mut(&resource("a")).unwrap().streams.pop();
        assert_eq!(streams(timetable.start(at(65), 1)), ["old"]);
        timetable.end(&resource("a"), "old");
        timetable.plan = timetable_of(&[("a", 120)], &["old", "new"]).plan;
        plan(&mut timetable);
        assert_eq!(streams(timetable.start(at(80), 1)), ["new"]);
        timetable.end(&resource("a"), "new");
        assert!(timetable.start(at(81), 1).is_empty(), "without a record, it waits for its schedule like the others");
        assert_eq!(streams(timetable.start(at(120), 1)), ["old", "new"]);
    }

    #[test]
    fn a_running_resource_is_not_started_again() {
        let mut timetable = timetable(&[("a", 60)]);
        assert_eq!(names(timetable.start(at(65), 4)), [resource("a")]);
        assert!(names(timetable.start(at(150), 4)).is_empty());
        timetable.end(&resource("a"), "t");
        assert_eq!(names(timetable.start(at(150), 4)), [resource("a")]);
    }

    #[test]
    fn a_run_without_a_record_is_retried_only_at_the_next_beat() {
        let mut timetable = timetable(&[("a", 60)]);
        names(timetable.start(at(65), 4));
        timetable.end(&resource("a"), "t");
        assert!(names(timetable.start(at(66), 4)).is_empty());
        assert_eq!(names(timetable.start(at(120), 4)), [resource("a")]);
    }

    #[test]
    fn several_missed_beats_are_made_up_by_one_run() {
        let mut timetable = timetable(&[("a", 60)]);
        assert_eq!(names(timetable.start(at(1_000), 4)), [resource("a")]);
        timetable.end(&resource("a"), "t");
        assert!(names(timetable.start(at(1_019), 4)).is_empty());
        assert_eq!(names(timetable.start(at(1_020), 4)), [resource("a")]);
    }

    #[test]
    fn a_resource_that_never_ran_is_due_at_once() {
        let mut timetable = timetable(&[("a", 60)]);
        timetable.plan.values_mut().for_each(|planned| planned.last = None);
        assert_eq!(names(timetable.start(at(0), 1)), [resource("a")]);
    }

    #[test]
    fn a_future_dated_run_delays_nothing() {
        let mut timetable = timetable(&[("a", 9_960)]);
        assert_eq!(names(timetable.start(at(5), 4)), [resource("a")]);
        timetable.end(&resource("a"), "t");
        assert!(names(timetable.start(at(6), 4)).is_empty());
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
        timetable.end(&resource("a"), "t");
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
