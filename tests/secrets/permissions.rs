//! Who can read the files.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use github_server::GithubServer;

use crate::support::Program;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_and_its_log_are_private_to_the_owner() {
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
async fn an_existing_database_keeps_its_permissions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shared.db");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    drop(snowfeed::backends::Sqlite::open(&path).unwrap());
    assert_eq!(mode(&path), 0o640);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_readable_secret_is_warned_about() {
    let upstream = GithubServer::builder().token("right").repository("acme/gears", 1).start().await.unwrap();
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

/// A database is named by `--db`, or is the default one of the current folder, where others may have planted a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_dangling_link_does_not_become_a_new_database() {
    for (link, args, code) in [
        ("github.db", &["configure", "page_size=50"][..], 4),
        ("github.db", &["ingest", "acme/gears"], 4),
        ("x.db", &["--db", "x.db", "configure", "page_size=50"], 4),
        ("demo.db", &["demo", "demo.db"], 1),
    ] {
        let (program, elsewhere) = (Program::github("http://127.0.0.1:1"), tempfile::tempdir().unwrap());
        let (target, hop) = (elsewhere.path().join("target"), elsewhere.path().join("hop"));
        std::os::unix::fs::symlink(&target, &hop).unwrap();
        for first in [&target, &hop] {
            std::os::unix::fs::symlink(first, program.folder().join(link)).unwrap();
            let ended = program.run(args).await;
            let made = fs::symlink_metadata(&target).is_ok();
            assert!(!made, "{args:?} creates {:o}: {}", mode(&target), ended.stderr);
            assert_eq!(ended.code, Some(code), "{args:?}: {}", ended.stderr);
            assert!(ended.stderr.contains("a link to a file that does not exist"), "{}", ended.stderr);
            fs::remove_file(program.folder().join(link)).unwrap();
        }
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_accessible_to_others_is_warned_about() {
    let upstream = GithubServer::builder().token("right").repository("acme/gears", 1).start().await.unwrap();
    let program = Program::github(upstream.url()).variable("GITHUB_TOKEN", "right");
    let warning = "anybody on this machine can use the database file";
    assert!(!program.run(&["ingest", "acme/gears"]).await.expect(0).stderr.contains(warning));
    for (bits, warned) in [(0o644, true), (0o602, true), (0o640, false), (0o600, false)] {
        let file = program.folder().join("planted.db");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(bits)).unwrap();
        let ended = program.run(&["--db", "planted.db", "ingest", "acme/gears"]).await.expect(0);
        assert_eq!(ended.stderr.contains(warning), warned, "{bits:o}: {}", ended.stderr);
        for entry in fs::read_dir(program.folder()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|name| name.to_str().unwrap().starts_with("planted.db")) {
                fs::remove_file(path).unwrap();
            }
        }
    }
    // A file beside a database that does not exist yet was put there by someone else.
    let log = program.folder().join("other.db-wal");
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, Permissions::from_mode(0o666)).unwrap();
    let ended = program.run(&["--db", "other.db", "ingest", "acme/gears"]).await.expect(0);
    assert!(ended.stderr.contains(warning) && ended.stderr.contains("other.db-wal"), "{}", ended.stderr);
}

#[test]
fn links_next_to_a_database_are_not_followed() {
    for ending in ["-wal", "-shm", "-journal"] {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for target in ["missing", "precious"] {
            let (path, target) = (folder.path().join(target), elsewhere.path().join(target));
            if target.ends_with("precious") {
                fs::write(&target, "precious").unwrap();
            }
            let mut link = path.clone().into_os_string();
            link.push(ending);
            std::os::unix::fs::symlink(&target, link).unwrap();
            // Whether it can be opened is up to SQLite.
            drop(snowfeed::backends::Sqlite::open(&path));
        }
        assert!(!elsewhere.path().join("missing").exists(), "{ending}");
        assert_eq!(fs::read(elsewhere.path().join("precious")).unwrap(), b"precious", "{ending}");
    }
}
