//! A mistake in a file, in words for its author.

use std::fmt::Display;

use serde::de::{Error, Expected, Unexpected};

/// What separates an error from its help in a text that serde passes on.
const HELP: &str = "\nhelp: ";

/// The text of an error of this crate with its help, for `serde::de::Error::custom`.
pub(in crate::rest) fn explained(error: &crate::Error) -> String {
    let help = error.help().map(|help| format!("{HELP}{help}")).unwrap_or_default();
    format!("{}{help}", error.message())
}

/// A value of a file that the description cannot have.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// The offset in the file.
    pub(super) offset: Option<usize>,
    /// The keys that lead there, the innermost first.
    keys: Vec<String>,
}

impl Mistake {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, offset: None, keys: Vec::new() }
    }

    fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets the place in the file, unless an inner value has set it.
    pub(super) fn at(mut self, offset: usize) -> Self {
        self.offset.get_or_insert(offset);
        self
    }

    /// Adds the key of the table, or the index of the list, that has the value.
    pub(super) fn below(mut self, key: impl ToString) -> Self {
        self.keys.push(key.to_string());
        self
    }

    /// The keys that lead there from the top.
    pub(super) fn keys(&self) -> Vec<String> {
        self.keys.iter().rev().cloned().collect()
    }
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

impl Error for Mistake {
    fn custom<T: Display>(text: T) -> Self {
        let text = text.to_string();
        match text.split_once(HELP) {
            Some((message, help)) => Self::new(message).with_help(help),
            None => Self::new(text),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = in_words(&expected.to_string());
        let is_scalar = matches!(
            found,
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) | Unexpected::Bool(_)
        );
        let help = match (&*expected, found) {
            (text, _) if is_scalar && text.starts_with("a text") => Some("write the value in quotes"),
            (WHOLE_NUMBER | "true or false", Unexpected::Str(_)) => Some("write the value without quotes"),
            ("a list", Unexpected::Map) => Some("write the name in two pairs of brackets: [[name]]"),
            ("a list", _) => Some("write a list: [value, value]"),
            ("a table", _) => Some("write a table: { name = value }"),
            ("a text", _) => Some("write one value in quotes"),
            _ => None,
        };
        let help = help.map_or_else(|| format!("write {expected}"), str::to_owned);
        Self::new(format!("expected {expected}, found {}", kind(found))).with_help(help)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Unsigned(_) => "a number that is too large".to_owned(),
            found => kind(found),
        };
        let expected = in_words(&expected.to_string());
        Self::new(format!("expected {expected}, found {found}")).with_help(format!("write {expected}"))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let expected = in_words(&expected.to_string());
        Self::new(format!("expected {expected}, found a list of {length}")).with_help(format!("write {expected}"))
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        let words = known.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        if known == ["append"] {
            return Self::new(format!("unknown word {word:?}")).with_help(
                "remove it, unless records never change and `kind = \"append\"` fits: a `parent` makes a child, a `cursor` an incremental \
                 stream, and neither a snapshot",
            );
        }
        let meant = closest(word, known.iter().copied()).map(|word| format!("did you mean {word:?}? "));
        Self::new(format!("unknown word {word:?}"))
            .with_help(format!("{}the words are: {words}", meant.unwrap_or_default()))
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        if OF_THE_SOURCE.contains(&key) && known.contains(&"parent") {
            return Self::new(format!("unknown key `{key}`")).with_help(format!(
                "move `{key}` above the first [[stream]]: what follows [[stream]] belongs to the stream"
            ));
        }
        let meant = closest(key, known.iter().copied()).map(|key| format!("did you mean `{key}`? "));
        Self::new(format!("unknown key `{key}`")).with_help(format!(
            "{}the keys are: {}",
            meant.unwrap_or_default(),
            known.join(", ")
        ))
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(format!("`{key}` is missing")).with_help(format!("add `{key}`"))
    }
}

/// Keys that only the source has. In TOML, what stands below a [[stream]] belongs to it.
const OF_THE_SOURCE: [&str; 4] = ["base_url", "settings", "auth", "resource"];

/// The known word that is closest to this one, if one is close.
pub(in crate::rest) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(known, &word), known))
        .filter(|(distance, known)| *distance <= (known.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

const WHOLE_NUMBER: &str = "a whole number from 0";

/// What serde expects, in the words of the file's format.
fn in_words(expected: &str) -> String {
    match expected {
        "a string" | "variant identifier" => "a text",
        "a sequence" => "a list",
        "a map" => "a table",
        "a boolean" => "true or false",
        "u32" | "u64" => WHOLE_NUMBER,
        other if other.starts_with("struct ") => "a table",
        other if other.starts_with("enum ") => "a text",
        other => other,
    }
    .to_owned()
}

/// What was found, without the value: it may be a secret.
fn kind(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => return value.to_string(),
        Unexpected::Signed(number) if number < 0 => "a negative number",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a number",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Str(_) => "a text",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a table",
        other => return other.to_string(),
    }
    .to_owned()
}
