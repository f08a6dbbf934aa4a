//! What is told: the changes of health since the last message.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::cli::output::time;
use crate::cli::terminal::plain;
use crate::engine::{ConnectorHealth, Failure, Health, HealthFacts, ResourceHealth};
use crate::error::redact;
use crate::{Error, ErrorReport, Resource};

/// The changes that a message lists; it counts all.
const MOST_CHANGES: usize = 100;

/// The changes that its text lists.
const MOST_LINES: usize = 10;

/// The longest error in a line of the text, in characters.
const LONGEST_REASON: usize = 300;

/// The connector as a whole among [what is kept](Told::kept). No resource has an empty name.
const CONNECTOR: &str = "";

/// A message about changes of health, as JSON. `docs/guides/operate.md` describes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Message {
    /// For people, in lines.
    pub(super) text: String,
    pub(super) source: String,
    pub(super) at: Timestamp,
    /// The health of the connector now.
    pub(super) health: Health,
    /// The number of changes, of which the first ones follow.
    pub(super) changes_total: usize,
    pub(super) changes: Vec<Change>,
}

/// The change of one resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Change {
    /// `None`: the connector as a whole, whose database cannot be used.
    pub(super) resource: Option<Resource>,
    /// What was told before, if anything was.
    pub(super) before: Option<Health>,
    #[serde(flatten)]
    pub(super) facts: HealthFacts,
}

impl Message {
    /// The JSON, without credentials.
    pub(super) fn json(&self) -> String {
        // Texts, numbers and times can always be written.
        redact(&serde_json::to_string(self).unwrap_or_default()).into_owned()
    }
}

/// The health that was last told of each resource.
#[derive(Debug)]
pub(super) struct Told {
    source: String,
    words: BTreeMap<Resource, Health>,
    /// The resources whose last run was cut off before this process began, which continues it.
    cut_off: BTreeSet<Resource>,
    has_outage: bool,
}

/// Whether a resource that has this health from the beginning is no news.
fn is_expected(word: Health) -> bool {
    matches!(word, Health::Healthy | Health::Paused)
}

/// The health as far as it can change: a run under way says nothing yet about how it ends.
fn settled(facts: &HealthFacts) -> Option<Health> {
    Some(facts.health).filter(|health| !matches!(health, Health::Running | Health::NeverRun))
}

/// Whether the connector fails although none of its resources does: its database cannot be used.
fn has_outage(health: &ConnectorHealth) -> bool {
    let fails = |found: &ResourceHealth| found.facts.health == Health::Failing;
    health.facts.health == Health::Failing && !health.resources.iter().any(fails)
}

impl Told {
    pub(super) fn new(source: &str) -> Self {
        Self { source: source.to_owned(), words: BTreeMap::new(), cut_off: BTreeSet::new(), has_outage: false }
    }

    /// Begins with what an earlier process [kept](Self::kept). What else is wrong is news.
    pub(super) fn begin(&mut self, kept: Option<&Value>, health: &ConnectorHealth) {
        self.has_outage = kept.is_some_and(|kept| kept.get(CONNECTOR).is_some());
        for ResourceHealth { resource, facts, .. } in &health.resources {
            let kept = kept.and_then(|kept| kept.get(resource.name())?.as_str());
            let kept = kept.and_then(|word| Health::ALL.into_iter().find(|health| health.as_str() == word));
            if let Some(word) = kept.or(settled(facts).filter(|word| is_expected(*word))) {
                self.words.insert(resource.clone(), word);
            }
            if facts.health == Health::Interrupted && kept != Some(Health::Interrupted) {
                self.cut_off.insert(resource.clone());
            }
        }
    }

    /// What the next process has to know: each resource that was told to be wrong.
    pub(super) fn kept(&self) -> Value {
        let wrong = self.words.iter().filter(|(_, word)| !is_expected(**word));
        let wrong = wrong.map(|(resource, word)| (resource.name(), *word));
        let outage = self.has_outage.then_some((CONNECTOR, Health::Failing));
        wrong.chain(outage).map(|(name, word)| (name.to_owned(), Value::from(word.as_str()))).collect()
    }

    /// Takes this health as told.
    pub(super) fn accept(&mut self, health: &ConnectorHealth) {
        self.has_outage = has_outage(health);
        let mut before = std::mem::take(&mut self.words);
        let cut_off = std::mem::take(&mut self.cut_off);
        for ResourceHealth { resource, facts, .. } in &health.resources {
            let is_cut_off = facts.health == Health::Interrupted && cut_off.contains(resource);
            if is_cut_off {
                self.cut_off.insert(resource.clone());
            }
            if let Some(word) = settled(facts).filter(|_| !is_cut_off).or(before.remove(resource)) {
                self.words.insert(resource.clone(), word);
            }
        }
    }

