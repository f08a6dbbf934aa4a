//! The schedule of a resource.

use std::fmt;
use std::str::FromStr;

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::config::SHORTEST_SCHEDULE;
use crate::{Error, Result};

/// The schedule of a resource, parsed from an interval such as `30m`, or from a cron expression (in UTC) of five fields, or six with
/// seconds first. An interval is the time from the start of one run to the start of the next.
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
    /// An interval from the start of one run to the start of the next.
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

    /// Returns when a run is due after one that began at `after`; `None` if never, or beyond the calendar.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Every(interval) => after.checked_add(*interval).ok(),
            Kind::Cron(cron) => {
                let after = after.to_zoned(TimeZone::UTC);
                cron.find_next_occurrence(&after, false).ok().map(|next| next.timestamp())
            }
        }
    }
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
