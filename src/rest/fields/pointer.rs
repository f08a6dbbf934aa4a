//! JSON pointers.

use std::fmt;
use std::str::FromStr;

use crate::{Error, JsonPath, Result, Step};

/// A [JSON pointer](https://www.rfc-editor.org/rfc/rfc6901): the names, or numbers, on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::rest) struct Pointer(Vec<String>);

impl Pointer {
    /// The names on the way, unescaped. An element of a list has its number, from 0.
    pub(in crate::rest) fn steps(&self) -> &[String] {
        &self.0
    }

    /// The pointer to a path of a document.
    ///
    /// # Errors
    /// `Configuration` for what is not a path.
    pub(in crate::rest) fn of_path(path: &str) -> Result<Self> {
        let path: JsonPath = path.parse()?;
        let steps = path.steps().iter();
        Ok(steps.filter_map(|step| if let Step::Member(name) = step { Some(name.clone()) } else { None }).collect())
    }
}

/// The name of a member as a step of a pointer in text.
pub(in crate::rest) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl FromIterator<String> for Pointer {
    fn from_iter<I: IntoIterator<Item = String>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl FromStr for Pointer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let malformed = |why: &str, help: String| {
            Error::configuration(format!("{text:?} is not a JSON pointer: {why}")).with_help(help)
        };
        let Some(rest) = text.strip_prefix('/') else {
            let steps = text.split('.').filter(|step| !step.is_empty()).collect::<Vec<_>>().join("/");
            return Err(malformed("it does not begin with `/`", format!("write \"/{steps}\"")));
        };
        let steps = rest.split('/').map(|step| {
            let mut unescaped = String::with_capacity(step.len());
            let mut characters = step.chars();
            while let Some(c) = characters.next() {
                unescaped.push(match c {
                    '~' => match characters.next() {
                        Some('0') => '~',
                        Some('1') => '/',
                        _ => return Err(malformed("`~` stands alone", "write `~0` for `~`, and `~1` for `/`".into())),
                    },
                    c => c,
                });
            }
            Ok(unescaped)
        });
        Ok(Self(steps.collect::<Result<_>>()?))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "/{}", escaped(step)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_pointer_is_refused_with_advice() {
        for (text, help) in [
            ("data", "write \"/data\""),
            ("data.items", "write \"/data/items\""),
            ("/a~", "write `~0` for `~`, and `~1` for `/`"),
            ("/a~2", "write `~0` for `~`, and `~1` for `/`"),
        ] {
            assert_eq!(text.parse::<Pointer>().unwrap_err().help(), Some(help), "{text}");
        }
        assert!("".parse::<Pointer>().unwrap().steps().is_empty());
        assert_eq!("/a~1b/0/".parse::<Pointer>().unwrap().steps(), ["a/b", "0", ""]);
    }

    proptest! {
        #[test]
        fn a_pointer_finds_its_way_back(steps in prop::collection::vec("[a~/0-9]{0,4}", 0..4)) {
            let pointer = Pointer(steps);
            prop_assert_eq!(pointer.to_string().parse::<Pointer>().unwrap(), pointer);
        }
    }
}
