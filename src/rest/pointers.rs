//! JSON pointers in a description.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// One pointer, or several.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "PointersText", into = "PointersText")]
#[schemars(with = "PointersText")]
pub struct Pointers(pub Vec<String>);

#[derive(Clone, Serialize, JsonSchema)]
#[serde(untagged)]
enum PointersText {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for PointersText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PointersVisitor)
    }
}

struct PointersVisitor;

impl<'de> Visitor<'de> for PointersVisitor {
    type Value = PointersText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a list of texts")
    }

    fn visit_str<E: de::Error>(self, pointer: &str) -> Result<PointersText, E> {
        Ok(PointersText::One(pointer.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<PointersText, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(PointersText::Many)
    }
}

impl Pointers {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pointers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(super) fn push(&mut self, pointer: String) {
        self.0.push(pointer);
    }
}

impl From<&str> for Pointers {
    fn from(pointer: &str) -> Self {
        Self(vec![pointer.to_owned()])
    }
}

impl<const N: usize> From<[&str; N]> for Pointers {
    fn from(pointers: [&str; N]) -> Self {
        Self(pointers.map(str::to_owned).to_vec())
    }
}

impl From<PointersText> for Pointers {
    fn from(text: PointersText) -> Self {
        match text {
            PointersText::One(pointer) => Self(vec![pointer]),
            PointersText::Many(pointers) => Self(pointers),
        }
    }
}

impl From<Pointers> for PointersText {
    fn from(Pointers(mut pointers): Pointers) -> Self {
        match pointers.len() {
            1 => Self::One(pointers.remove(0)),
            _ => Self::Many(pointers),
        }
    }
}
