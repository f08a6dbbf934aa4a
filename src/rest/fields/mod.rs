//! The values that a description points at, found in one scan of a JSON text.

mod element;
mod pointer;
mod scan;

pub(super) use element::{ElementPlan, Row};
pub(super) use pointer::{Pointer, escaped};
pub(super) use scan::{Found, Wanted, is_truthy, scalar};
