//! The settings that a source declares.

use std::fmt;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use super::Config;
use crate::secret::SECRET_FORMAT;
use crate::{Error, Result, SecretRef};

/// The settings that a source declares: names, types, descriptions and defaults, taken from a struct of its own.
#[derive(Clone)]
pub struct Settings {
    schema: Schema,
    check: fn(&Config) -> Result<()>,
    misfit: fn(&Config) -> Option<String>,
}

impl Settings {
    /// The settings are the fields of `T`; their descriptions are its doc comments.
    ///
    /// The fields of a `#[serde(default)]` struct are optional, and their defaults become part of the schema. A field
    /// of type [`SecretRef`] is a secret, given by reference.
    pub fn of<T: JsonSchema + DeserializeOwned>() -> Self {
        Self {
            schema: schemars::schema_for!(T),
            check: |config| config.read::<T>().map(drop),
            misfit: Config::misfit::<T>,
        }
    }

    /// The JSON Schema of the settings.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The names of all settings, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.properties().map(|(name, _)| name.as_str())
    }

    /// Whether a setting is given by reference to a secret.
    pub fn is_secret(&self, name: &str) -> bool {
        self.property(name).is_ok_and(|property| facet(property, "format", SECRET_FORMAT))
    }

    /// Whether a setting is a URL, whose host the source talks to: its schema has `"format": "uri"`.
    pub fn is_url(&self, name: &str) -> bool {
        self.property(name).is_ok_and(|property| facet(property, "format", "uri"))
    }

    /// Checks names and types, and gives the configuration that holds these values.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a name is unknown (the help names the closest one), or a
    /// value is missing or of the wrong type.
    pub fn configure(&self, values: impl IntoIterator<Item = (String, Value)>) -> Result<Config> {
        let config: Config = values.into_iter().collect();
        for name in config.values().keys() {
            self.property(name)?;
        }
        (self.check)(&config)?;
        Ok(config)
    }

    /// The setting that [`configure`](Self::configure) refuses: the first that is unknown, else the first whose value is
    /// of the wrong type. `None` when there is none, also when another one is missing.
    pub fn offender(&self, config: &Config) -> Option<String> {
        let unknown = config.values().keys().find(|name| self.property(name).is_err());
        unknown.cloned().or_else(|| (self.misfit)(config))
    }

    /// Reads one setting from text, as it comes from a command line or the environment, by its declared type. A list
    /// is JSON, or text separated by commas.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): the name is unknown, or the text is not of that type.
    pub fn parse(&self, name: &str, text: &str) -> Result<Value> {
        let property = self.property(name)?;
        let is = |kind: &str| facet(property, "type", kind);
        if is("null") && text.is_empty() {
            return Ok(Value::Null);
        }
        if facet(property, "format", SECRET_FORMAT) {
            return text.parse::<SecretRef>().map(|reference| Value::String(reference.to_string())).map_err(|error| {
                let help = error.help().unwrap_or_default().to_owned();
                Error::configuration(format!("the setting `{name}` is malformed: {error}")).with_help(help)
            });
        }
        let malformed = |kind: &str| {
            Err(Error::configuration(format!("the setting `{name}` is malformed: {text:?} is no {kind}"))
                .with_help("`schema` lists the settings, their types and defaults"))
        };
        if is("boolean") {
            text.parse().map(Value::Bool).or_else(|_| malformed("boolean (true or false)"))
        } else if is("integer") {
            let number = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from));
            number.or_else(|_| malformed("whole number"))
        } else if is("number") {
            // JSON has no others than finite ones, and would write null.
            let number = text.parse().ok().and_then(Number::from_f64);
            number.map_or_else(|| malformed("number"), |number| Ok(Value::Number(number)))
        } else if is("array") {
            match serde_json::from_str::<Vec<Value>>(text) {
                Ok(list) => Ok(list.into()),
                Err(_) if text.starts_with('[') => malformed("list"),
                Err(_) => Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()),
            }
        } else if is("object") {
            serde_json::from_str::<Map<String, Value>>(text).map(Value::Object).or_else(|_| malformed("JSON object"))
        } else {
            Ok(Value::String(text.to_owned()))
        }
    }

    fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    }

    /// The JSON Schema of one setting.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the name is unknown; the help names the closest one.
    pub fn property(&self, name: &str) -> Result<&Value> {
        self.properties().find(|(known, _)| *known == name).map(|(_, property)| property).ok_or_else(|| {
            let closest = self
                .names()
                .map(|known| (strsim::damerau_levenshtein(known, &name.to_lowercase()), known))
                .min()
                .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 2);
            Error::configuration(format!("there is no setting `{name}`")).with_help(match closest {
                Some((_, known)) => format!("did you mean `{known}`?"),
                None => format!("the settings are: {}", self.names().collect::<Vec<_>>().join(", ")),
            })
        })
    }
}

