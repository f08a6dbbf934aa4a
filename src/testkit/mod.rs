//! Conformance suites, a mock of an HTTP API, and fault injection, for the tests of any connector.

pub mod conformance;
pub mod fault_injection;
pub mod mock_api;
