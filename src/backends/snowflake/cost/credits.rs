//! The credits that the statements of this process have used, as an estimate, and which commit they belong to.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::cost::Credits;
use crate::{Error, Result};

/// The size of a warehouse, which decides what it costs.
///
/// Source: `user-guide/warehouses-overview`, the credits per hour of standard warehouses of the first generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum WarehouseSize {
    /// One credit per hour.
    #[default]
    XSmall,
    /// 2 credits per hour.
    Small,
    /// 4 credits per hour.
    Medium,
    /// 8 credits per hour.
    Large,
    /// 16 credits per hour.
    XLarge,
    /// 32 credits per hour.
    X2Large,
    /// 64 credits per hour.
    X3Large,
    /// 128 credits per hour.
    X4Large,
    /// 256 credits per hour.
    X5Large,
    /// 512 credits per hour.
    X6Large,
}

impl WarehouseSize {
    /// All sizes with their names, the smallest first.
    const ALL: [(Self, &str); 10] = [
        (Self::XSmall, "XSMALL"),
        (Self::Small, "SMALL"),
        (Self::Medium, "MEDIUM"),
        (Self::Large, "LARGE"),
        (Self::XLarge, "XLARGE"),
        (Self::X2Large, "X2LARGE"),
        (Self::X3Large, "X3LARGE"),
        (Self::X4Large, "X4LARGE"),
        (Self::X5Large, "X5LARGE"),
        (Self::X6Large, "X6LARGE"),
    ];

    /// The names of all sizes, the smallest first.
    #[cfg(feature = "native-app")]
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(|(_, name)| name)
    }

    /// The credits of an hour.
    pub fn credits_per_hour(self) -> u32 {
        1 << self as u32
    }

    /// The credits of this many milliseconds.
    pub fn credits(self, ms: u64) -> Credits {
        // A credit per hour is a millionth in 3.6 milliseconds.
        Credits::from_micros(ms.saturating_mul(u64::from(self.credits_per_hour())).saturating_mul(10) / 36)
    }
}

impl fmt::Display for WarehouseSize {
    /// As in `WAREHOUSE_SIZE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(size, _)| size == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl TryFrom<String> for WarehouseSize {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<WarehouseSize> for String {
    fn from(size: WarehouseSize) -> Self {
        size.to_string()
    }
}

impl FromStr for WarehouseSize {
    type Err = Error;

    /// Reads the names that `WAREHOUSE_SIZE` accepts, in upper or lower case: `XSMALL`, `X-Small`, `2X-LARGE`, `X2LARGE`, `XXLARGE`.
    fn from_str(text: &str) -> Result<Self> {
        let name = text.to_ascii_uppercase().replace(['-', '\''], "");
        let name = match name.as_str() {
            "XXLARGE" => "X2LARGE".to_owned(),
            "XXXLARGE" => "X3LARGE".to_owned(),
            // 2X-LARGE
            other => match other.split_once("XLARGE") {
                Some((digit @ ("2" | "3" | "4" | "5" | "6"), "")) => format!("X{digit}LARGE"),
                _ => name,
            },
        };
        let size = Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(size, _)| size);
        size.ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|(_, name)| *name).collect();
            Error::configuration(format!("{text:?} is not the size of a warehouse"))
                .with_help(format!("write one of {}", known.join(", ")))
        })
    }
}

/// Divides the time that the warehouse was kept awake among the commits: each pays for what no other has paid for.
#[derive(Debug, Default)]
pub(in crate::backends::snowflake) struct CreditLedger {
    size: WarehouseSize,
    claimed_ms: Mutex<u64>,
}

impl CreditLedger {
    pub(in crate::backends::snowflake) fn new(size: WarehouseSize) -> Self {
        Self { size, claimed_ms: Mutex::default() }
    }

    /// The size that the credits are for.
    pub(in crate::backends::snowflake) fn size(&self) -> WarehouseSize {
        self.size
    }

    /// Claims what is not claimed yet of this time.
    pub(in crate::backends::snowflake) fn claim(&self, awake_ms: u64) -> Claim<'_> {
        let mut claimed = self.claimed_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let ms = awake_ms.saturating_sub(*claimed);
        *claimed += ms;
        Claim { ledger: self, ms }
    }
}

/// Time that a commit pays for. If the commit fails, another one pays for it.
pub(in crate::backends::snowflake) struct Claim<'a> {
    ledger: &'a CreditLedger,
    ms: u64,
}

impl Claim<'_> {
    pub(in crate::backends::snowflake) fn credits(&self) -> Credits {
        self.ledger.size.credits(self.ms)
    }

    /// The commit has stored it.
    pub(in crate::backends::snowflake) fn keep(mut self) {
        self.ms = 0;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        *self.ledger.claimed_ms.lock().unwrap_or_else(PoisonError::into_inner) -= self.ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_name_of_a_size_is_read() {
        for (text, per_hour) in [
            ("XSMALL", 1),
            ("x-small", 1),
            ("Small", 2),
            ("MEDIUM", 4),
            ("LARGE", 8),
            ("XLARGE", 16),
            ("X-LARGE", 16),
            ("XXLARGE", 32),
            ("X2LARGE", 32),
            ("2X-LARGE", 32),
            ("XXXLARGE", 64),
            ("X3LARGE", 64),
            ("3X-LARGE", 64),
            ("4X-LARGE", 128),
            ("X5LARGE", 256),
            ("6x-large", 512),
        ] {
            let size: WarehouseSize = text.parse().unwrap();
            assert_eq!(size.credits_per_hour(), per_hour, "{text}");
            assert_eq!(size.to_string().parse::<WarehouseSize>().unwrap(), size);
        }
        for text in ["", "XS", "7X-LARGE", "X7LARGE", "1XLARGE", "2XLARGES"] {
            assert!(text.parse::<WarehouseSize>().unwrap_err().help().unwrap().contains("XSMALL, SMALL"), "{text}");
        }
        assert_eq!(WarehouseSize::Small.credits(3_600_000), Credits::from_micros(2_000_000));
        assert_eq!(WarehouseSize::XSmall.credits(60_000).to_string(), "0.0167");
    }

    #[test]
    fn each_second_is_paid_once_and_by_a_commit_that_succeeds() {
        let ledger = CreditLedger::new(WarehouseSize::XSmall);
        let first = ledger.claim(36_000);
        assert_eq!(first.credits().micros(), 10_000);
        let second = ledger.claim(72_000);
        assert_eq!(second.credits().micros(), 10_000);
        drop(first);
        second.keep();
        let third = ledger.claim(72_000);
        assert_eq!(third.credits().micros(), 10_000, "the failed one's share");
        third.keep();
        assert_eq!(ledger.claim(72_000).credits(), Credits::ZERO);
    }
}
