//! How an API writes instants, and lengths of time in a description.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SpanRelativeTo, Timestamp};
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
    /// `/Date(1714979289000)/` or `/Date(1714979289000+0000)/`: milliseconds since 1970, as .NET writes them.
    Dotnet,
    /// Not an instant: a whole number that grows.
    Number,
}

impl TimeFormat {
    /// All, in the order in which a value that several of them can read is taken for one.
    pub(super) const ALL: [Self; 7] =
        [Self::Rfc3339, Self::Rfc2822, Self::Date, Self::Dotnet, Self::EpochMs, Self::Epoch, Self::Number];

    /// Recognizes how a value is written: a number is an instant only from 2001 to 2096.
    pub(super) fn recognize(text: &str) -> Option<Self> {
        let is_near = |instant: i64| (1_000_000_000 * MICROS..4_000_000_000 * MICROS).contains(&instant);
        let is_number = !text.contains(['-', ':', '/']);
        Self::ALL.into_iter().find(|format| match (format, format.parse(text)) {
            (Self::Epoch | Self::EpochMs, Some(instant)) => is_near(instant),
            (Self::Number, Some(_)) => true,
            (_, Some(_)) => !is_number,
            (_, None) => false,
        })
    }

    /// The word in a description.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Rfc3339 => "rfc3339",
            Self::Rfc2822 => "rfc2822",
            Self::Epoch => "epoch",
            Self::EpochMs => "epoch_ms",
            Self::Date => "date",
            Self::Number => "number",
            Self::Dotnet => "dotnet",
        }
    }

    /// Whether its values are instants.
    pub(super) fn is_instant(self) -> bool {
        self != Self::Number
    }

    /// Reads a value: microseconds since 1970, or the number.
    pub(super) fn parse(self, text: &str) -> Option<i64> {
        let text = text.trim();
        match self {
            Self::Rfc3339 => rfc3339(text),
            Self::Rfc2822 => {
                let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
                parsed.ok().map(|time| time.as_microsecond())
            }
            Self::Epoch => scaled(text, 6),
            Self::EpochMs => scaled(text, 3),
            Self::Date => Some(midnight(text.parse().ok()?)?.as_microsecond()),
            Self::Number => text.parse().ok(),
            Self::Dotnet => dotnet(text),
        }
    }

    /// Reads the start of a description: in RFC 3339, as a date, or as a number in this format.
    pub(super) fn parse_start(self, text: &str) -> Option<i64> {
        let as_instant = || Self::Rfc3339.parse(text).or_else(|| Self::Date.parse(text));
        let number = || self.parse(text);
        if self.is_instant() { as_instant().or_else(number) } else { number() }
    }

    /// Writes a value, as JSON: a number for seconds, milliseconds and numbers. It is never a later instant than the value.
    pub(super) fn write(self, value: i64) -> serde_json::Value {
        let time =
            || Timestamp::from_microsecond(value).unwrap_or(if value < 0 { Timestamp::MIN } else { Timestamp::MAX });
        let whole_second = || Timestamp::from_second(value.div_euclid(MICROS)).unwrap_or_default();
        match self {
            Self::Rfc3339 => time().to_string().into(),
            Self::Rfc2822 => {
                let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
                printer.zoned_to_string(&whole_second().to_zoned(TimeZone::UTC)).unwrap_or_default().into()
            }
            Self::Epoch => value.div_euclid(MICROS).into(),
            Self::EpochMs => value.div_euclid(1_000).into(),
            Self::Date => time().to_zoned(TimeZone::UTC).date().to_string().into(),
            Self::Number => value.into(),
            Self::Dotnet => format!("/Date({})/", value.div_euclid(1_000)).into(),
        }
    }

    /// A value for a question that finds what has `value`, also where the API leaves out the value that it is asked with: one step earlier.
    /// Servers that write whole seconds may compare whole seconds.
    pub(super) fn before(self, value: i64) -> i64 {
        let step = match self {
            Self::Number => 1,
            Self::Epoch | Self::Rfc2822 => MICROS,
            Self::EpochMs | Self::Dotnet => 1_000,
            Self::Date => 86_400 * MICROS,
            Self::Rfc3339 => [MICROS, 1_000].into_iter().find(|step| value % step == 0).unwrap_or(1),
        };
        value.saturating_sub(step)
    }

    /// The end of a question's time that reaches at least to `value`. A date means its midnight, which leaves out that day.
    pub(super) fn end(self, value: i64) -> i64 {
        match self {
            Self::Date if self.floor(value) < value => self.floor(value) + 86_400 * MICROS,
            _ => value,
        }
    }

    /// The value that is written for a value: the same, or an earlier one.
    pub(super) fn floor(self, value: i64) -> i64 {
        match self {
            Self::Rfc3339 | Self::Number => value,
            Self::Epoch | Self::Rfc2822 => value.div_euclid(MICROS) * MICROS,
            Self::EpochMs | Self::Dotnet => value.div_euclid(1_000) * 1_000,
            Self::Date => value.div_euclid(86_400 * MICROS) * 86_400 * MICROS,
        }
    }
}

