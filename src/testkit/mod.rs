//! What the tests of any connector need.

pub mod conformance;
pub mod fault_injection;
pub mod mocks;
pub mod upstream;
