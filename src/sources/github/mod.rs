//! GitHub issues.
