//! Repeated kills at random moments.

use std::io::Write;
use std::time::Duration;

use github_server::{GithubServer, Mutations};

use crate::oracle::{Discrepancies, Repository};
use crate::peers::environment::number;
use crate::process::{Process, Scenario};
use crate::target::KillTarget;

const REPOSITORIES: [&str; 2] = ["acme/widgets", "acme/gadgets"];

/// At most this many kills, then the database is compared and the next one begins.
const KILLS_PER_DATABASE: u32 = 10;

/// The second repository is renamed after this many kills.
const KILLS_PER_RENAME: u32 = 7;

struct RandomKills<'a> {
    upstream: &'a GithubServer,
    place: &'a dyn KillTarget,
    repositories: [Repository; 2],
    rng: fastrand::Rng,
}

impl RandomKills<'_> {
    fn scene(&self, database: u32) -> Scenario<'_> {
        Scenario { upstream: self.upstream, place: self.place, database, resources: &REPOSITORIES }
    }

    /// Starts a run and kills it after this many requests and this much time; false: it had already ended.
    fn kill(&mut self, database: u32, reconcile: bool) -> bool {
        let linger = u64::try_from(self.place.max_kill_delay().as_micros()).unwrap();
        let (requests, then) = (self.rng.u64(0..45), Duration::from_micros(self.rng.u64(0..linger)));
        let until = self.upstream.counts().requests + requests;
        let mut process = Process::start(&mut self.scene(database).ingest(&[], reconcile));
        if !process.runs_until(|| self.upstream.counts().requests >= until) {
            return false;
        }
        std::thread::sleep(then);
        let killed = process.kill();
        self.place.end_sessions();
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
            let look = self.place.read(database, repository.resource());
            damage += repository.compare(self.upstream, &look, exactly);
        }
        damage
    }
}

pub(crate) fn kill_and_compare(place: &dyn KillTarget) {
    let kills = number("SNOWFEED_KILLS").map_or(place.default_kills(), |kills| u32::try_from(kills).unwrap());
    let seed = number("SNOWFEED_SEED").unwrap_or(9);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let [large, small] = place.issue_counts();
    let upstream =
        GithubServer::builder().seed(seed).repository(REPOSITORIES[0], large).repository(REPOSITORIES[1], small);
    let upstream = runtime.block_on(upstream.start()).unwrap();
    let repositories = REPOSITORIES.map(|name| Repository(vec![name.to_owned()]));
    let mut trial = RandomKills { upstream: &upstream, place, repositories, rng: fastrand::Rng::with_seed(seed) };
    let churn = Mutations { changes: 3, deletions: true, bulk_edits: true };
    let (mut killed, mut ahead, mut damage) = (0, 0, Discrepancies::default());
    for database in 0.. {
        if killed >= kills {
            break;
        }
        // A reconcile run would repair losses, so half of the databases see none before they are compared.
        let with_passes = database % 2 == 1;
        let goal = kills.min(killed + KILLS_PER_DATABASE.min(kills.div_ceil(2)));
        while killed < goal {
            upstream.set_mutations(churn);
            let reconcile = with_passes && trial.rng.bool();
            if trial.kill(database, reconcile) {
                upstream.set_mutations(Mutations::NONE);
                ahead += trial.compare(database, false).ahead;
                killed += 1;
                if killed % KILLS_PER_RENAME == 0 {
                    trial.rename();
                }
            } else {
                // Once everything has been read there is little to do: changes make more work.
                upstream.bulk_edit(REPOSITORIES[0], usize::try_from(large / 2).unwrap());
                upstream.clock().advance(Duration::from_secs(30));
            }
        }
        upstream.set_mutations(Mutations::NONE);
        trial.scene(database).run(false);
        damage += Discrepancies { left_over: 0, ..trial.compare(database, false) };
        // The first reconcile run may be the rest of one that began before the last deletions.
        trial.scene(database).run(true);
        trial.scene(database).run(true);
        let left = trial.compare(database, true);
        assert_eq!(left, Discrepancies::default(), "after a full pass of database {database}, seed {seed}");
        place.drop_database(database);
    }
    let Discrepancies { lost, duplicated: double, .. } = damage;
    let said = format!(
        "{}: kills {killed}, rows lost {lost}, rows double {double}, checkpoint ahead of {ahead} rows\n",
        place.name()
    );
    // Bypasses the test's own capture: this line is the purpose of the test.
    std::io::stderr().write_all(said.as_bytes()).unwrap();
    assert_eq!((damage, ahead), (Discrepancies::default(), 0), "seed {seed}");
}
