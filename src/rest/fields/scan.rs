//! Finds the values at pointers in one scan of a JSON text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Pointer;

/// The pointers that a scan looks for, as a tree.
#[derive(Debug, Clone, Default)]
pub(in crate::rest) struct Wanted {
    root: Node,
    slots: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// The slots of the pointers that lead here.
    slots: Vec<usize>,
    members: Vec<(String, Self)>,
}

/// Texts of JSON values, by slot.
#[derive(Debug, Clone)]
pub(in crate::rest) struct Found<'a>(Vec<Option<&'a str>>);

impl Wanted {
    /// Adds a pointer, and returns the slot for its value.
    pub(in crate::rest) fn add(&mut self, pointer: &Pointer) -> usize {
        let mut node = &mut self.root;
        for step in pointer.steps() {
            let index = node.members.iter().position(|(name, _)| name == step).unwrap_or_else(|| {
                node.members.push((step.clone(), Node::default()));
                node.members.len() - 1
            });
            node = &mut node.members[index].1;
        }
        node.slots.push(self.slots);
        self.slots += 1;
        self.slots - 1
    }

    /// Scans a whole text.
    pub(in crate::rest) fn scan<'a>(&self, text: &'a str) -> serde_json::Result<Found<'a>> {
        let mut json = serde_json::Deserializer::from_str(text);
        let found = self.deserialize(&mut json)?;
        json.end()?;
        Ok(found)
    }
}

impl<'a> Found<'a> {
    /// The JSON text of the value; `None` if there is none.
    pub(in crate::rest) fn get(&self, slot: usize) -> Option<&'a str> {
        self.0[slot]
    }

    /// The value, unless it is missing or null.
    pub(in crate::rest) fn value(&self, slot: usize) -> Option<&'a str> {
        self.get(slot).filter(|text| *text != "null")
    }
}

impl<'de> DeserializeSeed<'de> for &Wanted {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found<'de>, D::Error> {
        let mut found = Found(vec![None; self.slots]);
        Seed { node: &self.root, found: &mut found }.deserialize(deserializer)?;
        Ok(found)
    }
}

/// Scans a value.
struct Seed<'w, 'f, 'de> {
    node: &'w Node,
    found: &'f mut Found<'de>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.node.slots.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let raw = <&'de RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
        for slot in &self.node.slots {
            self.found.0[*slot] = Some(raw);
        }
        if self.node.members.is_empty() {
            return Ok(());
        }
        let inner = Node { slots: Vec::new(), members: self.node.members.clone() };
        let seed = Seed { node: &inner, found: self.found };
        seed.deserialize(&mut serde_json::Deserializer::from_str(raw)).map_err(serde::de::Error::custom)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(member) = map.next_key_seed(Member(self.node))? {
            match member {
                Some(index) => {
                    let node = &self.node.members[index].1;
                    map.next_value_seed(Seed { node, found: &mut *self.found })?;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        for number in 0_usize.. {
            let is_wanted = |step: &str| step.parse() == Ok(number) && (step == "0" || !step.starts_with(['0', '+']));
            let element = match self.node.members.iter().find(|(step, _)| is_wanted(step)) {
                Some((_, node)) => elements.next_element_seed(Seed { node, found: &mut *self.found })?,
                None => elements.next_element::<IgnoredAny>()?.map(drop),
            };
            if element.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Finds the index of a wanted member by its name.
struct Member<'w>(&'w Node);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Member<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.members.iter().position(|(wanted, _)| wanted == name))
    }
}

/// The text of a JSON text or number; `None` for any other value.
pub(in crate::rest) fn scalar(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' if !raw.contains('\\') => raw.get(1..raw.len().checked_sub(1)?).map(Cow::Borrowed),
        b'"' => serde_json::from_str(raw).ok().map(Cow::Owned),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

/// Whether a value is something: not null, false, 0 or empty.
pub(in crate::rest) fn is_truthy(raw: &str) -> bool {
    match raw.as_bytes().first() {
        None | Some(b'n' | b'f') => false,
        Some(b'"') => raw != "\"\"",
        Some(b'[' | b'{') => !matches!(raw[1..].trim_start().as_bytes().first(), Some(b']' | b'}') | None),
        Some(b'-' | b'0'..=b'9') => raw.parse::<f64>() != Ok(0.0),
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn found(pointers: &[&str], text: &str) -> Vec<Option<String>> {
        let mut wanted = Wanted::default();
        for pointer in pointers {
            wanted.add(&pointer.parse().unwrap());
        }
        let found = wanted.scan(text).unwrap();
        (0..pointers.len()).map(|slot| found.get(slot).map(str::to_owned)).collect()
    }

    #[test]
    fn values_are_found_wherever_they_are() {
        let text = r#"{"a": {"b": [10, {"c": "x"}], "a/b": true}, "n": null, "é": 1e400, "long": 123456789012345678901234567890}"#;
        let pointers = ["/a/b/1/c", "/a/b/0", "/a/a~1b", "/n", "/missing", "/a", "/é", "/long", "/a/b/01", "/n/x"];
        let values = found(&pointers, text);
        let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        let a = r#"{"b": [10, {"c": "x"}], "a/b": true}"#;
        let long = "123456789012345678901234567890";
        let expected = [
            Some("\"x\""),
            Some("10"),
            Some("true"),
            Some("null"),
            None,
            Some(a),
            Some("1e400"),
            Some(long),
            None,
            None,
        ];
        assert_eq!(values, expected);
        assert_eq!(found(&[""], "[1]"), [Some("[1]".to_owned())]);
        assert_eq!(found(&["/a"], "7"), [None]);
    }

    #[test]
    fn values_are_something_or_nothing() {
        for nothing in ["null", "false", "0", "0.0", "-0", "\"\"", "[]", "[ ]", "{}", "{\n}"] {
            assert!(!is_truthy(nothing), "{nothing}");
        }
        for something in ["true", "1", "\"0\"", "[0]", "{\"a\":null}", "-0.5"] {
            assert!(is_truthy(something), "{something}");
        }
    }

    #[test]
    fn texts_and_numbers_are_scalars() {
        for (raw, expected) in [
            ("7", Some("7")),
            ("\"7\"", Some("7")),
            (r#""a\"b""#, Some("a\"b")),
            ("true", None),
            ("[]", None),
            ("\"\"", Some("")),
        ] {
            assert_eq!(scalar(raw).as_deref(), expected, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_tree_of_values(a: i64, b in ".{0,6}", c in prop::collection::vec(any::<bool>(), 0..4)) {
            let tree = json!({"x": {"a": a, "b": b, "c": c}, "a": [{"b": a}, b]});
            let text = tree.to_string();
            for pointer in ["/x/a", "/x/b", "/x/c", "/x/c/1", "/a/0/b", "/a/1", "/x", "/a/2", "/y"] {
                let value = found(&[pointer], &text).remove(0).map(|raw| serde_json::from_str::<Value>(&raw).unwrap());
                prop_assert_eq!(value.as_ref(), tree.pointer(pointer), "{}", pointer);
            }
        }
    }
}
