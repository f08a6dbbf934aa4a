//! The engine, against scripted sources, the memory backend and mocks.

mod delivery;
mod operations;
mod reconcile;
mod runs;
mod serve;
mod support;
