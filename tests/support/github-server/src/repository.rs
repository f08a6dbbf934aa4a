//! A repository: its issues in two orders, and its other records.

use std::collections::{BTreeMap, BTreeSet};

use crate::generate::{self, mix};
use crate::issue::{Issue, IssueText};
use crate::log::ReceivedRequest;
use crate::render::{self, Fragments};
use crate::table::{Record, RecordKind, Table};
use crate::timeline::Orders;

/// Which issues a list contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    All = 0,
    Open = 1,
    Closed = 2,
}

impl State {
    /// The `state` of a request; open unless it has another one.
    pub(crate) fn from_request(request: &ReceivedRequest) -> Self {
        match request.query("state").as_deref() {
            Some("all") => Self::All,
            Some("closed") => Self::Closed,
            _ => Self::Open,
        }
    }

    /// The states whose lists contain an issue.
    fn of(issue: &Issue) -> [Self; 2] {
        [Self::All, if issue.open { Self::Open } else { Self::Closed }]
    }

    pub(crate) fn includes(self, open: bool) -> bool {
        self == Self::All || open == (self == Self::Open)
    }
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

/// Issues in the orders of each state.
#[derive(Debug, Default)]
struct OrdersByState([Orders; 3]);

impl OrdersByState {
    fn new<'a>(issues: impl Iterator<Item = &'a Issue> + Clone) -> Self {
        Self([State::All, State::Open, State::Closed].map(|state| {
            let members = issues.clone().filter(|issue| state.includes(issue.open));
            Orders::new(members.map(Issue::times))
        }))
    }

    fn insert(&mut self, issue: &Issue) {
        for state in State::of(issue) {
            self.0[state as usize].insert(issue.times());
        }
    }

    fn remove(&mut self, issue: &Issue) {
        for state in State::of(issue) {
            self.0[state as usize].remove(issue.times());
        }
    }
}

#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) oddities: bool,
    /// Whether its owner is an organisation.
    pub(crate) organization: bool,
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
    tables: [Table; RecordKind::STREAMS.len()],
    issue_orders: OrdersByState,
    pull_orders: OrdersByState,
    next_number: u32,
}

impl Repository {
    pub(crate) fn new(name: &str, index: usize, seed: u64, oddities: bool, organization: bool, now: u32) -> Self {
        let seed = mix(seed, index as u64 + 1);
        Self {
            id: 100_000_001 + 7_919 * index as u64,
            name: name.to_owned(),
            seed,
            oddities,
            organization,
            created: now.saturating_sub(generate::YEARS),
            issues_enabled: true,
            lists_pull_requests: false,
            deleted: false,
            broken: BTreeSet::new(),
            issues: BTreeMap::new(),
            gone: BTreeMap::new(),
            new_fields: Vec::new(),
            fragments: Fragments::new(name, seed),
            tables: Default::default(),
            issue_orders: OrdersByState::default(),
            pull_orders: OrdersByState::default(),
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
        &self.issue_orders.0[state as usize]
    }

    pub(crate) fn pull_order(&self, state: State) -> &Orders {
        &self.pull_orders.0[state as usize]
    }

    /// The pull request with a number.
    pub(crate) fn pull(&self, number: u32) -> Option<&Issue> {
        self.issues.get(&number).filter(|issue| issue.pull)
    }

    pub(crate) fn table(&self, kind: RecordKind) -> &Table {
        &self.tables[kind as usize]
    }

    pub(crate) fn table_mut(&mut self, kind: RecordKind) -> &mut Table {
        &mut self.tables[kind as usize]
    }

    /// Fills an empty repository; much faster than single inserts.
    pub(crate) fn fill(&mut self, issues: Vec<Issue>) {
        self.next_number = issues.iter().map(|issue| issue.number.saturating_add(1)).max().unwrap_or(1);
        self.issue_orders = OrdersByState::new(issues.iter());
        self.pull_orders = OrdersByState::new(issues.iter().filter(|issue| issue.pull));
        self.issues = issues.into_iter().map(|issue| (issue.number, issue)).collect();
    }

    /// Inserts an issue, or replaces the one with its number.
    pub(crate) fn put(&mut self, issue: Issue) {
        self.take(issue.number);
        self.gone.remove(&issue.number);
        self.next_number = self.next_number.max(issue.number.saturating_add(1));
        self.issue_orders.insert(&issue);
        if issue.pull {
            self.pull_orders.insert(&issue);
        }
        self.issues.insert(issue.number, issue);
    }

    /// Removes an issue.
    pub(crate) fn take(&mut self, number: u32) -> Option<Issue> {
        let issue = self.issues.remove(&number)?;
        self.issue_orders.remove(&issue);
        if issue.pull {
            self.pull_orders.remove(&issue);
        }
        Some(issue)
    }

    /// Sets the number of comments of generated issues where comments are generated, too.
    pub(crate) fn count_comments(&mut self) {
        let comments = &self.tables[RecordKind::IssueComment as usize];
        if comments.len() == 0 {
            return;
        }
        for issue in self.issues.values_mut() {
            if let IssueText::Raw(_) = issue.content {
                continue;
            }
            issue.comments = u32::try_from(comments.children(issue.number).count()).unwrap_or(u32::MAX);
        }
    }

    /// Renders the labels and milestones inside issues again, after one of them or the repository's name has changed.
    pub(crate) fn refresh_fragments(&mut self) {
        self.fragments.labels = self.render_by_number(RecordKind::Label, self.fragments.drawn_labels);
        self.fragments.milestones = self.render_by_number(RecordKind::Milestone, self.fragments.drawn_milestones);
    }

    /// The JSON of the records with numbers up to `last`; an empty text for one that was deleted.
    fn render_by_number(&self, kind: RecordKind, last: usize) -> Vec<String> {
        let table = self.table(kind);
        let text = |number| table.get(number).map(|record| self.record_text(kind, record)).unwrap_or_default();
        (1..=u32::try_from(last).unwrap_or(u32::MAX)).map(text).collect()
    }

    /// A record's JSON as the server sends it.
    pub(crate) fn record_text(&self, kind: RecordKind, record: &Record) -> String {
        render::record(self, kind, record).to_string()
    }

    /// The issue's JSON as the server sends it.
    pub(crate) fn text(&self, issue: &Issue) -> String {
        let mut out = String::with_capacity(5_000);
        self.write(issue, &mut out);
        out
    }

    /// Whether the server lists an issue: where issues are disabled, it lists only pull requests.
    pub(crate) fn shows(&self, issue: &Issue) -> bool {
        self.issues_enabled || issue.pull
    }

    /// Appends the issue's JSON.
    pub(crate) fn write(&self, issue: &Issue, out: &mut String) {
        match &issue.content {
            IssueText::Seed(seed) => render::issue(self, issue, *seed, out),
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
