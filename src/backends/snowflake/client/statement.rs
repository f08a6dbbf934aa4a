//! Statements: SQL text, and values bound to its question marks.

use bytestring::ByteString;

/// A value bound to a `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// Text, or null.
    Text(Option<ByteString>),
    /// A whole number.
    Integer(i64),
}

impl From<&str> for Bind {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl From<String> for Bind {
    fn from(text: String) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl From<Option<String>> for Bind {
    fn from(text: Option<String>) -> Self {
        Self::Text(text.map(Into::into))
    }
}

impl From<i64> for Bind {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

/// One SQL statement. Values are bound, never pasted into the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text, with a `?` for each bound value.
    pub sql: String,
    /// The values, in order.
    pub binds: Vec<Bind>,
}

impl Statement {
    /// A statement without bound values.
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), binds: Vec::new() }
    }

    /// Binds the next `?`.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Bind>) -> Self {
        self.binds.push(value.into());
        self
    }
}
