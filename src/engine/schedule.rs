//! The schedule of a resource.

use std::fmt;
use std::str::FromStr;

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::config::SHORTEST_SCHEDULE;
use crate::{Error, ResourceConfig, Result};

/// The schedule of a resource, parsed from an interval such as `30m`, or from a cron expression (in UTC) of five fields, or six with
/// seconds first.
///
/// Intervals follow a common clock: `30m` is due at every full and every half hour UTC, `24h` at midnight, whenever the last run was.
/// Resources with the same interval are therefore due together. Beats are the multiples of the interval since 1970-01-01T00:00:00Z. A
/// beat is skipped if the last run started less than a tenth of the interval before it.
///
/// ```
/// use snowfeed::engine::Schedule;
///
/// assert_eq!("30m".parse::<Schedule>()?, Schedule::default());
/// let nightly: Schedule = "15 2 * * *".parse()?;
/// let next = nightly.next("2026-01-01T12:00:00Z".parse().unwrap());
/// assert_eq!(next, Some("2026-01-02T02:15:00Z".parse().unwrap()));
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Schedule(Kind);

#[derive(Clone, PartialEq)]
enum Kind {
    /// At the multiples of this interval since the epoch.
    Every(SignedDuration),
    Cron(Box<Cron>),
}

impl Default for Schedule {
    /// Every 30 minutes, like the reference system.
    fn default() -> Self {
        Self(Kind::Every(SignedDuration::from_mins(30)))
    }
}

impl Schedule {
    /// The shortest interval with which a resource can be enabled.
    pub const SHORTEST: SignedDuration = SHORTEST_SCHEDULE;

    /// The schedule of a resource.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if what is stored is not a schedule.
    pub(crate) fn stored(config: &ResourceConfig) -> Result<Self> {
        let Some(stored) = &config.schedule else { return Ok(Self::default()) };
        stored.parse().map_err(|error| {
            Error::configuration("the schedule in the table RESOURCE_CONFIGURATION cannot be read")
                .with_source(error)
                .with_help("`enable` it again with a schedule such as `30m`")
        })
    }

    /// Rejects schedules that are never due, or due too often.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration).
    pub(crate) fn check(&self, now: Timestamp) -> Result<()> {
        let help =
            "give an interval of at least one minute, such as `30m`, or a cron expression (UTC) such as `15 2 * * *`";
        // The seconds of a cron expression repeat every minute.
        let times: Vec<Timestamp> =
            std::iter::successors(Some(now), |last| self.next(*last)).skip(1).take(60).collect();
        if times.is_empty() {
            return Err(Error::configuration(format!("the schedule {self} is never due")).with_help(help));
        }
        if times.windows(2).any(|pair| pair[1].duration_since(pair[0]) < Self::SHORTEST) {
            return Err(Error::configuration(format!("the schedule {self} is too short")).with_help(help));
        }
        Ok(())
    }

    /// The interval; `None` for a cron expression.
    fn interval(&self) -> Option<SignedDuration> {
        match self.0 {
            Kind::Every(interval) => Some(interval),
            Kind::Cron(_) => None,
        }
    }

    /// Returns when a run is due after one that began at `after`; `None` if never, or beyond the calendar. Of an interval, it is the
    /// first beat that is at least a tenth of the interval later.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Every(interval) => {
                let interval = interval.as_nanos();
                let earliest = after.as_nanosecond() + interval / 10;
                let beat = -(-earliest).div_euclid(interval) * interval;
                Timestamp::from_nanosecond(beat).ok()
            }
            Kind::Cron(cron) => {
                let after = after.to_zoned(TimeZone::UTC);
                cron.find_next_occurrence(&after, false).ok().map(|next| next.timestamp())
            }
        }
    }
}

