//! How many requests to send.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::file::explained;
use super::time::Span;
use crate::Error;

/// A number of requests in a time: `10/1m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String")]
#[non_exhaustive]
pub struct Pace {
    /// The number of requests, at least 1.
    pub requests: u32,
    /// The time, longer than zero.
    pub per: Span,
}

impl FromStr for Pace {
    type Err = Error;

    fn from_str(text: &str) -> crate::Result<Self> {
        let parsed = text.split_once('/').and_then(|(requests, per)| {
            let (requests, per) = (requests.trim().parse().ok()?, per.trim().parse::<Span>().ok()?);
            (requests > 0 && !per.is_zero()).then_some(Self { requests, per })
        });
        parsed.ok_or_else(|| {
            Error::configuration(format!("{text:?} is not a pace"))
                .with_help("write the requests and the time: \"10/1m\", \"5/1s\"")
        })
    }
}

impl<'de> Deserialize<'de> for Pace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|error| de::Error::custom(explained(&error)))
    }
}

impl From<Pace> for String {
    fn from(pace: Pace) -> Self {
        pace.to_string()
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, self.per)
    }
}
