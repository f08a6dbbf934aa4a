//! The connection files of Snowflake's tools.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::environment::Environment;
use crate::secret::{grants, read_text};
use crate::{Error, Result};

/// The maximum size of a file of connections, in bytes.
const MAX_FILE_BYTES: usize = 1 << 20;

/// The connections in the files.
pub(super) struct ConnectionFiles {
    sections: Table,
    default: Option<String>,
    /// Their source, for messages.
    origin: String,
}

impl ConnectionFiles {
    /// Reads `connections.toml` and `config.toml`, if they exist.
    pub(super) fn read(sources: &Environment<'_>) -> Result<Self> {
        let folder = folder(sources);
        let config = match &folder {
            Some(folder) => table(&folder.join("config.toml"))?,
            None => None,
        };
        let default =
            config.as_ref().and_then(|config| config.get("default_connection_name")?.as_str()).map(str::to_owned);
        let (sections, origin) = match sections(sources, folder.as_deref(), config)? {
            Some((sections, origin)) => (sections, format!("in {origin}")),
            None => match folder {
                Some(folder) => (Table::new(), format!("in {}, which has no connections.toml", folder.display())),
                None => (Table::new(), "without a home directory".to_owned()),
            },
        };
        Ok(Self { sections, default, origin })
    }

    /// The name of the default connection, from `config.toml`.
    pub(super) fn default_name(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// The settings of one connection.
    pub(super) fn section(&self, name: &str) -> Result<Option<Table>> {
        match self.sections.get(name) {
            None => Ok(None),
            Some(Value::Table(section)) => Ok(Some(section.clone())),
            Some(_) => Err(Error::configuration(format!("{name:?} {} is not a table", self.origin))
                .with_help(format!("begin it with a line `[{name}]`"))),
        }
    }

    /// The error of a missing connection, with the names of the existing ones.
    pub(super) fn missing(&self, name: &str) -> Error {
        let names: Vec<&str> = self.names().collect();
        let help = match names.as_slice() {
            [] => "write one, or set SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and SNOWFLAKE_PRIVATE_KEY_PATH".to_owned(),
            // Valid in `config.toml` only.
            ["connections"] => format!("in connections.toml, a section is called `[{name}]`, without `connections.`"),
            names => format!("use one of: {}", names.join(", ")),
        };
        Error::configuration(format!("there is no Snowflake connection {name:?} {}", self.origin)).with_help(help)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().filter(|(_, section)| section.is_table()).map(|(name, _)| name.as_str())
    }
}

/// The connections and their source: the first one that exists hides the others, as in Snowflake's tools.
fn sections(
    sources: &Environment<'_>,
    folder: Option<&Path>,
    config: Option<Table>,
) -> Result<Option<(Table, String)>> {
    if let Some(text) = sources.text("SNOWFLAKE_CONNECTIONS") {
        return Ok(Some((parse(&text, "SNOWFLAKE_CONNECTIONS")?, "SNOWFLAKE_CONNECTIONS".to_owned())));
    }
    let Some(folder) = folder else { return Ok(None) };
    let file = folder.join("connections.toml");
    if let Some(sections) = table(&file)? {
        warn_if_shared(&file);
        return Ok(Some((sections, file.display().to_string())));
    }
    let file = folder.join("config.toml");
    match config.and_then(|mut config| config.remove("connections")) {
        None => Ok(None),
        Some(Value::Table(sections)) => {
            warn_if_shared(&file);
            Ok(Some((sections, file.display().to_string())))
        }
        Some(_) => Err(Error::configuration(format!("`connections` in {} is not a table", file.display()))
            .with_help("begin each connection with a line `[connections.NAME]`")),
    }
}

/// The folder that Snowflake's tools read: `~/.snowflake` if it exists, else the platform's default.
fn folder(sources: &Environment<'_>) -> Option<PathBuf> {
    let own = sources.text("SNOWFLAKE_HOME").unwrap_or_else(|| "~/.snowflake".to_owned());
    let own = sources.expand(own.into());
    if own.is_dir() { Some(own) } else { platform_folder(sources) }
}

fn platform_folder(sources: &Environment<'_>) -> Option<PathBuf> {
    let (variable, default) = if cfg!(windows) {
        ("LOCALAPPDATA", "AppData/Local")
    } else if cfg!(target_os = "macos") {
        ("", "Library/Application Support")
    } else {
        ("XDG_CONFIG_HOME", ".config")
    };
    let folder = match sources.text(variable) {
        Some(folder) => PathBuf::from(folder),
        None => sources.home.as_ref()?.join(default),
    };
    Some(folder.join("snowflake"))
}

/// A file's content; `None` if it does not exist, or is not visible.
fn table(file: &Path) -> Result<Option<Table>> {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match fs::metadata(file) {
        // A service often runs with the home directory of another user.
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | PermissionDenied) => return Ok(None),
        _ => {}
    }
    let text = fs::File::open(file)
        .and_then(|file| read_text(&file, MAX_FILE_BYTES))
        .map_err(|error| Error::configuration(format!("{} cannot be read: {error}", file.display())))?;
    parse(&text, &file.display().to_string()).map(Some)
}

/// The parser's message is dropped: it quotes the line, which may contain a secret.
fn parse(text: &str, origin: &str) -> Result<Table> {
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Error::configuration(format!("{origin} is not valid TOML at line {line}"))
            .with_help("put texts in quotes, and each setting on its own line")
    })
}

/// The permissions of everyone but a file's owner.
const GROUP_AND_OTHERS: u32 = 0o077;

/// Warns if other users of this machine can read a file with credentials.
fn warn_if_shared(file: &Path) {
    if grants(file, GROUP_AND_OTHERS) {
        let file = file.display();
        tracing::warn!(%file, "others on this machine can read Snowflake credentials; run `chmod 600` on the file");
    }
}
