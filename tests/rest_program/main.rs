//! The program `snowfeed` as a user sees it: a process, descriptions in files, and an API on loopback.

#![cfg(all(feature = "cli", feature = "github", feature = "rest", feature = "sqlite", feature = "testkit"))]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

mod described;
mod guide;
mod helpdesk;
#[path = "../support/json_schema.rs"]
mod json_schema;
mod live_check;
mod own;
mod replay;
mod schema;
mod unknown_name;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// The program in a folder of its own, with nothing of this process's environment.
struct Program {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// How a process ended, and what it wrote.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Program {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), variables: Vec::new() }
    }

    fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Writes a file into the folder.
    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snowfeed"));
        command.current_dir(&self.folder).env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        let output = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ended {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no single JSON document, {error}: {self:?}"))
    }
}

/// The text of a fixture.
fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rest_program/fixtures").join(name);
    std::fs::read_to_string(path).unwrap()
}
