//! The settings that a source declares.

use std::fmt;
use std::sync::Arc;

use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use super::json_schema::{Root, Violation};
use super::{Settings, missing_setting, names, url};
use crate::secret::{SECRET_FORMAT, holds_token};
use crate::{Error, Result, SecretRef};

/// The settings that a source declares: names, types, limits, descriptions and defaults, derived from a struct.
///
/// A setting in a nested struct has a dotted name: `retry.attempts`.
#[derive(Clone)]
pub struct SettingsSchema {
    schema: Schema,
    check: Arc<Check>,
    first_type_error: fn(&Settings) -> Option<(String, Error)>,
}

/// Checks a complete set of settings.
type Check = dyn Fn(&Settings) -> Result<()> + Send + Sync;

impl SettingsSchema {
    /// Derives the settings from the fields of `T`; doc comments become descriptions.
    ///
    /// The fields of a `#[serde(default)]` struct are optional, and their defaults become part of the schema. A field of type
    /// [`SecretRef`] is a secret, given by reference. The schema's constraints apply wherever values are set: ranges
    /// (`#[schemars(range(min = 1, max = 100))]`), lengths (`length`), patterns (`regex`), choices, and field names.
    pub fn of<T: JsonSchema + DeserializeOwned>() -> Self {
        let mut schema = schemars::schema_for!(T);
        RecursiveTransform(url::add_pattern).transform(&mut schema);
        Self {
            schema,
            check: Arc::new(|config| config.read::<T>().map(drop)),
            first_type_error: Settings::first_type_error::<T>,
        }
    }

    /// Takes the settings from a JSON Schema: an object with `properties`, and `required` for those without a default. A source whose
    /// settings are only known when it runs builds one; any other derives them with [`of`](Self::of).
    ///
    /// ```
    /// use snowfeed::{SettingsSchema, schemars};
    ///
    /// let schema = SettingsSchema::from_schema(schemars::json_schema!({
    ///     "type": "object",
    ///     "properties": { "url": { "type": "string", "format": "uri" } },
    ///     "required": ["url"],
    /// }));
    /// assert!(schema.is_url("url"));
    /// assert_eq!(schema.configure([]).unwrap_err().message(), "the setting `url` is missing");
    /// ```
    pub fn from_schema(schema: Schema) -> Self {
        Self::required(schema, None)
    }

    /// As [`from_schema`](Self::from_schema), of the source with this name: the help on a missing setting names its variable.
    #[cfg(feature = "rest")]
    pub(crate) fn from_schema_of(source: &str, schema: Schema) -> Self {
        Self::required(schema, Some(source.to_owned()))
    }

    fn required(mut schema: Schema, source: Option<String>) -> Self {
        RecursiveTransform(url::add_pattern).transform(&mut schema);
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let required: Vec<String> = required.filter_map(Value::as_str).map(str::to_owned).collect();
        let check = move |config: &Settings| match required.iter().find(|name| config.get(name).is_none()) {
            None => Ok(()),
            Some(name) => Err(missing_setting(name, source.as_deref())),
        };
        Self { schema, check: Arc::new(check), first_type_error: |_| None }
    }

    /// Adds a rule that a schema cannot express, such as two settings that exclude each other. The rule sees only complete
    /// settings that match the schema, contacts no remote, and returns a [`Configuration`](crate::ErrorKind::Configuration)
    /// error.
    #[must_use]
    pub fn rule<T: DeserializeOwned>(mut self, rule: impl Fn(&T) -> Result<()> + Send + Sync + 'static) -> Self {
        let check = self.check;
        self.check = Arc::new(move |config| check(config).and_then(|()| rule(&config.read::<T>()?)));
        self
    }