    /// The message about what has changed, if anything has.
    pub(super) fn changes(&self, health: &ConnectorHealth) -> Option<Message> {
        self.message(health, |_| true)
    }

    /// The same without interruptions.
    pub(super) fn changes_but_interruptions(&self, health: &ConnectorHealth) -> Option<Message> {
        self.message(health, |word| word != Health::Interrupted)
    }

    fn message(&self, health: &ConnectorHealth, counts: impl Fn(Health) -> bool) -> Option<Message> {
        let changed = |found: &&ResourceHealth| {
            let before = self.words.get(&found.resource);
            let is_cut_off = found.facts.health == Health::Interrupted && self.cut_off.contains(&found.resource);
            settled(&found.facts).filter(|word| !is_cut_off && counts(*word)).is_some_and(|word| match before {
                Some(before) => *before != word,
                None => !is_expected(word),
            })
        };
        let mut changed: Vec<&ResourceHealth> = health.resources.iter().filter(changed).collect();
        changed.sort_by_key(|found| found.facts.health);
        let connector = (has_outage(health) != self.has_outage).then(|| Change {
            resource: None,
            before: self.has_outage.then_some(Health::Failing),
            facts: health.facts.clone(),
        });
        let changes_total = changed.len() + usize::from(connector.is_some());
        if changes_total == 0 {
            return None;
        }
        let change = |found: &ResourceHealth| Change {
            resource: Some(found.resource.clone()),
            before: self.words.get(&found.resource).copied(),
            facts: found.facts.clone(),
        };
        let changed = connector.into_iter().chain(changed.into_iter().map(change));
        let changes: Vec<Change> = changed.take(MOST_CHANGES).collect();
        let mut lines: Vec<String> = changes.iter().take(MOST_LINES).map(|change| line(&self.source, change)).collect();
        if changes_total > MOST_LINES {
            lines.push(format!("and {} more: `status` lists them", changes_total - MOST_LINES));
        }
        let (text, source) = (lines.join("\n"), self.source.clone());
        Some(Message { text, source, at: health.as_of, health: health.facts.health, changes_total, changes })
    }

    /// The message that nothing works at all.
    pub(super) fn outage(&self, error: &Error) -> Message {
        let ErrorReport { kind, message, help, .. } = error.report();
        let failing = Some(Failure { since: None, tries: 0, kind: Some(kind), message, help });
        let facts = HealthFacts { failing, ..HealthFacts::new(Health::Failing) };
        let change = Change { resource: None, before: None, facts };
        let (text, source, changes) = (line(&self.source, &change), self.source.clone(), vec![change]);
        Message { text, source, at: Timestamp::now(), health: Health::Failing, changes_total: 1, changes }
    }
}

/// One change, for people: `✕ github: acme/widgets is failing (was healthy): the token was refused → …`.
fn line(source: &str, Change { resource, before, facts }: &Change) -> String {
    let was = before.map(|before| format!(" (was {before})")).unwrap_or_default();
    let resource = resource.as_ref().map_or("the connector", Resource::name);
    let mut line = format!("{} {source}: {resource} is {}{was}", facts.health.sign(), facts.health);
    let last = || match facts.last_success_at {
        Some(at) => format!("last success {}", time(at)),
        None => "never completely read".to_owned(),
    };
    match (facts.health, &facts.failing, facts.late_since) {
        (_, Some(failing), _) => {
            line += &format!(": {}; {}", reason(&failing.message, failing.help.as_deref()), last());
        }
        (Health::Late, None, Some(since)) => line += &format!(": a run was due {}; {}", time(since), last()),
        (Health::Late | Health::Interrupted, ..) => line += &format!("; {}", last()),
        _ => {}
    }
    harmless(&line)
}

/// Why, and what to do.
fn reason(message: &str, help: Option<&str>) -> String {
    let shortened = |text: &str| match text.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    let help = help.map(|help| format!(" → {}", shortened(help))).unwrap_or_default();
    harmless(&format!("{}{help}", shortened(message)))
}

/// The text without control characters, and without what chat programs take for mentions and links: it may repeat what a remote said.
fn harmless(text: &str) -> String {
    plain(text).replace('<', "‹").replace('>', "›")
}
