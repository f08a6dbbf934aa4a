//! Scans documents for the types of values, each document once, and without a tree of its values.

use std::borrow::Cow;
use std::fmt;

use indexmap::IndexMap;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::stream::{Inferred, JsonPath};
use crate::{ColumnType, Step, StreamSpec};

/// The number of columns that are inferred for a view.
pub(in crate::engine) const MAX_COLUMNS: usize = 300;

/// The longest member, in bytes, that becomes a column.
pub(in crate::engine) const MAX_MEMBER: usize = 255;

/// What to do with a value of a document.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The index of its column.
    slot: Option<usize>,
    members: Members,
    /// Its path, if each of its members becomes a column.
    spread: Option<Vec<Box<str>>>,
}

/// The members of an object, in the order in which they were found first.
#[derive(Debug, Default)]
struct Members(IndexMap<Box<str>, Node>);

impl Members {
    /// A member, looked for at `expected` first, and where the next one is expected: documents of a stream have their members in one order.
    fn get_mut(&mut self, name: &str, expected: &mut usize) -> Option<&mut Node> {
        let at = match self.0.get_index(*expected) {
            Some((member, _)) if **member == *name => *expected,
            _ => self.0.get_index_of(name)?,
        };
        *expected = at + 1;
        self.0.get_index_mut(at).map(|(_, node)| node)
    }
}

/// A column whose type is inferred.
#[derive(Debug)]
pub(super) struct Slot {
    /// Its name, if it is declared.
    pub(super) name: Option<String>,
    pub(super) path: JsonPath,
    /// The narrowest type of all values so far; `None` if there were none but null.
    pub(super) kind: Option<ColumnType>,
    /// Whether any document has it.
    pub(super) is_found: bool,
}

/// The columns whose types are inferred.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// In the order in which they were found.
    pub(super) all: Vec<Slot>,
    /// Whether a type is new or wider.
    pub(super) is_changed: bool,
    /// Whether a member is left out because of a limit.
    pub(super) has_left_out: bool,
}

impl Slots {
    fn add(&mut self, name: Option<String>, path: JsonPath) -> usize {
        self.all.push(Slot { name, path, kind: None, is_found: false });
        self.all.len() - 1
    }

    /// Notes that a member is left out. The first one is news.
    fn leave_out(&mut self) {
        self.is_changed |= !self.has_left_out;
        self.has_left_out = true;
    }

    /// Notes a value, which `kind` finds the type of, given the type so far.
    fn note(&mut self, slot: Option<usize>, kind: impl FnOnce(Option<ColumnType>) -> Option<ColumnType>) {
        let Some(slot) = slot.and_then(|slot| self.all.get_mut(slot)) else { return };
        slot.is_found = true;
        let Some(found) = kind(slot.kind) else { return };
        let wider = slot.kind.map_or(found, |kind| kind.widened(found));
        if slot.kind != Some(wider) {
            slot.kind = Some(wider);
            self.is_changed = true;
        }
    }
}

/// What to look for in the documents of a stream.
pub(super) fn plan(stream: &StreamSpec) -> (Node, Slots) {
    let (mut root, mut slots) = (Node::default(), Slots::default());
    if stream.inference.members {
        root.spread = Some(Vec::new());
    }
    for path in &stream.inference.below {
        if let Some(node) = root.at(path) {
            let members = path.steps().iter().filter_map(member);
            node.spread = Some(members.map(Into::into).collect());
        }
    }
    for column in &stream.columns {
        // Its members are no columns of the object that it is in.
        if column.inferred == Inferred::Nothing && column.kind != ColumnType::Present {
            root.at(&column.path);
        }
    }
    for column in &stream.inference.columns {
        let slot = slots.add(Some(column.name.clone()), column.path.clone());
        match root.at(&column.path) {
            Some(node) => node.slot = Some(slot),
            // Collected values are an array, whatever the documents hold.
            None => slots.note(Some(slot), |_| Some(ColumnType::Json)),
        }
    }
    let declared: Vec<_> = stream.declared_columns().map(|(_, path)| path).collect();
    root.open_members(&mut slots, &mut Vec::new(), &declared);
    (root, slots)
}

fn member(step: &Step) -> Option<&str> {
    match step {
        Step::Member(member) => Some(member),
        Step::Each => None,
    }
}

impl Node {
    /// The node of a path; `None` if the path collects values.
    fn at(&mut self, path: &JsonPath) -> Option<&mut Self> {
        let members: Option<Vec<&str>> = path.steps().iter().map(member).collect();
        Some(members?.into_iter().fold(self, |node, member| node.members.0.entry(member.into()).or_default()))
    }

    /// Adds the columns of those members of spread objects in which something else is looked for, too.
    fn open_members(&mut self, slots: &mut Slots, path: &mut Vec<Box<str>>, declared: &[&JsonPath]) {
        let mut names: Vec<_> = self.members.0.keys().cloned().collect();
        names.sort();
        for name in names {
            let Some(node) = self.members.0.get_mut(&name) else { continue };
            path.push(name);
            let own = JsonPath::of_members(path.iter().map(AsRef::as_ref));
            if self.spread.is_some() && node.slot.is_none() && node.spread.is_none() && !declared.contains(&&own) {
                node.slot = Some(slots.add(None, own));
            }
            node.open_members(slots, path, declared);
            path.pop();
        }
    }
}

