//! Kills at the system calls by which a process writes its SQLite file, injected by `strace` just before the n-th call of a kind.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::crash_points::{CrashPoint, CrashPoints};
use crate::peers;
use crate::process::{Process, Scenario};
use crate::target::SqliteFiles;

/// Calls that change a file, or make a change durable.
const CALLS: [(&str, &str); 4] =
    [("pwrite64", "write to"), ("fsync", "sync of"), ("ftruncate", "truncation of"), ("unlink", "removal of")];

/// The files of a database.
const FILES: [(&str, &str); 3] = [("", "the file"), ("-wal", "the log"), ("-journal", "the journal")];

/// Calls that write files.
pub(crate) struct Syscalls<'a>(&'a SqliteFiles);

impl<'a> Syscalls<'a> {
    /// `None` where a process cannot be traced.
    pub(crate) fn new(files: &'a SqliteFiles) -> Option<Self> {
        let traced = Command::new("strace").arg("true").stderr(Stdio::null()).status();
        if !traced.is_ok_and(|status| status.success()) {
            peers::skipped("there is no `strace`, or it cannot trace a process");
            return None;
        }
        Some(Self(files))
    }

    fn file(&self, scenario: &Scenario<'_>, suffix: &str) -> PathBuf {
        let mut path = self.0.path(scenario.database).into_os_string();
        path.push(suffix);
        path.into()
    }
}

impl CrashPoints for Syscalls<'_> {
    fn title(&self, name: &str) -> String {
        format!("before a {name}")
    }

    fn record(&self, scenario: &Scenario<'_>, reconcile: bool) -> Vec<CrashPoint> {
        let log = self.file(scenario, ".strace");
        let mut before: Vec<String> = ["strace", "-f", "-o"].map(str::to_owned).to_vec();
        before.push(text(&log));
        before.push(format!("--trace={}", CALLS.map(|(call, _)| call).join(",")));
        before.push("--decode-fds=path".to_owned());
        assert!(Process::start(&mut scenario.ingest(&before, reconcile)).ends());
        let log = std::fs::read_to_string(log).unwrap();
        let name = |line: &str| {
            let (_, verb) = CALLS.iter().find(|(call, _)| line.starts_with(call))?;
            let (_, file) = FILES.iter().find(|(suffix, _)| {
                let path = text(&self.file(scenario, suffix));
                line.contains(&format!("<{path}>")) || line.contains(&format!("\"{path}\""))
            })?;
            Some(format!("{verb} {file}"))
        };
        // `strace` counts the calls of each thread separately, and kills the thread that first makes its n-th call.
        let mut counts = HashMap::new();
        let mut seen = HashSet::new();
        let steps = log.lines().filter_map(|line| {
            let (thread, line) = line.split_once(' ')?;
            let name = name(line.trim_start())?;
            let nth = counts.entry((thread.to_owned(), name.clone())).or_insert(0);
            *nth += 1;
            let step = CrashPoint { name, nth: *nth };
            seen.insert(step.clone()).then_some(step)
        });
        steps.collect()
    }

    fn kill_at(&self, scenario: &Scenario<'_>, reconcile: bool, step: &CrashPoint) -> bool {
        let (call, verb) = CALLS.iter().find(|(_, verb)| step.name.starts_with(verb)).unwrap();
        let (suffix, _) = FILES.iter().find(|(_, file)| step.name == format!("{verb} {file}")).unwrap();
        let before = [
            "strace".to_owned(),
            "-f".to_owned(),
            format!("--trace={call}"),
            format!("--trace-path={}", text(&self.file(scenario, suffix))),
            format!("--inject={call}:signal=KILL:when={}", step.nth),
        ];
        !Process::start(&mut scenario.ingest(&before, reconcile)).ends()
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
