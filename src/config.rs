//! Settings: a source declares them as a struct, and the engine validates them before any request.

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

/// The settings of a source: values by name, with references to secrets, never a secret.
///
/// [`SettingsSchema::configure`] validates names and types; a source reads them as its own struct:
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use snowfeed::SettingsSchema;
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
/// let schema = SettingsSchema::of::<Posts>();
/// let settings = schema.configure([("page_size".into(), schema.parse("page_size", "50")?)])?;
/// assert_eq!(settings.read::<Posts>()?.page_size, 50);
///
/// let error = schema.parse("page_sise", "50").unwrap_err();
/// assert_eq!(error.help(), Some("did you mean `page_size`?"));
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(Map<String, Value>);

/// The error of a call that needs a setting which nothing gives. `source` is the name of the source, if it is known.
pub(crate) fn missing_setting(name: &str, source: Option<&str>) -> Error {
    let variable = source.map(|source| format!("set the variable {}, ", variable(source, name))).unwrap_or_default();
    Error::configuration(format!("the setting `{name}` is missing")).with_help(format!(
        "{variable}give it with `--set {name}=…`, or store it with `configure {name}=…` (a secret as `env:VARIABLE` or `file:PATH`); `schema` lists all settings"
    ))
}

/// The environment variable of a setting of a source, whose name may be dotted: `GITHUB_API_URL`.
pub(crate) fn variable(source: &str, setting: &str) -> String {
    format!("{source}_{}", setting.replace('.', "_")).to_uppercase()
}

impl Settings {
    /// Deserializes the settings as the source's own struct.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration), naming the setting, if a value is missing or of the wrong type.
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

    /// The first setting whose value has the wrong type for `T`: its dotted name, and the error.
    fn first_type_error<T: DeserializeOwned>(&self) -> Option<(String, Error)> {
        let error = serde_path_to_error::deserialize::<_, T>(Value::Object(self.0.clone())).err()?;
        let names = error.path().iter().map_while(|segment| match segment {
            serde_path_to_error::Segment::Map { key } => Some(key.as_str()),
            _ => None,
        });
        let name = names.collect::<Vec<_>>().join(".");
        // A missing setting is not a type error.
        let is_missing = name.is_empty() || error.inner().to_string().starts_with("missing field");
        if is_missing { None } else { self.read::<T>().err().map(|error| (name, error)) }
    }

    /// The value of a setting, if it is set. The name of a field in a nested struct is dotted: `retry.attempts`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).or_else(|| {
            let (first, rest) = name.split_once('.')?;
            rest.split('.').try_fold(self.0.get(first)?, |within, name| within.get(name))
        })
    }

    /// All values, by name.
    pub fn values(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// Removes quoted values from an error of serde: one may be a misplaced secret.
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
    // This is a message of the source, which may quote a value, too.
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
    /// Collects values without validation; see [`SettingsSchema::configure`].
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}
