//! The engine, against scripted sources, the memory backend and mocks.

mod operations;
mod reconcile;
mod runs;
mod serve;
mod support;
