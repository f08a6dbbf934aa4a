//! Credits, as exact numbers.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The millionths in one credit.
const MICROS: u64 = 1_000_000;

/// Credits, the unit in which Snowflake bills. Kept in millionths, so that sums are exact. In JSON they are a number.
///
/// ```
/// use snowfeed::cost::Credits;
///
/// let credits: Credits = "1.5".parse()?;
/// assert_eq!((credits + Credits::from_micros(16_667)).to_string(), "1.5167");
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Credits(u64);

impl Credits {
    /// No credits.
    pub const ZERO: Self = Self(0);

    /// Millionths of a credit.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// In millionths.
    pub const fn micros(self) -> u64 {
        self.0
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(crate) fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// All six digits behind the point.
    pub(super) fn exact(self) -> String {
        format!("{}.{:06}", self.0 / MICROS, self.0 % MICROS)
    }
}

impl fmt::Display for Credits {
    /// With at most four digits behind the point.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = self.0.saturating_add(50) / 100;
        if rounded == 0 && self.0 > 0 {
            return f.write_str("less than 0.0001");
        }
        let text = format!("{}.{:04}", rounded / 10_000, rounded % 10_000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl FromStr for Credits {
    type Err = Error;

    /// Reads a decimal number, such as `20` or `0.25`.
    fn from_str(text: &str) -> Result<Self> {
        let invalid = || {
            Error::configuration(format!("{text:?} is not a number of credits"))
                .with_help("write 0 or more, with at most six digits behind the point, such as 1.5")
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || fraction.len() > 6 {
            return Err(invalid());
        }
        let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(MICROS));
        let fraction = format!("{fraction:0<6}").parse::<u64>().ok();
        let micros = whole.zip(fraction).and_then(|(whole, fraction)| whole.checked_add(fraction));
        micros.map(Self).ok_or_else(invalid)
    }
}

impl TryFrom<f64> for Credits {
    type Error = Error;

    fn try_from(credits: f64) -> Result<Self> {
        format!("{credits:.6}").parse()
    }
}

impl From<Credits> for f64 {
    fn from(credits: Credits) -> Self {
        credits.exact().parse().unwrap_or_else(|error| unreachable!("a decimal number is one: {error}"))
    }
}

impl Add for Credits {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Credits {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Credits {
    fn sum<I: Iterator<Item = Self>>(credits: I) -> Self {
        credits.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_decimal_numbers() {
        for (text, micros, shown) in [
            ("0", 0, "0"),
            ("1", 1_000_000, "1"),
            ("20", 20_000_000, "20"),
            ("1.5", 1_500_000, "1.5"),
            ("0.016667", 16_667, "0.0167"),
            ("0.000001", 1, "less than 0.0001"),
            ("00.10", 100_000, "0.1"),
        ] {
            let credits: Credits = text.parse().unwrap();
            assert_eq!((credits.micros(), credits.to_string().as_str()), (micros, shown), "{text}");
            let json = serde_json::to_string(&credits).unwrap();
            assert_eq!(serde_json::from_str::<Credits>(&json).unwrap(), credits, "{json}");
        }
        for text in ["", "-1", "+1", "NaN", "inf", "1e3", "1,5", "1.", ".5", "0.0000001", "99999999999999999999", "1 "]
        {
            let error = text.parse::<Credits>().unwrap_err();
            assert_eq!(
                error.help(),
                Some("write 0 or more, with at most six digits behind the point, such as 1.5"),
                "{text}"
            );
        }
        assert!(serde_json::from_str::<Credits>("-0.5").is_err());
    }
}