impl fmt::Display for TimeFormat {
    /// What a value is, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rfc3339 => "a time in RFC 3339",
            Self::Rfc2822 => "a time in RFC 2822",
            Self::Epoch => "a number of seconds since 1970",
            Self::EpochMs => "a number of milliseconds since 1970",
            Self::Date => "a date",
            Self::Number => "a whole number",
            Self::Dotnet => "a time such as `/Date(1714979289000)/`",
        })
    }
}

const MICROS: i64 = 1_000_000;

/// The present time, in microseconds since 1970, down to a whole second: an API may refuse a question with more digits than it writes
/// itself.
pub(super) fn now() -> i64 {
    whole_second(Timestamp::now().as_microsecond())
}

/// The end of the present second: what a question asks up to, so that it leaves out nothing, also where the API excludes the end.
pub(super) fn latest() -> i64 {
    now() + MICROS
}

/// The unit of which an instant is a whole number: a day, an hour, a minute or a second. Servers that round the times of changes write only
/// such instants, and a change later in the unit gets the same one.
pub(super) fn unit(micros: i64) -> i64 {
    [86_400, 3_600, 60, 1].into_iter().map(|seconds| seconds * MICROS).find(|unit| micros % unit == 0).unwrap_or(1)
}

/// The beginning of a second.
pub(super) fn whole_second(micros: i64) -> i64 {
    micros.div_euclid(MICROS) * MICROS
}

fn rfc3339(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_microsecond());
    }
    // An offset without a colon.
    if let Some((rest, offset)) = text.len().checked_sub(5).and_then(|at| text.split_at_checked(at))
        && let Some((hours, minutes)) = offset.split_at_checked(3)
        && hours.starts_with(['+', '-'])
        && let Ok(time) = format!("{rest}{hours}:{minutes}").parse::<Timestamp>()
    {
        return Some(time.as_microsecond());
    }
    // Without an offset: in UTC, as nearly every server means it.
    let civil = text.contains(':').then(|| text.parse::<DateTime>().ok()).flatten()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

