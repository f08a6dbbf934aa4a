//! Names of Snowflake objects.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::{Error, Result};

/// Snowflake's limit on the length of a name, in characters.
const LONGEST: usize = 255;

/// The name of a Snowflake object, as Snowflake stores it.
///
/// It is parsed as in SQL: an unquoted name becomes upper case; a name in double quotes, or with characters other than letters, digits,
/// `_` and `$`, is kept as it is.
///
/// ```
/// use snowfeed::native_app::Name;
///
/// let name: Name = "github_connector".parse()?;
/// assert_eq!((name.as_str(), name.to_string().as_str()), ("GITHUB_CONNECTOR", "GITHUB_CONNECTOR"));
/// let name: Name = "\"My app\"".parse()?;
/// assert_eq!((name.as_str(), name.to_string().as_str()), ("My app", "\"My app\""));
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The name itself, as `SHOW` prints it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name as Snowflake stores it, without parsing quotes.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): the name is not valid.
    pub fn stored(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let refused = |why: &str| {
            Err(Error::configuration(format!("{name:?} is not a valid name for a Snowflake object: {why}"))
                .with_help("use letters, digits and _, as in GITHUB_CONNECTOR"))
        };
        if name.trim().is_empty() {
            return refused("it is empty");
        }
        if name.chars().count() > LONGEST {
            return refused("it is longer than 255 characters");
        }
        if name.chars().any(char::is_control) {
            return refused("it contains a control character");
        }
        // Snowflake CLI would expand it as a template.
        if name.contains("<%") || name.contains("%>") {
            return refused("it contains <% or %>");
        }
        Ok(Self(name))
    }

    /// This name followed by `_` and a suffix.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): the result is too long.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Result<Self> {
        Self::stored(format!("{}_{suffix}", self.0))
    }

    /// Whether it needs no quotes in SQL.
    pub(crate) fn is_plain(&self) -> bool {
        let upper = |c: char| c.is_ascii_uppercase() || c == '_';
        self.0.starts_with(upper) && self.0.chars().all(|c| upper(c) || c.is_ascii_digit() || c == '$')
    }

    /// The name as SQL, quoted if necessary.
    pub(crate) fn sql(&self) -> String {
        if self.is_plain() { self.0.clone() } else { format!("\"{}\"", self.0.replace('"', "\"\"")) }
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        let quoted = given.len() > 1 && given.starts_with('"') && given.ends_with('"');
        let name = match &given.get(1..given.len().saturating_sub(1)) {
            Some(inner) if quoted && inner.replace("\"\"", "").contains('"') => {
                return Err(Error::configuration(format!("{given:?} is not a name: a quote in it is not doubled"))
                    .with_help("use letters, digits and _, as in GITHUB_CONNECTOR"));
            }
            Some(inner) if quoted => inner.replace("\"\"", "\""),
            _ if given.chars().all(plain) => given.to_ascii_uppercase(),
            _ => given.to_owned(),
        };
        Self::stored(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql())
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.sql())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_parsed_as_in_sql() {
        for (given, stored, sql) in [
            ("app", "APP", "APP"),
            ("App_1$", "APP_1$", "APP_1$"),
            ("\"App\"", "App", "\"App\""),
            ("\"APP\"", "APP", "APP"),
            ("my app", "my app", "\"my app\""),
            ("\"a\"\"b\"", "a\"b", "\"a\"\"b\""),
            ("1app", "1APP", "\"1APP\""),
            ("naïve", "naïve", "\"naïve\""),
        ] {
            let name: Name = given.parse().unwrap();
            assert_eq!((name.as_str(), name.sql().as_str()), (stored, sql), "{given}");
        }
    }

    #[test]
    fn an_invalid_name_is_rejected_with_help() {
        for given in ["", " ", "\"\"", "\"a\"b\"", "a\nb", "<% ctx.env.HOME %>", &"x".repeat(256)] {
            let error = given.parse::<Name>().unwrap_err();
            assert!(error.kind() == crate::ErrorKind::Configuration && error.help().is_some(), "{given:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_name_round_trips_through_sql(given in ".{1,12}") {
            if let Ok(name) = given.parse::<Name>() {
                prop_assert_eq!(name.sql().parse::<Name>().unwrap(), name);
            }
        }
    }
}
