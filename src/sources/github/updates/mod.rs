//! Lists that are sorted by `updated_at`: issues and both kinds of comments.

#![cfg_attr(
    not(any(feature = "testkit", fuzzing)),
    allow(unreachable_pub, reason = "the simulations in the tests use what is public here, through `internals`")
)]

pub(crate) mod checkpoint;
pub(super) mod failing_rows;
mod list_end;
mod numbered_pages;
mod ranges;
pub(crate) mod read_plan;
pub(super) mod reader;
pub(crate) mod step;
mod tie_scan;
