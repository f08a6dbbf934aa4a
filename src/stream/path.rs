//! Paths into raw documents.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// One step of a [`JsonPath`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Into the member of an object.
    Member(String),
    /// Into every element of an array; what follows is collected into an array.
    Each,
}

/// The path of a value in a document: `title`, `user.login`, `labels[*].name`, `"odd.key".x`.
///
/// Members are separated by dots; one that holds a dot, a bracket or a quote is written in double quotes, with `\"` and
/// `\\` inside. `[*]`, at most once, collects what follows from every element of an array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JsonPath(Vec<Step>);

impl JsonPath {
    /// The steps, from the document's root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The path of a value below these members, none of which may be empty.
    pub(crate) fn of_members<'a>(members: impl IntoIterator<Item = &'a str>) -> Self {
        Self(members.into_iter().map(|member| Step::Member(member.to_owned())).collect())
    }

    /// The value in a document; null where there is none.
    fn find(&self, document: &Value) -> Value {
        find(document, &self.0)
    }

    /// The values of several paths in a JSON text; null where there is none.
    pub(crate) fn find_all(paths: &[Self], json: &str) -> Vec<Value> {
        if paths.is_empty() {
            return Vec::new();
        }
        let document: Value = serde_json::from_str(json).unwrap_or_default();
        paths.iter().map(|path| path.find(&document)).collect()
    }
}

fn find(value: &Value, steps: &[Step]) -> Value {
    match (steps.split_first(), value) {
        (None, value) => value.clone(),
        (Some((Step::Member(member), rest)), value) => value.get(member).map_or(Value::Null, |value| find(value, rest)),
        (Some((Step::Each, rest)), Value::Array(elements)) => elements.iter().map(|value| find(value, rest)).collect(),
        (Some((Step::Each, _)), _) => Value::Null,
    }
}

impl FromStr for JsonPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let malformed = |why: &str| Error::configuration(format!("{why} in the path {text:?}"));
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (member, after) = match rest.strip_prefix('"') {
                Some(quoted) => unquote(quoted).ok_or_else(|| malformed("an open quote"))?,
                None => {
                    let end = rest.find(['.', '[', ']', '"']).unwrap_or(rest.len());
                    (rest[..end].to_owned(), &rest[end..])
                }
            };
            if member.is_empty() {
                return Err(malformed("an empty step"));
            }
            steps.push(Step::Member(member));
            rest = after;
            if let Some(after) = rest.strip_prefix("[*]") {
                if steps.contains(&Step::Each) {
                    return Err(malformed("a second [*]"));
                }
                steps.push(Step::Each);
                rest = after;
            }
            if rest.is_empty() {
                return Ok(Self(steps));
            }
            rest = rest.strip_prefix('.').ok_or_else(|| malformed("a missing dot"))?;
        }
    }
}

/// Reads a quoted member up to its closing quote. Returns the member and the rest.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut member = String::new();
    let mut chars = quoted.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Some((member, &quoted[index + 1..])),
            '\\' => member.push(chars.next()?.1),
            _ => member.push(c),
        }
    }
    None
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Each => f.write_str("[*]")?,
                Step::Member(member) => {
                    if index > 0 {
                        f.write_str(".")?;
                    }
                    if member.contains(['.', '[', ']', '"', '\\']) {
                        write!(f, "\"{}\"", member.replace('\\', "\\\\").replace('"', "\\\""))?;
                    } else {
                        f.write_str(member)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for JsonPath {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<JsonPath> for String {
    fn from(path: JsonPath) -> Self {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> Step {
        Step::Member(name.to_owned())
    }

    #[test]
    fn paths_are_read_step_by_step() {
        let path: JsonPath = r#"labels[*]."a.b\"c".name"#.parse().unwrap();
        assert_eq!(path.steps(), [member("labels"), Step::Each, member("a.b\"c"), member("name")]);
        assert_eq!(path.to_string(), r#"labels[*]."a.b\"c".name"#);
    }

    #[test]
    fn malformed_paths_are_refused() {
        for path in ["", ".", "a.", "a..b", "[*]", "a[0]", "a[*].b[*]", "\"open", "a b\"c", "a[*]b"] {
            assert!(path.parse::<JsonPath>().is_err(), "{path:?} was accepted");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_path_survives_being_written_and_read(members in proptest::collection::vec(".+", 1..5), each in 0..5_usize) {
            let mut steps: Vec<Step> = members.into_iter().map(Step::Member).collect();
            if each >= 1 && each <= steps.len() {
                steps.insert(each, Step::Each);
            }
            let path = JsonPath(steps);
            proptest::prop_assert_eq!(path.to_string().parse::<JsonPath>().unwrap(), path);
        }
    }
}
