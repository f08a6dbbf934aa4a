//! Timestamps as text, and a clock for records.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

use crate::{Error, Result};

/// Formats a timestamp in UTC without a zone, to be cast to `TIMESTAMP_NTZ`.
pub(super) fn ntz_text(at: Timestamp) -> String {
    format!("{at:.9}").trim_end_matches('Z').replace('T', " ")
}

/// Formats a timestamp as RFC 3339, always with the same length, so that texts sort by time.
pub(super) fn rfc3339(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// The point in time that [`rfc3339`] wrote.
pub(super) fn parse(text: &str) -> Result<Timestamp> {
    text.parse()
        .map_err(|error| Error::invalid_data(format!("{text:?} in the database is not a timestamp")).with_source(error))
}

/// A clock whose times strictly increase.
#[derive(Debug, Default)]
pub(super) struct MonotonicClock(AtomicI64);

impl MonotonicClock {
    /// The time, to the microsecond.
    pub(super) fn next(&self) -> Timestamp {
        let now = Timestamp::now().as_microsecond();
        let next = |last: i64| Some(now.max(last.saturating_add(1)));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default();
        Timestamp::from_microsecond(now.max(last.saturating_add(1))).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rising_clock_gives_no_time_twice() {
        let clock = MonotonicClock::default();
        let times: Vec<Timestamp> = (0..100).map(|_| clock.next()).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    }
}
