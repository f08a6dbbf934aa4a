//! Kills at every named step: while the first tables are made, in a first run, in an incremental run, in a reconcile run.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::time::Duration;

use github_server::{GithubServer, Mutations};

use crate::crash_points::{CrashPoint, CrashPoints};
use crate::oracle::{Discrepancies, Repository};
use crate::process::Scenario;
use crate::target::{KillTarget, ResourceRows};

pub(crate) const REPOSITORY: &str = "acme/widgets";

/// Enough that a first run's commits go through Snowflake's stage.
pub(crate) const ISSUES: u32 = 700;

/// How far the upstream's clock advances before and after the changes between two runs.
const CLOCK_STEP: Duration = Duration::from_secs(30);

/// The state that a run starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    FirstTables,
    FirstRun,
    Incremental,
    Reconcile,
}

impl Phase {
    const ALL: [Self; 4] = [Self::FirstTables, Self::FirstRun, Self::Incremental, Self::Reconcile];

    /// Whether a database can start in this state only once.
    fn is_once(self) -> bool {
        matches!(self, Self::FirstTables | Self::FirstRun)
    }

    fn title(self) -> &'static str {
        match self {
            Self::FirstTables => "first tables",
            Self::FirstRun => "first run",
            Self::Incremental => "run with news",
            Self::Reconcile => "full pass",
        }
    }
}

/// The outcome of the kills at the steps of one name.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    damage: Discrepancies,
}

/// Which steps are kill points.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampling {
    /// At most this many of each name…
    pub(crate) per_name: usize,
    /// … and one in this many of those.
    pub(crate) one_in: usize,
}

pub(crate) struct Matrix<'a> {
    upstream: &'a GithubServer,
    place: &'a dyn KillTarget,
    databases: u32,
    tallies: BTreeMap<(Phase, String), Tally>,
    /// Steps that a run did not reach when it was to be killed there.
    missed: usize,
}

impl<'a> Matrix<'a> {
    pub(crate) fn new(upstream: &'a GithubServer, place: &'a dyn KillTarget) -> Self {
        // The databases of the random kills have the lower numbers.
        Self { upstream, place, databases: 10_000, tallies: BTreeMap::new(), missed: 0 }
    }

    /// Kills at these steps.
    pub(crate) fn kill_at_each(&mut self, steps: &dyn CrashPoints, extent: Sampling) {
        for phase in Phase::ALL {
            self.prepare(phase);
            self.change_upstream();
            let all = steps.record(&self.scene(), phase == Phase::Reconcile);
            for step in sample(all, extent.per_name).into_iter().step_by(extent.one_in) {
                // Which call comes next is partly chance: a missed step is tried once more.
                let met = (0..2).any(|_| self.kill_at(steps, phase, &step));
                self.missed += usize::from(!met);
            }
            // Issues deleted after a reconcile run had begun are found by the next one.
            self.scene().run(true);
            self.scene().run(true);
            assert_eq!(self.compare(&self.look(), true), Discrepancies::default(), "{}", phase.title());
            self.place.drop_database(self.databases);
        }
    }

    /// Whether the step was reached.
    fn kill_at(&mut self, steps: &dyn CrashPoints, phase: Phase, step: &CrashPoint) -> bool {
        if phase.is_once() {
            self.place.drop_database(self.databases);
            self.prepare(phase);
        }
        self.change_upstream();
        let reconcile = phase == Phase::Reconcile;
        let before = self.look().run;
        self.upstream.set_mutations(Mutations { changes: 3, deletions: true, bulk_edits: true });
        let killed = steps.kill_at(&self.scene(), reconcile, step);
        self.upstream.set_mutations(Mutations::NONE);
        self.place.end_sessions();
        if !killed {
            return false;
        }
        let found = self.look();
        let mut title = steps.title(&step.name);
        if !found.reached.is_empty() {
            let reached = if found.run.is_some() && found.run == before { "the run began" } else { &found.reached };
            title = format!("after {reached}, {title}");
        }
        let right_after = self.compare(&found, false);
        self.scene().run(reconcile);
        let mut damage = self.compare(&self.look(), false);
        damage.left_over = 0;
        damage.ahead += right_after.ahead;
        damage.duplicated += right_after.duplicated;
        let tally = self.tallies.entry((phase, title)).or_default();
        tally.kills += 1;
        tally.damage += damage;
        true
    }

