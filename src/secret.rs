//! References to secrets. snowfeed stores and prints only references, never the secrets themselves.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::LazyLock;

use regex_lite::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Says where to find a secret: `env:NAME` (an environment variable) or `file:PATH`.
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
    /// A file that contains only the secret. Every [`resolve`](Self::resolve) reads it again, because mounted secrets are
    /// rewritten. White space around the secret is dropped.
    ///
    /// The path may also be a folder into which Snowflake has mounted a secret: by the secret's type, the file is
    /// `secret_string`, `access_token` or `password`.
    File(PathBuf),
}

impl SecretRef {
    /// Reads the secret.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration): the variable or the file is missing, not text, empty, or longer than
    /// 64 KiB.
    pub fn resolve(&self) -> Result<SecretString> {
        let secret = self.read()?;
        crate::error::remember(secret.expose_secret());
        Ok(secret)
    }

    /// Reads the secret, of which the caller decides what to redact.
    pub(crate) fn read(&self) -> Result<SecretString> {
        let missing = |why: String| {
            Error::configuration(format!("the secret {self} cannot be read: {why}"))
                .with_help("set it, or point the setting at another `env:NAME` or `file:PATH`")
        };
        let secret = match self {
            Self::Env(name) => std::env::var(name).map(SecretString::from).map_err(|error| match error {
                std::env::VarError::NotPresent => missing("the variable is not set".into()),
                // The error itself would print the value.
                std::env::VarError::NotUnicode(_) => missing("the variable is not valid UTF-8".into()),
            })?,
            Self::File(path) => {
                let mounted =
                    if path.is_dir() { mounted(path).ok_or_else(|| not_mounted(self))? } else { path.clone() };
                if grants(&mounted, OTHERS) {
                    let file = mounted.display();
                    tracing::warn!(%file, "anybody on this machine can read the secret; run `chmod 600` on the file");
                }
                read_secret(&mounted).map_err(|error| missing(error.to_string()))?
            }
        };
        match secret.expose_secret().trim() {
            "" => Err(missing("it is empty".into())),
            secret => Ok(secret.into()),
        }
    }
}

/// The maximum length of a secret in a file, in bytes. A private key of 16,384 bits takes 13 kB in PEM.
const LONGEST_SECRET: usize = 64 << 10;

/// Reads a file that contains only a secret. Stops reading when it is too long to be one.
pub(crate) fn read_secret(path: &Path) -> io::Result<SecretString> {
    read_text(&File::open(path)?, LONGEST_SECRET).map(SecretString::from)
}

/// Reads a text of at most this many bytes.
pub(crate) fn read_text(file: &File, most: usize) -> io::Result<String> {
    String::from_utf8(read_bytes(file, most)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8"))
}

/// Reads a file of at most this many bytes.
pub(crate) fn read_bytes(file: &File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {most} bytes")));
    }
    Ok(bytes)
}

/// Matches tokens of well-known services anywhere in a text. The native app's procedures check texts with it, too.
pub(crate) const TOKEN_PATTERN: &str = r"(^|[^A-Za-z0-9])(gh[oprsu]_[A-Za-z0-9]{8}|github_pat_[A-Za-z0-9_]{8}|glpat-[A-Za-z0-9_-]{8}|xox[abeprs]-[A-Za-z0-9-]{8}|sk-[A-Za-z0-9_-]{16}|[sr]k_(live|test)_[A-Za-z0-9]{8}|(AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8}|npm_[A-Za-z0-9]{30}|pypi-[A-Za-z0-9_-]{16}|hf_[A-Za-z0-9]{16}|-----BEGIN [A-Z ]*PRIVATE KEY)";

static TOKEN: LazyLock<Regex> = LazyLock::new(|| pattern(TOKEN_PATTERN));

/// Matches the beginning of a token that was given in place of a variable's or a file's name. No such name begins like this.
static START_OF_TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(gh[oprsu]_|github_pat_|glpat-|xox[a-z]-|[sr]k_(live|test)_|(?i:gh[oprsu]_[a-z0-9]{16}|github_pat_[a-z0-9]{16}))",
    )
});

/// The name of an environment variable.
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| pattern("^[A-Za-z_][A-Za-z0-9_]*$"));

#[allow(clippy::unwrap_used, reason = "the patterns are constants, and a test uses each")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

/// Whether a text seems to contain a secret itself. Then it must not be stored or repeated.
pub(crate) fn holds_token(text: &str) -> bool {
    TOKEN.is_match(text)
}

