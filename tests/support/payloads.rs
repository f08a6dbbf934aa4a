//! Real payloads. They are no part of this repository.

use std::path::{Path, PathBuf};

/// A file or folder of them; `None`, and a word about it, where they are not at hand. `SNOWFEED_REAL_DATA` names their folder.
pub(crate) fn payload(name: &str) -> Option<PathBuf> {
    let folder =
        std::env::var_os("SNOWFEED_REAL_DATA").map_or_else(|| Path::new("../shared/data").into(), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {name} is not here; SNOWFEED_REAL_DATA names the folder of real payloads");
    None
}
