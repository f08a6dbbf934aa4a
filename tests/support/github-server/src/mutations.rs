//! Changes between the requests of a client.

use std::time::Duration;

use crate::changes;
use crate::clock::Clock;
use crate::data::{ServerData, State};
use crate::timeline::number_of;

/// The changes before each list of issues, drawn from the server's seed.
///
/// A fixed [`Clock`] advances by a second or two at every such request; the changes before one list share a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mutations {
    /// Changes before each list: mostly edits, occasionally a new issue, a close or a reopening.
    pub changes: u32,
    /// Whether some changes delete an issue.
    pub deletions: bool,
    /// Whether one list in fifty is preceded by 120 issues that get the same `updated_at`.
    pub bulk_edits: bool,
}

impl Mutations {
    /// No automatic changes.
    pub const NONE: Self = Self { changes: 0, deletions: false, bulk_edits: false };

    /// Returns this many changes before each list of issues.
    pub fn per_request(changes: u32) -> Self {
        Self { changes, ..Self::NONE }
    }

    /// Changes the repository that is about to be read.
    pub(crate) fn apply(self, data: &mut ServerData, repository: usize, clock: &Clock) {
        if self == Self::NONE {
            return;
        }
        clock.tick(Duration::from_millis(data.rng.u64(0..1_000)));
        let now = clock.second();
        if self.bulk_edits && data.rng.u8(..50) == 0 {
            changes::bulk_edit(data, repository, 120, now);
        }
        for _ in 0..self.changes {
            self.change(data, repository, now);
        }
    }

    fn change(self, data: &mut ServerData, repository: usize, now: u32) {
        let draw = data.rng.u8(..100);
        let Some(number) = any_issue(data, repository) else {
            changes::create(data, repository, now);
            return;
        };
        match draw {
            0..10 => {
                changes::create(data, repository, now);
            }
            10..22 => {
                let open = data.repositories[repository].issues[&number].open;
                changes::set_open(data, repository, number, !open, now);
            }
            22..27 if self.deletions => changes::delete(data, repository, number, crate::data::Removal::Deleted),
            _ => changes::edit(data, repository, number, now),
        }
    }
}

/// A random issue, older and newer ones with equal probability.
pub(crate) fn any_issue(data: &mut ServerData, repository: usize) -> Option<u32> {
    let created = &data.repositories[repository].order(State::All).created;
    if created.len() == 0 {
        return None;
    }
    let position = data.rng.usize(..created.len());
    created.get(position).map(number_of)
}