    /// Returns the JSON Schema of the settings.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Returns the names of all top-level settings, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.properties().map(|(name, _)| name.as_str())
    }

    /// Returns the names of everything that can be set by itself: as [`names`](Self::names), with a nested struct replaced by the
    /// dotted names of its fields.
    pub fn leaves(&self) -> Vec<String> {
        let mut leaves = Vec::new();
        for (name, property) in self.properties() {
            self.add_leaves(name.clone(), property, &mut Vec::new(), &mut leaves);
        }
        leaves
    }

    /// `within` lists the enclosing structs, because a recursive struct never ends.
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

    /// Whether a setting is a reference to a secret.
    pub fn is_secret(&self, name: &str) -> bool {
        self.property(name).is_ok_and(|property| self.root().has(property, "format", SECRET_FORMAT))
    }

    /// Whether a setting is a URL, to whose host the source connects: its schema has `"format": "uri"`
    /// (`#[schemars(extend("format" = "uri"))]`). It must be `http` or `https`, without user, password, query or fragment.
    pub fn is_url(&self, name: &str) -> bool {
        self.property(name).is_ok_and(|property| self.root().has(property, "format", url::FORMAT))
    }

    /// Whether a setting's value must be hidden: its schema marks it so (`"format": "password"`, `"writeOnly": true`), or its
    /// name suggests a secret and it is not a [reference](Self::is_secret) to one.
    pub(crate) fn is_hidden(&self, name: &str) -> bool {
        let Ok(property) = self.property(name) else { return names::is_secret(name) };
        !self.is_secret(name)
            && (self.root().has(property, "format", "password")
                || property.get("writeOnly") == Some(&Value::Bool(true))
                || self.root().has(property, "type", "string") && names::is_secret(name))
    }

    /// Whether a setting may decide which server receives a credential, or which server is trusted: a URL, a host, a file of
    /// certificates (`"format": "path"`), or a text that contains a URL.
    pub(crate) fn is_route(&self, name: &str, value: &Value) -> bool {
        let declares = |format: &str| {
            self.property(name).is_ok_and(|property| {
                self.root().has(property, "format", format)
                    || self.root().items(property).is_some_and(|items| self.root().has(items, "format", format))
            })
        };
        ["uri", "uri-reference", "iri", "hostname", "idn-hostname", "ipv4", "ipv6", "path"].into_iter().any(declares)
            || names::is_route(name)
            || texts(value).iter().any(|text| text.contains("://"))
    }

    /// Checks everything that can be checked without the remote, and returns the settings with these values. Names may be dotted.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): a name is unknown (the help names the closest one); a value has the
    /// wrong type, is out of range, or breaks another rule of the schema or of the [source](Self::rule); or a value is missing.
    pub fn configure(&self, values: impl IntoIterator<Item = (String, Value)>) -> Result<Settings> {
        let mut merged = Map::new();
        self.merge(&mut merged, values);
        let config: Settings = merged.into_iter().collect();
        if let Some((_, error)) = self.first_invalid(&config) {
            return Err(error);
        }
        (self.check)(&config)?;
        Ok(config)
    }

    /// Returns the first setting that is invalid whatever the others are, and why: its name is unknown, or its value has the
    /// wrong type or violates the schema. Settings may be missing.
    pub fn first_invalid(&self, config: &Settings) -> Option<(String, Error)> {
        let unknown = |name: &String| self.property(name).err().map(|error| (name.clone(), error));
        let leaks = |(name, value): (&String, &Value)| {
            let error = texts(value).iter().find_map(|text| credential_error(name, text))?;
            Some((name.clone(), error))
        };
        let against_schema = || {
            config.values().iter().find_map(|(name, value)| {
                let found = self.root().violation(self.property(name).ok()?, value, name);
                // A field that is missing here may be set elsewhere.
                let Violation { path, message, help, .. } = found.filter(|violation| !violation.is_incomplete)?;
                // A number out of range may be a secret, too.
                let message =
                    if self.may_be_secret(&path) { "has a value that is not allowed".into() } else { message };
                let error = Error::configuration(format!("the setting `{path}` {message}")).with_help(help);
                // A list's entry was set with the list itself.
                Some((path.split('[').next().unwrap_or_default().to_owned(), error))
            })
        };
        config
            .values()
            .keys()
            .find_map(unknown)
            .or_else(|| config.values().iter().find_map(leaks))
            .or_else(against_schema)
            .or_else(|| (self.first_type_error)(config))
    }

    /// Whether a rejected value of this setting may be a secret, so that messages must not show it.
    fn may_be_secret(&self, name: &str) -> bool {
        self.is_hidden(name) || names::is_secret(name) && !self.is_secret(name)
    }

    /// Merges values into others. Names may be dotted; in a nested struct, only the given fields are replaced.
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

    /// Removes a setting, whose name may be dotted, and the structs that become empty. Returns whether it existed.
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

    /// Parses one setting from the command line or the environment, by its declared type. Its name may be dotted. A list is JSON,
    /// or entries separated by commas, each parsed by the type of the list's entries.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): the name is unknown, or the text does not parse as that type.
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
            // If the type allows several, a value that parses as no other type is text.
            if is("string") {
                return Ok(Value::String(text.to_owned()));
            }
            // The message does not repeat the text: it may be a secret in the wrong place.
            Err(Error::configuration(format!("the setting `{name}` is malformed: it is not a {kind}"))
                .with_help("`schema` lists the settings, their types and defaults"))
        };
        if is("boolean") && (text.parse::<bool>().is_ok() || !is("integer") && !is("number")) {
            text.parse().map(Value::Bool).or_else(|_| malformed("boolean (true or false)"))
        } else if is("integer") {
            let number = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from));
            number.or_else(|_| malformed("whole number"))
        } else if is("number") {
            // JSON has only finite numbers, and would write null.
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

    /// The default of a setting: its own, or from the default of the struct that contains it.
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

    /// Splits a dotted name; a setting whose own name contains a dot takes precedence.
    fn segments<'n>(&self, name: &'n str) -> Vec<&'n str> {
        if self.names().any(|known| known == name) { vec![name] } else { name.split('.').collect() }
    }

    /// Returns the JSON Schema of one setting, whose name may be dotted.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): the name is unknown; the help names the closest one.
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
            // An invalid name may be a secret in the wrong place.
            let message = match names::is_name(name) && !holds_token(name) {
                true => format!("there is no setting `{name}`"),
                false => "there is no such setting".to_owned(),
            };
            Error::configuration(message).with_help(match closest {
                Some((_, known)) => format!("did you mean `{known}`?"),
                None => format!("the settings are: {}", leaves.join(", ")),
            })
        })
    }
}

