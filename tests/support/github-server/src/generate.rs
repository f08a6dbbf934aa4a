//! Issues from a seed: their times, states and sizes follow those of busy public repositories.

use crate::issue::{Issue, IssueText};

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
            let content = IssueText::Seed(mix(seed, u64::from(number)));
            Issue { id: first_id(number), content, number, created, updated, closed, revision: 0, comments, open }
        })
        .collect()
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
