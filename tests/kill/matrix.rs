//! Kills at every step that has a name: on the way to the first tables, in a first run, in one that brings news, in a full pass.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::time::Duration;

use github_server::{GithubServer, Mutations};

use crate::oracle::{Damage, Repository};
use crate::place::{Look, Place};
use crate::process::Scene;
use crate::steps::{Step, Steps};

pub(crate) const REPOSITORY: &str = "acme/widgets";

/// So many that what a first run commits goes through the stage of Snowflake.
pub(crate) const ISSUES: u32 = 700;

/// How long the upstream's clock goes on before and after what happens between two runs.
const WHILE: Duration = Duration::from_secs(30);

/// What a run finds when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Nothing,
    Empty,
    News,
    FullPass,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Nothing, Self::Empty, Self::News, Self::FullPass];

    /// Whether a database can begin so only once.
    fn is_once(self) -> bool {
        matches!(self, Self::Nothing | Self::Empty)
    }

    fn title(self) -> &'static str {
        match self {
            Self::Nothing => "first tables",
            Self::Empty => "first run",
            Self::News => "run with news",
            Self::FullPass => "full pass",
        }
    }
}

/// What came of the kills at the steps of one name.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    damage: Damage,
}

/// At how many steps there is a kill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// At most at so many of each name…
    pub(crate) of_each: usize,
    /// … and at one in so many of those.
    pub(crate) one_in: usize,
}

pub(crate) struct Matrix<'a> {
    upstream: &'a GithubServer,
    place: &'a dyn Place,
    databases: u32,
    tallies: BTreeMap<(Phase, String), Tally>,
    /// Steps that a run did not come to when it was to be killed there.
    missed: usize,
}

impl<'a> Matrix<'a> {
    pub(crate) fn new(upstream: &'a GithubServer, place: &'a dyn Place) -> Self {
        // The databases of the random kills have the numbers below.
        Self { upstream, place, databases: 10_000, tallies: BTreeMap::new(), missed: 0 }
    }

    /// Kills at these steps.
    pub(crate) fn strike(&mut self, steps: &dyn Steps, extent: Extent) {
        for phase in Phase::ALL {
            self.make(phase);
            self.change();
            let all = steps.watch(&self.scene(), phase == Phase::FullPass);
            for step in choose(all, extent.of_each).into_iter().step_by(extent.one_in) {
                // Which call is the next one is partly chance: a step that was not met is waited for once more.
                let met = (0..2).any(|_| self.strike_one(steps, phase, &step));
                self.missed += usize::from(!met);
            }
            // What was deleted after a full pass had begun is found by the next one.
            self.scene().run(true);
            self.scene().run(true);
            assert_eq!(self.compare(&self.look(), true), Damage::default(), "{}", phase.title());
            self.place.discard(self.databases);
        }
    }

    /// Whether the step was met.
    fn strike_one(&mut self, steps: &dyn Steps, phase: Phase, step: &Step) -> bool {
        if phase.is_once() {
            self.place.discard(self.databases);
            self.make(phase);
        }
        self.change();
        let reconcile = phase == Phase::FullPass;
        let before = self.look().run;
        self.upstream.set_churn(Mutations { changes: 3, deletions: true, bulk_edits: true });
        let killed = steps.kill(&self.scene(), reconcile, step);
        self.upstream.set_churn(Mutations::NONE);
        self.place.bury();
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
        damage.double += right_after.double;
        let tally = self.tallies.entry((phase, title)).or_default();
        tally.kills += 1;
        tally.damage += damage;
        true
    }

    /// Makes a database as a run of the phase finds it.
    fn make(&mut self, phase: Phase) {
        self.databases += 1;
        match phase {
            Phase::Nothing => {}
            Phase::Empty => self.scene().make(),
            Phase::News | Phase::FullPass => self.scene().run(false),
        }
    }

    /// What happens at the upstream between two runs.
    fn change(&self) {
        self.upstream.clock().advance(WHILE);
        self.upstream.create(REPOSITORY, 3);
        self.upstream.bulk_edit(REPOSITORY, 40);
        let issues = self.upstream.snapshot(REPOSITORY);
        // However many kills there are, the repository stays as large as it was: what is made in excess is deleted.
        let excess = issues.len().saturating_sub(usize::try_from(ISSUES).unwrap()).max(2);
        issues
            .iter()
            .map(|issue| issue.number)
            .take(excess)
            .for_each(|number| self.upstream.delete(REPOSITORY, number));
        self.upstream.clock().advance(WHILE);
    }

    fn scene(&self) -> Scene<'_> {
        Scene { upstream: self.upstream, place: self.place, database: self.databases, resources: &[REPOSITORY] }
    }

    fn look(&self) -> Look {
        self.place.look(self.databases, REPOSITORY)
    }

    fn compare(&self, look: &Look, exactly: bool) -> Damage {
        Repository(vec![REPOSITORY.to_owned()]).compare(self.upstream, look, exactly)
    }

    /// Prints a table, and fails where anything in it is wrong.
    pub(crate) fn report(&self) {
        let name = self.place.name();
        let mut said =
            format!("\n| {name}: run | step | kills | lost | double | checkpoint ahead |\n|---|---|--:|--:|--:|--:|\n");
        let (mut kills, mut all) = (0, Damage::default());
        for ((phase, step), Tally { kills: here, damage }) in &self.tallies {
            let Damage { lost, double, ahead, .. } = damage;
            said += &format!("| {} | {step} | {here} | {lost} | {double} | {ahead} |\n", phase.title());
            kills += here;
            all += *damage;
        }
        let Damage { lost, double, ahead, .. } = all;
        said += &format!(
            "{name}: steps {}, kills {kills}, rows lost {lost}, rows double {double}, checkpoint ahead of {ahead} rows; \
             {} steps were not met again\n",
            self.tallies.len(),
            self.missed
        );
        // Past the test's own capture: this table is what the test is run for.
        std::io::stderr().write_all(said.as_bytes()).unwrap();
        assert_eq!(all, Damage::default());
        assert!(self.missed * 10 <= kills, "too many steps were not met again");
    }
}

/// At most so many steps of each name, spread evenly: the first and the last among them.
fn choose(steps: Vec<Step>, of_each: usize) -> Vec<Step> {
    let mut counts = HashMap::new();
    for step in &steps {
        *counts.entry(step.name.clone()).or_insert(0) += 1;
    }
    let mut places = HashMap::new();
    let mut is_chosen = |step: &Step| {
        let (count, next) = (counts[&step.name], places.entry(step.name.clone()).or_insert(0));
        let place = std::mem::replace(next, *next + 1);
        let most = of_each.min(count);
        (0..most).any(|mark| place == mark * (count - 1) / (most - 1).max(1))
    };
    steps.into_iter().filter(|step| is_chosen(step)).collect()
}