/// Learns from a document. What follows an error in it is not learned.
pub(super) fn scan(root: &mut Node, slots: &mut Slots, json: &str) {
    // A sink stores any document, and its view shows what it can.
    let _ = Value { node: root, slots }.deserialize(&mut serde_json::Deserializer::from_str(json));
}

/// A value that a node is for.
struct Value<'a> {
    node: &'a mut Node,
    slots: &'a mut Slots,
}

impl Value<'_> {
    fn note(self, kind: Option<ColumnType>) {
        self.slots.note(self.node.slot, |_| kind);
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if !self.node.members.0.is_empty() || self.node.spread.is_some() {
            return deserializer.deserialize_any(self);
        }
        let raw: &RawValue = serde::Deserialize::deserialize(deserializer)?;
        self.slots.note(self.node.slot, |known| kind_of(raw.get(), known));
        Ok(())
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Value { node, slots } = self;
        slots.note(node.slot, |_| Some(ColumnType::Json));
        let mut expected = 0;
        while let Some(Key(key)) = map.next_key_seed(Key::default())? {
            match (node.members.get_mut(&key, &mut expected), &node.spread) {
                (Some(node), _) => map.next_value_seed(Value { node, slots })?,
                (None, None) => drop(map.next_value::<IgnoredAny>()?),
                (None, Some(path)) => {
                    let raw: &RawValue = map.next_value()?;
                    let Some(kind) = kind_of(raw.get(), None) else { continue };
                    if slots.all.len() >= MAX_COLUMNS || key.is_empty() || key.len() > MAX_MEMBER {
                        slots.leave_out();
                        continue;
                    }
                    let path = JsonPath::of_members(path.iter().map(AsRef::as_ref).chain([&*key]));
                    let slot = slots.add(None, path);
                    slots.note(Some(slot), |_| Some(kind));
                    node.members.0.insert((&*key).into(), Node { slot: Some(slot), ..Node::default() });
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.note(Some(ColumnType::Json));
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.note(None);
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.note(Some(ColumnType::Boolean));
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.note(Some(ColumnType::Integer));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        let fits = i64::try_from(number).is_ok();
        self.note(Some(if fits { ColumnType::Integer } else { ColumnType::Float }));
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.note(Some(ColumnType::Float));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.note(Some(kind_of_text(text)));
        Ok(())
    }
}

/// The name of a member.
#[derive(Default)]
struct Key<'de>(Cow<'de, str>);

impl<'de> DeserializeSeed<'de> for Key<'de> {
    type Value = Self;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Self, E> {
        Ok(Self(Cow::Borrowed(key)))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self, E> {
        Ok(Self(Cow::Owned(key.to_owned())))
    }
}

/// The type of a JSON text, for a column that has had values of the type `known`; `None` if it is null.
fn kind_of(json: &str, known: Option<ColumnType>) -> Option<ColumnType> {
    Some(match json.as_bytes().first()? {
        b'n' => return None,
        b't' | b'f' => ColumnType::Boolean,
        b'{' | b'[' => ColumnType::Json,
        // No narrower type would make the column's narrower.
        b'"' if matches!(known, Some(ColumnType::Text | ColumnType::Any)) => ColumnType::Text,
        // An escape is longer than what it stands for, and no time needs one.
        b'"' => kind_of_text(&json[1..json.len() - 1]),
        _ if json.parse::<i64>().is_ok() => ColumnType::Integer,
        _ => ColumnType::Float,
    })
}

/// The type of a text: a time or a day only if the views of all destinations read it as one.
fn kind_of_text(text: &str) -> ColumnType {
    let is_day = |day: &str| {
        let digits = day.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        digits && !day.starts_with("0000") && day.parse::<jiff::civil::Date>().is_ok()
    };
    match text.split_at_checked(10) {
        Some((day, rest)) if rest.is_empty() && is_day(day) => ColumnType::Date,
        Some((day, rest)) if is_time(rest.as_bytes()) && is_day(day) => ColumnType::Timestamp,
        _ => ColumnType::Text,
    }
}

/// Whether a text is what follows the day in RFC 3339: `T04:05:06.789+02:00`.
fn is_time(text: &[u8]) -> bool {
    let number = |at: usize| match text.get(at..at + 2) {
        Some([ten @ b'0'..=b'9', one @ b'0'..=b'9']) => (ten - b'0') * 10 + (one - b'0'),
        _ => u8::MAX,
    };
    let is_clock = matches!(text.first(), Some(b'T' | b't' | b' '))
        && (number(1) < 24 && number(4) < 60 && number(7) < 60)
        && text.get(3) == Some(&b':')
        && text.get(6) == Some(&b':');
    if !is_clock {
        return false;
    }
    let zone = match text.get(9) {
        Some(b'.') => {
            let digits = text[10..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return false;
            }
            10 + digits
        }
        _ => 9,
    };
    match text.get(zone..) {
        Some([b'Z' | b'z']) => true,
        Some([b'+' | b'-', _, _, b':', _, _]) => number(zone + 1) < 14 && number(zone + 4) < 60,
        _ => false,
    }
}
