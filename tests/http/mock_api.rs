//! The server that an author tests a source with.

mod guide;
