//! The example programs, which process tests start.

use std::path::{Path, PathBuf};

/// The path of an example: cargo builds it beside the tests.
pub(crate) fn binary(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let binary = folder.join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{} is missing: `cargo build --all-features --examples` builds it", binary.display());
    binary
}
