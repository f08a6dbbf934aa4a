//! The crate that the guide "Write a source" starts with compiles: its Cargo.toml and its program, as printed in the guide.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// The first block of the guide in this language.
fn block<'a>(guide: &'a str, language: &str) -> &'a str {
    let (_, rest) = guide.split_once(&format!("\n```{language}\n")).unwrap();
    rest.split_once("\n```").unwrap().0
}

#[test]
fn the_crate_of_the_guide_compiles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("docs/guides/write-a-source.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/main.rs"), block(&guide, "rust,no_run")).unwrap();
    // This version of snowfeed instead of a published one, and this repository's locked versions of everything else.
    let patch = format!("\n\n[patch.crates-io]\nsnowfeed = {{ path = {root:?} }}\n");
    fs::write(folder.path().join("Cargo.toml"), block(&guide, "toml").to_owned() + &patch).unwrap();
    fs::copy(root.join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();

    let checked = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--quiet", "--all-targets"])
        .current_dir(folder.path())
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide-crate"))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