    /// Prepares a database as a run of the phase finds it.
    fn prepare(&mut self, phase: Phase) {
        self.databases += 1;
        match phase {
            Phase::FirstTables => {}
            Phase::FirstRun => self.scene().create_database(),
            Phase::Incremental | Phase::Reconcile => self.scene().run(false),
        }
    }

    /// Changes the upstream between two runs.
    fn change_upstream(&self) {
        self.upstream.clock().advance(CLOCK_STEP);
        self.upstream.create(REPOSITORY, 3);
        self.upstream.bulk_edit(REPOSITORY, 40);
        let issues = self.upstream.snapshot(REPOSITORY);
        // However many kills there are, the repository keeps its size: surplus issues are deleted.
        let excess = issues.len().saturating_sub(usize::try_from(ISSUES).unwrap()).max(2);
        issues
            .iter()
            .map(|issue| issue.number)
            .take(excess)
            .for_each(|number| self.upstream.delete(REPOSITORY, number));
        self.upstream.clock().advance(CLOCK_STEP);
    }

    fn scene(&self) -> Scenario<'_> {
        Scenario { upstream: self.upstream, place: self.place, database: self.databases, resources: &[REPOSITORY] }
    }

    fn look(&self) -> ResourceRows {
        self.place.read(self.databases, REPOSITORY)
    }

    fn compare(&self, look: &ResourceRows, exactly: bool) -> Discrepancies {
        Repository(vec![REPOSITORY.to_owned()]).compare(self.upstream, look, exactly)
    }

    /// Prints a table, and fails if anything in it is wrong.
    pub(crate) fn report(&self) {
        let name = self.place.name();
        let mut said =
            format!("\n| {name}: run | step | kills | lost | double | checkpoint ahead |\n|---|---|--:|--:|--:|--:|\n");
        let (mut kills, mut all) = (0, Discrepancies::default());
        for ((phase, step), Tally { kills: here, damage }) in &self.tallies {
            let Discrepancies { lost, duplicated: double, ahead, .. } = damage;
            said += &format!("| {} | {step} | {here} | {lost} | {double} | {ahead} |\n", phase.title());
            kills += here;
            all += *damage;
        }
        let Discrepancies { lost, duplicated: double, ahead, .. } = all;
        said += &format!(
            "{name}: steps {}, kills {kills}, rows lost {lost}, rows double {double}, checkpoint ahead of {ahead} rows; \
             {} steps were not met again\n",
            self.tallies.len(),
            self.missed
        );
        // Bypasses the test's own capture: this table is the purpose of the test.
        std::io::stderr().write_all(said.as_bytes()).unwrap();
        assert_eq!(all, Discrepancies::default());
        assert!(self.missed * 10 <= kills, "too many steps were not met again");
    }
}

/// At most this many steps of each name, evenly spread, including the first and the last.
fn sample(steps: Vec<CrashPoint>, of_each: usize) -> Vec<CrashPoint> {
    let mut counts = HashMap::new();
    for step in &steps {
        *counts.entry(step.name.clone()).or_insert(0) += 1;
    }
    let mut places = HashMap::new();
    let mut is_chosen = |step: &CrashPoint| {
        let (count, next) = (counts[&step.name], places.entry(step.name.clone()).or_insert(0));
        let place = std::mem::replace(next, *next + 1);
        let most = of_each.min(count);
        (0..most).any(|mark| place == mark * (count - 1) / (most - 1).max(1))
    };
    steps.into_iter().filter(|step| is_chosen(step)).collect()
}