/// Returns all texts in a value, including the keys of its entries.
fn texts(value: &Value) -> Vec<&str> {
    let (mut texts, mut rest) = (Vec::new(), vec![value]);
    while let Some(value) = rest.pop() {
        match value {
            Value::String(text) => texts.push(text.as_str()),
            Value::Array(entries) => rest.extend(entries),
            Value::Object(fields) => {
                texts.extend(fields.keys().map(String::as_str));
                rest.extend(fields.values());
            }
            _ => {}
        }
    }
    texts
}

/// Why a text must not be stored in any setting: it contains a credential.
fn credential_error(name: &str, text: &str) -> Option<Error> {
    let refuse = |what: &str| Error::configuration(format!("the setting `{name}` {what}"));
    if text.parse::<SecretRef>().is_ok() {
        None
    } else if holds_token(text) {
        let help = "give a secret by reference, `env:NAME` or `file:PATH`, in a setting that is for secrets";
        Some(refuse("holds what looks like a secret").with_help(help))
    } else if url::holds_user(text) {
        Some(refuse("holds a URL with a user or a password").with_help(url::HELP))
    } else {
        None
    }
}

/// Returns the object in a value, after replacing anything else with an empty object.
fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Map::new().into();
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("it is an object now"),
    }
}

impl Default for SettingsSchema {
    /// No settings.
    fn default() -> Self {
        Self { schema: Schema::default(), check: Arc::new(|_| Ok(())), first_type_error: |_| None }
    }
}

impl fmt::Debug for SettingsSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests;
