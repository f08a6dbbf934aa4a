//! Faults of the disk and of the database's file, as a user of the program sees them.

use std::io::Read;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use github_server::GithubServer;

use crate::environment::skipped;
use crate::example::binary;
use crate::program::{self, ingest, run};
use crate::scenario::{REPOSITORY, missing, missing_or_unreadable};

async fn upstream(issues: u32) -> GithubServer {
    GithubServer::builder().repository(REPOSITORY, issues).start().await.unwrap()
}

/// A folder, and the path of a database in it.
fn temp_database() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    (folder, file)
}

/// Runs the program again without a fault, and checks that it stores everything.
fn assert_rerun_is_complete(upstream: &GithubServer, file: &Path) {
    let rerun = run(&mut ingest(upstream.url(), file));
    assert_eq!(rerun.code, Some(0), "{rerun:#?}");
    assert_eq!(missing(upstream, file), 0);
}

/// Ingests on a file system of a given size, which then grows, and ingests once more.
const ON_A_SMALL_DISK: &str = r#"
mount -t tmpfs -o size=$2 none "$1" || exit 99
"$3" --db "$1/x.db" ingest acme/widgets 2>"$4/error"
echo $? >"$4/code"
mount -o remount,size=64m "$1"
"$3" --db "$1/x.db" ingest acme/widgets || exit 98
cp "$1/x.db" "$4/x.db"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_a_clear_error_and_a_rerun_with_free_space_completes() {
    let upstream = upstream(1_000).await;
    // Enough space for nothing, part of the tables, the tables only, one commit, and everything once.
    for size in ["4k", "64k", "800k", "2m", "6m", "8m"] {
        let (mount, output) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let binary = binary("github_issues");
        let arguments = [mount.path(), Path::new(size), &binary, output.path()].map(|path| path.to_str().unwrap());
        let script = format!("export GITHUB_API_URL={}\n{ON_A_SMALL_DISK}", upstream.url());
        let Some(ended) = tokio::task::block_in_place(|| program::with_mounts(&script, &arguments)) else { return };
        assert_eq!(ended.code, Some(0), "{size}: {ended:#?}");
        let read = |name: &str| std::fs::read_to_string(output.path().join(name)).unwrap();
        let code = read("code").trim().to_owned();
        // The largest has no space for a checkpoint of the WAL, which can wait.
        let may_succeed = size == "8m" && code == "0";
        assert!(may_succeed || ["7", "3"].contains(&code.as_str()), "{size}: {code}");
        assert!(may_succeed || read("error").contains("\nhelp: free some space"), "{size}: {}", read("error"));
        let missing = missing(&upstream, &output.path().join("x.db"));
        println!("a disk of {size}: exit code {code}; after a rerun with more space, rows missing {missing}");
        assert_eq!(missing, 0, "{size}");
    }
}

/// Ingests into a file of a file system that has become read-only.
const ON_A_READ_ONLY_DISK: &str = r#"
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 99
"$2" --db "$1/x.db" ingest acme/widgets
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_disk_is_a_clear_error() {
    let upstream = upstream(30).await;
    for exists in [true, false] {
        let (folder, file) = temp_database();
        if exists {
            assert_rerun_is_complete(&upstream, &file);
        }
        let binary = binary("github_issues");
        let arguments = [folder.path(), &binary].map(|path| path.to_str().unwrap());
        let script = format!("export GITHUB_API_URL={}\n{ON_A_READ_ONLY_DISK}", upstream.url());
        let Some(ended) = tokio::task::block_in_place(|| program::with_mounts(&script, &arguments)) else { return };
        ended.assert_fails(7, if exists { "the database is read-only" } else { "cannot be opened" }, "writ");
        assert_rerun_is_complete(&upstream, &file);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_or_folder_without_write_permission_is_a_clear_error() {
    let upstream = upstream(30).await;
    let is_root = run(Command::new("id").arg("-u")).stdout.trim() == "0";
    for (name, folder_mode, file_mode) in [("file", 0o777, 0o444), ("folder", 0o555, 0o666)] {
        let (folder, file) = temp_database();
        assert_rerun_is_complete(&upstream, &file);
        let allow = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        // Root may write everywhere, so the program runs as another user, who must be able to read the program itself.
        let bin = tempfile::tempdir().unwrap();
        let copy = bin.path().join("program");
        std::fs::copy(binary("github_issues"), &copy).unwrap();
        allow(bin.path(), 0o755);
        allow(folder.path(), folder_mode);
        allow(&file, file_mode);
        let plain = ingest(upstream.url(), &file);
        let mut command = if is_root { Command::new("setpriv") } else { Command::new(&copy) };
        if is_root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy);
        }
        command.args(plain.get_args()).env("GITHUB_API_URL", upstream.url());
        let refused = tokio::task::block_in_place(|| run(&mut command));
        refused.assert_fails(7, "the database", "writ");
        println!("no permission to write to the {name}: {}", refused.stderr.lines().next().unwrap_or_default());
        allow(folder.path(), 0o755);
        allow(&file, 0o644);
        assert_rerun_is_complete(&upstream, &file);
    }
}

