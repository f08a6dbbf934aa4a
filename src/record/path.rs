//! The paths of rows, and their order in a table.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The path of a row in the table of its stream: the keys of its ancestors, from the top, then its own.
///
/// It identifies the row. Clones share the keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct RowPath(Option<Arc<[String]>>);

impl RowPath {
    /// The path without keys: the parent of every record whose stream is no child.
    pub const ROOT: Self = Self(None);

    /// The path of a child of this row.
    #[must_use]
    pub fn child(&self, key: &str) -> Self {
        Self::from_iter(self.keys().iter().cloned().chain([key.to_owned()]))
    }

    /// The keys, from the top.
    pub fn keys(&self) -> &[String] {
        self.0.as_deref().unwrap_or_default()
    }

    /// The last key; `None` for the [root](Self::ROOT).
    pub fn key(&self) -> Option<&str> {
        self.keys().last().map(String::as_str)
    }

    /// The path without its last key.
    #[must_use]
    pub fn parent(&self) -> Self {
        let keys = self.keys();
        Self::from_iter(keys[..keys.len().saturating_sub(1)].iter().cloned())
    }

    /// The path as text, in one form only: empty for the root, else a JSON array of the keys.
    pub fn to_text(&self) -> String {
        match self.keys() {
            [] => String::new(),
            keys => serde_json::Value::from(keys).to_string(),
        }
    }

    /// Parses what [`to_text`](Self::to_text) returned.
    ///
    /// # Errors
    /// [`InvalidData`](crate::ErrorKind::InvalidData).
    pub fn from_text(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::ROOT);
        }
        serde_json::from_str(text)
            .map_err(|error| Error::invalid_data(format!("{text:?} is not the path of a row")).with_source(error))
    }
}

impl FromIterator<String> for RowPath {
    fn from_iter<I: IntoIterator<Item = String>>(keys: I) -> Self {
        let keys: Arc<[String]> = keys.into_iter().collect();
        Self((!keys.is_empty()).then_some(keys))
    }
}

impl From<Vec<String>> for RowPath {
    fn from(keys: Vec<String>) -> Self {
        Self::from_iter(keys)
    }
}

impl From<RowPath> for Vec<String> {
    fn from(path: RowPath) -> Self {
        path.keys().to_vec()
    }
}

impl fmt::Display for RowPath {
    /// The keys, separated by slashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.keys().join("/"))
    }
}

/// Numbers the commits that changed rows of one stream of a resource, in the order in which they became visible. A sink stamps each row that a
/// commit inserts, changes, deletes or revives with the commit's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

/// A row, and the sequence of the commit that changed it last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Position {
    /// The sequence.
    pub sequence: Sequence,
    /// The row's path.
    pub path: RowPath,
}

impl Position {
    /// A row at a sequence.
    pub fn new(sequence: Sequence, path: RowPath) -> Self {
        Self { sequence, path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_its_text_with_any_characters() {
        for keys in [vec![], vec!["1"], vec!["a/b", "\"\\", "ü\u{0}\n"], vec!["", "[]"]] {
            let path: RowPath = keys.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(RowPath::from_text(&path.to_text()).unwrap(), path);
            assert_eq!(path.keys(), keys);
        }
        assert!(RowPath::from_text("x").is_err());
    }

    #[test]
    fn a_child_is_below_its_parent() {
        let path = RowPath::ROOT.child("7").child("1");
        assert_eq!((path.key(), path.parent()), (Some("1"), RowPath::ROOT.child("7")));
        assert_eq!(path.parent().parent(), RowPath::ROOT);
        assert_eq!(path.to_string(), "7/1");
    }
}
