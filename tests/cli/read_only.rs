//! Commands that only read work on a write-protected file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use github_server::GithubServer;

use super::support::Program;

/// The commands that write nothing.
const READING: [&[&str]; 4] = [&["status"], &["runs"], &["rejects"], &["preview", "acme/gears"]];

async fn ingested() -> (GithubServer, Program) {
    let upstream = GithubServer::builder().seed(7).repository("acme/gears", 30).start().await.unwrap();
    let program = Program::github(upstream.url());
    program.run(&["ingest", "acme/gears"]).await.expect(0);
    (upstream, program)
}

async fn assert_readable(program: &Program) {
    for args in READING {
        program.run(args).await.expect(0);
    }
    assert_eq!(program.json(&["status"]).await["resources"][0]["state"], "complete");
    assert_eq!(program.json(&["runs"]).await["runs"][0]["counts"]["inserted"], 30);
    assert_eq!(program.json(READING[3]).await["rows"].as_array().unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_file_is_read_without_creating_others() {
    let (_upstream, program) = ingested().await;
    let file = program.folder().join("github.db");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    let before = fs::read(&file).unwrap();
    assert_readable(&program).await;
    assert_eq!(program.folder().read_dir().unwrap().count(), 1, "files were created beside the database");
    assert_eq!(fs::read(&file).unwrap(), before);
    let refused = program.run(&["ingest"]).await.expect(7);
    assert!(refused.stderr.contains("read-only"), "{}", refused.stderr);
    program.run(&["reset", "acme/gears", "--yes"]).await.expect(7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_a_read_only_file_system_is_read() {
    let (_upstream, program) = ingested().await;
    let folder = program.folder().to_str().unwrap();
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && cd \"$0\" && exec \"$@\"";
    let mounted = |args: &[&str]| {
        let program = program.command(&[]).as_std().get_program().to_owned();
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", mount, folder]).arg(program);
        command
            .args(["--json", "--db", "github.db"])
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap());
        command.output().unwrap()
    };
    let touch = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", mount, folder, "true"])
        .output()
        .is_ok_and(|done| done.status.success());
    if !touch {
        eprintln!("skipped: this machine does not allow mounting a file system (`unshare --map-root-user --mount`)");
        return;
    }
    for args in READING {
        let output = mounted(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
    }
    let output = mounted(&["ingest"]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_another_processs_wal_are_read() {
    let (_upstream, program) = ingested().await;
    let file = program.folder().join("github.db");
    // It holds the file open, so that the WAL stays.
    let writer = snowfeed::backends::Sqlite::open(&file).unwrap();
    let gears = snowfeed::Resource::new("acme/gears").unwrap();
    let disabled = serde_json::json!({"enabled": false});
    snowfeed::ConfigStore::put(&writer, snowfeed::Namespace::Resource, gears.name(), &disabled).await.unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(program.json(&["status"]).await["resources"][0]["enabled"], false);
}
