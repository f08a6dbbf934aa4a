//! Changes between the requests of a client.

use std::time::Duration;

use crate::clock::Clock;
use crate::data::ServerData;
use crate::repository::{Removal, State};
use crate::table::RecordKind;
use crate::timeline::{Timeline, number_of};
use crate::{changes, records};

/// The changes before each list, drawn from the server's seed.
///
/// They change issues and the kinds of records that
/// [`mutate_records`](crate::GithubServer::mutate_records) names, each with equal probability. Issues bear labels and
/// milestones: changes of those change issues without moving their `updated_at`.
///
/// A fixed [`Clock`] advances by a second or two at every such request; the changes before one list share a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mutations {
    /// Changes before each list: mostly edits, occasionally a new issue, a close or a reopening.
    pub changes: u32,
    /// Whether some changes delete an issue or another record, or restore such a record.
    pub deletions: bool,
    /// Whether one list in fifty is preceded by 120 issues that get the same `updated_at`.
    pub bulk_edits: bool,
}

impl Mutations {
    /// No automatic changes.
    pub const NONE: Self = Self { changes: 0, deletions: false, bulk_edits: false };

    /// Returns this many changes before each list.
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
            match random_kind(data) {
                Some(kind) => self.change_record(data, repository, kind, now),
                None => self.change(data, repository, now),
            }
        }
    }

    fn change_record(self, data: &mut ServerData, repository: usize, kind: RecordKind, now: u32) {
        let draw = data.rng.u8(..100);
        let order = &data.repositories[repository].table(kind).orders().created;
        let Some(number) = any_number(order, &mut data.rng) else {
            records::add(data, repository, kind, None, now);
            return;
        };
        match draw {
            0..20 => {
                records::add(data, repository, kind, None, now);
            }
            // Events never disappear on their own.
            20..27 if self.deletions && kind != RecordKind::IssueEvent => {
                records::delete(&mut data.repositories[repository], kind, number, Some(now));
            }
            27..32 if self.deletions && kind != RecordKind::Commit => {
                records::restore_any(data, repository, kind, now);
            }
            _ if kind.immutable() => {
                records::add(data, repository, kind, None, now);
            }
            _ => records::edit(&mut data.repositories[repository], kind, number, now),
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
            22..27 if self.deletions => changes::delete(data, repository, number, Removal::Deleted),
            _ => changes::edit(data, repository, number, now),
        }
    }
}

/// The kind of the next change; `None` for an issue.
fn random_kind(data: &mut ServerData) -> Option<RecordKind> {
    if data.mutated.is_empty() {
        return None;
    }
    let position = data.rng.usize(..=data.mutated.len());
    data.mutated.get(position).copied()
}

/// A random issue, older and newer ones with equal probability.
fn any_issue(data: &mut ServerData, repository: usize) -> Option<u32> {
    any_number(&data.repositories[repository].order(State::All).created, &mut data.rng)
}

/// A random number from an order.
pub(crate) fn any_number(order: &Timeline, rng: &mut fastrand::Rng) -> Option<u32> {
    if order.len() == 0 {
        return None;
    }
    let position = rng.usize(..order.len());
    order.get(position).map(number_of)
}
