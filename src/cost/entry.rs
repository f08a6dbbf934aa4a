//! The cost that an account reports.

use jiff::civil::Date;
use serde::Serialize;

use super::credits::Credits;

/// The credits of the statements of one day for one stream of a resource: a row of the view `CONNECTOR_COST`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CostEntry {
    /// The day, in UTC.
    pub day: Date,
    /// The resource; `None` for statements that concern all of them.
    pub resource: Option<String>,
    /// The stream; `None` for statements that concern all streams of the resource.
    pub stream: Option<String>,
    /// The number of statements that used a warehouse for more than about 100 ms.
    pub statements: u64,
    /// Their credits, without the time in which the warehouse ran idle.
    pub credits: Credits,
}
