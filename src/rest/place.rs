//! Places in a description.

use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The key of the list of streams.
const STREAMS: &str = "stream";

/// A place in a description: `auth.bearer`, or `stream "tickets": path`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The index and the name of the stream, if it is in one.
    stream: Option<(usize, String)>,
    /// The keys of tables, and the indexes of lists, that lead there.
    keys: Vec<String>,
}

impl Place {
    /// The description as a whole.
    pub(super) fn api() -> Self {
        Self::default()
    }

    /// A stream.
    pub(super) fn stream(index: usize, name: &str) -> Self {
        Self { stream: Some((index, name.to_owned())), keys: Vec::new() }
    }

    /// The place below this key.
    pub(super) fn key(mut self, key: impl ToString) -> Self {
        self.keys.push(key.to_string());
        self
    }

    /// The place that these keys lead to from the top of a file.
    pub(super) fn in_file(file: &DeTable<'_>, mut keys: Vec<String>) -> Self {
        let stream = keys.get(1).filter(|_| keys[0] == STREAMS).and_then(|index| index.parse().ok());
        let Some(index) = stream else { return Self { stream: None, keys } };
        let name =
            file.get(STREAMS).and_then(|streams| below(streams, &keys[1])).and_then(|stream| below(stream, "name"));
        let name = match name.map(Spanned::get_ref) {
            Some(DeValue::String(name)) => name.clone().into_owned(),
            _ => String::new(),
        };
        Self { stream: Some((index, name)), keys: keys.split_off(2) }
    }

    /// The offset of the innermost value of the file that has this place.
    pub(super) fn offset(&self, file: &DeTable<'_>) -> usize {
        let stream = self.stream.iter().flat_map(|(index, _)| [STREAMS.to_owned(), index.to_string()]);
        let mut keys = stream.chain(self.keys.iter().cloned());
        let Some(mut value) = keys.next().and_then(|key| file.get(key.as_str())) else { return 0 };
        for key in keys {
            let Some(inner) = below(value, &key) else { break };
            value = inner;
        }
        value.span().start
    }
}

/// The value below a key of a table, or at an index of a list.
fn below<'a, 'i>(value: &'a Spanned<DeValue<'i>>, key: &str) -> Option<&'a Spanned<DeValue<'i>>> {
    match value.get_ref() {
        DeValue::Table(table) => table.get(key),
        DeValue::Array(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stream {
            Some((index, name)) if name.is_empty() => write!(f, "stream {}", index + 1)?,
            Some((_, name)) => write!(f, "stream {name:?}")?,
            None => {}
        }
        if self.stream.is_some() && !self.keys.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.keys.join("."))
    }
}
