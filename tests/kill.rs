//! `kill -9` of the example `github_issues` while it reads an upstream that changes at every request: at many points, again
//! and again; then the table is compared with the upstream, row by row.
//!
//! `SNOWFEED_KILLS` says how many (30 unless set), `SNOWFEED_SEED` from which number all chance follows.
#![cfg(all(feature = "cli", feature = "github"))]
#![allow(clippy::unwrap_used, reason = "what fails in a test ends it")]

#[cfg(feature = "snowflake")]
#[path = "support/peers.rs"]
mod peers;
#[path = "kill/place.rs"]
mod place;

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use place::{Files, Place};
use snowfeed::testkit::upstream::{Churn, Upstream};

const REPOSITORIES: [&str; 2] = ["acme/widgets", "acme/gadgets"];

/// At most so many kills, then a database is compared and the next one begins.
const KILLS_OF_ONE: u32 = 10;

/// Longer than any process here takes.
const LONG: Duration = Duration::from_secs(120);

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let binary = folder.join(format!("github_issues{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{} is missing: `cargo build --examples` makes it", binary.display());
    binary
}

/// A process that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One database of a place, and what is ingested into it.
struct Scene<'a> {
    upstream: &'a Upstream,
    place: &'a dyn Place,
    database: u32,
}

impl Scene<'_> {
    fn start(&self, reconcile: bool) -> Process {
        let mut command = Command::new(binary());
        command.env_clear().env("GITHUB_API_URL", self.upstream.url());
        self.place.point(&mut command, self.database);
        command.arg("ingest").args(REPOSITORIES).args(reconcile.then_some("--reconcile"));
        Process(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Runs to a good end.
    fn run(&self, reconcile: bool) {
        let mut process = self.start(reconcile);
        let status = process.0.wait().unwrap();
        assert!(status.success(), "a run that nobody disturbed ended with {status}");
    }

    /// Starts a run and kills it after so many requests and so much time; false: it had ended before.
    fn kill(&self, reconcile: bool, requests: u64, then: Duration) -> bool {
        let until = self.upstream.counts().requests + requests;
        let mut process = self.start(reconcile);
        let began = Instant::now();
        while self.upstream.counts().requests < until {
            if let Some(status) = process.0.try_wait().unwrap() {
                assert!(status.success(), "a run ended by itself with {status}");
                return false;
            }
            assert!(began.elapsed() < LONG, "a run hangs");
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(then);
        process.0.kill().unwrap();
        let status = process.0.wait().unwrap();
        assert!(status.success() || status.code().is_none(), "a run ended by itself with {status}");
        self.place.bury();
        !status.success()
    }

    fn compare(&self) -> Damage {
        let mut damage = Damage::default();
        for repository in REPOSITORIES {
            let mut rows: HashMap<i64, (String, bool)> = HashMap::new();
            for (id, text, live) in self.place.rows(self.database, repository) {
                damage.double += usize::from(rows.insert(id, (text, live)).is_some());
            }
            self.upstream.visit(repository, |issue| {
                let row = rows.remove(&i64::try_from(issue.id).unwrap());
                damage.lost += usize::from(row != Some((issue.text, true)));
            });
            damage.left_over += rows.values().filter(|(_, live)| *live).count();
        }
        damage
    }
}

#[derive(Debug, Default, PartialEq)]
struct Damage {
    /// Issues of the upstream that have no live row with their present text.
    lost: usize,
    /// Rows beyond one for each issue.
    double: usize,
    /// Live rows of issues that the upstream no longer has.
    left_over: usize,
}

fn kill_and_compare(place: &dyn Place) {
    let kills = number("SNOWFEED_KILLS").map_or(place.kills(), |kills| u32::try_from(kills).unwrap());
    let seed = number("SNOWFEED_SEED").unwrap_or(9);
    let mut chance = fastrand::Rng::with_seed(seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let upstream = Upstream::builder().seed(seed).repository(REPOSITORIES[0], 3_000).repository(REPOSITORIES[1], 300);
    let upstream = runtime.block_on(upstream.start()).unwrap();
    let churn = Churn { changes: 3, deletions: true, bulk_edits: true };
    let linger = u64::try_from(place.linger().as_micros()).unwrap();
    let (mut killed, mut damage) = (0, Damage::default());
    for database in 0.. {
        if killed >= kills {
            break;
        }
        let scene = Scene { upstream: &upstream, place, database };
        // A full pass would mend what was lost, so that half of the databases see none before they are compared.
        let with_passes = database % 2 == 1;
        let goal = kills.min(killed + KILLS_OF_ONE.min(kills.div_ceil(2)));
        while killed < goal {
            upstream.set_churn(churn);
            let reconcile = with_passes && chance.bool();
            let (requests, then) = (chance.u64(0..45), Duration::from_micros(chance.u64(0..linger)));
            if scene.kill(reconcile, requests, then) {
                killed += 1;
            } else {
                // Once everything has been read there is little to do: something happens, and there is more.
                upstream.bulk_edit(REPOSITORIES[0], 1_500);
                upstream.clock().advance(Duration::from_secs(30));
            }
        }
        upstream.set_churn(Churn::NONE);
        scene.run(false);
        let Damage { lost, double, .. } = scene.compare();
        damage.lost += lost;
        damage.double += double;
        // The first full pass may be the rest of one that began before the last deletions.
        scene.run(true);
        scene.run(true);
        assert_eq!(scene.compare(), Damage::default(), "after a full pass of database {database}, seed {seed}");
    }
    // Past the test's own capture: this line is what the test is run for.
    let Damage { lost, double, .. } = damage;
    let said = format!("{}: kills {killed}, rows lost {lost}, rows double {double}\n", place.name());
    std::io::stderr().write_all(said.as_bytes()).unwrap();
    assert_eq!(damage, Damage::default(), "seed {seed}");
}

#[test]
fn no_kill_loses_or_doubles_a_row() {
    kill_and_compare(&Files::new());
}

#[cfg(feature = "snowflake")]
#[test]
fn no_kill_loses_or_doubles_a_row_in_snowflake() {
    if let Some(account) = place::Account::new() {
        kill_and_compare(&account);
    }
}
