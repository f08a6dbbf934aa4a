//! What the work in a destination costs: credits, what a stream has used of them, and a budget.

mod budget;
mod credits;
mod entry;
mod spending;

pub use budget::{Budget, BudgetUse};
pub use credits::Credits;
pub use entry::CostEntry;
pub use spending::{Period, Spending};
