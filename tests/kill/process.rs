//! The process that is killed: the example `github_issues`, as a user starts it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use snowfeed::testkit::upstream::Upstream;

use crate::place::Place;

/// Longer than any process here takes.
const LONG: Duration = Duration::from_secs(120);

fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let binary = folder.join(format!("github_issues{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{} is missing: `cargo build --examples` makes it", binary.display());
    binary
}

/// A process that does not outlive its test.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Waits until something has happened; false: the process ended by itself before that, and well.
    pub(crate) fn runs_until(&mut self, happened: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        while !happened() {
            if let Some(status) = self.0.try_wait().unwrap() {
                assert!(is_well_or_killed(status) || is_refused(status), "a run ended by itself with {status}");
                return status.code().is_none();
            }
            assert!(began.elapsed() < LONG, "a run hangs");
            std::thread::sleep(Duration::from_micros(200));
        }
        true
    }

    /// Kills it; false: it had ended before.
    pub(crate) fn kill(&mut self) -> bool {
        self.0.kill().unwrap();
        let status = self.0.wait().unwrap();
        assert!(is_well_or_killed(status) || is_refused(status), "a run ended by itself with {status}");
        status.code().is_none()
    }

    /// Waits for its end.
    fn status(&mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }

    /// Waits for its end; false: somebody has killed it.
    pub(crate) fn ends(&mut self) -> bool {
        let status = self.status();
        assert!(is_well_or_killed(status), "a run ended by itself with {status}");
        status.success()
    }
}

/// Whether a process has done all that it should, unless a signal came in between.
fn is_well_or_killed(status: ExitStatus) -> bool {
    status.success() || status.code().is_none()
}

/// Whether another run has moved on, with one resource or with all: what a killed run had sent to a server may be done after the
/// next one has begun.
fn is_refused(status: ExitStatus) -> bool {
    matches!(status.code(), Some(3 | 8))
}

/// One database of a place, and what is ingested into it.
pub(crate) struct Scene<'a> {
    pub(crate) upstream: &'a Upstream,
    pub(crate) place: &'a dyn Place,
    pub(crate) database: u32,
    pub(crate) resources: &'a [&'a str],
}

impl Scene<'_> {
    /// The command of a run, after `before`: the program that starts it, where it is not started at once.
    pub(crate) fn ingest(&self, before: &[String], reconcile: bool) -> Command {
        let program = binary();
        let mut command = match before {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.env_clear().env("GITHUB_API_URL", self.upstream.url());
        self.place.point(&mut command, self.database);
        command.arg("ingest").args(self.resources).args(reconcile.then_some("--reconcile"));
        command
    }

    /// Makes the database and nothing in it but the connector's own tables.
    pub(crate) fn make(&self) {
        let mut command = Command::new(binary());
        command.env_clear().env("GITHUB_API_URL", self.upstream.url());
        self.place.point(&mut command, self.database);
        assert!(Process::start(command.arg("configure").arg("page_size=100")).ends());
    }

    /// Runs to a good end; once more where it is refused.
    pub(crate) fn run(&self, reconcile: bool) {
        let mut status = Process::start(&mut self.ingest(&[], reconcile)).status();
        if is_refused(status) {
            status = Process::start(&mut self.ingest(&[], reconcile)).status();
        }
        assert!(status.success(), "a run that nobody killed ended with {status}");
    }
}
