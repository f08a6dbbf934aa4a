//! What the tests of any connector need.

pub mod upstream;
