//! The errors in a destination, found by comparison with the upstream, row by row.

use std::collections::HashMap;
use std::ops::AddAssign;

use github_server::{GithubServer, SnapshotIssue};

use crate::claims::CheckpointClaims;
use crate::target::ResourceRows;

#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Discrepancies {
    /// Issues of the upstream that have no live row with their current text.
    pub(crate) lost: usize,
    /// Surplus rows of an issue.
    pub(crate) duplicated: usize,
    /// Issues that the checkpoint claims as delivered, but without such a row.
    pub(crate) ahead: usize,
    /// Live rows of issues that the upstream no longer has.
    pub(crate) left_over: usize,
}

impl AddAssign for Discrepancies {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.ahead += other.ahead;
        self.left_over += other.left_over;
    }
}

/// A repository of the upstream: the first name is the resource's, the last one is its current one.
#[derive(Debug, Clone)]
pub(crate) struct Repository(pub(crate) Vec<String>);

impl Repository {
    pub(crate) fn resource(&self) -> &str {
        &self.0[0]
    }

    pub(crate) fn name(&self) -> &str {
        &self.0[self.0.len() - 1]
    }

    /// An issue as if its repository had never been renamed: a rename changes addresses but no `updated_at`.
    fn with_first_name(&self, text: &str) -> String {
        self.0[1..].iter().fold(text.to_owned(), |text, name| text.replace(name.as_str(), self.resource()))
    }

    /// Compares the destination with the upstream. Nothing may change meanwhile.
    pub(crate) fn compare(&self, upstream: &GithubServer, stored: &ResourceRows, exactly: bool) -> Discrepancies {
        let mut damage = Discrepancies::default();
        let claims = CheckpointClaims::parse(stored.state.as_ref().map(|state| &state["checkpoint"]));
        let mut rows: HashMap<i64, (String, bool)> = HashMap::new();
        for (id, text, live) in &stored.rows {
            let text = if exactly { text.clone() } else { self.with_first_name(text) };
            damage.duplicated += usize::from(rows.insert(*id, (text, *live)).is_some());
        }
        upstream.visit(self.name(), |SnapshotIssue { id, text, updated_at, .. }| {
            let text = if exactly { text } else { self.with_first_name(&text) };
            let is_wrong = rows.remove(&i64::try_from(id).unwrap()) != Some((text, true));
            damage.lost += usize::from(is_wrong);
            damage.ahead += usize::from(is_wrong && claims.cover(updated_at));
        });
        damage.left_over += rows.values().filter(|(_, live)| *live).count();
        damage
    }
}
