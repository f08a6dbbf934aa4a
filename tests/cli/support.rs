//! Runs an example binary in a separate folder, with nothing of this process's environment.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

#[path = "../support/example.rs"]
mod example;

/// Longer than any step here takes.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// The variable with the arguments of a program that is a test, and what separates them.
pub(crate) const ARGUMENTS: &str = "PROGRAM_ARGUMENTS";
pub(crate) const SEPARATOR: &str = "\u{1f}";

/// The line after which the output of a program that is a test begins.
pub(crate) const BEGIN: &str = "\u{2}\n";

pub(crate) struct Program {
    binary: PathBuf,
    dir: TempDir,
    variables: Vec<(String, String)>,
    /// The test that is the program, if the binary is that of the tests.
    test: Option<&'static str>,
}

/// How a process ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no single JSON document, {error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let stdout = text(output.stdout);
        let stdout = stdout.split_once(BEGIN).map_or(stdout.clone(), |(_, after)| after.to_owned());
        Self { code: output.status.code(), stdout, stderr: text(output.stderr) }
    }
}

impl Program {
    pub(crate) fn new(example: &str) -> Self {
        Self { binary: example::binary(example), dir: TempDir::new().unwrap(), variables: Vec::new(), test: None }
    }

    /// A test as the program: it takes its arguments from [`ARGUMENTS`], and its output begins after [`BEGIN`].
    #[allow(dead_code, reason = "not every test that includes this file needs it")]
    pub(crate) fn of_test(test: &'static str) -> Self {
        let binary = std::env::current_exe().unwrap();
        Self { binary, dir: TempDir::new().unwrap(), variables: Vec::new(), test: Some(test) }
    }

    /// The example `github_issues` over a server.
    pub(crate) fn github(url: &str) -> Self {
        Self::new("github_issues").variable("GITHUB_API_URL", url)
    }

    /// With Snowflake as the destination: the test server.
    #[cfg(feature = "snowflake")]
    pub(crate) fn snowflake(self, port: u16, password: &str, database: &str) -> Self {
        let home = self.folder().to_str().unwrap().to_owned();
        self.variable("HOME", &home)
            .variable("SNOWFEED_TO", "snowflake")
            .variable("SNOWFLAKE_ACCOUNT", "testorg-account")
            .variable("SNOWFLAKE_HOST", "127.0.0.1")
            .variable("SNOWFLAKE_PORT", &port.to_string())
            .variable("SNOWFLAKE_PROTOCOL", "http")
            .variable("SNOWFLAKE_USER", "tester")
            .variable("SNOWFLAKE_PASSWORD", password)
            .variable("SNOWFLAKE_DATABASE", database)
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(self.folder()).env_clear().envs(self.variables.clone());
        match self.test {
            Some(test) => command.args([test, "--exact", "--nocapture"]).env(ARGUMENTS, args.join(SEPARATOR)),
            None => command.args(args),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Ended {
        tokio::time::timeout(LONG, self.command(args).output())
            .await
            .expect("the program did not finish in time")
            .unwrap()
            .into()
    }

    /// Runs successfully and returns the JSON output.
    pub(crate) async fn json(&self, args: &[&str]) -> Value {
        self.run(&[&["--json"], args].concat()).await.expect(0).json()
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }
}

/// Sends a signal to a process started by the test.
pub(crate) fn signal(child: &Child, name: &str) {
    let id = child.id().expect("the process has already ended").to_string();
    let sent = std::process::Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &id]).status().unwrap();
    assert!(sent.success());
}

pub(crate) async fn end(child: Child) -> Ended {
    tokio::time::timeout(LONG, child.wait_with_output())
        .await
        .expect("the program did not finish in time")
        .unwrap()
        .into()
}

/// Waits until a condition holds, at most for [`LONG`].
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap_or_else(|_| panic!("timed out waiting until {what}"));
}
