//! The values that a description points at, found in one scan of a JSON text.

mod pointer;

pub(super) use pointer::Pointer;
