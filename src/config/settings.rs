//! The settings that a source declares.

use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use super::Config;
use super::schema::{Root, Violation};
use crate::secret::SECRET_FORMAT;
use crate::{Error, Result, SecretRef};

/// The settings that a source declares: names, types, limits, descriptions and defaults, taken from a struct of its own.
///
/// A setting within a nested struct has a dotted name: `retry.attempts`.
#[derive(Clone)]
pub struct Settings {
    schema: Schema,
    check: Arc<Check>,
    misfit: fn(&Config) -> Option<(String, Error)>,
}

/// Looks at settings that are complete.
type Check = dyn Fn(&Config) -> Result<()> + Send + Sync;

impl Settings {
    /// The settings are the fields of `T`; their descriptions are its doc comments.
    ///
    /// The fields of a `#[serde(default)]` struct are optional, and their defaults become part of the schema. A field
    /// of type [`SecretRef`] is a secret, given by reference. What the schema says of values holds wherever they are given: ranges
    /// (`#[schemars(range(min = 1, max = 100))]`), lengths (`length`), patterns (`regex`), choices, and the names of fields.
    pub fn of<T: JsonSchema + DeserializeOwned>() -> Self {
        Self {
            schema: schemars::schema_for!(T),
            check: Arc::new(|config| config.read::<T>().map(drop)),
            misfit: Config::misfit::<T>,
        }
    }

    /// Adds a rule that a schema cannot express, such as two settings that exclude each other. It sees settings that are complete and
    /// keep to the schema, reaches no remote, and answers a [`Configuration`](crate::ErrorKind::Configuration) error.
    #[must_use]
    pub fn rule<T: DeserializeOwned>(mut self, rule: impl Fn(&T) -> Result<()> + Send + Sync + 'static) -> Self {
        let check = self.check;
        self.check = Arc::new(move |config| check(config).and_then(|()| rule(&config.read::<T>()?)));
        self
    }

