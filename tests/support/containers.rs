//! Programs that a machine may have, podman among them, and examples that a container can run.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::peers;

/// Whether there is such a program; if not, prints that the test is skipped.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        peers::skipped(&format!("there is no {program}; `.ci/peers` installs it"));
    }
    found
}

#[track_caller]
pub(crate) fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let printed = [output.stdout.as_slice(), &output.stderr].concat();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&printed));
    output
}

/// An example, linked statically. Only its last step differs from the build of the tests, so that nothing else is compiled again;
/// `build_command` says what a release needs.
pub(crate) fn linked_statically(example: &str) -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["rustc", "--quiet", "--all-features", "--example", example, "--message-format=json"]);
    // It shares the build of the tests, and leaves their own examples alone, which other tests start.
    let folder = peers::artefacts().join("peers/static");
    cargo.arg("--target-dir").arg(&folder).env("CARGO_BUILD_BUILD_DIR", peers::artefacts());
    // The variables that cargo sets for this test would make some packages compile again.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_a_package(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    let built = succeeded(cargo.args(["--", "-C", "target-feature=+crt-static", "-C", "strip=symbols"]));
    let messages = String::from_utf8(built.stdout).unwrap();
    let mut messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.find_map(|message| Some(PathBuf::from(message["executable"].as_str()?))).unwrap()
}

/// Whether a variable is among those that cargo sets for the packages that it compiles and runs.
fn is_of_a_package(name: &str) -> bool {
    name == "CARGO_CRATE_NAME"
        || ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_"].iter().any(|begin| name.starts_with(begin))
}

/// Podman, with all its data in a separate folder.
pub(crate) struct Podman(TempDir);

impl Podman {
    /// `None` where there is none.
    pub(crate) fn new() -> Option<Self> {
        (has("podman") && has("runc")).then(|| Self(TempDir::new().unwrap()))
    }

    pub(crate) fn command(&self) -> Command {
        let mut podman = Command::new("podman");
        for (option, folder) in [("--root", "root"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            podman.arg(option).arg(self.0.path().join(folder));
        }
        podman.args(["--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=none", "--runtime=runc"]);
        podman
    }

    /// The beginning of a command that runs an image without any privilege.
    pub(crate) fn running(&self) -> Command {
        let mut podman = self.command();
        podman.args(["run", "--rm", "--quiet", "--tls-verify=false", "--net=host", "--cap-drop=all"]);
        podman.args(["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--security-opt=no-new-privileges"]);
        podman
    }

    /// Runs the image at `reference`, with these folders mounted and these variables set.
    pub(crate) fn run(
        &self,
        reference: &str,
        mounts: &[(&Path, &str)],
        env: &[(&str, &str)],
        arguments: &[&str],
    ) -> Output {
        let mut podman = self.running();
        for (folder, path) in mounts {
            podman.arg(format!("--volume={}:{path}", folder.display()));
        }
        for (name, value) in env {
            podman.arg(format!("--env={name}={value}"));
        }
        podman.arg(reference).args(arguments).output().unwrap()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Its mounts must be gone before the folder is.
        let _ = self.command().args(["system", "reset", "--force"]).output();
    }
}
