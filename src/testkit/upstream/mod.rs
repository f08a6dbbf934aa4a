//! A GitHub-like upstream to test against.
