//! Reads values out of a parsed file, so that each mistake has its place.

use std::ops::Range;

use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeString, DeTable, DeValue};

use super::mistake::Mistake;

/// A value of the file.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    value: &'a DeValue<'a>,
    span: (usize, usize),
}

impl<'a> Node<'a> {
    pub(super) fn new(value: &'a DeValue<'a>, span: Range<usize>) -> Self {
        Self { value, span: (span.start, span.end) }
    }

    fn spanned(value: &'a Spanned<DeValue<'a>>) -> Self {
        Self::new(value.get_ref(), value.span())
    }

    fn located(self, mistake: Mistake) -> Mistake {
        mistake.at(self.span.0)
    }

    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.value {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(number) => visit_integer(number, visitor),
            DeValue::Float(number) => match number.as_str().replace('_', "").parse() {
                Ok(number) if f64::is_finite(number) => visitor.visit_f64(number),
                _ => Err(de::Error::invalid_value(Unexpected::Other("nan or inf"), &visitor)),
            },
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            // JSON has no instants: they are texts there.
            DeValue::Datetime(time) => visitor.visit_string(time.to_string()),
            DeValue::Array(list) => visitor.visit_seq(Elements { list, next: 0 }),
            DeValue::Table(table) => visitor.visit_map(Entries::new(table)),
        }
    }
}

fn visit_integer<'de, V: Visitor<'de>>(number: &DeInteger<'_>, visitor: V) -> Result<V::Value, Mistake> {
    let digits = number.as_str().replace('_', "");
    if let Ok(number) = u64::from_str_radix(&digits, number.radix()) {
        return visitor.visit_u64(number);
    }
    match i64::from_str_radix(&digits, number.radix()) {
        Ok(number) => visitor.visit_i64(number),
        Err(_) => Err(de::Error::invalid_value(Unexpected::Other("a number with too many digits"), &visitor)),
    }
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.visit(visitor).map_err(|mistake| self.located(mistake))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_some(self).map_err(|mistake| self.located(mistake))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let read = match self.value {
            DeValue::String(word) => {
                let word: StrDeserializer<'_, Mistake> = word.as_ref().into_deserializer();
                visitor.visit_enum(word)
            }
            // The words are in the error about a text.
            _ => self.visit(visitor),
        };
        read.map_err(|mistake| self.located(mistake))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self).map_err(|mistake| self.located(mistake))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Mistake> {
        match self.value {
            // A visitor would not look at elements after those that it expects.
            DeValue::Array(list) if list.len() != length => {
                Err(self.located(de::Error::invalid_length(list.len(), &visitor)))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple_struct map struct
        identifier ignored_any
    }
}

struct Elements<'a> {
    list: &'a DeArray<'a>,
    next: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'_> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistake> {
        let Some(element) = self.list.get(self.next) else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        seed.deserialize(Node::spanned(element)).map(Some).map_err(|mistake| mistake.below(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.list.len() - self.next)
    }
}

/// The entries of a table, in the order of the file.
struct Entries<'a> {
    rest: std::vec::IntoIter<(&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)>,
    value: Option<(&'a str, &'a Spanned<DeValue<'a>>)>,
}

impl<'a> Entries<'a> {
    fn new(table: &'a DeTable<'a>) -> Self {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        Self { rest: entries.into_iter(), value: None }
    }
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistake> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some((key.get_ref(), value));
        let name: StringDeserializer<Mistake> = key.get_ref().clone().into_owned().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|mistake| mistake.at(key.span().start))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistake> {
        let (key, value) = self.value.take().ok_or_else(|| <Mistake as de::Error>::custom("a value before its key"))?;
        seed.deserialize(Node::spanned(value)).map_err(|mistake| mistake.below(key))
    }
}
