//! Files with the API's JSON.

use std::path::Path;

use crate::{Error, Result};

/// The longest file, in bytes.
const LONGEST: usize = 64 << 20;

/// Reads a file; `what` it is: a sample, or a body.
pub(super) fn text(path: &Path, what: &str) -> Result<String> {
    let name = path.display();
    let unreadable = |error: std::io::Error| {
        Error::configuration(format!("the {what} {name} cannot be read"))
            .with_source(error)
            .with_help("check the name of the file, and whether you may read it")
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    crate::secret::read_text(&file, LONGEST).map_err(unreadable)
}
