//! Reads what a description says.

pub(super) mod plan;
