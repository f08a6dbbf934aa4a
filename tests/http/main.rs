//! The HTTP client against servers that behave like real ones.
#![cfg(feature = "http")]

mod answers;
mod broken;
mod credentials;
mod limits;
mod recorded;
mod redirects;
mod support;
