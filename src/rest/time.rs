//! How an API writes instants, and lengths of time in a description.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SpanRelativeTo;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::file::explained;
use crate::Error;

/// How an API writes an instant, or another number that grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeFormat {
    /// `2024-05-06T07:08:09Z`, with any offset, with or without a colon in it.
    #[default]
    Rfc3339,
    /// `Mon, 06 May 2024 07:08:09 +0000`.
    Rfc2822,
    /// Seconds since 1970, as a number or a text, with or without a fraction.
    Epoch,
    /// Milliseconds since 1970, as a number or a text.
    EpochMs,
    /// `2024-05-06`, in UTC.
    Date,
    /// Not an instant: a whole number that grows.
    Number,
}

/// A length of time: `1s`, `5m`, `2h`, `7d`. A day has 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String")]
pub struct Span(Duration);

impl Span {
    /// A length of time.
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// A number of seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A number of days, of 24 hours each.
    pub const fn days(days: u32) -> Self {
        Self(Duration::from_secs(days as u64 * 86_400))
    }

    /// The duration.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// Whether it is zero.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> crate::Result<Self> {
        let parsed = text.parse::<jiff::Span>().ok();
        let duration = parsed.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
        let duration = duration.and_then(|duration| Duration::try_from(duration).ok());
        duration.map(Self).ok_or_else(|| {
            Error::configuration(format!("{text:?} is not a length of time"))
                .with_help("write a number and a unit: \"1s\", \"5m\", \"2h\", \"7d\"")
        })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|error| de::Error::custom(explained(&error)))
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    /// In the largest unit of which it is a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0.as_secs(), self.0.subsec_millis());
        if millis > 0 {
            return write!(f, "{}ms", self.0.as_millis());
        }
        let (unit, name) = [(86_400, "d"), (3_600, "h"), (60, "m")]
            .into_iter()
            .find(|(unit, _)| seconds > 0 && seconds % unit == 0)
            .unwrap_or((1, "s"));
        write!(f, "{}{name}", seconds / unit)
    }
}
