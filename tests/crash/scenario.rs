//! A changing data set, and a source that reads it by keyset: everything that happens on a GitHub-like server, without the
//! server.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use proptest::prelude::*;
use snowfeed::VerifyRequest;
use snowfeed::prelude::*;

/// Two tables, so that one read step takes two batches, and a checkpoint covers both.
pub(crate) const TABLES: [&str; 2] = ["even", "odd"];

/// A change.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Create,
    Edit(u16),
    /// A change that moves no version: only a reconcile run finds it.
    Silent(u16),
    Delete(u16),
    /// This many changes at one instant.
    Bulk(u8),
    /// Advances the clock; without it, changes share an instant.
    Tick,
}

/// The changes of one interval.
pub(crate) fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        2 => Just(Change::Create),
        6 => any::<u16>().prop_map(Change::Edit),
        1 => any::<u16>().prop_map(Change::Silent),
        2 => any::<u16>().prop_map(Change::Delete),
        1 => (1..20_u8).prop_map(Change::Bulk),
        4 => Just(Change::Tick),
    ];
    proptest::collection::vec(change, 0..=most)
}

/// The state of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thing {
    pub(crate) version: i64,
    /// Counts its changes, including the silent ones.
    revision: u32,
}

/// All items.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scenario {
    pub(crate) things: BTreeMap<u32, Thing>,
    now: i64,
    born: u32,
    /// The changes still to apply during a read.
    pub(crate) coming: VecDeque<Change>,
    pub(crate) changed_silently: bool,
}

impl Scenario {
    pub(crate) fn change(&mut self, change: Change) {
        match change {
            Change::Create => {
                self.born += 1;
                self.things.insert(self.born, Thing { version: self.now, revision: 0 });
            }
            Change::Edit(pick) => {
                let now = self.now;
                self.on(pick, |thing| *thing = Thing { version: now, revision: thing.revision + 1 });
            }
            Change::Silent(pick) => {
                self.changed_silently = true;
                self.on(pick, |thing| thing.revision += 1);
            }
            Change::Delete(pick) => {
                if let Some(key) = self.pick(pick) {
                    self.things.remove(&key);
                }
            }
            Change::Bulk(count) => (0..u16::from(count)).for_each(|n| self.change(Change::Edit(n.wrapping_mul(7_919)))),
            Change::Tick => self.now += 1,
        }
    }

    fn pick(&self, pick: u16) -> Option<u32> {
        self.things.keys().nth(usize::from(pick) % self.things.len().max(1)).copied()
    }

    fn on(&mut self, pick: u16, change: impl FnOnce(&mut Thing)) {
        if let Some(thing) = self.pick(pick).and_then(|key| self.things.get_mut(&key)) {
            change(thing);
        }
    }

    /// Applies the changes of the next interval.
    fn go_on(&mut self) {
        for _ in 0..3 {
            if let Some(change) = self.coming.pop_front() {
                self.change(change);
            }
        }
    }

    /// The documents of a table.
    pub(crate) fn documents(&self, table: &str) -> BTreeMap<u32, String> {
        let things = self.things.iter().filter(|(key, _)| table_of(**key) == table);
        things.map(|(key, thing)| (*key, document(*key, *thing))).collect()
    }
}

pub(crate) fn table_of(key: u32) -> &'static str {
    TABLES[key as usize % 2]
}

fn document(key: u32, thing: Thing) -> String {
    format!(r#"{{"id":{key},"version":{},"revision":{}}}"#, thing.version, thing.revision)
}

fn record(key: u32, thing: Thing) -> Record {
    Record::upsert(key.to_string(), Version(thing.version), document(key, thing))
}

/// Reads the items in the order of versions, a few at a time. After an instant it reads that same instant again,
/// because more changes may have happened in it.
#[derive(Debug, Clone)]
pub(crate) struct ScenarioSource {
    pub(crate) scenario: Arc<Mutex<Scenario>>,
    /// How many items later than the last instant one step reads.
    pub(crate) step: usize,
    /// A deliberate bug: checkpoints name the instant after the last one that was read.
    pub(crate) skips: bool,
}

impl ScenarioSource {
    /// The items of one step, and the instant that it reaches; `None` at the end.
    fn read_step(&self, since: Option<i64>) -> (Vec<(u32, Thing)>, Option<i64>) {
        let mut scenario = self.scenario.lock().unwrap();
        scenario.go_on();
        let mut later: Vec<(u32, Thing)> = scenario.things.iter().map(|(key, thing)| (*key, *thing)).collect();
        later.retain(|(_, thing)| since.is_none_or(|since| thing.version >= since));
        later.sort_by_key(|(key, thing)| (thing.version, *key));
        let again = later.iter().filter(|(_, thing)| Some(thing.version) == since).count();
        let Some((_, last)) = later.get((again + self.step).min(later.len()).wrapping_sub(1)) else {
            return (later, None);
        };
        let reached = last.version;
        later.retain(|(_, thing)| thing.version <= reached);
        (later, (Some(reached) > since).then_some(reached))
    }
}

#[async_trait]
impl Source for ScenarioSource {
    fn spec(&self) -> SourceSpec {
        let table = |name| TableSpec::new(name).column("id", "id", ColumnType::Integer);
        TABLES.iter().fold(SourceSpec::new("world", "1"), |spec, name| spec.table(table(*name)))
    }

    async fn connect(&self, _: &Settings, _: Context) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for ScenarioSource {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::iter([Resource::new("world")]).boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let reader = self.clone();
        let since = request.checkpoint.map(|checkpoint| checkpoint.parse::<i64>().unwrap());
        let steps = stream::unfold(Some(since), move |since| {
            let reader = reader.clone();
            async move {
                let since = since?;
                let (things, reached) = reader.read_step(since);
                let mut batches = TABLES.map(|table| {
                    let things = things.iter().filter(|(key, _)| table_of(*key) == table);
                    Batch::new(table).records(things.map(|(key, thing)| record(*key, *thing)))
                });
                let skipped = i64::from(reader.skips);
                batches[1].checkpoint = reached.or(since).map(|at| Checkpoint::new(&(at + skipped)).unwrap());
                Some((stream::iter(batches.map(Ok)), reached.map(Some)))
            }
        });
        steps.flatten().boxed()
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        let scenario = self.scenario.lock().unwrap();
        let look = |record: snowfeed::StoredRecord| match scenario.things.get(&record.key.parse().unwrap()) {
            Some(thing) => self::record(record.key.parse().unwrap(), *thing),
            None => Record::delete(record.key, record.version),
        };
        Ok(request.records.into_iter().map(look).collect())
    }
}
