//! What the connector's work costs: its own estimate, and what the account says.

mod credits;
mod estimate;
mod history;
mod warehouse_time;

pub use credits::WarehouseSize;
pub(super) use credits::{Claim, CreditLedger};
#[cfg(feature = "native-app")]
pub(crate) use history::USAGE as USAGE_SQL;
pub use warehouse_time::WarehouseTime;
