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
            Self::Incremental => "incremental run",
            Self::Reconcile => "reconcile run",
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
    target: &'a dyn KillTarget,
    databases: u32,
    tallies: BTreeMap<(Phase, String), Tally>,
    /// Steps that a run should have been killed at but did not reach.
    missed: usize,
}

impl<'a> Matrix<'a> {
    pub(crate) fn new(upstream: &'a GithubServer, target: &'a dyn KillTarget) -> Self {
        // The databases of the random kills have the lower numbers.
        Self { upstream, target, databases: 10_000, tallies: BTreeMap::new(), missed: 0 }
    }

    /// Kills at these steps.
    pub(crate) fn kill_at_each(&mut self, steps: &dyn CrashPoints, sampling: Sampling) {
        for phase in Phase::ALL {
            self.prepare(phase);
            self.change_upstream();
            let all = steps.record(&self.scenario(), phase == Phase::Reconcile);
            for step in sample(all, sampling.per_name).into_iter().step_by(sampling.one_in) {
                // The order of calls is partly random, so a missed step is tried once more.
                let is_reached = (0..2).any(|_| self.kill_at(steps, phase, &step));
                self.missed += usize::from(!is_reached);
            }
            // The first run may resume a reconciliation from before the last deletions; only the next one finds those.
            self.scenario().run(true);
            self.scenario().run(true);
            assert_eq!(self.compare(&self.read(), true), Discrepancies::default(), "{}", phase.title());
            self.target.drop_database(self.databases);
        }
    }

    /// Whether the step was reached.
    fn kill_at(&mut self, steps: &dyn CrashPoints, phase: Phase, step: &CrashPoint) -> bool {
        if phase.is_once() {
            self.target.drop_database(self.databases);
            self.prepare(phase);
        }
        self.change_upstream();
        let reconcile = phase == Phase::Reconcile;
        let before = self.read().run;
        self.upstream.set_mutations(Mutations { changes: 3, deletions: true, bulk_edits: true });
        let killed = steps.kill_at(&self.scenario(), reconcile, step);
        self.upstream.set_mutations(Mutations::NONE);
        self.target.end_sessions();
        if !killed {
            return false;
        }
        let found = self.read();
        let mut title = steps.title(&step.name);
        if !found.reached.is_empty() {
            let reached = if found.run.is_some() && found.run == before { "the run started" } else { &found.reached };
            title = format!("after {reached}, {title}");
        }
        let right_after = self.compare(&found, false);
        self.scenario().run(reconcile);
        let mut damage = self.compare(&self.read(), false);
        damage.left_over = 0;
        damage.ahead += right_after.ahead;
        damage.duplicated += right_after.duplicated;
        let tally = self.tallies.entry((phase, title)).or_default();
        tally.kills += 1;
        tally.damage += damage;
        true
    }

    /// Prepares a database for a run of the phase.
    fn prepare(&mut self, phase: Phase) {
        self.databases += 1;
        match phase {
            Phase::FirstTables => {}
            Phase::FirstRun => self.scenario().create_database(),
            Phase::Incremental | Phase::Reconcile => self.scenario().run(false),
        }
    }

    /// Changes the upstream between two runs.
    fn change_upstream(&self) {
        self.upstream.clock().advance(CLOCK_STEP);
        self.upstream.create(REPOSITORY, 3);
        self.upstream.bulk_edit(REPOSITORY, 40);
        let issues = self.upstream.snapshot(REPOSITORY);
        // Surplus issues are deleted, so that the repository keeps its size.
        let excess = issues.len().saturating_sub(usize::try_from(ISSUES).unwrap()).max(2);
        issues
            .iter()
            .map(|issue| issue.number)
            .take(excess)
            .for_each(|number| self.upstream.delete(REPOSITORY, number));
        self.upstream.clock().advance(CLOCK_STEP);
    }

    fn scenario(&self) -> Scenario<'_> {
        Scenario { upstream: self.upstream, target: self.target, database: self.databases, resources: &[REPOSITORY] }
    }

    fn read(&self) -> ResourceRows {
        self.target.read(self.databases, REPOSITORY)
    }

    fn compare(&self, stored: &ResourceRows, exactly: bool) -> Discrepancies {
        Repository(vec![REPOSITORY.to_owned()]).compare(self.upstream, stored, exactly)
    }

    /// Prints a table, and fails if any kill caused a discrepancy.
    pub(crate) fn report(&self) {
        let name = self.target.name();
        let mut report = format!(
            "\n| {name}: run | step | kills | lost | duplicated | checkpoint ahead |\n|---|---|--:|--:|--:|--:|\n"
        );
        let (mut kills, mut all) = (0, Discrepancies::default());
        for ((phase, step), Tally { kills: step_kills, damage }) in &self.tallies {
            let Discrepancies { lost, duplicated, ahead, .. } = damage;
            report += &format!("| {} | {step} | {step_kills} | {lost} | {duplicated} | {ahead} |\n", phase.title());
            kills += step_kills;
            all += *damage;
        }
        let Discrepancies { lost, duplicated, ahead, .. } = all;
        report += &format!(
            "{name}: steps {}, kills {kills}, rows lost {lost}, rows duplicated {duplicated}, checkpoint ahead of {ahead} rows; \
             {} steps were not reached again\n",
            self.tallies.len(),
            self.missed
        );
        // Bypasses the test's own capture: this table is the purpose of the test.
        std::io::stderr().write_all(report.as_bytes()).unwrap();
        assert_eq!(all, Discrepancies::default());
        assert!(self.missed * 10 <= kills, "too many steps were not reached again");
    }
}

/// At most this many steps of each name, evenly spread, including the first and the last.
fn sample(steps: Vec<CrashPoint>, per_name: usize) -> Vec<CrashPoint> {
    let mut counts = HashMap::new();
    for step in &steps {
        *counts.entry(step.name.clone()).or_insert(0) += 1;
    }
    let mut indexes = HashMap::new();
    let mut is_chosen = |step: &CrashPoint| {
        let (count, next) = (counts[&step.name], indexes.entry(step.name.clone()).or_insert(0));
        let index = std::mem::replace(next, *next + 1);
        let max = per_name.min(count);
        (0..max).any(|mark| index == mark * (count - 1) / (max - 1).max(1))
    };
    steps.into_iter().filter(|step| is_chosen(step)).collect()
}
