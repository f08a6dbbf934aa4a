//! Settings from a TOML file, the environment and the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::secret::read_text;
use crate::{Error, Result, SecretRef, Settings, SourceSpec};

/// The longest settings file that is read, in bytes.
const LONGEST_FILE: usize = 1 << 20;

/// The origin of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SettingOrigin {
    /// A TOML file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// `--set`.
    Argument,
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::Argument => f.write_str("--set"),
        }
    }
}

/// The settings of this call, each with its origin. They override those that are stored in the destination.
#[derive(Debug, Default)]
pub(super) struct SettingsOverrides {
    values: Map<String, Value>,
    origins: BTreeMap<String, SettingOrigin>,
}

impl SettingsOverrides {
    /// Reads the settings of a file, of variables and of arguments; a later source overrides an earlier one. Rejects unknown and
    /// malformed settings.
    pub(super) fn read(
        spec: &SourceSpec,
        file: Option<&Path>,
        variable: impl Fn(&str) -> Option<OsString>,
        arguments: &[String],
    ) -> Result<Self> {
        let mut given = Self::default();
        if let Some(path) = file {
            given.add_file(spec, path)?;
            given.check(spec)?;
        }
        given.add_variables(spec, variable)?;
        for argument in arguments {
            let (name, value) =
                parse_argument(spec, argument).map_err(|error| from(error, &SettingOrigin::Argument))?;
            given.add(spec, name, value, &SettingOrigin::Argument);
        }
        given.check(spec)?;
        Ok(given)
    }

    /// The settings by name.
    pub(super) fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// The origin of a setting, or of the struct or a field of it.
    pub(super) fn origin(&self, name: &str) -> Option<&SettingOrigin> {
        let is_within = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
        let near = |known: &&String| is_within(name, known) || is_within(known, name);
        self.origins.get(name).or_else(|| self.origins.get(self.origins.keys().filter(near).max_by_key(|k| k.len())?))
    }

    fn add(&mut self, spec: &SourceSpec, name: String, value: Value, origin: &SettingOrigin) {
        match value {
            // Each field of a nested struct has its own origin.
            Value::Object(fields)
                if spec.settings.leaves().iter().any(|leaf| leaf.starts_with(&format!("{name}."))) =>
            {
                for (field, value) in fields {
                    self.add(spec, format!("{name}.{field}"), value, origin);
                }
            }
            value => {
                self.origins.insert(name.clone(), origin.clone());
                spec.settings.merge(&mut self.values, [(name, value)]);
            }
        }
    }

    fn add_file(&mut self, spec: &SourceSpec, path: &Path) -> Result<()> {
        let unreadable = |error: std::io::Error| {
            Error::configuration(format!("the settings file {} cannot be read", path.display()))
                .with_source(error)
                .with_help("name a TOML file that exists with --config")
        };
        let file = File::open(path).map_err(unreadable)?;
        refuse_shared(&file, path)?;
        let text = read_text(&file, LONGEST_FILE).map_err(unreadable)?;
        self.add_text(spec, path, &text)
    }

    /// Adds the settings of a file that holds this text.
    fn add_text(&mut self, spec: &SourceSpec, path: &Path, text: &str) -> Result<()> {
        let values: Map<String, Value> = toml::from_str(text).map_err(|error| {
            // The parser's message is left out: it quotes the line, which may hold a secret.
            let line = 1 + error.span().map_or(0, |span| text[..span.start].matches('\n').count());
            Error::configuration(format!("the settings file {} is not valid TOML", path.display()))
                .with_context("line", line)
                .with_help("write each setting as `name = value`, texts in quotes")
        })?;
        for (name, value) in values {
            self.add(spec, name, value, &SettingOrigin::File(path.to_owned()));
        }
        Ok(())
    }

    /// `GITHUB_API_URL` sets `api_url`, and `GITHUB_RETRY_ATTEMPTS` sets `retry.attempts`. A secret becomes a reference to its variable.
    fn add_variables(&mut self, spec: &SourceSpec, variable: impl Fn(&str) -> Option<OsString>) -> Result<()> {
        let (mut names, mut taken) = (spec.settings.names().map(str::to_owned).collect::<Vec<_>>(), BTreeSet::new());
        names.extend(spec.settings.leaves());
        for name in names {
            let key = spec.variable(&name);
            // A setting goes before a field that would have the same variable.
            if !taken.insert(key.clone()) {
                continue;
            }
            let Some(text) = variable(&key).filter(|text| !text.is_empty()) else { continue };
            let origin = SettingOrigin::Variable(key.clone());
            let value = if spec.settings.is_secret(&name) {
                SecretRef::Env(key).to_string().into()
            } else {
                let text = text.into_string().map_err(|_| {
                    from(Error::configuration(format!("the setting `{name}` is not valid UTF-8")), &origin)
                })?;
                spec.settings.parse(&name, &text).map_err(|error| from(error, &origin))?
            };
            self.add(spec, name, value, &origin);
        }
        Ok(())
    }

    /// Rejects unknown and invalid settings. A missing one may be stored in the destination.
    fn check(&self, spec: &SourceSpec) -> Result<()> {
        let config: Settings = self.values.clone().into_iter().collect();
        match spec.settings.first_invalid(&config) {
            None => Ok(()),
            Some((name, error)) => Err(match self.origin(&name) {
                Some(origin) => from(error, origin),
                None => error,
            }),
        }
    }
}

/// Reads `KEY=VALUE`, by the type of the setting.
pub(super) fn parse_argument(spec: &SourceSpec, argument: &str) -> Result<(String, Value)> {
    // An argument without `=` may be a pasted secret: the error does not repeat it.
    let (name, text) = argument.split_once('=').ok_or_else(|| {
        Error::configuration("a setting is given as KEY=VALUE")
            .with_help(format!("the settings are: {}", spec.settings.leaves().join(", ")))
    })?;
    Ok((name.to_owned(), spec.settings.parse(name, text)?))
}

/// Rejects a file that other users may write: it decides where credentials go.
#[cfg(unix)]
fn refuse_shared(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;

    let refuse = |why: &str, help: String| {
        Err(Error::configuration(format!("the settings file {} {why}", path.display())).with_help(help))
    };
    let Ok(metadata) = file.metadata() else { return Ok(()) };
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != me && metadata.uid() != 0 {
        return refuse("belongs to another user", "copy it, and check what is in it".to_owned());
    }
    if metadata.mode() & 0o022 != 0 {
        let help = format!("run `chmod go-w {}`, and check what is in it", path.display());
        return refuse("may be written by other users", help);
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_shared(_: &File, _: &Path) -> Result<()> {
    Ok(())
}

/// Adds the origin of a malformed setting to its error.
fn from(error: Error, origin: &SettingOrigin) -> Error {
    error.with_context("given by", origin)
}

/// The settings of a file that holds this text.
#[cfg(fuzzing)]
pub(super) fn of_text(spec: &SourceSpec, text: &str) -> Result<Settings> {
    let mut given = SettingsOverrides::default();
    given.add_text(spec, Path::new("settings.toml"), text)?;
    given.check(spec)?;
    Ok(given.values.into_iter().collect())
}

#[cfg(test)]
mod tests;
