//! The example `github_issues` as a process.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::example::binary;
use crate::scenario::REPOSITORY;

/// Runs a process to its end.
pub(crate) fn run(command: &mut Command) -> ProcessOutput {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ProcessOutput { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// The exit code and output of a process.
#[derive(Debug)]
pub(crate) struct ProcessOutput {
    /// `None`: a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl ProcessOutput {
    /// Checks that it ended with this code, an error line, and a help line.
    #[track_caller]
    pub(crate) fn assert_fails(&self, code: i32, message: &str, help: &str) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let line = |start: &str| self.stderr.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        assert!(line("error: ").contains(message) && line("help: ").contains(help), "{}", self.stderr);
    }
}

/// `ingest` of the repository from an upstream into a file.
pub(crate) fn ingest(url: &str, file: &Path) -> Command {
    ingest_all(url, file, &[REPOSITORY])
}

/// `ingest` of these repositories, with these options.
pub(crate) fn ingest_all(url: &str, file: &Path, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(binary("github_issues"));
    command.env_clear().env("GITHUB_API_URL", url).arg("--db").arg(file).arg("ingest").args(arguments);
    command
}

/// Runs a shell script that may mount file systems, which vanish with it; `None`, with a message, if mounting is not allowed.
pub(crate) fn with_mounts(script: &str, arguments: &[&str]) -> Option<ProcessOutput> {
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount", "sh", "-c"]);
    let allowed = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        // No package can grant the permission to mount.
        eprintln!(
            "skipped: this machine does not allow mounts in a user namespace (`unshare --map-root-user --mount`)"
        );
        return None;
    }
    Some(run(unshare.arg(script).arg("sh").args(arguments)))
}
