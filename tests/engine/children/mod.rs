//! Child streams. Each test names the rule of the stream contract that it is about.

mod confirmation;
mod failures;
mod lists;
mod queue;
mod reconcile;
