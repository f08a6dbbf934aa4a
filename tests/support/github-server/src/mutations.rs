//! Changes that happen while somebody reads.

use std::time::Duration;

use crate::changes;
use crate::clock::Clock;
use crate::data::{State, World};
use crate::timeline::number_of;

/// What changes before each list of issues is answered, drawn from the upstream's seed.
///
/// A standing [`Clock`] moves on by a second or two at every such request; the changes before one list share a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mutations {
    /// Changes before each list: mostly edits, now and then a new issue, a close or a reopening.
    pub changes: u32,
    /// Whether some changes delete an issue.
    pub deletions: bool,
    /// Whether one list in fifty is preceded by 120 issues that get the same `updated_at`.
    pub bulk_edits: bool,
}

impl Mutations {
    /// Nothing changes by itself.
    pub const NONE: Self = Self { changes: 0, deletions: false, bulk_edits: false };

    /// So many changes before each list of issues.
    pub fn per_request(changes: u32) -> Self {
        Self { changes, ..Self::NONE }
    }

    /// Changes the repository that is about to be read.
    pub(crate) fn apply(self, world: &mut World, repository: usize, clock: &Clock) {
        if self == Self::NONE {
            return;
        }
        clock.tick(Duration::from_millis(world.rng.u64(0..1_000)));
        let now = clock.second();
        if self.bulk_edits && world.rng.u8(..50) == 0 {
            changes::bulk_edit(world, repository, 120, now);
        }
        for _ in 0..self.changes {
            self.change(world, repository, now);
        }
    }

    fn change(self, world: &mut World, repository: usize, now: u32) {
        let draw = world.rng.u8(..100);
        let Some(number) = any_issue(world, repository) else {
            changes::create(world, repository, now);
            return;
        };
        match draw {
            0..10 => {
                changes::create(world, repository, now);
            }
            10..22 => {
                let open = world.repositories[repository].issues[&number].open;
                changes::set_open(world, repository, number, !open, now);
            }
            22..27 if self.deletions => changes::delete(world, repository, number, crate::data::Gone::Deleted),
            _ => changes::edit(world, repository, number, now),
        }
    }
}

/// A random issue; older and newer ones alike.
pub(crate) fn any_issue(world: &mut World, repository: usize) -> Option<u32> {
    let created = &world.repositories[repository].order(State::All).created;
    if created.len() == 0 {
        return None;
    }
    let position = world.rng.usize(..created.len());
    created.get(position).map(number_of)
}
