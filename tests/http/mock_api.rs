//! The server that an author tests a source with.

mod behaviour;
mod documents;
mod guide;
mod two_streams;