/// Whether the name of a variable or a file is a secret by mistake: it begins like one, or is long and mixes all kinds of
/// characters.
fn is_secret_by_mistake(name: &str) -> bool {
    let has = |kind: fn(&char) -> bool| name.chars().any(|c| kind(&c));
    let is_random = name.len() >= 20
        && !name.contains(['/', '\\', '.', '_'])
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_digit);
    START_OF_TOKEN.is_match(name) || TOKEN.is_match(name) || is_random
}

/// The files that Snowflake mounts for secrets of the types `GENERIC_STRING`, `OAUTH2` and `PASSWORD`. A password comes with a
/// `username` file.
const MOUNTED: [&str; 3] = ["secret_string", "access_token", "password"];

/// Returns the file of a mounted secret.
fn mounted(folder: &Path) -> Option<PathBuf> {
    MOUNTED.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

fn not_mounted(secret: &SecretRef) -> Error {
    Error::configuration(format!("the secret {secret} is a folder without {}", MOUNTED.join(", ")))
        .with_help("bind a Snowflake secret of the type GENERIC_STRING, or point the setting at a file")
}

/// The permissions of users other than a file's owner and group.
pub(crate) const OTHERS: u32 = 0o007;

/// Whether a file grants any of these permissions; false on systems without such permissions.
#[cfg(unix)]
pub(crate) fn grants(file: &Path, permissions: u32) -> bool {
    use std::os::unix::fs::PermissionsExt;

    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & permissions != 0)
}

#[cfg(not(unix))]
pub(crate) fn grants(_: &Path, _: u32) -> bool {
    false
}

impl FromStr for SecretRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some((_, name)) if is_secret_by_mistake(name) => {
                Err(Error::configuration("a secret stands where the name of a variable or a file belongs")
                    .with_help("put the secret into an environment variable, and write `env:` and the variable's name"))
            }
            Some(("env", name)) if VARIABLE.is_match(name) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() && !path.contains(char::is_control) => Ok(Self::File(path.into())),
            // The value may be the secret itself: the message must not repeat it.
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

/// The JSON Schema `format` that marks a setting as a reference to a secret.
pub(crate) const SECRET_FORMAT: &str = "secret-reference";

/// Describes a reference, for readers of the schema.
const SECRET_PATTERN: &str = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:[^\x00-\x1f\x7f]+)$";

impl JsonSchema for SecretRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretRef".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": SECRET_FORMAT, "pattern": SECRET_PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_secret_given_by_value_is_refused_and_not_repeated() {
        for text in [
            "ghp_secret",
            "env:",
            "file:",
            "ghp:secret",
            "",
            "env:A=B",
            "env:ghp_secret",
            "env:GHP_secretsecretsecretsecret",
            "file:ghp_secret",
            "env:github_pat_secret",
            "env:glpat-secret_",
            "env:xoxb-secret_",
            "env:sk_live_secret_",
            "env:secret_.eyJ",
            "env:Ghpsecret0123456789ABCdef",
            "file:secret_\nsecond line",
        ] {
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
    fn tokens_are_known_wherever_they_stand() {
        for text in [
            "ghp_0123456789abcdef",
            "x=ghs_0123456789abcdef",
            "https://host/github_pat_11AAAAAAA0",
            "glpat-abcdefgh12345678",
            "xoxb-12345678-abc",
            "sk-proj-abcdefgh12345678",
            "sk_live_12345678",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x",
            "-----BEGIN RSA PRIVATE KEY-----",
        ] {
            assert!(holds_token(text), "{text}");
        }
        for text in
            ["acme/widgets", "https://api.github.com", "env:GITHUB_TOKEN", "high_0123456789", "task-0123456789abcdef"]
        {
            assert!(!holds_token(text), "{text}");
        }
        for name in ["env:GHP_TOKEN", "env:NPM_TOKEN", "env:token", "file:/run/secrets/Token01234567890ab"] {
            assert!(name.parse::<SecretRef>().is_ok(), "{name}");
        }
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read_to_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret = SecretRef::File(file.path().to_owned());
        std::fs::write(file.path(), "x".repeat(LONGEST_SECRET)).unwrap();
        assert_eq!(secret.resolve().unwrap().expose_secret().len(), LONGEST_SECRET);
        std::fs::write(file.path(), "x".repeat(LONGEST_SECRET + 1)).unwrap();
        let error = secret.resolve().unwrap_err();
        assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
        #[cfg(unix)]
        assert!(SecretRef::File("/dev/zero".into()).resolve().is_err(), "it has no end");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = SecretRef::Env("SNOWFEED_NO_SUCH_VARIABLE".into()).resolve().unwrap_err();
        assert!(error.to_string().contains("env:SNOWFEED_NO_SUCH_VARIABLE"), "{error}");
    }
}
