//! What the settings of a connection depend on besides files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What a process is given: all that the settings depend on.
pub(super) struct Environment<'a> {
    /// The user's home directory.
    pub(super) home: Option<PathBuf>,
    /// The environment.
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Where Snowflake puts the token of a container that runs inside it.
    pub(super) token_file: &'a Path,
    /// Where it puts the token by which it knows the container itself.
    pub(super) spcs_token_file: &'a Path,
}

impl Environment<'static> {
    /// Those of this process.
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
    /// An environment variable that says something.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name)?.into_string().ok().filter(|text| !text.trim().is_empty())
    }

    /// The path with the home directory in place of `~`.
    pub(super) fn expand(&self, path: PathBuf) -> PathBuf {
        match (path.strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path,
        }
    }
}
