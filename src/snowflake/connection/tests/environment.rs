//! A home directory and an environment of their own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::super::ConnectionConfig;
use super::super::environment::Environment;
use super::warnings::Warnings;
use crate::{Error, Result};

/// The environment of a process.
pub(super) struct TestEnvironment {
    home: TempDir,
    variables: BTreeMap<String, OsString>,
}

impl TestEnvironment {
    /// An empty home and an empty environment.
    pub(super) fn new() -> Self {
        Self { home: TempDir::new().unwrap(), variables: BTreeMap::new() }
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    /// Writes a file below the home directory, for its owner's eyes only.
    pub(super) fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.mode(&path, 0o600);
        self
    }

    #[cfg(unix)]
    pub(super) fn mode(&self, path: &std::path::Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[cfg(not(unix))]
    pub(super) fn mode(&self, _: &std::path::Path, _: u32) {}

    pub(super) fn connections(self, text: &str) -> Self {
        self.file(".snowflake/connections.toml", text)
    }

    pub(super) fn config(self, text: &str) -> Self {
        self.file(".snowflake/config.toml", text)
    }

    pub(super) fn set(mut self, name: &str, value: impl Into<OsString>) -> Self {
        assert!(self.variables.insert(name.to_owned(), value.into()).is_none(), "{name} is set twice");
        self
    }

    /// As inside Snowflake: with a token at the usual place.
    pub(super) fn inside_snowflake(self) -> Self {
        self.file("session/token", "mounted-token\n")
            .set("SNOWFLAKE_HOST", "internal.snowflakecomputing.com")
            .set("SNOWFLAKE_ACCOUNT", "XY12345")
            .set("SNOWFLAKE_DATABASE", "DB")
            .set("SNOWFLAKE_SCHEMA", "SC")
    }

    pub(super) fn load(&self, name: Option<&str>) -> Result<ConnectionConfig> {
        let (token_file, spcs_token_file) = (self.path("session/token"), self.path("session/spcs_token"));
        let variable = |name: &str| self.variables.get(name).cloned();
        let home = Some(self.home.path().to_owned());
        Environment { home, variable: &variable, token_file: &token_file, spcs_token_file: &spcs_token_file }
            .connection(name)
    }

    pub(super) fn connection(&self) -> ConnectionConfig {
        self.load(None).unwrap()
    }

    /// The error of loading the default connection.
    pub(super) fn error(&self) -> Error {
        self.load(None).unwrap_err()
    }

    /// Returns the warnings from loading the default connection.
    pub(super) fn warnings(&self) -> Vec<String> {
        let warnings = Warnings::default();
        tracing::subscriber::with_default(warnings.clone(), || self.connection());
        warnings.lines()
    }
}

/// Everything that an error shows to anybody.
pub(super) fn shown(error: &Error) -> String {
    format!("{error} {error:?} {:?} {:?}", error.help(), error.report())
}
