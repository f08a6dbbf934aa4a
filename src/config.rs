//! Settings: declared by a source as a plain struct, checked before any request.

mod json_schema;
mod names;
mod settings_schema;
mod store;
mod url;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use settings_schema::SettingsSchema;
pub(crate) use store::SHORTEST_SCHEDULE;
pub use store::{ConfigSnapshot, ConfigStore, Namespace, ResourceConfig};

use crate::{Error, Result};

/// A source's settings, as values by name. It holds references to secrets, never a secret.
///
/// [`SettingsSchema::configure`] makes one whose names and types have been checked; a source reads it as its own struct:
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use snowfeed::{Config, Settings};
///
/// /// The settings of a source, documented by their comments.
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(default)]
/// struct Posts {
///     /// Where the API is.
///     url: String,
///     /// How many posts a page holds.
///     page_size: u32,
/// }
///
/// impl Default for Posts {
///     fn default() -> Self {
///         Self { url: "https://example.com".into(), page_size: 100 }
///     }
/// }
///
/// let settings = Settings::of::<Posts>();
/// let config = settings.configure([("page_size".into(), settings.parse("page_size", "50")?)])?;
/// assert_eq!(config.read::<Posts>()?.page_size, 50);
///
/// let error = settings.parse("page_sise", "50").unwrap_err();
/// assert_eq!(error.help(), Some("did you mean `page_size`?"));
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(Map<String, Value>);

impl Settings {
    /// The settings as a source's own struct.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), naming the setting, when a value is missing or of the wrong type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_path_to_error::deserialize(Value::Object(self.0.clone())).map_err(|error| {
            let path = error.path().to_string();
            let reason = without_values(&error.inner().to_string(), &self.0);
            let message = match path.as_str() {
                "." => format!("the settings are incomplete: {reason}"),
                path => format!("the setting `{path}` is malformed: {reason}"),
            };
            Error::configuration(message).with_help("`schema` lists the settings, their types and defaults")
        })
    }

    /// The first setting whose value is of the wrong type for `T`, by its dotted name, with what is wrong.
    fn first_type_error<T: DeserializeOwned>(&self) -> Option<(String, Error)> {
        let error = serde_path_to_error::deserialize::<_, T>(Value::Object(self.0.clone())).err()?;
        let names = error.path().iter().map_while(|segment| match segment {
            serde_path_to_error::Segment::Map { key } => Some(key.as_str()),
            _ => None,
        });
        let name = names.collect::<Vec<_>>().join(".");
        // Nothing that was given is to blame for what is missing.
        let is_missing = name.is_empty() || error.inner().to_string().starts_with("missing field");
        if is_missing { None } else { self.read::<T>().err().map(|error| (name, error)) }
    }

    /// One setting's value, where it was given. The name of one within a nested struct is dotted: `retry.attempts`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).or_else(|| {
            let (first, rest) = name.split_once('.')?;
            rest.split('.').try_fold(self.0.get(first)?, |within, name| within.get(name))
        })
    }

    /// All values that were given, by name.
    pub fn values(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// What serde says of settings, without the values that it repeats: one may be a secret in the wrong place.
fn without_values(reason: &str, values: &Map<String, Value>) -> String {
    const REPEAT: [&str; 4] = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    if REPEAT.iter().any(|start| reason.starts_with(start)) {
        return match reason.rsplit_once(", expected ") {
            Some((_, expected)) => format!("it is not {expected}"),
            None => "its value is not allowed".to_owned(),
        };
    }
    if reason.starts_with("missing field ") {
        return reason.to_owned();
    }
    // The words are those of the source's author, who may repeat it, too.
    let mut reason = reason.to_owned();
    let mut rest: Vec<&Value> = values.values().collect();
    while let Some(value) = rest.pop() {
        match value {
            Value::String(text) if text.chars().count() > 2 => {
                let quoted = format!("{text:?}");
                reason = reason.replace(&quoted[1..quoted.len() - 1], "…").replace(text.as_str(), "…");
            }
            Value::Number(number) => {
                let number = number.to_string();
                if number.len() > 3 {
                    reason = reason.replace(&number, "…");
                }
            }
            Value::Array(entries) => rest.extend(entries),
            Value::Object(fields) => rest.extend(fields.values()),
            _ => {}
        }
    }
    reason
}

impl FromIterator<(String, Value)> for Settings {
    /// Takes values unchecked; [`SettingsSchema::configure`] checks.
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}