/// Holds a file's lock until standard input ends.
const HOLD_LOCK: &str = "\
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute('BEGIN EXCLUSIVE')
print('held', flush=True)
sys.stdin.read()
";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_locked_by_another_program_is_a_clear_error() {
    let upstream = upstream(30).await;
    let (_folder, file) = temp_database();
    assert_rerun_is_complete(&upstream, &file);
    upstream.bulk_edit(REPOSITORY, 10);
    let mut python = Command::new("python3");
    python.args(["-c", HOLD_LOCK]).arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut holder) = python.spawn() else {
        skipped("there is no python3, which the test needs to hold a lock");
        return;
    };
    let mut held = [0; 5];
    holder.stdout.as_mut().unwrap().read_exact(&mut held).unwrap();
    // The program waits for ten seconds, as documented.
    tokio::task::block_in_place(|| run(&mut ingest(upstream.url(), &file))).assert_fails(
        7,
        "another program is writing it",
        "wait until that program is done",
    );
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_rerun_is_complete(&upstream, &file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_page_that_is_needed_is_an_error_with_help() {
    let upstream = upstream(300).await;
    let (folder, file) = temp_database();
    assert_rerun_is_complete(&upstream, &file);
    let copy = folder.path().join("copy.db");
    std::fs::copy(&file, &copy).unwrap();
    let page = 32_768;
    let pages = std::fs::metadata(&file).unwrap().len() / page;
    let mut random = fastrand::Rng::with_seed(3);
    let (mut reported, mut harmless, mut undetected) = (0, 0, 0);
    // The run reads the whole file, and writes some of it.
    upstream.clock().advance(std::time::Duration::from_secs(60));
    upstream.bulk_edit(REPOSITORY, 100);
    for number in 0..pages {
        std::fs::copy(&copy, &file).unwrap();
        let damage: Vec<u8> = (0..page / 2).map(|_| random.u8(..)).collect();
        let opened = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
        opened.write_all_at(&damage, number * page + if random.bool() { 0 } else { page / 4 }).unwrap();
        drop(opened);
        let mut command = ingest(upstream.url(), &file);
        let run = tokio::task::block_in_place(|| run(command.arg("--reconcile")));
        match run.code {
            Some(0) if missing_or_unreadable(&upstream, &file) == Ok(0) => harmless += 1,
            Some(0) => undetected += 1,
            Some(3 | 4 | 7 | 1) => {
                reported += 1;
                assert!(run.stderr.contains("\nhelp: "), "page {number}: {}", run.stderr);
            }
            _ => panic!("page {number}: {run:#?}"),
        }
    }
    println!(
        "{pages} pages, each damaged once: {reported} reported, {harmless} harmless or repaired, {undetected} undetected"
    );
    // The error's help works: restore the copy.
    std::fs::copy(&copy, &file).unwrap();
    assert_rerun_is_complete(&upstream, &file);
    assert!(reported > pages / 2, "too little damage was reported: {reported} of {pages} pages");
}
