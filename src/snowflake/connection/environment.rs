//! The inputs of a connection's settings other than files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The environment of a process: everything that the settings depend on.
pub(super) struct Environment<'a> {
    /// The user's home directory.
    pub(super) home: Option<PathBuf>,
    /// Reads an environment variable.
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Where Snowflake mounts the token of a container.
    pub(super) token_file: &'a Path,
    /// Where Snowflake mounts the token that identifies the container.
    pub(super) spcs_token_file: &'a Path,
}

impl Environment<'static> {
    /// The environment of this process.
    pub(super) fn of_process() -> Self {
        Self {
            home: std::env::home_dir(),
            variable: &|name| std::env::var_os(name),
            token_file: Path::new("/snowflake/session/token"),
            spcs_token_file: Path::new("/snowflake/session/spcs_token"),
        }
    }
}

impl Environment<'_> {
    /// A non-blank environment variable.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name)?.into_string().ok().filter(|text| !text.trim().is_empty())
    }

    /// Expands `~` to the home directory.
    pub(super) fn expand(&self, path: PathBuf) -> PathBuf {
        match (path.strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path,
        }
    }
}
