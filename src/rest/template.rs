//! Texts with placeholders.

use std::collections::BTreeMap;
use std::ops::Range;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Placeholder {
    /// A setting.
    Setting(String),
    /// The name of the resource.
    Resource,
    /// A field of the parent: the dotted path.
    Parent(String),
    /// From where on to ask for changes.
    Since,
    /// The end of a question's window.
    Until,
    /// The key of one record.
    Key,
    /// The keys of several records.
    Keys,
}

impl Placeholder {
    /// The placeholder between two braces; `None` if it is not one, so that the braces are text.
    fn parse(word: &str) -> Result<Option<Self>> {
        if let Some(field) = word.strip_prefix("parent.") {
            let is_path = field.split('.').all(is_word);
            return Ok(is_path.then(|| Self::Parent(field.to_owned())));
        }
        Ok(Some(match word {
            "resource" => Self::Resource,
            "since" => Self::Since,
            "until" => Self::Until,
            "key" => Self::Key,
            "keys" => Self::Keys,
            "parent" => {
                return Err(Error::configuration("`{parent}` does not say which field of the parent")
                    .with_help("write `{parent.id}`, with the name of the field"));
            }
            _ if is_word(word) => Self::Setting(word.to_owned()),
            _ => return Ok(None),
        }))
    }
}

impl std::fmt::Display for Placeholder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Setting(name) => write!(f, "{{{name}}}"),
            Self::Resource => f.write_str("{resource}"),
            Self::Parent(field) => write!(f, "{{parent.{field}}}"),
            Self::Since => f.write_str("{since}"),
            Self::Until => f.write_str("{until}"),
            Self::Key => f.write_str("{key}"),
            Self::Keys => f.write_str("{keys}"),
        }
    }
}

fn is_word(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Decodes a part of a query.
pub(super) fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Text that stays as it is.
    Text(String),
    /// A value.
    Value(Placeholder),
}

/// A word, or words with dots between them, directly within braces.
pub(super) struct Braced<'a> {
    /// The place of the word with its braces.
    pub(super) range: Range<usize>,
    pub(super) word: &'a str,
    /// The number of pairs of braces.
    pub(super) pairs: usize,
}

impl<'a> Braced<'a> {
    /// The first one in a text.
    pub(super) fn first(text: &'a str) -> Option<Self> {
        let is_in_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let mut from = 0;
        while let Some(at) = text[from..].find('{') {
            let open = from + at;
            let start = open + run(&text[open..], '{');
            let rest = &text[start..];
            let end = start + rest.find(|c| !is_in_word(c)).unwrap_or(rest.len());
            let word = &text[start..end];
            let pairs = (start - open).min(run(&text[end..], '}'));
            if pairs > 0 && word.split('.').all(is_word) {
                return Some(Self { range: start - pairs..end + pairs, word, pairs });
            }
            from = end;
        }
        None
    }

    /// All in a text.
    pub(super) fn all(text: &'a str) -> impl Iterator<Item = Self> {
        let mut rest = text;
        std::iter::from_fn(move || {
            let braced = Self::first(rest)?;
            rest = &rest[braced.range.end..];
            Some(braced)
        })
    }
}

/// The number of times that a text begins with a character of ASCII.
fn run(text: &str, c: char) -> usize {
    text.len() - text.trim_start_matches(c).len()
}

/// Writes a text so that, as a template, it is this text: the braces around words are doubled.
pub(super) fn literal(text: &str) -> String {
    let (mut written, mut rest) = (String::new(), text);
    while let Some(Braced { range, pairs, .. }) = Braced::first(rest) {
        written.push_str(&rest[..range.start]);
        written.push_str(&"{".repeat(pairs));
        written.push_str(&rest[range.clone()]);
        written.push_str(&"}".repeat(pairs));
        rest = &rest[range.end..];
    }
    written + rest
}

/// A text with placeholders: `{word}`, without white space between the braces. Two pairs of braces around a word are one pair of the text:
/// `{{word}}`, and `{{{word}}}` is a value in braces. All other braces are text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

impl Template {
    /// # Errors
    /// `Configuration` for `{parent}` without a field.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(Braced { range, word, pairs }) = Braced::first(rest) {
            let value = if pairs % 2 == 1 { Placeholder::parse(word)? } else { None };
            plain.push_str(&rest[..range.start]);
            plain.push_str(&"{".repeat(pairs / 2));
            match value {
                Some(value) => {
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Value(value));
                }
                None if pairs % 2 == 1 => plain.extend(["{", word, "}"]),
                None => plain.push_str(word),
            }
            plain.push_str(&"}".repeat(pairs / 2));
            rest = &rest[range.end..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// The template with its texts decoded, as in a query: `%5B` is `[`, and `+` is a space.
    pub(super) fn decoded(self) -> Self {
        let decode = |part| match part {
            Part::Text(text) => Part::Text(decode(&text)),
            value @ Part::Value(_) => value,
        };
        Self(self.0.into_iter().map(decode).collect())
    }

    /// The parts, in order.
    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// The placeholders, in order.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.0.iter().filter_map(|part| match part {
            Part::Value(placeholder) => Some(placeholder),
            Part::Text(_) => None,
        })
    }

    /// The placeholder, if the template is nothing else.
    pub(super) fn sole(&self) -> Option<&Placeholder> {
        match self.0.as_slice() {
            [Part::Value(placeholder)] => Some(placeholder),
            _ => None,
        }
    }
}

