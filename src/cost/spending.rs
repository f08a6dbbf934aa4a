//! The credits that a stream has used, by day and month.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::credits::Credits;
use crate::{Error, Result};

/// A period in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From the first day of a month to the next.
    Month,
}

impl Period {
    /// When the period of a time ends.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) beyond the year 9999.
    pub(super) fn end(self, at: Timestamp) -> Result<Timestamp> {
        let today = date(at);
        let next = match self {
            Self::Day => today.tomorrow(),
            Self::Month => today.first_of_month().checked_add(1.month()),
        };
        let midnight = |day: Date| day.to_zoned(TimeZone::UTC).map(|midnight| midnight.timestamp());
        next.and_then(midnight).map_err(|error| Error::internal("a period has no end").with_source(error))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "day",
            Self::Month => "month",
        })
    }
}

/// The credits that a stream has used in a day and its month, in UTC. Part of its [state](crate::StreamState), so that every program that
/// reads the state knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spending {
    /// The day of the last commit.
    day: Option<Date>,
    of_day: Credits,
    of_month: Credits,
}

impl Spending {
    /// Adds credits that were used at this time.
    pub fn add(&mut self, credits: Credits, at: Timestamp) {
        if credits.is_zero() {
            return;
        }
        let [of_day, of_month] = [Period::Day, Period::Month].map(|period| self.within(period, at));
        *self = Self { day: Some(date(at)), of_day: of_day + credits, of_month: of_month + credits };
    }

    /// The credits that were used in the day or the month of this time.
    pub fn within(&self, period: Period, at: Timestamp) -> Credits {
        let (now, used) = match period {
            Period::Day => (date(at), self.of_day),
            Period::Month => (date(at).first_of_month(), self.of_month),
        };
        let begin = |day: Date| if period == Period::Day { day } else { day.first_of_month() };
        // A clock that steps back does not forget what was used.
        if self.day.is_some_and(|day| begin(day) >= now) { used } else { Credits::ZERO }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.day.is_none()
    }
}

/// The day of a time in UTC.
fn date(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("{text}Z").parse().unwrap()
    }

    #[test]
    fn spending_begins_anew_with_each_day_and_month() {
        let mut spending = Spending::default();
        let one = Credits::from_micros(1);
        spending.add(one, at("2026-01-30T23:59:59"));
        spending.add(one, at("2026-01-31T00:00:00"));
        spending.add(one, at("2026-01-31T23:00:00"));
        let used = |spending: &Spending, time| {
            [Period::Day, Period::Month].map(|period| spending.within(period, at(time)).micros())
        };
        assert_eq!(used(&spending, "2026-01-31T23:59:59"), [2, 3]);
        assert_eq!(used(&spending, "2026-01-30T12:00:00"), [2, 3], "the clock stepped back");
        assert_eq!(used(&spending, "2026-02-01T00:00:00"), [0, 0]);
        assert_eq!(used(&spending, "2027-01-31T12:00:00"), [0, 0]);
        spending.add(one, at("2026-02-01T00:00:00"));
        assert_eq!(used(&spending, "2026-02-01T00:00:00"), [1, 1]);
        let json = serde_json::to_string(&spending).unwrap();
        assert_eq!(json, r#"{"day":"2026-02-01","of_day":1e-6,"of_month":1e-6}"#);
        assert_eq!(serde_json::from_str::<Spending>(&json).unwrap(), spending);
    }
}
