//! Access for this repository's tests, benches and fuzz targets. Semver covers nothing in here.

#![allow(missing_docs, reason = "not public API")]

use std::sync::Arc;

use super::{Inner, Snowflake, SnowflakeOptions, columns, names};
use crate::snowflake::Client;
use crate::stream::{Column, Reserved};

/// A backend over any client.
pub fn backend(client: Arc<dyn Client>, database: &str, schema: &str) -> Snowflake {
    let names = names::Names::new(database, schema);
    Snowflake(Arc::new(Inner::new(client, None, None, names, SnowflakeOptions::default())))
}

/// The same, with a limit for bound rows.
pub fn backend_with(client: Arc<dyn Client>, database: &str, schema: &str, max_bind_bytes: usize) -> Snowflake {
    backend_of(client, database, schema, max_bind_bytes, SnowflakeOptions::default())
}

/// The same, with options.
pub fn backend_of(
    client: Arc<dyn Client>,
    database: &str,
    schema: &str,
    max_bind_bytes: usize,
    options: SnowflakeOptions,
) -> Snowflake {
    let inner = Inner::new(client, None, None, names::Names::new(database, schema), options);
    Snowflake(Arc::new(Inner { max_bind_bytes, ..inner }))
}

pub fn identifier(name: &str) -> String {
    names::identifier(name).to_string()
}

pub fn normalize(given: &str) -> String {
    names::normalize(given)
}

pub fn literal(text: &str) -> String {
    names::literal(text).to_string()
}

pub fn select_list(columns: &[Column]) -> String {
    columns::select_list(columns).to_string()
}

pub fn resource_name(resource: &str, table: &str, sole: bool, reserved: Reserved<'_>) -> String {
    names::resource_name(resource, table, sole, reserved)
}