/// Parses the values of named texts, such as parameters and headers.
///
/// # Errors
/// As for [`Template::parse`].
pub(super) fn named(pairs: &BTreeMap<String, String>) -> Result<Vec<(String, Template)>> {
    pairs.iter().map(|(name, value)| Ok((name.clone(), Template::parse(value)?))).collect()
}

impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |index: Option<usize>| match index.and_then(|index| self.0.get(index)) {
            Some(Part::Text(text)) => text.as_str(),
            _ => "",
        };
        self.0.iter().enumerate().try_for_each(|(index, part)| match part {
            Part::Text(text) => f.write_str(&literal(text)),
            Part::Value(placeholder) => {
                let before = text(index.checked_sub(1));
                let before = before.len() - before.trim_end_matches('{').len();
                // The braces of the text around a value are doubled, too.
                let pairs = before.min(run(text(Some(index + 1)), '}'));
                write!(f, "{}{placeholder}{}", "{".repeat(pairs), "}".repeat(pairs))
            }
        })
    }
}

/// A JSON value whose texts are templates.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum JsonTemplate {
    /// A text.
    Text(Template),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Object(Vec<(String, Self)>),
    /// A number, a boolean or null.
    Other(Value),
}

impl JsonTemplate {
    /// # Errors
    /// As for [`Template::parse`].
    pub(super) fn parse(value: &Value) -> Result<Self> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(text)?),
            Value::Array(entries) => Self::List(entries.iter().map(Self::parse).collect::<Result<_>>()?),
            Value::Object(fields) => Self::object(fields)?,
            other => Self::Other(other.clone()),
        })
    }

    /// # Errors
    /// As for [`Template::parse`].
    pub(super) fn object(fields: &Map<String, Value>) -> Result<Self> {
        let fields = fields.iter().map(|(name, value)| Ok((name.clone(), Self::parse(value)?)));
        Ok(Self::Object(fields.collect::<Result<_>>()?))
    }

    /// The templates in it.
    pub(super) fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Text(template) => vec![template],
            Self::List(entries) => entries.iter().flat_map(Self::templates).collect(),
            Self::Object(fields) => fields.iter().flat_map(|(_, field)| field.templates()).collect(),
            Self::Other(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn placeholders_are_words_in_braces() {
        let template =
            Template::parse("/a/{resource}?x={parent.user.id}&y={since}{until}{key}{keys}&z={my_1}").unwrap();
        let names: Vec<String> = template.placeholders().map(ToString::to_string).collect();
        assert_eq!(names, ["{resource}", "{parent.user.id}", "{since}", "{until}", "{key}", "{keys}", "{my_1}"]);
        for text in ["{ id }", "{}", "{1}", "{a b}", "{a-b}", "{", "}", "{parent.}", "{parent.a..b}", "{\n}", "{{ }"] {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.parts(), [Part::Text(text.to_owned())], "{text}");
        }
        assert_eq!(Template::parse("{since}").unwrap().sole(), Some(&Placeholder::Since));
        assert!(Template::parse("{parent}").unwrap_err().help().unwrap().contains("{parent.id}"));
    }

    #[test]
    fn doubled_braces_are_braces_of_the_text() {
        for (written, text) in [
            ("{{Word}}", "{Word}"),
            ("{{since}}", "{since}"),
            ("{{parent}}", "{parent}"),
            ("{{parent.id}} {{a.b}}", "{parent.id} {a.b}"),
            ("IF({{Status}}={{Old}},1)", "IF({Status}={Old},1)"),
            ("{{{{word}}}}", "{{word}}"),
            // One of several braces is that of another thing.
            ("{x {{{y}}", "{x {{y}"),
            ("{Last modified}", "{Last modified}"),
        ] {
            let template = Template::parse(written).unwrap();
            assert_eq!(template.parts(), [Part::Text(text.to_owned())], "{written}");
        }
        let since = || Part::Value(Placeholder::Since);
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(Template::parse("{{{since}}}").unwrap().parts(), [text("{"), since(), text("}")]);
        // The braces of GraphQL close together, and open apart.
        assert_eq!(Template::parse("{a(b: {c: {since}}}").unwrap().parts(), [text("{a(b: {c: "), since(), text("}}")]);
        assert!(Template::parse("{parent}").is_err());
    }

    proptest! {
        #[test]
        fn what_a_template_displays_is_the_same_template(text in "[{}a.b_ ]{0,24}") {
            let template = Template::parse(&text).unwrap();
            prop_assert_eq!(Template::parse(&template.to_string()).unwrap(), template);
        }

        #[test]
        fn a_literal_text_is_a_template_without_placeholders(text in "[{}a.b_ ]{0,24}") {
            let parts = Template::parse(&literal(&text)).unwrap();
            prop_assert!(parts.placeholders().next().is_none());
            let plain: String = parts.parts().iter().map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Value(_) => "",
            }).collect();
            prop_assert_eq!(plain, text);
        }
    }
}