    /// The JSON Schema of the settings.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The names of all settings, in alphabetical order. Those within a nested struct are not among them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.properties().map(|(name, _)| name.as_str())
    }

    /// The names of everything that can be set by itself: as [`names`](Self::names), with the dotted names of the fields in place of
    /// a nested struct.
    pub fn leaves(&self) -> Vec<String> {
        let mut leaves = Vec::new();
        for (name, property) in self.properties() {
            self.add_leaves(name.clone(), property, &mut Vec::new(), &mut leaves);
        }
        leaves
    }

    /// `within` are the structs that this is a part of: one that holds itself has no end.
    fn add_leaves<'a>(
        &'a self,
        name: String,
        property: &'a Value,
        within: &mut Vec<&'a Map<String, Value>>,
        leaves: &mut Vec<String>,
    ) {
        match self.root().fields(property) {
            Some(fields) if !within.iter().any(|outer| std::ptr::eq(*outer, fields)) => {
                within.push(fields);
                for (field, property) in fields {
                    self.add_leaves(format!("{name}.{field}"), property, within, leaves);
                }
                within.pop();
            }
            _ => leaves.push(name),
        }
    }

    /// Whether a setting is given by reference to a secret.
    pub fn is_secret(&self, name: &str) -> bool {
        self.property(name).is_ok_and(|property| self.root().has(property, "format", SECRET_FORMAT))
    }

    /// Whether a setting is a URL, whose host the source talks to: its schema has `"format": "uri"`.
    pub fn is_url(&self, name: &str) -> bool {
        self.property(name).is_ok_and(|property| self.root().has(property, "format", "uri"))
    }

    /// Checks everything that can be checked without the remote, and gives the configuration that holds these values. Names may be
    /// dotted.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a name is unknown (the help names the closest one), a value is of the wrong
    /// type, out of its range or against another rule of the schema or of the [source](Self::rule), or one is missing.
    pub fn configure(&self, values: impl IntoIterator<Item = (String, Value)>) -> Result<Config> {
        let mut merged = Map::new();
        self.merge(&mut merged, values);
        let config: Config = merged.into_iter().collect();
        if let Some((_, error)) = self.first_invalid(&config) {
            return Err(error);
        }
        (self.check)(&config)?;
        Ok(config)
    }

    /// The first setting that cannot hold whatever the others are, with what is wrong: its name is unknown, or its value of the wrong
    /// type or against the schema. Settings may be missing.
    pub fn first_invalid(&self, config: &Config) -> Option<(String, Error)> {
        let unknown = |name: &String| self.property(name).err().map(|error| (name.clone(), error));
        let against_schema = || {
            config.values().iter().find_map(|(name, value)| {
                let found = self.root().violation(self.property(name).ok()?, value, name);
                // What lacks a field here may get it from elsewhere.
                let Violation { path, message, help, .. } = found.filter(|violation| !violation.is_incomplete)?;
                let error = Error::configuration(format!("the setting `{path}` {message}")).with_help(help);
                Some((path, error))
            })
        };
        config.values().keys().find_map(unknown).or_else(|| (self.misfit)(config)).or_else(against_schema)
    }

    /// Puts values over others. Names may be dotted; of a nested struct, only the fields that are given are replaced.
    pub fn merge(&self, values: &mut Map<String, Value>, over: impl IntoIterator<Item = (String, Value)>) {
        for (name, value) in over {
            let mut within = &mut *values;
            let segments = self.segments(&name);
            let (last, path) = segments.split_last().unwrap_or((&"", &[]));
            for segment in path {
                within = object(within.entry(*segment).or_insert_with(|| Map::new().into()));
            }
            match within.entry(*last) {
                serde_json::map::Entry::Vacant(entry) => drop(entry.insert(value)),
                serde_json::map::Entry::Occupied(mut entry) => self.merge_value(&name, entry.get_mut(), value),
            }
        }
    }

    fn merge_value(&self, name: &str, into: &mut Value, value: Value) {
        let is_struct = self.property(name).is_ok_and(|property| self.root().fields(property).is_some());
        match (into, value) {
            (Value::Object(fields), Value::Object(over)) if is_struct => {
                for (field, value) in over {
                    match fields.get_mut(&field) {
                        Some(into) => self.merge_value(&format!("{name}.{field}"), into, value),
                        None => drop(fields.insert(field, value)),
                    }
                }
            }
            (into, value) => *into = value,
        }
    }

    /// Removes a setting, whose name may be dotted, with the structs that it leaves empty. Says whether there was one.
    pub fn remove(&self, values: &mut Map<String, Value>, name: &str) -> bool {
        fn remove(values: &mut Map<String, Value>, path: &[&str]) -> bool {
            match path {
                [] => false,
                [name] => values.remove(*name).is_some(),
                [name, rest @ ..] => {
                    let Some(Value::Object(within)) = values.get_mut(*name) else { return false };
                    let removed = remove(within, rest);
                    if within.is_empty() {
                        values.remove(*name);
                    }
                    removed
                }
            }
        }
        remove(values, &self.segments(name))
    }

    /// Reads one setting from text, as it comes from a command line or the environment, by its declared type. Its name may be
    /// dotted. A list is JSON, or entries separated by commas, each read by the type of the list's entries.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): the name is unknown, or the text is not of that type.
    pub fn parse(&self, name: &str, text: &str) -> Result<Value> {
        self.parse_as(name, self.property(name)?, text)
    }

    fn parse_as(&self, name: &str, property: &Value, text: &str) -> Result<Value> {
        let is = |kind: &str| self.root().has(property, "type", kind);
        if is("null") && text.is_empty() {
            return Ok(Value::Null);
        }
        if self.root().has(property, "format", SECRET_FORMAT) {
            return text.parse::<SecretRef>().map(|reference| Value::String(reference.to_string())).map_err(|error| {
                let help = error.help().unwrap_or_default().to_owned();
                Error::configuration(format!("the setting `{name}` is malformed: {error}")).with_help(help)
            });
        }
        let malformed = |kind: &str| {
            // Where the type leaves a choice, what is nothing else is text.
            if is("string") {
                return Ok(Value::String(text.to_owned()));
            }
            Err(Error::configuration(format!("the setting `{name}` is malformed: {text:?} is no {kind}"))
                .with_help("`schema` lists the settings, their types and defaults"))
        };
        if is("boolean") && (text.parse::<bool>().is_ok() || !is("integer") && !is("number")) {
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
                Err(_) => {
                    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
                    let items = self.root().items(property).unwrap_or(&Value::Null);
                    entries.map(|entry| self.parse_as(name, items, entry)).collect()
                }
            }
        } else if is("object") {
            serde_json::from_str::<Map<String, Value>>(text).map(Value::Object).or_else(|_| malformed("JSON object"))
        } else {
            Ok(Value::String(text.to_owned()))
        }
    }

    /// The default that a setting declares, or the struct that it is a field of.
    #[cfg(feature = "cli")]
    pub(crate) fn default_of(&self, name: &str) -> Option<Value> {
        let own = |name: &str| self.property(name).ok()?.get("default").cloned();
        own(name).or_else(|| {
            let (within, field) = name.rsplit_once('.')?;
            self.default_of(within)?.get(field).cloned()
        })
    }

    fn root(&self) -> Root<'_> {
        Root(self.schema.as_value())
    }

    fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    }

    /// The parts of a dotted name; a setting whose own name has a dot goes before.
    fn segments<'n>(&self, name: &'n str) -> Vec<&'n str> {
        if self.names().any(|known| known == name) { vec![name] } else { name.split('.').collect() }
    }

    /// The JSON Schema of one setting, whose name may be dotted.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the name is unknown; the help names the closest one.
    pub fn property(&self, name: &str) -> Result<&Value> {
        let segments = self.segments(name);
        let (first, fields) = segments.split_first().unwrap_or((&"", &[]));
        let top = self.properties().find(|(known, _)| known == first).map(|(_, property)| property);
        let found = fields.iter().fold(top, |within, name| match self.root().fields(within?) {
            Some(fields) => fields.get(*name),
            None => self.root().map_entry(within?),
        });
        found.ok_or_else(|| {
            let leaves = self.leaves();
            let closest = self
                .names()
                .chain(leaves.iter().map(String::as_str))
                .map(|known| (strsim::damerau_levenshtein(known, &name.to_lowercase()), known))
                .min()
                .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 2);
            Error::configuration(format!("there is no setting `{name}`")).with_help(match closest {
                Some((_, known)) => format!("did you mean `{known}`?"),
                None => format!("the settings are: {}", leaves.join(", ")),
            })
        })
    }
}

