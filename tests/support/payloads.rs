//! Real payloads, which are not part of this repository.

use std::path::{Path, PathBuf};

/// The path of a file or folder of payloads; `None`, with a note on standard error, where there is none. `SNOWFEED_REAL_DATA` names their
/// folder; without it, `shared/data` is searched for next to the repository.
pub(crate) fn payload(name: &str) -> Option<PathBuf> {
    let near = |ancestor: &Path| Some(ancestor.join("shared/data")).filter(|folder| folder.is_dir());
    let folder = std::env::var_os("SNOWFEED_REAL_DATA")
        .map(PathBuf::from)
        .or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1).find_map(near));
    let path = folder.map(|folder| folder.join(name)).filter(|path| path.exists());
    if path.is_none() {
        eprintln!("skipped: {name} is not here; SNOWFEED_REAL_DATA names the folder of real payloads");
    }
    path
}
