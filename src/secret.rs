//! References to secrets. snowfeed stores and prints references only, never what they refer to.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Where a secret is to be found: `env:NAME` (an environment variable) or `file:PATH`.
///
/// ```
/// use snowfeed::SecretRef;
///
/// let token: SecretRef = "env:GITHUB_TOKEN".parse()?;
/// assert_eq!(token.to_string(), "env:GITHUB_TOKEN");
/// assert!("ghp_0123456789".parse::<SecretRef>().is_err(), "a secret itself is refused");
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file that holds the secret and nothing else. It is read again at every [`resolve`](Self::resolve), because
    /// mounted secrets are rewritten. White space around the secret is dropped.
    ///
    /// The path may also be that of a folder into which Snowflake has mounted a secret: the secret is in `secret_string`,
    /// `access_token` or `password`, by its type.
    File(PathBuf),
}

impl SecretRef {
    /// Reads the secret.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) when the variable or the file is missing, not text or empty.
    pub fn resolve(&self) -> Result<SecretString> {
        let missing = |why: String| {
            Error::configuration(format!("the secret {self} cannot be read: {why}"))
                .with_help("set it, or point the setting at another `env:NAME` or `file:PATH`")
        };
        let secret = match self {
            Self::Env(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => missing("the variable is not set".into()),
                // The error itself would print the value.
                std::env::VarError::NotUnicode(_) => missing("the variable is not valid UTF-8".into()),
            })?,
            Self::File(path) => {
                let mounted =
                    if path.is_dir() { mounted(path).ok_or_else(|| not_mounted(self))? } else { path.clone() };
                warn_if_shared(&mounted);
                std::fs::read_to_string(&mounted).map_err(|error| missing(error.to_string()))?
            }
        };
        match secret.trim() {
            "" => Err(missing("it is empty".into())),
            secret => {
                crate::error::remember(secret);
                Ok(secret.into())
            }
        }
    }
}

/// The files that Snowflake mounts for secrets of the types `GENERIC_STRING`, `OAUTH2` and `PASSWORD`. Beside a password
/// there is `username`.
const MOUNTED: [&str; 3] = ["secret_string", "access_token", "password"];

/// The file of a mounted secret.
fn mounted(folder: &Path) -> Option<PathBuf> {
    MOUNTED.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

fn not_mounted(secret: &SecretRef) -> Error {
    Error::configuration(format!("the secret {secret} is a folder without {}", MOUNTED.join(", ")))
        .with_help("bind a Snowflake secret of the type GENERIC_STRING, or point the setting at a file")
}

/// Says so when anybody on this machine can read the secret.
#[cfg(unix)]
fn warn_if_shared(path: &Path) {
    use std::os::unix::fs::PermissionsExt;

    if std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0) {
        let file = path.display();
        tracing::warn!(%file, "anybody on this machine can read the secret; run `chmod 600` on the file");
    }
}

#[cfg(not(unix))]
fn warn_if_shared(_: &Path) {}

impl FromStr for SecretRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            // What was given may be the secret itself: it must not be repeated.
            _ => Err(Error::configuration("a secret is given by reference, not by value")
                .with_help("write `env:NAME` for an environment variable, or `file:PATH` for a file")),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl TryFrom<String> for SecretRef {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<SecretRef> for String {
    fn from(secret: SecretRef) -> Self {
        secret.to_string()
    }
}

/// The JSON Schema `format` by which a setting is known to be a secret's reference.
pub(crate) const SECRET_FORMAT: &str = "secret-reference";

impl JsonSchema for SecretRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretRef".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": SECRET_FORMAT, "pattern": "^(env|file):.+" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_secret_given_by_value_is_refused_and_not_repeated() {
        for text in ["ghp_secret", "env:", "file:", "ghp:secret", "", "env:A=B"] {
            let error = text.parse::<SecretRef>().unwrap_err();
            assert!(!format!("{error} {error:?} {:?}", error.report()).contains("secret_"), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("ghp"), "{error:?}");
        }
    }

    #[test]
    fn a_file_is_read_again_each_time_and_trimmed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret: SecretRef = format!("file:{}", file.path().display()).parse().unwrap();
        assert!(secret.resolve().unwrap_err().to_string().contains("empty"));
        for value in ["one", "two"] {
            std::fs::write(file.path(), format!("{value}\n")).unwrap();
            assert_eq!(secret.resolve().unwrap().expose_secret(), value);
        }
    }

    #[test]
    fn of_a_folder_the_file_is_read_that_snowflake_mounts_for_the_type_of_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let secret: SecretRef = format!("file:{}", folder.path().display()).parse().unwrap();
        std::fs::write(folder.path().join("username"), "somebody").unwrap();
        let error = secret.resolve().unwrap_err();
        assert!(error.to_string().contains("secret_string"), "{error}");
        assert!(error.help().unwrap().contains("GENERIC_STRING"), "{error:?}");
        for file in ["password", "access_token", "secret_string"] {
            std::fs::write(folder.path().join(file), format!("of {file}\n")).unwrap();
            assert_eq!(secret.resolve().unwrap().expose_secret(), format!("of {file}"));
            std::fs::remove_file(folder.path().join(file)).unwrap();
        }
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = SecretRef::Env("SNOWFEED_NO_SUCH_VARIABLE".into()).resolve().unwrap_err();
        assert!(error.to_string().contains("env:SNOWFEED_NO_SUCH_VARIABLE"), "{error}");
    }
}
