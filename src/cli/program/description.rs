//! Reads descriptions.

use std::path::Path;

use crate::rest::{ApiFile, Problem, RestSource};
use crate::{Error, Result};

/// The longest description that is read, in bytes.
const LONGEST_FILE: usize = 1 << 20;

/// A description that was read from a file.
pub(super) struct Described {
    pub(super) source: RestSource,
    pub(super) text: String,
    pub(super) warnings: Vec<Problem>,
}

pub(super) fn describe(path: &Path) -> Result<Described> {
    let (text, file) = read(path)?;
    Ok(Described { source: RestSource::new(file.api)?, text, warnings: file.warnings })
}

/// Reads a description from a file.
pub(super) fn read(path: &Path) -> Result<(String, ApiFile)> {
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        Error::configuration(format!("the description {name} cannot be read"))
            .with_source(error)
            .with_help("name a TOML file that you may read; `snowfeed new NAME` writes one")
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let text = crate::secret::read_text(&file, LONGEST_FILE).map_err(unreadable)?;
    let file = ApiFile::parse(&text, &name)?;
    Ok((text, file))
}
