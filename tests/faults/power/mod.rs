//! Power cuts: records the writes and syncs of real runs, and rebuilds the files as a disk might hold them after a power
//! cut: everything that was synced, and any part of the rest. Then each file is opened, checked, and ingested into.
//!
//! `SNOWFEED_POWER_CUTS` sets their number (40 unless set), `SNOWFEED_SEED` the seed of all randomness.

mod disk;
mod trace;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use disk::{SimulatedDisk, Survival};
use github_server::GithubServer;
use serde_json::json;
use snowfeed::RunStatus;
use tempfile::TempDir;
use trace::FileEvent;

use crate::environment::{number, skipped};
use crate::example::binary;
use crate::faulty_proxy::FaultyProxy;
use crate::scenario::{REPOSITORY, ingest_into, missing};

/// The number of recorded runs. Each commits at least once.
const RUNS: usize = 8;

/// The contents of a file.
#[derive(Debug, Clone, Copy, Default)]
struct Contents {
    rows: i64,
    /// The newest version of the state.
    version: i64,
}

/// Reads the contents of a file; `None` if it is damaged.
fn contents(file: &Path) -> Option<Contents> {
    // Before the first commit there is no file, or an empty one.
    if std::fs::metadata(file).map_or(0, |found| found.len()) == 0 {
        return Some(Contents::default());
    }
    let reader = rusqlite::Connection::open(file).ok()?;
    let integrity: String = reader.query_row("PRAGMA integrity_check", [], |row| row.get(0)).ok()?;
    let count = |sql: &str| reader.query_row(sql, [], |row| row.get(0));
    // Before the first migration there are no tables.
    let rows = count("SELECT count(*) FROM issues").unwrap_or(0);
    let version = count("SELECT coalesce(max(version), 0) FROM APP_STATE").unwrap_or(0);
    (integrity == "ok").then_some(Contents { rows, version })
}

/// An upstream, and the file operations of a program that ingested from it.
struct Recording {
    upstream: GithubServer,
    proxy: FaultyProxy,
    events: Vec<FileEvent>,
}

impl Recording {
    /// Runs the program repeatedly on one file while the upstream changes in between; `None` without `strace`.
    async fn new(seed: u64) -> Option<Self> {
        let upstream = GithubServer::builder().seed(seed).repository(REPOSITORY, 500).start().await.unwrap();
        let proxy = FaultyProxy::to(upstream.url());
        proxy.connect();
        // Slow responses, so that most runs commit several times: a commit is due after a second.
        proxy.delay(Duration::from_millis(60));
        let folder = tempfile::tempdir().unwrap();
        let mut events = Vec::new();
        for round in 0..RUNS {
            events.extend(tokio::task::block_in_place(|| run(&proxy, folder.path(), round + 1 == RUNS))?);
            upstream.clock().advance(Duration::from_secs(60));
            upstream.bulk_edit(REPOSITORY, 150);
            upstream.create(REPOSITORY, 40);
        }
        proxy.delay(Duration::ZERO);
        Some(Self { upstream, proxy, events })
    }

    fn count(&self, is_counted: fn(&FileEvent) -> bool) -> usize {
        self.events.iter().filter(|event| is_counted(event)).count()
    }

    /// Cuts the power at this many moments.
    async fn cut(&self, cuts: u64, seed: u64, disk: SimulatedDisk) -> Damage {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut moments: Vec<usize> = (0..cuts).map(|_| random.usize(..=self.events.len())).collect();
        moments.sort_unstable();
        let (mut disk, mut done, mut reported) = (disk, 0, Contents::default());
        let mut damage = Damage::default();
        for moment in moments {
            for event in &self.events[done..moment] {
                disk.apply(event);
                if matches!(event, FileEvent::Reported) {
                    // The state that the process saw when it reported a commit must survive.
                    let (_folder, file) = write_files(&disk, Survival::All, &mut random);
                    reported = contents(&file).unwrap();
                }
            }
            done = moment;
            let survival =
                [Survival::Nothing, Survival::SomeChanges, Survival::SomeSectors, Survival::All][random.usize(..4)];
            let (_folder, file) = write_files(&disk, survival, &mut random);
            let Some(found) = contents(&file) else {
                damage.files += 1;
                continue;
            };
            damage.commits += usize::from(found.rows < reported.rows || found.version < reported.version);
            let run = ingest_into(&file, json!({ "api_url": self.proxy.url() })).await;
            assert_eq!(run.status, RunStatus::Complete, "power cut at {moment}, {survival:?}, seed {seed}: {run:?}");
            damage.rows += missing(&self.upstream, &file);
        }
        damage
    }
}

/// One run of the program, recorded.
fn run(proxy: &FaultyProxy, folder: &Path, reconcile: bool) -> Option<Vec<FileEvent>> {
    let (database, log) = (folder.join("x.db"), folder.join("log"));
    let mut command = Command::new(binary("github_issues"));
    command.env("GITHUB_API_URL", proxy.url()).env("GITHUB_PAGE_SIZE", "20").env("GITHUB_CONCURRENCY", "2");
    command.arg("--db").arg(&database).args(["-vv", "ingest", REPOSITORY]).args(reconcile.then_some("--reconcile"));
    let mut recorded = trace::recorded(&command, &log);
    let ended = recorded.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    assert!(ended.success(), "a recorded run ended with {ended}");
    Some(trace::read(&log, folder))
}

/// The files after a power cut, in a separate folder, including the database.
fn write_files(disk: &SimulatedDisk, survival: Survival, random: &mut fastrand::Rng) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in disk.after_power_cut(survival, random) {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let file = folder.path().join("x.db");
    (folder, file)
}

#[derive(Debug, Default, PartialEq)]
struct Damage {
    /// Files that are damaged databases.
    files: usize,
    /// Power cuts that lost something reported as committed.
    commits: usize,
    /// Issues that were missing or stale after a rerun.
    rows: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_at_any_moment_loses_no_commit() {
    let cuts = number("SNOWFEED_POWER_CUTS").unwrap_or(40);
    let seed = number("SNOWFEED_SEED").unwrap_or(5);
    let Some(recording) = Recording::new(seed).await else {
        skipped("there is no strace, which records a process's writes");
        return;
    };
    let writes = recording.count(|event| matches!(event, FileEvent::Write { .. }));
    let syncs = recording.count(|event| matches!(event, FileEvent::Sync(_) | FileEvent::SyncFolder));
    let reports = recording.count(|event| matches!(event, FileEvent::Reported));
    assert!(writes > 100 && syncs > 20 && reports >= RUNS, "{writes} writes, {syncs} syncs, {reports} reports");
    let damage = recording.cut(cuts, seed, SimulatedDisk::default()).await;
    println!(
        "power cuts: {cuts}, in {RUNS} runs with {writes} writes, {syncs} syncs and {reports} commits; files damaged {}, \
         commits lost {}, rows missing after a rerun {}",
        damage.files, damage.commits, damage.rows
    );
    assert_eq!(damage, Damage::default(), "seed {seed}");
    // The test can fail: a disk that ignores syncs loses commits.
    let damage = recording.cut(cuts, seed, SimulatedDisk::ignoring_syncs()).await;
    println!(
        "the same on a disk that ignores syncs: files damaged {}, commits lost {}, rows missing after a rerun {}",
        damage.files, damage.commits, damage.rows
    );
    assert!(damage.files + damage.commits > 0, "ignored syncs caused no detected damage");
}