/// The allowed difference between the clocks of two machines. Runs dated further in the future are clock errors and are ignored.
pub(super) const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// Returns when the first of several schedules is due after the latest of these starts of runs; the past if there is none, and `None` if
/// no schedule is ever due. Of intervals, the shortest decides: the beats of a longer one would only add runs.
pub(crate) fn next_due<'a>(
    schedules: impl IntoIterator<Item = &'a Schedule>,
    starts: impl IntoIterator<Item = Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let last = starts.into_iter().filter(|start| start.duration_since(now) <= SKEW).max();
    let Some(last) = last else { return Some(Timestamp::MIN) };
    let schedules: Vec<&Schedule> = schedules.into_iter().collect();
    let shortest = schedules.iter().filter_map(|schedule| schedule.interval()).min();
    let counts = |schedule: &&Schedule| schedule.interval().is_none_or(|interval| Some(interval) == shortest);
    schedules.into_iter().filter(counts).filter_map(|schedule| schedule.next(last)).min()
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(interval) = text.parse::<SignedDuration>() {
            if interval < SignedDuration::from_secs(1) {
                return Err(Error::configuration(format!("the schedule {text:?} is too short"))
                    .with_help("give an interval of at least one second, such as `30m`"));
            }
            return Ok(Self(Kind::Every(interval)));
        }
        Cron::from_str(text).map(|cron| Self(Kind::Cron(Box::new(cron)))).map_err(|error| {
            let refused = Error::configuration(format!("{text:?} is not a schedule")).with_help(
                "give an interval in hours, minutes and seconds, such as `30m` or `24h`, or a cron expression (UTC) such as \
                 `15 2 * * *`",
            );
            // A single word was not meant as a cron expression.
            if text.contains(' ') { refused.with_source(error) } else { refused }
        })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Every(interval) => write!(f, "{interval:#}"),
            Kind::Cron(cron) => f.write_str(cron.as_str()),
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_round_trips_through_text() {
        for text in ["30m", "1h 30m", "90s", "15 2 * * *", "*/10 * * * * *"] {
            let schedule: Schedule = text.parse().unwrap();
            assert_eq!(schedule.to_string().parse::<Schedule>().unwrap(), schedule, "{text}");
        }
    }

    fn time(text: &str) -> Timestamp {
        format!("2026-01-02T{text}Z").parse().unwrap()
    }

    #[test]
    fn an_interval_is_due_at_its_next_beat_unless_that_follows_the_last_run_too_closely() {
        for (schedule, last, next) in [
            ("30m", "12:00:00", "12:30:00"),
            ("30m", "12:00:07.5", "12:30:00"),
            // Late by a beat, or run by hand.
            ("30m", "12:19:00", "12:30:00"),
            ("30m", "12:27:00", "12:30:00"),
            ("30m", "12:27:00.000000001", "13:00:00"),
            // Started by a machine whose clock is behind.
            ("30m", "11:59:59.9", "12:30:00"),
            ("1h 30m", "12:00:00", "13:30:00"),
            ("90s", "12:00:10", "12:01:30"),
            ("8h", "12:00:00", "16:00:00"),
            ("24h", "00:00:00", "24:00:00"),
        ] {
            let next = if next == "24:00:00" { "2026-01-03T00:00:00Z".parse().unwrap() } else { time(next) };
            assert_eq!(schedule.parse::<Schedule>().unwrap().next(time(last)), Some(next), "{schedule} after {last}");
        }
        let thirty = Schedule::default();
        assert_eq!(thirty.next(Timestamp::from_second(-1).unwrap()), Some(Timestamp::from_second(1_800).unwrap()));
        assert_eq!(thirty.next(Timestamp::MAX), None);
    }

    #[test]
    fn one_that_never_ran_or_only_in_the_future_is_due_at_once() {
        let (hourly, nightly) = ("1h".parse().unwrap(), "15 2 * * *".parse().unwrap());
        let due = |starts: &[&str]| next_due([&hourly, &nightly], starts.iter().map(|at| time(at)), time("01:30:00"));
        assert_eq!(due(&[]), Some(Timestamp::MIN));
        assert_eq!(due(&["01:31:01"]), Some(Timestamp::MIN));
        assert_eq!(due(&["01:31:00"]), Some(time("02:00:00")));
        assert_eq!(due(&["00:00:00", "01:10:00", "09:00:00"]), Some(time("02:00:00")));
        assert_eq!(next_due([&nightly], [time("01:10:00")], time("01:30:00")), Some(time("02:15:00")));
        assert_eq!(next_due([], [time("01:10:00")], time("01:30:00")), None);
        // The beats of 25 minutes add none to those of ten.
        let (ten, longer) = ("10m".parse().unwrap(), "25m".parse().unwrap());
        assert_eq!(next_due([&ten, &longer], [time("00:20:00")], time("00:21:00")), Some(time("00:30:00")));
    }

    #[test]
    fn a_schedule_shorter_than_a_minute_is_refused() {
        let check = |text: &str| text.parse::<Schedule>().unwrap().check("2026-01-01T12:00:00Z".parse().unwrap());
        for text in ["1s", "59s", "*/10 * * * * *", "0,59 0 3 * * *"] {
            let error = check(text).unwrap_err();
            assert!(error.message().contains("too short") && error.help().unwrap().contains("one minute"), "{error}");
        }
        for text in ["1m", "90s", "* * * * *", "30 * * * * *", "15 2 * * *"] {
            check(text).unwrap();
        }
    }

    #[test]
    fn an_invalid_schedule_is_refused_with_an_example() {
        for text in ["", "soon", "0s", "-5m", "1 2 3", "99 * * * *", "1d"] {
            let error = text.parse::<Schedule>().unwrap_err();
            assert!(error.help().unwrap().contains("30m"), "{text:?}: {error}");
        }
    }
}
