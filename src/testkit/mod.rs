//! What the tests of any connector need.

pub mod conformance;
pub mod faults;
pub mod mocks;
pub mod upstream;
