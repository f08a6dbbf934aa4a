//! Issues and other records from a seed: their times, states and sizes follow those of busy public repositories.

use serde_json::{Map, Value};

use crate::data::RecordIds;
use crate::issue::Issue;
use crate::repository::Repository;
use crate::table::{Record, RecordKind};

/// How far back a repository's history goes: eight years, in seconds.
pub(crate) const YEARS: u32 = 8 * 365 * 86_400;

/// Mixes two numbers into one that looks random (the finaliser of SplitMix64).
pub(crate) fn mix(seed: u64, salt: u64) -> u64 {
    let mut z = seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Returns `count` issues, numbered from 1, none of them newer than `now`.
pub(crate) fn issues(count: u32, seed: u64, first_id: impl Fn(u32) -> u64, now: u32) -> Vec<Issue> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut created = now.saturating_sub(YEARS);
    let start = created;
    // Bots close stale issues in bursts, so that dozens share one second.
    let mut burst = (0_u32, 0_u32);
    (1..=count)
        .map(|number| {
            created = created.max(start + square_root_share(number, count, YEARS - 60));
            created = (created + rng.u32(0..=u32::from(count < 100_000) * 40)).min(now);
            let age = now - created;
            if (burst.1 == 0 || burst.0 < created) && rng.u16(..100) == 0 {
                burst = (now - cubed(&mut rng, age), rng.u32(5..=35));
            }
            let updated = if burst.1 > 0 && burst.0 >= created {
                burst.1 -= 1;
                burst.0
            } else {
                match rng.u8(..8) {
                    0 | 1 => created,
                    2 => now - cubed(&mut rng, age),
                    _ => created + cubed(&mut rng, age),
                }
            };
            let open = rng.u8(..10) < 3;
            let closed = if open { 0 } else { created + rng.u32(0..=updated - created) };
            let comments = cubed(&mut rng, 60);
            let issue = Issue::generated(first_id(number), number, mix(seed, u64::from(number)), created);
            Issue { updated, closed, comments, open, ..issue }
        })
        .collect()
}

/// Makes this many of the issues pull requests, evenly spread over all of them.
pub(crate) fn spread_pulls(issues: &mut [Issue], pulls: u32) {
    let count = issues.len() as u64;
    for (index, issue) in (0_u64..).zip(issues) {
        let before = |index: u64| index * u64::from(pulls) / count;
        issue.draw_until(before(index + 1) > before(index));
    }
}

/// Returns `count` records of a kind, none of them newer than `now`; none at all where there is no issue or pull request
/// that they could belong to.
pub(crate) fn records(
    repository: &Repository,
    kind: RecordKind,
    count: u32,
    now: u32,
    ids: &mut RecordIds,
) -> Vec<Record> {
    let seed = record_seed(repository, kind);
    let mut rng = fastrand::Rng::with_seed(seed);
    // (created, parent), to be sorted so that numbers and ids ascend with the time.
    let mut drafts: Vec<(u32, u32)> = match kind.belongs_to_pull() {
        Some(pull) => {
            let parents: Vec<&Issue> = repository.issues.values().filter(|issue| issue.pull || !pull).collect();
            let some = if parents.is_empty() { 0 } else { count };
            (0..some)
                .map(|_| {
                    let parent = parents[rng.usize(..parents.len())];
                    (rng.u32(parent.created..=parent.updated.max(parent.created)), parent.number)
                })
                .collect()
        }
        None => {
            let start = now.saturating_sub(YEARS);
            (1..=count).map(|position| (start + square_root_share(position, count, YEARS - 60), 0)).collect()
        }
    };
    drafts.sort_unstable();
    (1..)
        .zip(drafts)
        .map(|(number, (created, parent))| {
            let edited = !kind.immutable() && kind != RecordKind::Review && rng.u8(..6) == 0;
            let updated = if edited { created + cubed(&mut rng, now.saturating_sub(created)) } else { created };
            let parent = if kind == RecordKind::Commit { number - 1 } else { parent };
            let keys = links(repository, kind, parent);
            Record {
                id: ids.take(),
                number,
                parent,
                created,
                updated,
                seed: mix(seed, number.into()),
                revision: 0,
                keys,
            }
        })
        .collect()
}

/// A record that is created now.
pub(crate) fn new_record(
    repository: &Repository,
    kind: RecordKind,
    id: u64,
    number: u32,
    parent: u32,
    now: u32,
) -> Record {
    let seed = mix(record_seed(repository, kind), number.into());
    let keys = links(repository, kind, parent);
    Record { id, number, parent, created: now, updated: now, seed, revision: 0, keys }
}

fn record_seed(repository: &Repository, kind: RecordKind) -> u64 {
    mix(repository.seed, 0x0072_6563_6f72_6400 + kind as u64)
}

/// Links to other records, which stay when those change: a review comment's review.
fn links(repository: &Repository, kind: RecordKind, parent: u32) -> Map<String, Value> {
    let mut keys = Map::new();
    if kind == RecordKind::ReviewComment {
        let reviews = repository.table(RecordKind::Review);
        if let Some(review) = reviews.children(parent).next().and_then(|number| reviews.get(number)) {
            keys.insert("pull_request_review_id".into(), review.id.into());
        }
    }
    keys
}

/// A number up to `limit`, most often a small one.
fn cubed(rng: &mut fastrand::Rng, limit: u32) -> u32 {
    let share = u64::from(rng.u16(..)) + 1;
    let part = (u64::from(limit) * ((share * share * share) >> 24)) >> 24;
    u32::try_from(part).unwrap_or(limit).min(limit)
}

/// `span * sqrt(part / whole)`: repositories grow busier, so the later years have more.
fn square_root_share(part: u32, whole: u32, span: u32) -> u32 {
    let root = (u64::from(part) * 1_000_000_000_000 / u64::from(whole)).isqrt();
    u32::try_from(u64::from(span) * root / 1_000_000).unwrap_or(span)
}