/// Whether a property's schema carries this facet, itself or (for an `Option` or a reference) in one of its branches.
fn facet(property: &Value, name: &str, wanted: &str) -> bool {
    let own = match property.get(name) {
        Some(Value::String(value)) => value == wanted,
        Some(Value::Array(values)) => values.iter().any(|value| value == wanted),
        _ => false,
    };
    let branches = property.get("anyOf").and_then(Value::as_array);
    own || branches.is_some_and(|branches| branches.iter().any(|branch| facet(branch, name, wanted)))
}

impl Default for Settings {
    /// No settings at all.
    fn default() -> Self {
        Self { schema: Schema::default(), check: |_| Ok(()), misfit: |_| None }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize, JsonSchema)]
    #[serde(default)]
    #[allow(dead_code, reason = "only its schema and its deserialization matter")]
    struct Example {
        url: String,
        page_size: u32,
        ratio: f64,
        token: Option<SecretRef>,
        names: Vec<String>,
        deep: bool,
        limit: Option<u64>,
    }

    impl Default for Example {
        fn default() -> Self {
            Self { url: String::new(), page_size: 1, ratio: 1.0, token: None, names: vec![], deep: false, limit: None }
        }
    }

    fn settings() -> Settings {
        Settings::of::<Example>()
    }

    #[test]
    fn text_is_read_by_the_declared_type() {
        let parse = |name, text| settings().parse(name, text).unwrap();
        assert_eq!(parse("url", "5"), json!("5"));
        assert_eq!(parse("page_size", "5"), json!(5));
        assert_eq!(parse("ratio", "5"), json!(5.0));
        assert_eq!(parse("deep", "true"), json!(true));
        assert_eq!(parse("names", "a, b"), json!(["a", "b"]));
        assert_eq!(parse("names", r#"["a,b"]"#), json!(["a,b"]));
        assert_eq!(parse("token", "env:X"), json!("env:X"));
        assert_eq!(parse("limit", "7"), json!(7));
        assert_eq!(parse("limit", ""), Value::Null);
        assert_eq!(parse("token", ""), Value::Null);
    }

    #[test]
    fn malformed_text_is_named() {
        for (name, text) in [("page_size", "many"), ("ratio", "x"), ("deep", "yes!"), ("names", "[1"), ("limit", "x")] {
            let error = settings().parse(name, text).unwrap_err();
            assert!(error.to_string().contains(name) && error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn what_is_no_finite_number_is_not_taken_for_nothing() {
        for text in ["NaN", "inf", "-infinity", "1e999"] {
            let error = settings().parse("ratio", text).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn the_largest_whole_numbers_are_whole_numbers() {
        assert_eq!(settings().parse("limit", "18446744073709551615").unwrap(), json!(u64::MAX));
    }

    #[test]
    fn a_literal_secret_is_refused_without_being_repeated() {
        let error = settings().parse("token", "ghp_abc").unwrap_err();
        assert!(error.to_string().contains("token") && !format!("{error:?}").contains("ghp_abc"), "{error:?}");
        let error = settings().configure([("token".into(), json!("ghp_abc"))]).unwrap_err();
        assert!(error.to_string().contains("token") && !format!("{error:?}").contains("ghp_abc"), "{error:?}");
    }

    #[test]
    fn an_unknown_name_gets_the_closest_one() {
        let error = settings().configure([("page-size".into(), json!(1))]).unwrap_err();
        assert_eq!(error.help(), Some("did you mean `page_size`?"));
        let error = settings().configure([("zzzzzzzzzz".into(), json!(1))]).unwrap_err();
        assert!(error.help().unwrap().contains("url"), "{error:?}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named() {
        let error = settings().configure([("page_size".into(), json!(-1))]).unwrap_err();
        assert!(error.to_string().contains("`page_size`"), "{error}");
    }

    #[test]
    fn the_offender_is_the_setting_that_is_refused() {
        let offender = |values: Value| settings().offender(&serde_json::from_value(values).unwrap());
        assert_eq!(offender(json!({"url": "x", "page_size": 5})), None);
        assert_eq!(offender(json!({"url": "x", "names": ["a", 1]})).as_deref(), Some("names"));
        assert_eq!(offender(json!({"page_size": "x", "zzz": 5})).as_deref(), Some("zzz"));
    }

    #[test]
    fn secrets_are_known_as_such() {
        assert!(settings().is_secret("token"));
        assert!(!settings().is_secret("url"));
    }
}
