//! An HTTP client for sources.
