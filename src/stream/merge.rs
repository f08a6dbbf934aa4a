//! How the columns of a stream join those that its view has.

use super::{Column, ColumnType, Inferred, StreamSpec};

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

#[cfg(test)]
mod tests;
