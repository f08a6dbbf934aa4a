//! Records other than issues: each kind of a repository has a table of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use crate::timeline::{Orders, Times};

/// A kind of record, other than issues and pull requests, with a list of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// `issues/comments`: comments on issues and pull requests.
    IssueComment,
    /// `pulls/comments`: comments on lines of a pull request.
    ReviewComment,
    /// `labels`.
    Label,
    /// `milestones`.
    Milestone,
    /// `releases`.
    Release,
    /// `issues/events`, which are immutable.
    IssueEvent,
    /// `pulls/{number}/reviews`.
    Review,
    /// `commits` of the default branch, which are immutable.
    Commit,
}

impl RecordKind {
    /// All kinds, each with the name of the source's stream of its records.
    pub const STREAMS: [(&str, Self); 8] = [
        ("issue_comments", Self::IssueComment),
        ("review_comments", Self::ReviewComment),
        ("labels", Self::Label),
        ("milestones", Self::Milestone),
        ("releases", Self::Release),
        ("issue_events", Self::IssueEvent),
        ("reviews", Self::Review),
        ("commits", Self::Commit),
    ];

    /// The path of the list below its repository; reviews are below their pull request.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::IssueComment => "issues/comments",
            Self::ReviewComment => "pulls/comments",
            Self::Label => "labels",
            Self::Milestone => "milestones",
            Self::Release => "releases",
            Self::IssueEvent => "issues/events",
            Self::Review => "reviews",
            Self::Commit => "commits",
        }
    }

    /// Whether each record belongs to an issue, and `Some(true)` if that must be a pull request.
    pub(crate) fn belongs_to_pull(self) -> Option<bool> {
        match self {
            Self::IssueComment | Self::IssueEvent => Some(false),
            Self::ReviewComment | Self::Review => Some(true),
            Self::Label | Self::Milestone | Self::Release | Self::Commit => None,
        }
    }

    pub(crate) fn immutable(self) -> bool {
        matches!(self, Self::IssueEvent | Self::Commit)
    }
}

/// One record. Its JSON derives from the seed and the revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: u64,
    /// Its number within the table, ascending like the ids: a milestone's number.
    pub(crate) number: u32,
    /// The number of its issue, of its pull request, or of a commit's parent; 0 for none.
    pub(crate) parent: u32,
    pub(crate) created: u32,
    pub(crate) updated: u32,
    pub(crate) seed: u64,
    pub(crate) revision: u32,
    /// Keys that replace generated ones.
    pub(crate) keys: Map<String, Value>,
}

impl Record {
    pub(crate) fn times(&self) -> Times {
        Times { created: self.created, updated: self.updated, number: self.number }
    }

    /// A key that was set instead of the generated one.
    pub(crate) fn text_key(&self, name: &str) -> Option<&str> {
        self.keys.get(name).and_then(Value::as_str)
    }
}

/// The records of one kind in one repository.
#[derive(Debug, Default)]
pub(crate) struct Table {
    records: BTreeMap<u32, Record>,
    numbers: HashMap<u64, u32>,
    /// (parent, number) of each record.
    children: BTreeSet<(u32, u32)>,
    orders: Orders,
    /// Records that were deleted one by one and can return.
    removed: Vec<Record>,
    last_number: u32,
}

impl Table {
    /// A table with these records; much faster than single inserts.
    pub(crate) fn new(records: Vec<Record>) -> Self {
        Self {
            numbers: records.iter().map(|record| (record.id, record.number)).collect(),
            children: records.iter().map(|record| (record.parent, record.number)).collect(),
            orders: Orders::new(records.iter().map(Record::times)),
            removed: Vec::new(),
            last_number: records.iter().map(|record| record.number).max().unwrap_or_default(),
            records: records.into_iter().map(|record| (record.number, record)).collect(),
        }
    }

    /// A number that no record here ever had.
    pub(crate) fn take_number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn orders(&self) -> &Orders {
        &self.orders
    }

    /// All records, by ascending number.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.values()
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Record> {
        self.records.get(&number)
    }

    pub(crate) fn find(&self, id: u64) -> Option<&Record> {
        self.numbers.get(&id).and_then(|number| self.records.get(number))
    }

    /// The numbers of the records of one issue, pull request or parent commit.
    pub(crate) fn children(&self, parent: u32) -> impl Iterator<Item = u32> + '_ {
        self.children.range((parent, 0)..=(parent, u32::MAX)).map(|(_, number)| *number)
    }

    pub(crate) fn removed(&self) -> &[Record] {
        &self.removed
    }

    /// Inserts a record, or replaces the one with its number, and returns whether it is new.
    pub(crate) fn insert(&mut self, record: Record) -> bool {
        let new = self.take(record.number).is_none();
        self.removed.retain(|removed| removed.number != record.number);
        self.last_number = self.last_number.max(record.number);
        self.numbers.insert(record.id, record.number);
        self.children.insert((record.parent, record.number));
        self.orders.insert(record.times());
        self.records.insert(record.number, record);
        new
    }

    /// Removes a record so that it can return.
    pub(crate) fn remove(&mut self, number: u32) -> Option<Record> {
        let record = self.take(number)?;
        self.removed.push(record.clone());
        Some(record)
    }

    /// Removes a record.
    pub(crate) fn take(&mut self, number: u32) -> Option<Record> {
        let record = self.records.remove(&number)?;
        self.numbers.remove(&record.id);
        self.children.remove(&(record.parent, number));
        self.orders.remove(record.times());
        Some(record)
    }
}
