//! The killed process: the example `github_issues`, as a user starts it.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use github_server::GithubServer;

use crate::example::binary;
use crate::target::KillTarget;

/// Longer than any process here takes.
const MAX_RUNTIME: Duration = Duration::from_secs(600);

/// A process that does not outlive its test.
pub(crate) struct Process {
    child: Child,
    /// Its standard error.
    stderr: File,
    /// Whether some of its streams may fail.
    may_be_partial: bool,
}

/// The exit code of a program of which a part has failed.
const PARTIAL: i32 = 3;

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let stderr = tempfile::tempfile().unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr.try_clone().unwrap());
        Self { child: command.spawn().unwrap(), stderr, may_be_partial: false }
    }

    /// Lets a run end partially: its upstream changes while it reads.
    pub(crate) fn may_be_partial(mut self) -> Self {
        self.may_be_partial = true;
        self
    }

    /// Waits for an event. Returns false if the process succeeds before it.
    pub(crate) fn runs_until(&mut self, happened: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        while !happened() {
            if let Some(status) = self.child.try_wait().unwrap() {
                return self.was_killed(status);
            }
            assert!(began.elapsed() < MAX_RUNTIME, "the process timed out");
            std::thread::sleep(Duration::from_micros(200));
        }
        true
    }

    /// Kills the process. Returns false if it had already succeeded.
    pub(crate) fn kill(&mut self) -> bool {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        self.was_killed(status)
    }

    /// Waits for the process to end. Returns false if a signal killed it.
    pub(crate) fn ends(&mut self) -> bool {
        let status = self.child.wait().unwrap();
        !self.was_killed(status)
    }

    /// Whether a signal ended it. Otherwise it must have succeeded.
    fn was_killed(&mut self, status: ExitStatus) -> bool {
        if self.may_be_partial && status.code() == Some(PARTIAL) {
            return false;
        }
        if status.code().is_some_and(|code| code != 0) {
            let mut stderr = String::new();
            self.stderr.rewind().unwrap();
            self.stderr.read_to_string(&mut stderr).unwrap();
            panic!("the process failed with {status}: {stderr}");
        }
        status.code().is_none()
    }
}

/// One database of a destination, and the resource that is ingested into it.
pub(crate) struct Scenario<'a> {
    pub(crate) upstream: &'a GithubServer,
    pub(crate) target: &'a dyn KillTarget,
    pub(crate) database: u32,
    pub(crate) resources: &'a [&'a str],
}

impl Scenario<'_> {
    /// The command of a run, after `before`: a wrapper that starts it, if any.
    pub(crate) fn ingest(&self, before: &[String], reconcile: bool) -> Command {
        let program = binary("github_issues");
        let mut command = match before {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.env_clear().env("GITHUB_API_URL", self.upstream.url());
        self.target.use_database(&mut command, self.database);
        command.arg("ingest").args(self.resources);
        if reconcile {
            // The tests delete issues permanently.
            command.args(["--reconcile", "--allow-deletions"]);
        }
        command
    }

    /// Creates the database with nothing but the connector's own tables.
    pub(crate) fn create_database(&self) {
        let mut command = Command::new(binary("github_issues"));
        command.env_clear().env("GITHUB_API_URL", self.upstream.url());
        self.target.use_database(&mut command, self.database);
        assert!(Process::start(command.arg("configure").arg("page_size=100")).ends());
    }

    /// Runs successfully.
    pub(crate) fn run(&self, reconcile: bool) {
        assert!(Process::start(&mut self.ingest(&[], reconcile)).ends());
    }
}
