//! Columns that are inferred from records: what to infer, and how what was inferred joins the columns that a view has.

use serde::{Deserialize, Serialize};

use super::{Column, ColumnType, JsonPath, StreamSpec};

/// The longest name that is made from the name of a member, without a suffix.
const MAX_NAME: usize = 120;

/// The columns of a stream that the engine infers from its records; see [`StreamSpec::infer_columns`].
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
    /// A column. [`StreamSpec::infer_column`] checks its name.
    pub fn new(name: impl Into<String>, path: JsonPath) -> Self {
        Self { name: name.into(), path }
    }
}

/// What of a column was inferred from records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Inferred {
    /// Nothing: the source declares the column.
    #[default]
    Nothing,
    /// The type. The source declares the rest.
    Type,
    /// The name, the path and the type.
    All,
}

impl Inferred {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

impl ColumnType {
    /// The narrowest type that shows every value that a column of either type shows.
    ///
    /// The types form a lattice, so that the result of several values does not depend on their order.
    pub(crate) fn widened(self, other: Self) -> Self {
        use ColumnType::{Any, Date, Decimal, Float, Integer, Text, Timestamp};
        match (self, other) {
            (same, other) if same == other => same,
            (Integer, Decimal) | (Decimal, Integer) => Decimal,
            (Integer | Decimal, Float) | (Float, Integer | Decimal) => Float,
            (Text | Timestamp | Date, Text | Timestamp | Date) => Text,
            _ => Any,
        }
    }
}

impl StreamSpec {
    /// The columns of a view that has the columns `before`, once [`ensure_streams`](crate::Sink::ensure_streams) has got this stream.
    ///
    /// First come the declared columns. Behind them, every other column stays where it is. An inferred column is the one of the same path (or,
    /// if its name is declared, of the same name and path), and gets the wider type, so that programs that have seen different records agree.
    pub fn merged_columns(&self, before: &[Column]) -> Vec<Column> {
        let declared = || self.columns.iter().filter(|column| column.inferred == Inferred::Nothing);
        let mut merged: Vec<Column> = declared().cloned().collect();
        merged.extend(before.iter().filter(|old| declared().all(|new| new.name != old.name)).cloned());
        for column in &self.columns {
            match column.inferred {
                Inferred::Nothing => {}
                Inferred::Type => match merged.iter_mut().find(|other| other.name == column.name) {
                    Some(other) if other.path == column.path && other.kind != ColumnType::Present => {
                        *other = Column { kind: other.kind.widened(column.kind), ..column.clone() };
                    }
                    Some(other) => *other = column.clone(),
                    None => merged.push(column.clone()),
                },
                Inferred::All => merge_inferred(&mut merged, column, self),
            }
        }
        merged
    }
}

fn merge_inferred(merged: &mut Vec<Column>, column: &Column, stream: &StreamSpec) {
    let mut declared = stream.declared_columns();
    if declared.any(|(name, path)| name == column.name || *path == column.path) {
        return;
    }
    let is_same =
        |other: &&mut Column| other.path == column.path && other.kind != ColumnType::Present && !is_untyped(other);
    if let Some(other) = merged.iter_mut().find(is_same) {
        (other.kind, other.inferred) = (other.kind.widened(column.kind), Inferred::All);
        return;
    }
    let is_free = |name: &String| !stream.is_given_column(name) && merged.iter().all(|other| other.name != *name);
    let numbered = (2..).map(|number: u32| format!("{}_{number}", column.name));
    if let Some(name) = std::iter::once(column.name.clone()).chain(numbered).find(is_free) {
        merged.push(Column { name, ..column.clone() });
    }
}

/// Whether the name of a column is declared, now or by another version of the source, and only its type is inferred.
fn is_untyped(column: &Column) -> bool {
    column.inferred == Inferred::Type
}

/// The name of the column of a member: the member's own if it can be one, or else in snake case, of the letters and digits that it has.
pub(crate) fn column_name(member: &str) -> String {
    if member.len() <= MAX_NAME && super::is_plain(member) {
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

#[cfg(test)]
mod tests;
