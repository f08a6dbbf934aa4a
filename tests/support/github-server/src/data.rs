//! The server's data.

use std::collections::HashMap;

use crate::generate::{self, mix};
use crate::repository::Repository;
use crate::table::{RecordKind, Table};

/// The first id of a record that is not an issue.
const FIRST_RECORD_ID: u64 = 2_100_000_001;

/// The lowest id of a label or milestone that a repository starts with.
const FIRST_EMBEDDED_ID: u64 = 4_000_000;

/// The data of the server.
#[derive(Debug)]
pub(crate) struct ServerData {
    pub(crate) seed: u64,
    pub(crate) oddities: bool,
    pub(crate) repositories: Vec<Repository>,
    /// Former names of repositories, in lower case, with their positions.
    pub(crate) former_names: HashMap<String, usize>,
    pub(crate) organizations: Vec<String>,
    pub(crate) rng: fastrand::Rng,
    /// How many records each repository starts with.
    counts: RecordCounts,
    /// The kinds of records that mutations change.
    pub(crate) mutated: Vec<RecordKind>,
    ids: RecordIds,
}

/// How many records of each kind a repository starts with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordCounts([u32; RecordKind::STREAMS.len()]);

impl Default for RecordCounts {
    /// The labels and milestones that generated issues have, and nothing else.
    fn default() -> Self {
        let mut counts = Self([0; RecordKind::STREAMS.len()]);
        counts.set(RecordKind::Label, 12);
        counts.set(RecordKind::Milestone, 6);
        counts
    }
}

impl RecordCounts {
    pub(crate) fn set(&mut self, kind: RecordKind, count: u32) {
        self.0[kind as usize] = count;
    }
}

/// Hands out ids that ascend over all repositories and kinds.
#[derive(Debug)]
pub(crate) struct RecordIds(u64);

impl RecordIds {
    pub(crate) fn take(&mut self) -> u64 {
        self.0 += 3;
        self.0 - 3
    }
}

impl ServerData {
    pub(crate) fn new(seed: u64, oddities: bool, organizations: Vec<String>, counts: RecordCounts) -> Self {
        Self {
            seed,
            oddities,
            repositories: Vec::new(),
            former_names: HashMap::new(),
            organizations,
            rng: fastrand::Rng::with_seed(mix(seed, 0x0063_6875_726e)),
            counts,
            mutated: Vec::new(),
            ids: RecordIds(FIRST_RECORD_ID),
        }
    }

    /// Adds a repository with labels and milestones only, and returns its position.
    pub(crate) fn add(&mut self, name: &str, now: u32) -> usize {
        let index = self.repositories.len();
        let organization = self.is_organization(name.split('/').next().unwrap_or_default());
        self.repositories.push(Repository::new(name, index, self.seed, self.oddities, organization, now));
        self.generate(index, RecordKind::Label, now);
        self.generate(index, RecordKind::Milestone, now);
        let repository = &mut self.repositories[index];
        repository.fragments.drawn_labels = repository.table(RecordKind::Label).len();
        repository.fragments.drawn_milestones = repository.table(RecordKind::Milestone).len();
        repository.refresh_fragments();
        index
    }

    /// Generates the records that a repository with issues starts with.
    pub(crate) fn populate(&mut self, repository: usize, now: u32) {
        use RecordKind::{Commit, IssueComment, IssueEvent, Release, Review, ReviewComment};
        // Review comments refer to reviews.
        for kind in [Release, Commit, IssueComment, Review, ReviewComment, IssueEvent] {
            self.generate(repository, kind, now);
        }
        self.repositories[repository].count_comments();
    }

    fn generate(&mut self, repository: usize, kind: RecordKind, now: u32) {
        let repository = &mut self.repositories[repository];
        let mut records = generate::records(repository, kind, self.counts.0[kind as usize], now, &mut self.ids);
        // Issues embed labels and milestones: their ids depend on nothing but the repository, as in recorded databases.
        let first = FIRST_EMBEDDED_ID + repository.seed % 1_000_000;
        match kind {
            RecordKind::Label => records.iter_mut().zip(first..).for_each(|(label, id)| label.id = id),
            RecordKind::Milestone => records.iter_mut().zip(first + 500..).for_each(|(one, id)| one.id = id),
            _ => {}
        }
        *repository.table_mut(kind) = Table::new(records);
    }

    /// A repository, and the ids of its next records.
    pub(crate) fn repository_and_ids(&mut self, repository: usize) -> (&mut Repository, &mut RecordIds) {
        (&mut self.repositories[repository], &mut self.ids)
    }

    /// The position of a repository by its current name, ignoring case.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.repositories
            .iter()
            .position(|repository| !repository.deleted && repository.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn find_id(&self, id: u64) -> Option<usize> {
        self.repositories.iter().position(|repository| !repository.deleted && repository.id == id)
    }

    pub(crate) fn is_organization(&self, owner: &str) -> bool {
        self.organizations.iter().any(|name| name.eq_ignore_ascii_case(owner))
    }
}
