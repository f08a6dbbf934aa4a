//! Finds cycles in a graph of files.

use std::collections::{BTreeMap, BTreeSet};

/// The groups of files in which every file reaches every other one, largest first.
pub(crate) fn cycles<'a>(edges: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<BTreeSet<&'a str>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in edges {
        next.entry(from).or_default().insert(to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|file| (*file, reachable(&next, file))).collect();
    let mut groups: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    for (file, targets) in &reached {
        let back = |other: &&str| reached.get(other).is_some_and(|targets| targets.contains(file));
        let group: BTreeSet<&str> = targets.iter().copied().filter(back).collect();
        if !group.is_empty() {
            groups.insert(group);
        }
    }
    let mut groups: Vec<BTreeSet<&str>> = groups.into_iter().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

fn reachable<'a>(next: &BTreeMap<&'a str, BTreeSet<&'a str>>, start: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(file) = open.pop() {
        for target in next.get(file).into_iter().flatten() {
            if reached.insert(*target) {
                open.push(target);
            }
        }
    }
    reached
}
