//! What to do about errors.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::pointers::Pointers;

/// What to do about errors, by their status or by a code in the body.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Errors {
    /// Pointers: where a body has the code of an error. A successful response with such a code is an error, too. A code that no action names
    /// leaves the status of an error its meaning.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub code: Pointers,
    /// The actions, by a status such as `403` or by a code.
    #[serde(flatten)]
    pub actions: BTreeMap<String, Action>,
}

impl Errors {
    /// Whether nothing is said about errors.
    pub fn is_empty(&self) -> bool {
        self.code.is_empty() && self.actions.is_empty()
    }
}

// Not derived: `flatten` loses the places of mistakes.
impl<'de> Deserialize<'de> for Errors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ErrorsVisitor)
    }
}

struct ErrorsVisitor;

impl<'de> Visitor<'de> for ErrorsVisitor {
    type Value = Errors;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table such as { 403 = \"skip\" }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Errors, A::Error> {
        let mut errors = Errors::default();
        while let Some(key) = table.next_key::<String>()? {
            if key == "code" {
                errors.code = table.next_value()?;
            } else {
                errors.actions.insert(key, table.next_value()?);
            }
        }
        Ok(errors)
    }
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// It is a rate limit: wait, then send the request again.
    Wait,
    /// It passes: send the request again.
    Retry,
    /// On the first page: the list is empty. On a later page it is an error. For a status of success: an answer without the list has no
    /// records.
    Empty,
    /// The stream of this resource, or the list of this parent, cannot be read with these credentials: leave it as it is, with a warning.
    Skip,
    /// What was asked for, a parent or a record, no longer exists.
    Gone,
    /// The page token has expired: read the list from its start.
    Restart,
    /// The question has too many results: halve its window.
    Split,
    /// It is an error that no retry solves.
    Fail,
}
