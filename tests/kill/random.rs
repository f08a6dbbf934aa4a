//! Repeated kills at random moments.

use std::io::Write;
use std::time::Duration;

use github_server::{GithubServer, Mutations};

use crate::oracle::{Discrepancies, Repository};
use crate::peers::environment::number;
use crate::process::{Process, Scenario};
use crate::target::KillTarget;

const REPOSITORIES: [&str; 2] = ["acme/widgets", "acme/gadgets"];

/// The number of kills after which a database is compared and a new one is used.
const KILLS_PER_DATABASE: u32 = 10;

/// The second repository is renamed after this many kills.
const KILLS_PER_RENAME: u32 = 7;

struct RandomKills<'a> {
    upstream: &'a GithubServer,
    target: &'a dyn KillTarget,
    repositories: [Repository; 2],
    rng: fastrand::Rng,
}

impl RandomKills<'_> {
    fn scenario(&self, database: u32) -> Scenario<'_> {
        Scenario { upstream: self.upstream, target: self.target, database, resources: &REPOSITORIES }
    }

    /// Starts a run and kills it after this many requests and this much time. Returns false if it had already ended.
    fn kill(&mut self, database: u32, reconcile: bool) -> bool {
        let max_delay = u64::try_from(self.target.max_kill_delay().as_micros()).unwrap();
        let (requests, delay) = (self.rng.u64(0..45), Duration::from_micros(self.rng.u64(0..max_delay)));
        let until = self.upstream.counts().requests + requests;
        let mut process = Process::start(&mut self.scenario(database).ingest(&[], reconcile));
        if !process.runs_until(|| self.upstream.counts().requests >= until) {
            return false;
        }
        std::thread::sleep(delay);
        let killed = process.kill();
        self.target.end_sessions();
        killed
    }

    fn rename(&mut self) {
        let [_, gadgets] = &mut self.repositories;
        let name = format!("acme/moved-{:04}", gadgets.0.len());
        self.upstream.rename_repository(gadgets.name(), &name);
        gadgets.0.push(name);
    }

    fn compare(&self, database: u32, exactly: bool) -> Discrepancies {
        let mut damage = Discrepancies::default();
        for repository in &self.repositories {
            let stored = self.target.read(database, repository.resource());
            damage += repository.compare(self.upstream, &stored, exactly);
        }
        damage
    }
}

pub(crate) fn kill_and_compare(target: &dyn KillTarget) {
    let kills = number("SNOWFEED_KILLS").map_or(target.default_kills(), |kills| u32::try_from(kills).unwrap());
    let seed = number("SNOWFEED_SEED").unwrap_or(9);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let [large, small] = target.issue_counts();
    let upstream =
        GithubServer::builder().seed(seed).repository(REPOSITORIES[0], large).repository(REPOSITORIES[1], small);
    let upstream = runtime.block_on(upstream.start()).unwrap();
    let repositories = REPOSITORIES.map(|name| Repository(vec![name.to_owned()]));
    let mut random_kills =
        RandomKills { upstream: &upstream, target, repositories, rng: fastrand::Rng::with_seed(seed) };
    let mutations = Mutations { changes: 3, deletions: true, bulk_edits: true };
    let (mut killed, mut ahead, mut damage) = (0, 0, Discrepancies::default());
    for database in 0.. {
        if killed >= kills {
            break;
        }
        // A reconcile run would repair losses, so only half of the databases get one before the comparison.
        let reconciles = database % 2 == 1;
        let goal = kills.min(killed + KILLS_PER_DATABASE.min(kills.div_ceil(2)));
        while killed < goal {
            upstream.set_mutations(mutations);
            let reconcile = reconciles && random_kills.rng.bool();
            if random_kills.kill(database, reconcile) {
                upstream.set_mutations(Mutations::NONE);
                ahead += random_kills.compare(database, false).ahead;
                killed += 1;
                if killed % KILLS_PER_RENAME == 0 {
                    random_kills.rename();
                }
            } else {
                // Once everything has been read, changes keep the runs busy.
                upstream.bulk_edit(REPOSITORIES[0], usize::try_from(large / 2).unwrap());
                upstream.clock().advance(Duration::from_secs(30));
            }
        }
        upstream.set_mutations(Mutations::NONE);
        random_kills.scenario(database).run(false);
        damage += Discrepancies { left_over: 0, ..random_kills.compare(database, false) };
        // The first run may resume a reconciliation from before the last deletions.
        random_kills.scenario(database).run(true);
        random_kills.scenario(database).run(true);
        let discrepancies = random_kills.compare(database, true);
        assert_eq!(discrepancies, Discrepancies::default(), "after reconcile runs of database {database}, seed {seed}");
        target.drop_database(database);
    }
    let Discrepancies { lost, duplicated, .. } = damage;
    let report = format!(
        "{}: kills {killed}, rows lost {lost}, rows duplicated {duplicated}, checkpoint ahead of {ahead} rows\n",
        target.name()
    );
    // Bypasses the test's own capture: this line is the purpose of the test.
    std::io::stderr().write_all(report.as_bytes()).unwrap();
    assert_eq!((damage, ahead), (Discrepancies::default(), 0), "seed {seed}");
}
