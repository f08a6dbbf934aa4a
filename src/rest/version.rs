//! What orders records, and from where on the API is asked for what has changed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pointers::Pointers;
use super::shorthand::Shorthand;
use super::time::{Span, TimeFormat};

/// What orders the states of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Shorthand<VersionTable>", into = "VersionTable")]
#[schemars(with = "Shorthand<VersionTable>")]
#[non_exhaustive]
pub struct Version {
    /// Pointers; of several, the greatest value counts.
    pub at: Pointers,
    /// How the values are written.
    pub format: TimeFormat,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VersionTable {
    /// Pointers; of several, the greatest value counts.
    at: Pointers,
    /// How the values are written.
    #[serde(default)]
    format: TimeFormat,
}

impl Version {
    /// The version is the greatest of these values, written in RFC 3339.
    pub fn at(pointers: impl Into<Pointers>) -> Self {
        Self { at: pointers.into(), format: TimeFormat::default() }
    }

    /// Sets how the values are written.
    #[must_use]
    pub fn format(mut self, format: TimeFormat) -> Self {
        self.format = format;
        self
    }
}

impl From<&str> for Version {
    fn from(pointer: &str) -> Self {
        Self::at(pointer)
    }
}

impl From<Shorthand<VersionTable>> for Version {
    fn from(value: Shorthand<VersionTable>) -> Self {
        match value {
            Shorthand::Text(pointer) => Self::at(pointer.as_str()),
            Shorthand::Table(VersionTable { at, format }) => Self { at, format },
        }
    }
}

impl From<Version> for VersionTable {
    fn from(Version { at, format }: Version) -> Self {
        Self { at, format }
    }
}

/// What `{since}` is: from where on the API is asked for what has changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table such as { start = \"2024-01-01\", overlap = \"5m\" }")]
#[non_exhaustive]
pub struct Since {
    /// Pointers to what the API filters by, if that is not the version; of several, the greatest value counts.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub at: Pointers,
    /// How the API takes the value; as the version is written unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TimeFormat>,
    /// The value of a first read, in RFC 3339, as a date, or as a number; 1970 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// How far behind the newest known value to read again; one second unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Span>,
    /// The longest time that one question may span. Needs `{until}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
}

impl Since {
    /// The version, as it is written.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the pointers to what the API filters by.
    #[must_use]
    pub fn at(mut self, pointers: impl Into<Pointers>) -> Self {
        self.at = pointers.into();
        self
    }

    /// Sets how the API takes the value.
    #[must_use]
    pub fn format(mut self, format: TimeFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Sets the value of a first read.
    #[must_use]
    pub fn start(mut self, start: impl Into<String>) -> Self {
        self.start = Some(start.into());
        self
    }

    /// Sets how far behind the newest known value to read again.
    #[must_use]
    pub fn overlap(mut self, overlap: Span) -> Self {
        self.overlap = Some(overlap);
        self
    }

    /// Sets the longest time that one question may span.
    #[must_use]
    pub fn window(mut self, window: Span) -> Self {
        self.window = Some(window);
        self
    }
}

/// How a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub enum Order {
    /// By the version, the oldest first.
    #[serde(rename = "version")]
    Version,
    /// By the version, the newest first.
    #[serde(rename = "-version")]
    VersionDescending,
    /// By something that never changes, such as an id or the time of creation, the lowest first.
    #[serde(rename = "key")]
    Key,
    /// By something that never changes, the highest first.
    #[serde(rename = "-key")]
    KeyDescending,
}
