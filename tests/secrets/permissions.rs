//! Who can read the files.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use snowfeed::testkit::upstream::Upstream;

use crate::support::Program;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_is_its_owners_alone_with_the_files_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new.db");
    let backend = snowfeed::backends::Sqlite::open(&path).unwrap();
    let mut files = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert!(files >= 2, "the log is a file of its own");
    drop(backend);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_there_keeps_its_permissions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shared.db");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    drop(snowfeed::backends::Sqlite::open(&path).unwrap());
    assert_eq!(mode(&path), 0o640);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_anybody_can_read_is_said_to_be() {
    let upstream = Upstream::builder().token("right").repository("acme/gears", 1).start().await.unwrap();
    let program = Program::github(upstream.url());
    let file = program.folder().join("hush");
    fs::write(&file, "right").unwrap();
    for (bits, warned) in [(0o644, true), (0o604, true), (0o640, false), (0o600, false)] {
        fs::set_permissions(&file, Permissions::from_mode(bits)).unwrap();
        let ended = program.run(&["--set", "token=file:hush", "check"]).await.expect(0);
        let said = ended.stderr.contains("anybody on this machine can read the secret");
        assert_eq!(said, warned, "{bits:o}: {}", ended.stderr);
    }
}
