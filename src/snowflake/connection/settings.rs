//! The settings of one connection, from the environment and from a file.

use std::ffi::OsString;
use std::path::PathBuf;

use secrecy::SecretString;
use toml::{Table, Value};

use super::environment::Environment;
use crate::{Error, Result};

/// A setting's names, the first one preferred.
#[derive(Debug, Clone, Copy)]
pub(super) struct SettingKey {
    names: &'static [&'static str],
}

impl SettingKey {
    pub(super) const fn new(names: &'static [&'static str]) -> Self {
        Self { names }
    }
}

/// A value and its origin. Messages show the origin, never the value.
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) origin: String,
}

/// One connection's settings.
pub(super) struct ConnectionSettings<'a> {
    sources: &'a Environment<'a>,
    name: String,
    section: Table,
}

impl<'a> ConnectionSettings<'a> {
    pub(super) fn new(sources: &'a Environment<'a>, name: String, section: Table) -> Self {
        Self { sources, name, section }
    }

    /// The connection's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether any of `keys` is set in the environment for this connection and no other.
    pub(super) fn has_variables(&self, keys: &[SettingKey]) -> bool {
        keys.iter().any(|key| self.own_variable(*key).is_some())
    }

    /// The first layer's value. Blank settings, which many templates contain, count as missing.
    pub(super) fn find(&self, key: SettingKey) -> Result<Option<Setting<OsString>>> {
        if let Some(found) = self.own_variable(key) {
            return Ok(Some(found));
        }
        if let Some(found) = self.in_file(key)? {
            return Ok(Some(found));
        }
        Ok(key.names.iter().find_map(|name| self.variable(&format!("SNOWFLAKE_{}", name.to_uppercase()))))
    }

    /// A non-blank environment variable.
    pub(super) fn variable(&self, name: &str) -> Option<Setting<OsString>> {
        let value = (self.sources.variable)(name).filter(|value| !is_blank(value))?;
        Some(Setting { value, origin: name.to_owned() })
    }

    /// A setting as text without surrounding white space.
    pub(super) fn text(&self, key: SettingKey) -> Result<Option<Setting<String>>> {
        let Some(found) = self.find(key)? else { return Ok(None) };
        let Setting { value, origin } = found.unicode()?;
        Ok(Some(Setting { value: value.trim().to_owned(), origin }))
    }

    /// A secret, verbatim.
    pub(super) fn secret(&self, key: SettingKey) -> Result<Option<SecretString>> {
        self.find(key)?.map(Setting::secret).transpose()
    }

    /// A file's path, with `~` expanded.
    pub(super) fn path(&self, key: SettingKey) -> Result<Option<PathBuf>> {
        Ok(self.find(key)?.map(|found| self.sources.expand(PathBuf::from(found.value))))
    }

    /// A table, which only a file can contain.
    pub(super) fn table(&self, name: &str) -> Result<Option<&Table>> {
        match self.section.get(name) {
            None => Ok(None),
            Some(Value::Table(table)) => Ok(Some(table)),
            Some(_) => Err(Error::configuration(format!("{} is not a table", self.origin(name)))),
        }
    }

    fn own_variable(&self, key: SettingKey) -> Option<Setting<OsString>> {
        let connection = self.name.to_uppercase();
        key.names
            .iter()
            .find_map(|name| self.variable(&format!("SNOWFLAKE_CONNECTIONS_{connection}_{}", name.to_uppercase())))
    }

    fn in_file(&self, key: SettingKey) -> Result<Option<Setting<OsString>>> {
        for name in key.names {
            let value = match self.section.get(*name) {
                None => continue,
                Some(Value::String(text)) => OsString::from(text),
                Some(Value::Integer(number)) => number.to_string().into(),
                Some(_) => return Err(Error::configuration(format!("{} is not a text", self.origin(name)))),
            };
            if !is_blank(&value) {
                return Ok(Some(Setting { value, origin: self.origin(name) }));
            }
        }
        Ok(None)
    }

    fn origin(&self, name: &str) -> String {
        format!("`{name}` of the Snowflake connection {:?}", self.name)
    }
}

impl Setting<OsString> {
    pub(super) fn secret(self) -> Result<SecretString> {
        Ok(self.unicode()?.value.into())
    }

    fn unicode(self) -> Result<Setting<String>> {
        let Self { value, origin } = self;
        match value.into_string() {
            Ok(value) => Ok(Setting { value, origin }),
            Err(_) => Err(Error::configuration(format!("{origin} is not valid UTF-8"))),
        }
    }
}

fn is_blank(value: &OsString) -> bool {
    value.to_str().is_some_and(|text| text.trim().is_empty())
}
