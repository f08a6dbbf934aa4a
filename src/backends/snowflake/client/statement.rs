//! Statements: SQL text, and values bound to its question marks.

use std::fmt;

use bytestring::ByteString;
use secrecy::{ExposeSecret, SecretString};

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

/// One SQL statement. Values are bound, never pasted into the text; for where nothing can be bound, and the value is a secret,
/// there is [`confidential`](Self::confidential).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text, with a `?` for each bound value. It may be shown to anybody.
    pub sql: String,
    /// The values, in order.
    pub binds: Vec<Bind>,
    /// The text to send instead of the one that may be shown.
    hidden: Option<Hidden>,
}

impl Statement {
    /// A statement without bound values.
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), binds: Vec::new(), hidden: None }
    }

    /// A statement that holds a secret: `text` is what is sent, `shown` is what is printed and logged in its stead. When it
    /// fails, Snowflake's own message is left out, for it may repeat a part of the text.
    pub fn confidential(text: SecretString, shown: impl Into<String>) -> Self {
        Self { sql: shown.into(), binds: Vec::new(), hidden: Some(Hidden(text)) }
    }

    /// Binds the next `?`.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Bind>) -> Self {
        self.binds.push(value.into());
        self
    }

    /// Whether what is sent must not be shown.
    pub fn is_confidential(&self) -> bool {
        self.hidden.is_some()
    }

    /// What is sent.
    pub(super) fn text(&self) -> &str {
        self.hidden.as_ref().map_or(&self.sql, |hidden| hidden.0.expose_secret())
    }
}

/// A text that nobody may see.
#[derive(Clone)]
struct Hidden(SecretString);

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Hidden {}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A text as a literal, for the statements in which Snowflake binds nothing: those that make and change objects, and PUT. Line
/// breaks stand in it as they are.
pub(crate) fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_does_not_leave_its_literal() {
        assert_eq!(text_literal("it's a \\ and\na 'quote'"), "'it''s a \\\\ and\na ''quote'''");
    }

    #[test]
    fn a_confidential_text_is_sent_and_never_printed() {
        let statement = Statement::confidential("SET x = 'hunter2'".into(), "SET x = '***'");
        assert_eq!(statement.text(), "SET x = 'hunter2'");
        assert!(!format!("{statement:?}").contains("hunter2"), "{statement:?}");
    }
}
