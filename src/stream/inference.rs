//! What to infer from records, and the names of columns that are inferred.

use serde::{Deserialize, Serialize};

use super::JsonPath;
use super::name::is_plain;

/// The longest name that is made from the name of a member, without a suffix.
const MAX_NAME: usize = 120;

/// The columns of a stream that the engine infers from its records; see [`StreamSpec::infer_columns`](crate::StreamSpec::infer_columns).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Inference {
    /// Whether each member of a document becomes a column.
    pub members: bool,
    /// The paths of objects of which each member becomes a column. Such an object itself does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<JsonPath>,
    /// The declared columns whose types are inferred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<UntypedColumn>,
}

impl Inference {
    /// Whether nothing is inferred.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A declared column whose type is inferred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UntypedColumn {
    /// Its name: lower-case letters, digits and `_`.
    pub name: String,
    /// The path of its value in the raw document.
    pub path: JsonPath,
}

impl UntypedColumn {
    /// A column. [`StreamSpec::infer_column`](crate::StreamSpec::infer_column) checks its name.
    pub fn new(name: impl Into<String>, path: JsonPath) -> Self {
        Self { name: name.into(), path }
    }
}

/// The name of the column of a member: the member's own if it can be one, or else in snake case, of the letters and digits that it has.
pub(crate) fn column_name(member: &str) -> String {
    if member.len() <= MAX_NAME && is_plain(member) {
        return member.to_owned();
    }
    let mut name = String::with_capacity(member.len() + 4);
    let mut before = ' ';
    let mut characters = member.chars().peekable();
    while let Some(c) = characters.next() {
        if c.is_ascii_alphanumeric() {
            let is_word = c.is_ascii_uppercase()
                && (before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || before.is_ascii_uppercase() && characters.peek().is_some_and(char::is_ascii_lowercase));
            let is_first = !before.is_ascii_alphanumeric();
            if (is_word || is_first) && !name.is_empty() {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    name.truncate(MAX_NAME);
    match name.chars().next() {
        None => "column".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("_{name}"),
        Some(_) => name,
    }
}
