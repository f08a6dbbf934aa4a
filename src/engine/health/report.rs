//! The words and the numbers of health.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{ErrorKind, Resource};

/// The health of a stream, a resource or a connector, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Health {
    /// Runs have failed since the last success, or cannot begin.
    Failing,
    /// The newest run was stopped, or its process died. The next one continues.
    Interrupted,
    /// No run began although one was due an interval ago or longer.
    Late,
    /// There is nothing to read yet, or a setting is missing.
    NotConfigured,
    /// A run is under way.
    Running,
    /// Nothing was read yet.
    NeverRun,
    /// The newest run read everything.
    Healthy,
    /// It is disabled.
    Paused,
}

impl Health {
    /// All of them, the worst first.
    pub const ALL: [Self; 8] = [
        Self::Failing,
        Self::Interrupted,
        Self::Late,
        Self::NotConfigured,
        Self::Running,
        Self::NeverRun,
        Self::Healthy,
        Self::Paused,
    ];

    /// The health in snake case, such as `not_configured`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Interrupted => "interrupted",
            Self::Late => "late",
            Self::NotConfigured => "not_configured",
            Self::Running => "running",
            Self::NeverRun => "never_run",
            Self::Healthy => "healthy",
            Self::Paused => "paused",
        }
    }

    /// The health in words, such as `not configured`.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotConfigured => "not configured",
            Self::NeverRun => "never run",
            other => other.as_str(),
        }
    }

    /// The sign that stands beside the words, for those who cannot tell colours apart.
    pub fn sign(self) -> char {
        match self {
            Self::Failing => '✕',
            Self::Interrupted => '↯',
            Self::Late => '◷',
            Self::NotConfigured => '◇',
            Self::Running => '↻',
            Self::NeverRun => '○',
            Self::Healthy => '✓',
            Self::Paused => '‖',
        }
    }

    /// The worst of several. Paused ones do not count, unless all are paused; without any, nothing is configured.
    pub fn worst(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().min().unwrap_or(Self::NotConfigured)
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// Why something is failing, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// The end of the first failed run since the last success; `None` if none was recorded.
    pub since: Option<Timestamp>,
    /// The number of runs that have failed since.
    pub tries: u64,
    /// The kind of the newest error, if it is known.
    pub kind: Option<ErrorKind>,
    /// What failed.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// The numbers of health, of a stream, or of several together. No time of the past is after the clock's time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HealthFacts {
    /// The health.
    pub health: Health,
    /// When a run last ended, whatever its status, or began, if it goes on. Of several, the earliest. A
    /// [metered](crate::StateStore::is_metered) store knows it up to the [heartbeat](crate::Limits::heartbeat).
    pub last_checked_at: Option<Timestamp>,
    /// The end of the newest complete run. Of several, the earliest: up to then, everything is complete.
    pub last_success_at: Option<Timestamp>,
    /// When a row was last inserted, updated or deleted. Of several, the latest.
    pub last_change_at: Option<Timestamp>,
    /// Why it is failing. Of several, the first of the worst.
    pub failing: Option<Failure>,
    /// When the next run is due; in the past if it is overdue. Of several, the earliest.
    pub next_due_at: Option<Timestamp>,
    /// When the run was due that is late. Of several, the earliest.
    pub late_since: Option<Timestamp>,
}

impl HealthFacts {
    /// Nothing is known but the health.
    pub(crate) fn new(health: Health) -> Self {
        let (last_checked_at, last_success_at, last_change_at) = (None, None, None);
        let (failing, next_due_at, late_since) = (None, None, None);
        Self { health, last_checked_at, last_success_at, last_change_at, failing, next_due_at, late_since }
    }

    /// The facts of several parts together. Paused ones do not count, unless all are paused.
    pub(crate) fn roll_up<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let parts: Vec<&Self> = parts.into_iter().collect();
        let health = Health::worst(parts.iter().map(|part| part.health));
        let counted: Vec<&Self> =
            parts.into_iter().filter(|part| part.health != Health::Paused || health == Health::Paused).collect();
        // One part without a time makes the time of all unknown.
        let earliest = |time: fn(&Self) -> Option<Timestamp>| counted.iter().map(|part| time(part)).min().flatten();
        let failing = counted.iter().filter(|part| part.health == health).find_map(|part| part.failing.clone());
        Self {
            health,
            last_checked_at: earliest(|part| part.last_checked_at),
            last_success_at: earliest(|part| part.last_success_at),
            last_change_at: counted.iter().filter_map(|part| part.last_change_at).max(),
            failing,
            next_due_at: counted.iter().filter_map(|part| part.next_due_at).min(),
            late_since: counted.iter().filter_map(|part| part.late_since).min(),
        }
    }
}

/// The health of a stream of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StreamHealth {
    /// The name of the stream.
    pub stream: String,
    /// Its health.
    #[serde(flatten)]
    pub facts: HealthFacts,
}

/// The health of a resource: that of the streams together that are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResourceHealth {
    /// The resource.
    pub resource: Resource,
    /// Its health.
    #[serde(flatten)]
    pub facts: HealthFacts,
    /// The streams that are read, in the order of their declaration.
    pub streams: Vec<StreamHealth>,
}

/// The health of a connector: that of its resources together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectorHealth {
    /// The clock's time.
    pub as_of: Timestamp,
    /// Its health.
    #[serde(flatten)]
    pub facts: HealthFacts,
    /// The number of resources of each health.
    pub counts: BTreeMap<Health, usize>,
    /// Every resource that was ever enabled, ordered by name.
    pub resources: Vec<ResourceHealth>,
}
