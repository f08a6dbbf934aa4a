//! A changing data set, and a source that reads it by keyset: everything that happens on a GitHub-like server, without the
//! server.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use proptest::prelude::*;
use snowfeed::VerifyRequest;
use snowfeed::prelude::*;

/// Each item belongs to one of three streams, which are read side by side.
pub(crate) const STREAMS: [&str; 3] = ["first", "second", "third"];

/// A change.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Create,
    Edit(u16),
    /// A change that keeps the version: only a reconcile run finds it.
    Silent(u16),
    Delete(u16),
    /// This many changes at one instant.
    Bulk(u8),
    /// Advances the clock; without it, changes share an instant.
    Tick,
}

/// The changes of one interval.
pub(crate) fn changes(max: usize) -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        2 => Just(Change::Create),
        6 => any::<u16>().prop_map(Change::Edit),
        1 => any::<u16>().prop_map(Change::Silent),
        2 => any::<u16>().prop_map(Change::Delete),
        1 => (1..20_u8).prop_map(Change::Bulk),
        4 => Just(Change::Tick),
    ];
    proptest::collection::vec(change, 0..=max)
}

/// The state of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) version: i64,
    /// Counts its changes, including the silent ones.
    revision: u32,
}

/// All items.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scenario {
    pub(crate) items: BTreeMap<u32, Item>,
    now: i64,
    last_key: u32,
    /// The changes still to apply during a read.
    pub(crate) pending: VecDeque<Change>,
    pub(crate) changed_silently: bool,
}

impl Scenario {
    pub(crate) fn change(&mut self, change: Change) {
        match change {
            Change::Create => {
                self.last_key += 1;
                self.items.insert(self.last_key, Item { version: self.now, revision: 0 });
            }
            Change::Edit(pick) => {
                let now = self.now;
                self.edit(pick, |item| *item = Item { version: now, revision: item.revision + 1 });
            }
            Change::Silent(pick) => {
                self.changed_silently = true;
                self.edit(pick, |item| item.revision += 1);
            }
            Change::Delete(pick) => {
                if let Some(key) = self.pick(pick) {
                    self.items.remove(&key);
                }
            }
            Change::Bulk(count) => (0..u16::from(count)).for_each(|n| self.change(Change::Edit(n.wrapping_mul(7_919)))),
            Change::Tick => self.now += 1,
        }
    }

    fn pick(&self, pick: u16) -> Option<u32> {
        self.items.keys().nth(usize::from(pick) % self.items.len().max(1)).copied()
    }

    fn edit(&mut self, pick: u16, change: impl FnOnce(&mut Item)) {
        if let Some(item) = self.pick(pick).and_then(|key| self.items.get_mut(&key)) {
            change(item);
        }
    }

    /// Applies the changes of the next interval.
    fn advance(&mut self) {
        for _ in 0..3 {
            if let Some(change) = self.pending.pop_front() {
                self.change(change);
            }
        }
    }

    /// The documents of a stream.
    pub(crate) fn documents(&self, stream: &str) -> BTreeMap<u32, String> {
        let items = self.items.iter().filter(|(key, _)| stream_of(**key) == stream);
        items.map(|(key, item)| (*key, document(*key, *item))).collect()
    }
}

pub(crate) fn stream_of(key: u32) -> &'static str {
    STREAMS[key as usize % STREAMS.len()]
}

fn document(key: u32, item: Item) -> String {
    format!(r#"{{"id":{key},"version":{},"revision":{}}}"#, item.version, item.revision)
}

fn record(key: u32, item: Item) -> Record {
    Record::upsert(key.to_string(), Version(item.version), document(key, item))
}

/// Reads the items of a stream in the order of versions, a few at a time. After an instant it reads that same instant again,
/// because more changes may have happened in it.
#[derive(Debug, Clone)]
pub(crate) struct ScenarioSource {
    pub(crate) scenario: Arc<Mutex<Scenario>>,
    /// How many items later than the last instant one step reads.
    pub(crate) step: usize,
    /// The stream that fails after three batches, if any.
    pub(crate) failing: Option<&'static str>,
    /// A deliberate bug: checkpoints name the instant after the last one that was read.
    pub(crate) skips_records: bool,
}

impl ScenarioSource {
    /// The items of one step of a stream, and the instant that it reaches; `None` at the end.
    fn read_step(&self, stream: &str, since: Option<i64>) -> (Vec<(u32, Item)>, Option<i64>) {
        let mut scenario = self.scenario.lock().unwrap();
        scenario.advance();
        let mut later: Vec<(u32, Item)> = scenario.items.iter().map(|(key, item)| (*key, *item)).collect();
        later.retain(|(key, item)| stream_of(*key) == stream && since.is_none_or(|since| item.version >= since));
        later.sort_by_key(|(key, item)| (item.version, *key));
        let reread = later.iter().filter(|(_, item)| Some(item.version) == since).count();
        let Some((_, last)) = later.get((reread + self.step).min(later.len()).wrapping_sub(1)) else {
            return (later, None);
        };
        let reached = last.version;
        later.retain(|(_, item)| item.version <= reached);
        (later, (Some(reached) > since).then_some(reached))
    }
}

#[async_trait]
impl Source for ScenarioSource {
    fn spec(&self) -> SourceSpec {
        let stream = |name| {
            let stream = StreamSpec::new(name).column("id", "id", ColumnType::Integer);
            // Its view is extended between commits.
            if name == STREAMS[0] { stream.infer_columns() } else { stream }
        };
        STREAMS.iter().fold(SourceSpec::new("items", "1"), |spec, name| spec.stream(stream(*name)))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Reader for ScenarioSource {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::iter([Resource::new("items")]).boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let (reader, name) = (self.clone(), request.stream);
        let since = request.checkpoint.map(|checkpoint| checkpoint.parse::<i64>().unwrap());
        let fails = self.failing.is_some_and(|failing| failing == name);
        let failure = fails.then(|| Err(Error::unavailable("the stream fails")));
        let steps = stream::unfold(Some(since), move |since| {
            let (reader, name) = (reader.clone(), name.clone());
            async move {
                let since = since?;
                let (items, reached) = reader.read_step(&name, since);
                // Only the second half has a checkpoint, which covers both.
                let (first, second) = items.split_at(items.len() / 2);
                let mut batches = [first, second]
                    .map(|items| Batch::new().records(items.iter().map(|(key, item)| record(*key, *item))));
                let skipped = i64::from(reader.skips_records);
                batches[1].checkpoint = reached.or(since).map(|at| Checkpoint::new(&(at + skipped)).unwrap());
                Some((stream::iter(batches.map(Ok)), reached.map(Some)))
            }
        });
        let batches = steps.flatten().take(if fails { 3 } else { usize::MAX });
        batches.chain(stream::iter(failure)).boxed()
    }

    async fn verify(&self, request: VerifyRequest) -> Result<Vec<Record>> {
        let scenario = self.scenario.lock().unwrap();
        let verify = |record: snowfeed::StoredRecord| match scenario.items.get(&record.key.parse().unwrap()) {
            Some(item) => self::record(record.key.parse().unwrap(), *item),
            None => Record::delete(record.key, record.version),
        };
        Ok(request.records.into_iter().map(verify).collect())
    }
}