/// The object that a value is, or becomes.
fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Map::new().into();
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("it is an object now"),
    }
}

impl Default for Settings {
    /// No settings at all.
    fn default() -> Self {
        Self { schema: Schema::default(), check: Arc::new(|_| Ok(())), misfit: |_| None }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Default, Deserialize, JsonSchema)]
    #[serde(default)]
    #[allow(dead_code, reason = "only its schema and its deserialization matter")]
    struct Retry {
        #[schemars(range(min = 1))]
        attempts: u32,
        key: Option<SecretRef>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(default)]
    #[allow(dead_code, reason = "only its schema and its deserialization matter")]
    struct Example {
        url: String,
        #[schemars(range(min = 1, max = 100))]
        page_size: u32,
        #[schemars(length(max = 3))]
        ids: Vec<u64>,
        retry: Option<Retry>,
        labels: BTreeMap<String, u64>,
        ratio: f64,
        token: Option<SecretRef>,
        names: Vec<String>,
        deep: bool,
        limit: Option<u64>,
    }

    impl Default for Example {
        fn default() -> Self {
            let (ids, names, labels) = (Vec::new(), Vec::new(), BTreeMap::new());
            let (url, page_size, ratio, token, retry) = (String::new(), 1, 1.0, None, None);
            Self { url, page_size, ids, retry, labels, ratio, token, names, deep: false, limit: None }
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
        assert_eq!(parse("ids", "1, 2"), json!([1, 2]));
        assert_eq!(parse("ids", "[1,2]"), json!([1, 2]));
        assert_eq!(parse("token", "env:X"), json!("env:X"));
        assert_eq!(parse("limit", "7"), json!(7));
        assert_eq!(parse("limit", ""), Value::Null);
        assert_eq!(parse("token", ""), Value::Null);
    }

    #[test]
    fn malformed_text_is_named() {
        for (name, text) in
            [("page_size", "many"), ("ratio", "x"), ("deep", "yes!"), ("names", "[1"), ("ids", "1,b"), ("limit", "x")]
        {
            let error = settings().parse(name, text).unwrap_err();
            assert!(error.to_string().contains(name) && error.help().is_some(), "{error}");
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
    fn the_first_invalid_setting_is_named_whatever_is_missing() {
        let invalid = |values: Value| settings().first_invalid(&serde_json::from_value(values).unwrap());
        assert!(invalid(json!({"url": "x", "page_size": 5})).is_none());
        for (values, name) in [
            (json!({"url": "x", "names": ["a", 1]}), "names"),
            (json!({"page_size": "x", "zzz": 5}), "zzz"),
            (json!({"page_size": 101}), "page_size"),
            (json!({"ids": [1, 2, 3, 4]}), "ids"),
            (json!({"retry": {"attempts": 0}}), "retry.attempts"),
        ] {
            assert_eq!(invalid(values).unwrap().0, name);
        }
    }

    #[test]
    fn what_is_against_the_schema_is_refused_with_what_is_allowed() {
        let error = settings().configure([("page_size".into(), json!(1000))]).unwrap_err();
        assert_eq!(error.message(), "the setting `page_size` is out of range: 1000 is not from 1 to 100");
        assert_eq!(error.help(), Some("give a whole number from 1 to 100"));
        let error = settings().configure([("retry.attempts".into(), json!(0))]).unwrap_err();
        assert!(error.message().contains("`retry.attempts` is out of range"), "{error}");
        let error = settings().configure([("retry".into(), json!({"atempts": 1}))]).unwrap_err();
        assert!(error.message().contains("`retry` has no field `atempts`"), "{error}");
    }

    #[test]
    fn a_rule_sees_what_the_schema_allows() {
        let settings = settings().rule(|example: &Example| match example.deep && example.url.is_empty() {
            true => Err(Error::configuration("`deep` needs a `url`")),
            false => Ok(()),
        });
        assert_eq!(settings.configure([("deep".into(), json!(true))]).unwrap_err().message(), "`deep` needs a `url`");
        settings.configure([("deep".into(), json!(true)), ("url".into(), json!("x"))]).unwrap();
    }

    #[test]
    fn nested_settings_have_dotted_names() {
        let settings = settings();
        assert_eq!(settings.parse("retry.attempts", "3").unwrap(), json!(3));
        assert_eq!(settings.parse("retry", r#"{"attempts":3}"#).unwrap(), json!({"attempts": 3}));
        assert_eq!(settings.parse("labels.team", "7").unwrap(), json!(7));
        assert!(settings.is_secret("retry.key") && !settings.is_secret("retry.attempts"));
        let leaves = settings.leaves();
        assert!(leaves.contains(&"retry.attempts".to_owned()) && !leaves.contains(&"retry".to_owned()), "{leaves:?}");
        let error = settings.parse("retry.atempts", "3").unwrap_err();
        assert_eq!(error.help(), Some("did you mean `retry.attempts`?"));
        assert!(settings.parse("url.x", "3").is_err());
    }

    #[test]
    fn of_a_nested_struct_only_what_is_given_is_replaced() {
        let mut values = Map::new();
        let merge = |values: &mut _, name: &str, value| settings().merge(values, [(name.to_owned(), value)]);
        merge(&mut values, "retry", json!({"attempts": 3, "key": "env:X"}));
        merge(&mut values, "retry.attempts", json!(4));
        merge(&mut values, "retry", json!({"attempts": 5}));
        merge(&mut values, "labels", json!({"a": 1}));
        merge(&mut values, "labels", json!({"b": 2}));
        assert_eq!(json!(values), json!({"retry": {"attempts": 5, "key": "env:X"}, "labels": {"b": 2}}));
        assert!(settings().remove(&mut values, "retry.key") && !settings().remove(&mut values, "retry.key"));
        assert!(settings().remove(&mut values, "retry.attempts"));
        assert_eq!(json!(values), json!({"labels": {"b": 2}}));
    }

    #[test]
    fn secrets_are_known_as_such() {
        assert!(settings().is_secret("token"));
        assert!(!settings().is_secret("url"));
    }
}
