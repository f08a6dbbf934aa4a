//! An upstream whose records change between any two requests: parents, their children and grandchildren, labels, and events.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use tokio::time::{Duration, Instant};

use super::traits::Traits;

/// The engine that reads: a process of its own.
pub(super) type Engine = usize;

/// A parent.
#[derive(Debug, Clone)]
pub(super) struct Parent {
    pub(super) version: i64,
    pub(super) text: u64,
    /// Since when it exists without interruption.
    pub(super) born: Instant,
    pub(super) children: BTreeMap<String, Child>,
}

/// A child.
#[derive(Debug, Clone)]
pub(super) struct Child {
    pub(super) version: i64,
    pub(super) text: u64,
    pub(super) born: Instant,
    /// When its parent's list shows it.
    pub(super) visible: Instant,
    /// The texts of its children, by key.
    pub(super) grandchildren: BTreeMap<String, u64>,
}

#[derive(Debug, Clone)]
pub(super) struct Label {
    pub(super) text: u64,
    pub(super) born: Instant,
}

/// An answer about a single record.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The text; `None` if the record is gone.
    pub(super) text: Option<u64>,
    /// Whether its version is lower than the stored one, and the engine has not stored it yet.
    pub(super) must_replace: bool,
}

/// The requests that the upstream has answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Requests {
    pub(super) parents: u64,
    pub(super) children: u64,
    pub(super) verifications: u64,
    pub(super) labels: u64,
    pub(super) events: u64,
}

/// How many events may be newer than one that appears late.
pub(super) const LATE_EVENTS: i64 = 6;

/// How long a list may lag behind its parent.
pub(super) const LAG: Duration = Duration::from_secs(6);

#[derive(Debug, Clone)]
pub(super) struct Upstream {
    pub(super) traits: Traits,
    pub(super) random: Rng,
    began: Instant,
    last_text: u64,
    pub(super) parents: BTreeMap<String, Parent>,
    deleted_parents: BTreeMap<String, Parent>,
    pub(super) labels: BTreeMap<String, Label>,
    /// The number of each event, and when it is listed.
    events: Vec<(i64, Instant)>,
    /// The parents whose lists fail.
    pub(super) broken: BTreeSet<String>,
    /// Whether nothing fails or changes any more.
    pub(super) is_quiet: bool,
    pub(super) requests: Requests,
    /// When each engine has begun its last read of a list: by engine, stream and parent.
    pub(super) list_begun: BTreeMap<(Engine, String, Vec<String>), Instant>,
    /// Until when each engine stands still.
    pub(super) frozen: BTreeMap<Engine, Instant>,
    /// The paths of records whose versions have fallen, even if they have moved since.
    pub(super) fallen: BTreeSet<Vec<String>>,
    /// The last answer to each engine about a single record, by stream and path.
    pub(super) answers: BTreeMap<(Engine, String, Vec<String>), Answer>,
    /// How many answers have replaced a higher version outside reconcile runs.
    pub(super) replacements: u64,
    /// The commits that have changed a row or a state.
    pub(super) commits: u64,
    /// Why the result is wrong.
    pub(super) faults: Vec<String>,
    /// What has happened, for a reader of a failure.
    pub(super) history: Vec<String>,
}

