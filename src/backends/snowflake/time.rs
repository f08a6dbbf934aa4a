//! Points in time as texts.

use jiff::Timestamp;

use crate::{Error, Result};

/// A point in time, in UTC, without saying so: what a `TIMESTAMP_NTZ` is cast from.
pub(super) fn stamp(at: Timestamp) -> String {
    format!("{at:.9}").trim_end_matches('Z').replace('T', " ")
}

/// A point in time as RFC 3339. All have the same length, so that they sort as text.
pub(super) fn exact(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// The point in time that [`exact`] wrote.
pub(super) fn read(text: &str) -> Result<Timestamp> {
    text.parse().map_err(|error| {
        Error::invalid_data(format!("{text:?} in the database is no point in time")).with_source(error)
    })
}
