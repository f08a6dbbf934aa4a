//! Conformance suites and fault injection, for the tests of any connector.

pub mod conformance;
pub mod fault_injection;
