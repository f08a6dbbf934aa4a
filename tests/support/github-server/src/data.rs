//! The server's data: repositories and, in two orders, their issues.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::generate;
use crate::issue::{Issue, IssueText};
use crate::render::{self, Fragments};
use crate::timeline::{Timeline, key};

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
}

impl ServerData {
    pub(crate) fn new(seed: u64, oddities: bool, organizations: Vec<String>) -> Self {
        let rng = fastrand::Rng::with_seed(generate::mix(seed, 0x0063_6875_726e));
        Self { seed, oddities, repositories: Vec::new(), former_names: HashMap::new(), organizations, rng }
    }

    /// Adds an empty repository and returns its position.
    pub(crate) fn add(&mut self, name: &str, now: u32) -> usize {
        let index = self.repositories.len();
        self.repositories.push(Repository::new(name, index, self.seed, self.oddities, now));
        index
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

/// Which issues a list contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    All = 0,
    Open = 1,
    Closed = 2,
}

/// Why an issue is no longer listed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Removal {
    /// The item answers 410.
    Deleted,
    /// The item answers 404.
    Hidden,
    /// The item answers 301.
    Moved { repository: u64, number: u32 },
}

#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) updated: Timeline,
    pub(crate) created: Timeline,
}

#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) oddities: bool,
    pub(crate) created: u32,
    pub(crate) issues_enabled: bool,
    /// Whether pull requests are listed while issues are disabled.
    pub(crate) lists_pull_requests: bool,
    pub(crate) deleted: bool,
    /// Issues at which the server fails.
    pub(crate) broken: BTreeSet<u32>,
    pub(crate) issues: BTreeMap<u32, Issue>,
    pub(crate) gone: BTreeMap<u32, Removal>,
    /// Fields that issues have from a number on, as JSON text.
    pub(crate) new_fields: Vec<(String, u32, String)>,
    pub(crate) fragments: Fragments,
    orders: [Orders; 3],
    next_number: u32,
}

impl Repository {
    fn new(name: &str, index: usize, seed: u64, oddities: bool, now: u32) -> Self {
        let seed = generate::mix(seed, index as u64 + 1);
        Self {
            id: 100_000_001 + 7_919 * index as u64,
            name: name.to_owned(),
            seed,
            oddities,
            created: now.saturating_sub(generate::YEARS),
            issues_enabled: true,
            lists_pull_requests: false,
            deleted: false,
            broken: BTreeSet::new(),
            issues: BTreeMap::new(),
            gone: BTreeMap::new(),
            new_fields: Vec::new(),
            fragments: Fragments::new(name, seed),
            orders: Default::default(),
            next_number: 1,
        }
    }

    /// A number that no issue here ever had.
    pub(crate) fn take_number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// The id that a generated issue with this number gets: unique in the upstream, and growing.
    pub(crate) fn id_of(&self, number: u32) -> u64 {
        self.id * 20 + u64::from(number) * 17
    }

    pub(crate) fn order(&self, state: State) -> &Orders {
        &self.orders[state as usize]
    }

    /// Fills an empty repository; much faster than single inserts.
    pub(crate) fn fill(&mut self, issues: Vec<Issue>) {
        self.next_number = issues.iter().map(|issue| issue.number.saturating_add(1)).max().unwrap_or(1);
        for (state, orders) in [State::All, State::Open, State::Closed].into_iter().zip(&mut self.orders) {
            let members =
                || issues.iter().filter(move |issue| state == State::All || issue.open == (state == State::Open));
            orders.updated = Timeline::new(members().map(|issue| key(issue.updated, issue.number)).collect());
            orders.created = Timeline::new(members().map(|issue| key(issue.created, issue.number)).collect());
        }
        self.issues = issues.into_iter().map(|issue| (issue.number, issue)).collect();
    }

    /// Inserts an issue, or replaces the one with its number.
    pub(crate) fn put(&mut self, issue: Issue) {
        self.take(issue.number);
        self.gone.remove(&issue.number);
        self.next_number = self.next_number.max(issue.number.saturating_add(1));
        for state in [State::All, if issue.open { State::Open } else { State::Closed }] {
            let orders = &mut self.orders[state as usize];
            orders.updated.insert(key(issue.updated, issue.number));
            orders.created.insert(key(issue.created, issue.number));
        }
        self.issues.insert(issue.number, issue);
    }

    /// Removes an issue.
    pub(crate) fn take(&mut self, number: u32) -> Option<Issue> {
        let issue = self.issues.remove(&number)?;
        for state in [State::All, if issue.open { State::Open } else { State::Closed }] {
            let orders = &mut self.orders[state as usize];
            orders.updated.remove(key(issue.updated, number));
            orders.created.remove(key(issue.created, number));
        }
        Some(issue)
    }

    /// The issue's JSON as the server sends it.
    pub(crate) fn text(&self, issue: &Issue) -> String {
        let mut out = String::with_capacity(5_000);
        self.write(issue, &mut out);
        out
    }

    /// Whether the server lists an issue: where issues are disabled, it lists only pull requests.
    pub(crate) fn shows(&self, issue: &Issue) -> bool {
        self.issues_enabled || self.text(issue).contains(r#""pull_request":{"#)
    }

    /// Appends the issue's JSON.
    pub(crate) fn write(&self, issue: &Issue, out: &mut String) {
        match &issue.content {
            IssueText::Seed(seed) => render::generated(self, issue, *seed, out),
            IssueText::Raw(text) => out.push_str(text),
        }
        for (name, from, value) in &self.new_fields {
            if issue.number >= *from && out.ends_with('}') {
                out.pop();
                out.push(',');
                render::quoted(name, out);
                out.push(':');
                out.push_str(value);
                out.push('}');
            }
        }
    }
}
