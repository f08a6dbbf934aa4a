//! When a resource is due.

/// When a resource is due.
#[derive(Debug, Clone)]
pub struct Schedule;
