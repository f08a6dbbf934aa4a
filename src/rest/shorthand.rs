//! Tables of a file that may be written as their main entry.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A table, or only its main entry.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Shorthand<T> {
    Text(String),
    Table(T),
}

// Not derived: of an untagged enum, serde does not say what is wrong with a table, nor where.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shorthand<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShorthandVisitor(PhantomData))
    }
}

struct ShorthandVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ShorthandVisitor<T> {
    type Value = Shorthand<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a table")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Shorthand<T>, E> {
        Ok(Shorthand::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Shorthand<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(table)).map(Shorthand::Table)
    }
}