impl Upstream {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        Self {
            traits: Traits::new(&mut random),
            random,
            began: Instant::now(),
            last_text: 0,
            parents: BTreeMap::new(),
            deleted_parents: BTreeMap::new(),
            labels: BTreeMap::new(),
            events: Vec::new(),
            broken: BTreeSet::new(),
            is_quiet: false,
            requests: Requests::default(),
            list_begun: BTreeMap::new(),
            frozen: BTreeMap::new(),
            fallen: BTreeSet::new(),
            answers: BTreeMap::new(),
            replacements: 0,
            commits: 0,
            faults: Vec::new(),
            history: Vec::new(),
        }
    }

    pub(super) fn chance(&mut self, percent: u8) -> bool {
        self.random.u8(0..100) < percent
    }

    pub(super) fn note(&mut self, what: impl Into<String>) {
        let line = format!("{:7.3} {}", self.began.elapsed().as_secs_f64(), what.into());
        self.history.push(line);
    }

    /// The time since the start, in seconds.
    fn now(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_secs()).unwrap() + 100
    }

    /// The version of what changes now.
    pub(super) fn version(&self) -> i64 {
        self.now() / self.traits.coarse
    }

    fn text(&mut self) -> u64 {
        self.last_text += 1;
        self.last_text
    }

    /// One of these.
    fn pick<T: Clone>(&mut self, values: &[T]) -> Option<T> {
        (!values.is_empty()).then(|| values[self.random.usize(0..values.len())].clone())
    }

    fn any_parent(&mut self) -> Option<String> {
        let keys: Vec<String> = self.parents.keys().cloned().collect();
        self.pick(&keys)
    }

    fn any_child(&mut self) -> Option<(String, String)> {
        let below = |(key, parent): (&String, &Parent)| {
            parent.children.keys().map(|child| (key.clone(), child.clone())).collect::<Vec<_>>()
        };
        let children: Vec<_> = self.parents.iter().flat_map(below).collect();
        self.pick(&children)
    }

    fn new_parent(&mut self, version: i64) -> Parent {
        Parent { version, text: self.text(), born: Instant::now(), children: BTreeMap::new() }
    }

    fn new_child(&mut self) -> (String, Child) {
        let key =
            if self.traits.shares_keys { format!("k{}", self.random.u8(0..8)) } else { format!("k{}", self.text()) };
        let now = Instant::now();
        let late = Duration::from_secs(if self.traits.lags { self.random.u64(0..=LAG.as_secs()) } else { 0 });
        let child = Child {
            version: self.version(),
            text: self.text(),
            born: now,
            visible: now + late,
            grandchildren: BTreeMap::new(),
        };
        (key, child)
    }

    /// Changes a parent because something below it has changed.
    fn touch(&mut self, key: &str) {
        if self.traits.breaks_promises && self.chance(50) {
            return;
        }
        let (version, text) = (self.version(), self.text());
        if let Some(parent) = self.parents.get_mut(key) {
            (parent.version, parent.text) = (parent.version.max(version), text);
        }
    }

    /// Something changes.
    pub(super) fn mutate(&mut self) {
        let what = match self.random.u8(0..100) {
            _ if self.parents.len() < 2 => self.insert_parent(),
            0..10 => self.insert_parent(),
            10..14 if self.traits.is_late => self.insert_late_parent(),
            14..20 => self.update_parent(),
            20..25 if self.traits.deletes_parents => self.delete_parent(),
            25..29 => self.restore_parent(),
            29..50 => self.insert_child(),
            50..60 => self.update_child(),
            60..70 => self.delete_child(),
            70..78 if self.traits.moves => self.move_child(),
            78..86 => self.change_grandchild(),
            86..88 => self.change_label(),
            88..97 if self.traits.falls => self.lower_a_version(),
            88..93 => self.change_label(),
            _ => self.insert_event(),
        };
        if let Some(what) = what {
            self.note(what);
        }
        if self.chance(2)
            && let Some(parent) = self.any_parent()
            && !self.broken.remove(&parent)
        {
            self.broken.insert(parent);
        }
    }

    fn insert_parent(&mut self) -> Option<String> {
        let key =
            if self.traits.reuses_keys { format!("p{}", self.random.u8(0..12)) } else { format!("p{}", self.text()) };
        if self.parents.contains_key(&key) {
            return None;
        }
        let parent = self.new_parent(self.version());
        let text = parent.text;
        self.parents.insert(key.clone(), parent);
        Some(format!("insert {key} = {text}"))
    }

    /// A parent appears with a version of the past, and with a child.
    fn insert_late_parent(&mut self) -> Option<String> {
        let key = format!("z{}", self.text());
        let version = self.version() - self.random.i64(1..10);
        let mut parent = self.new_parent(version);
        let (child_key, mut child) = self.new_child();
        child.visible = child.born;
        parent.children.insert(child_key, child);
        self.parents.insert(key.clone(), parent);
        Some(format!("insert {key} with the old version {version}"))
    }

    fn update_parent(&mut self) -> Option<String> {
        let key = self.any_parent()?;
        let (version, text) = (self.version(), self.text());
        let parent = self.parents.get_mut(&key)?;
        (parent.version, parent.text) = (parent.version.max(version), text);
        Some(format!("update {key} = {text}"))
    }

    fn delete_parent(&mut self) -> Option<String> {
        let key = self.any_parent()?;
        let parent = self.parents.remove(&key)?;
        self.deleted_parents.insert(key.clone(), parent);
        Some(format!("delete {key}"))
    }

    /// A deleted parent comes back, with its children.
    fn restore_parent(&mut self) -> Option<String> {
        let deleted: Vec<String> = self.deleted_parents.keys().cloned().collect();
        let key = self.pick(&deleted)?;
        let old = self.deleted_parents.remove(&key)?;
        if self.parents.contains_key(&key) {
            return None;
        }
        let version = self.version();
        let mut parent = self.new_parent(version);
        parent.children = old.children;
        for child in parent.children.values_mut() {
            child.born = parent.born;
            // A record of the same path may have been there meanwhile.
            if self.traits.shares_keys {
                child.version = version;
            }
        }
        self.parents.insert(key.clone(), parent);
        Some(format!("restore {key}"))
    }

    fn insert_child(&mut self) -> Option<String> {
        let parent = self.any_parent()?;
        let (key, child) = self.new_child();
        let what = format!("insert {parent}/{key} = {}", child.text);
        self.parents.get_mut(&parent)?.children.insert(key, child);
        self.touch(&parent);
        Some(what)
    }

    fn update_child(&mut self) -> Option<String> {
        let (parent, key) = self.any_child()?;
        let (version, text) = (self.version(), self.text());
        let child = self.child_mut(&parent, &key)?;
        (child.version, child.text) = (child.version.max(version), text);
        self.touch(&parent);
        Some(format!("update {parent}/{key} = {text}"))
    }

    fn delete_child(&mut self) -> Option<String> {
        let (parent, key) = self.any_child()?;
        self.parents.get_mut(&parent)?.children.remove(&key);
        self.touch(&parent);
        Some(format!("delete {parent}/{key}"))
    }

    fn move_child(&mut self) -> Option<String> {
        let (from, key) = self.any_child()?;
        let others: Vec<String> = self.parents.keys().filter(|parent| **parent != from).cloned().collect();
        let to = self.pick(&others)?;
        let version = self.version();
        let mut child = self.parents.get_mut(&from)?.children.remove(&key)?;
        (child.born, child.visible) = (Instant::now(), Instant::now());
        // A record that replaces another one is not older.
        if self.traits.moves_raise_versions || self.traits.shares_keys {
            child.version = version;
        }
        self.parents.get_mut(&to)?.children.insert(key.clone(), child);
        if self.fallen.contains(&vec![from.clone(), key.clone()]) {
            self.fallen.insert(vec![to.clone(), key.clone()]);
        }
        self.touch(&from);
        self.touch(&to);
        Some(format!("move {from}/{key} to {to}"))
    }

    fn change_grandchild(&mut self) -> Option<String> {
        let (parent, key) = self.any_child()?;
        let (version, text, deletes) = (self.version(), self.text(), self.chance(40));
        let child = self.child_mut(&parent, &key)?;
        let last = child.grandchildren.keys().next_back().cloned();
        let what = match last.filter(|_| deletes) {
            Some(last) => {
                child.grandchildren.remove(&last);
                format!("delete {parent}/{key}/{last}")
            }
            None => {
                child.grandchildren.insert(format!("g{text}"), text);
                format!("insert {parent}/{key}/g{text}")
            }
        };
        let text = self.text();
        let child = self.child_mut(&parent, &key)?;
        (child.version, child.text) = (child.version.max(version), text);
        self.touch(&parent);
        Some(what)
    }

    fn change_label(&mut self) -> Option<String> {
        let labels: Vec<String> = self.labels.keys().cloned().collect();
        let (text, kind) = (self.text(), self.random.u8(0..4));
        match self.pick(&labels) {
            Some(label) if kind == 2 => {
                self.labels.get_mut(&label)?.text = text;
                Some(format!("update label {label} = {text}"))
            }
            Some(label) if kind == 3 => {
                self.labels.remove(&label);
                Some(format!("delete label {label}"))
            }
            _ => {
                let label = format!("l{:02}", self.random.u8(0..31));
                let born = self.labels.get(&label).map_or_else(Instant::now, |label| label.born);
                self.labels.insert(label.clone(), Label { text, born });
                Some(format!("set label {label} = {text}"))
            }
        }
    }

    /// The server was restored: a record has an older version, and another text.
    fn lower_a_version(&mut self) -> Option<String> {
        if self.chance(50) {
            let (key, text) = (self.any_parent()?, self.text());
            let parent = self.parents.get_mut(&key)?;
            (parent.version, parent.text) = (parent.version - 5, text);
            let what = format!("lower the version of {key} to {}, = {text}", parent.version);
            self.fallen.insert(vec![key]);
            return Some(what);
        }
        let (parent, key) = self.any_child()?;
        self.lower_child(&parent, &key)
    }

    /// Gives a child an older version, and another text.
    pub(super) fn lower_child(&mut self, parent: &str, key: &str) -> Option<String> {
        let text = self.text();
        let child = self.child_mut(parent, key)?;
        (child.version, child.text) = (child.version - 5, text);
        let what = format!("lower the version of {parent}/{key} to {}, = {text}", child.version);
        self.touch(parent);
        self.fallen.insert(vec![parent.to_owned(), key.to_owned()]);
        Some(what)
    }

    fn insert_event(&mut self) -> Option<String> {
        let late = if self.traits.has_late_events { self.random.u64(0..6) } else { 0 };
        let number = self.events.len().cast_signed() as i64 + 1;
        self.events.push((number, Instant::now() + Duration::from_secs(late)));
        Some(format!("event {number}, visible after {late} s"))
    }

    fn child_mut(&mut self, parent: &str, key: &str) -> Option<&mut Child> {
        self.parents.get_mut(parent)?.children.get_mut(key)
    }

    /// A child, by the path of its parent.
    pub(super) fn child(&self, parent: &[String], key: &str) -> Option<&Child> {
        self.parents.get(parent.first()?)?.children.get(key)
    }

    /// The events that are listed, the oldest first.
    pub(super) fn visible_events(&self) -> Vec<i64> {
        let count = self.events.len().cast_signed() as i64;
        let is_visible =
            |(number, visible): &&(i64, Instant)| *visible <= Instant::now() || number + LATE_EVENTS <= count;
        self.events.iter().filter(is_visible).map(|(number, _)| *number).collect()
    }

    /// The upstream as it is, without its past.
    pub(super) fn snapshot(&self) -> Self {
        Self { history: Vec::new(), ..self.clone() }
    }

    /// Ends the changes and the failures, except the permanent one.
    pub(super) fn calm(&mut self) {
        self.is_quiet = true;
        self.frozen.clear();
        self.broken = self.parents.keys().take(usize::from(self.traits.is_poisoned)).cloned().collect();
        self.note("calm");
    }
}