fn midnight(date: Date) -> Option<Timestamp> {
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Milliseconds between `/Date(` and `)/`. An offset behind them says where they were written, and moves nothing.
fn dotnet(text: &str) -> Option<i64> {
    let inner = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let (millis, offset) = match inner.get(1..)?.find(['+', '-']) {
        Some(at) => inner.split_at(at + 1),
        None => (inner, ""),
    };
    let is_offset = offset.is_empty() || offset.len() == 5 && offset[1..].bytes().all(|byte| byte.is_ascii_digit());
    is_offset.then(|| scaled(millis, 3)).flatten()
}

/// A decimal number times a power of ten, rounded down.
fn scaled(text: &str, digits: usize) -> Option<i64> {
    let (is_negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let (kept, dropped) = fraction.split_at(fraction.len().min(digits));
    let value = format!("{whole}{kept:0<digits$}").parse::<i64>().ok()?;
    let has_rest = dropped.bytes().any(|digit| digit != b'0');
    if is_negative { Some(-value - i64::from(has_rest)) } else { Some(value) }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const FORMATS: [TimeFormat; 7] = [
        TimeFormat::Rfc3339,
        TimeFormat::Rfc2822,
        TimeFormat::Epoch,
        TimeFormat::EpochMs,
        TimeFormat::Date,
        TimeFormat::Number,
        TimeFormat::Dotnet,
    ];

    #[test]
    fn each_format_reads_what_apis_write() {
        let noon = 1_714_996_800_000_000;
        for (format, text, value) in [
            (TimeFormat::Rfc3339, "2024-05-06T12:00:00Z", noon),
            (TimeFormat::Rfc3339, "2024-05-06T14:00:00+02:00", noon),
            (TimeFormat::Rfc3339, "2024-05-06T07:00:00.5-0500", noon + 500_000),
            (TimeFormat::Rfc3339, "2024-05-06T12:00:00.000+0000", noon),
            (TimeFormat::Rfc3339, "2024-05-06 12:00:00", noon),
            (TimeFormat::Rfc2822, "Mon, 06 May 2024 12:00:00 +0000", noon),
            (TimeFormat::Rfc2822, "Mon, 06 May 2024 08:00:00 -0400", noon),
            (TimeFormat::Epoch, "1714996800", noon),
            (TimeFormat::Epoch, "1714996800.123456", noon + 123_456),
            (TimeFormat::Epoch, "1714996800.1234569", noon + 123_456),
            (TimeFormat::Epoch, "-0.0000001", -1),
            (TimeFormat::EpochMs, "1714996800000", noon),
            (TimeFormat::Date, "2024-05-06", noon - 43_200_000_000),
            (TimeFormat::Dotnet, "/Date(1714996800000)/", noon),
            (TimeFormat::Dotnet, "/Date(1714996800500+0000)/", noon + 500_000),
            // The offset says where it was written, and moves nothing.
            (TimeFormat::Dotnet, "/Date(1714996800000-0700)/", noon),
            (TimeFormat::Dotnet, "/Date(-1)/", -1_000),
            (TimeFormat::Number, "42", 42),
        ] {
            assert_eq!(format.parse(text), Some(value), "{text}");
        }
        for (format, text) in [
            (TimeFormat::Rfc3339, "2024-05-06"),
            (TimeFormat::Rfc3339, "1714996800"),
            (TimeFormat::Epoch, "2024-05-06T12:00:00Z"),
            (TimeFormat::Epoch, "99999999999999"),
            (TimeFormat::Epoch, ""),
            (TimeFormat::Date, "6 May"),
            (TimeFormat::Number, "1.5"),
            (TimeFormat::Dotnet, "1714996800000"),
            (TimeFormat::Dotnet, "/Date()/"),
            (TimeFormat::Dotnet, "/Date(1+x)/"),
        ] {
            assert_eq!(format.parse(text), None, "{text}");
        }
    }

    #[test]
    fn each_format_writes_what_apis_take() {
        let value = 1_714_996_800_123_456;
        let written: Vec<serde_json::Value> = FORMATS.iter().map(|format| format.write(value)).collect();
        let expected = json!([
            "2024-05-06T12:00:00.123456Z",
            "Mon, 6 May 2024 12:00:00 +0000",
            1_714_996_800,
            1_714_996_800_123_i64,
            "2024-05-06",
            value,
            "/Date(1714996800123)/"
        ]);
        assert_eq!(json!(written), expected);
        assert_eq!(TimeFormat::Rfc3339.write(0), json!("1970-01-01T00:00:00Z"));
    }

    #[test]
    fn a_start_is_an_instant_a_date_or_a_number() {
        assert_eq!(TimeFormat::Epoch.parse_start("1970-01-02"), Some(86_400_000_000));
        assert_eq!(TimeFormat::Epoch.parse_start("1970-01-01T00:00:01Z"), Some(1_000_000));
        assert_eq!(TimeFormat::Epoch.parse_start("7"), Some(7_000_000));
        assert_eq!(TimeFormat::Number.parse_start("7"), Some(7));
        assert_eq!(TimeFormat::Rfc3339.parse_start("yesterday"), None);
    }

    proptest! {
        #[test]
        fn writing_never_moves_an_instant_forward(value in -60_000_000_000_000_000_i64..250_000_000_000_000_000) {
            for format in FORMATS {
                let written = format.write(value);
                let text = written.as_str().map_or_else(|| written.to_string(), str::to_owned);
                let read = format.parse(&text);
                prop_assert_eq!(read, Some(format.floor(value)), "{:?} {}", format, text);
                prop_assert!(format.floor(value) <= value && value - format.floor(value) < 86_400_000_000);
            }
        }
    }
}
