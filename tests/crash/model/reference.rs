//! The reference: every state that each issue ever had, and which of them may be found after each step.

use std::collections::{BTreeMap, BTreeSet};

use github_server::GithubServer;
use jiff::Timestamp;
use serde_json::Value;
use snowfeed::RunId;

use super::mirror::{STREAMS, StreamIndex};
use crate::claims::CheckpointClaims;
use crate::destination::FoundRow;

/// A state of an issue: its update time and its text.
type State = (Timestamp, String);

/// The upstream's issues, by id.
pub(crate) type Snapshot = BTreeMap<u64, State>;

/// A repository and its stored rows.
#[derive(Debug, Default)]
pub(crate) struct Reference {
    /// Its current name at the upstream.
    pub(crate) name: String,
    /// The states of each issue, oldest first, including deleted issues.
    history: BTreeMap<u64, Vec<State>>,
    pub(crate) streams: [StreamReference; 2],
    /// The issues that were gone when the step began.
    pub(crate) gone_before: BTreeSet<u64>,
    pub(crate) enabled: Option<bool>,
    /// The streams that were selected last; `None`: the default ones, which are all.
    pub(crate) selected: Option<Vec<StreamIndex>>,
}

/// The stored rows of one stream of a repository.
#[derive(Debug, Default)]
pub(crate) struct StreamReference {
    /// The rows found after the last step: the update time, and whether the row was marked deleted.
    found: BTreeMap<u64, (Timestamp, bool)>,
    /// The unfinished reconcile run, if any, and the issues that were gone before it.
    pub(crate) reconcile: Option<(RunId, BTreeSet<u64>)>,
}

/// How much of the upstream a run must have stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// Each issue in a state with its update time, or a later one.
    Changes,
    /// Each issue in exactly the state that it had, or a later one: everything was read.
    Everything,
}

impl Reference {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The upstream's current issues.
    pub(crate) fn snapshot(&self, upstream: &GithubServer) -> Snapshot {
        upstream.snapshot(&self.name).into_iter().map(|issue| (issue.id, (issue.updated_at, issue.text))).collect()
    }

    /// Records the upstream's changes.
    pub(crate) fn note(&mut self, upstream: &GithubServer) {
        for (id, state) in self.snapshot(upstream) {
            let history = self.history.entry(id).or_default();
            if history.last() != Some(&state) {
                history.push(state);
            }
        }
    }

    /// The issues that once existed and are gone.
    pub(crate) fn gone(&self, now: &Snapshot) -> BTreeSet<u64> {
        self.history.keys().filter(|id| !now.contains_key(id)).copied().collect()
    }

    /// Checks the invariants of a stream after every step: no row is duplicated, invented, older than before, wrongly deleted, or behind
    /// the checkpoint.
    pub(crate) fn assert_invariants(
        &mut self,
        stream: StreamIndex,
        now: &Snapshot,
        rows: &[FoundRow],
        checkpoint: Option<&Value>,
    ) {
        let name = format!("{} ({})", self.name, STREAMS[stream]);
        let mut found = BTreeMap::new();
        for FoundRow { raw, deleted } in rows {
            let id = id_of(raw);
            let history = self.history.get(&id).unwrap_or_else(|| panic!("{name}: {id} never existed"));
            let state = history.iter().find(|(_, text)| text == raw);
            let (updated, _) = state.unwrap_or_else(|| panic!("{name}: {id} never had this state: {raw}"));
            assert!(found.insert(id, (*updated, *deleted)).is_none(), "{name}: {id} has two rows");
            assert!(!deleted || !now.contains_key(&id), "{name}: {id} is marked deleted but exists upstream");
        }
        for (id, (updated, deleted)) in &self.streams[stream].found {
            let (found_update, found_deleted) =
                found.get(id).unwrap_or_else(|| panic!("{name}: the row of {id} is gone"));
            assert!(found_update >= updated, "{name}: {id} reverted to an older state");
            assert!(found_deleted >= deleted, "{name}: {id} is no longer marked deleted");
        }
        let claims = CheckpointClaims::parse(checkpoint);
        for (id, (updated, _)) in now.iter().filter(|(_, (updated, _))| claims.cover(*updated)) {
            let stored = found.get(id).map(|(updated, _)| updated);
            assert_eq!(stored, Some(updated), "{name}: the checkpoint is ahead of {id}: {checkpoint:?}");
        }
        self.streams[stream].found = found;
    }

    /// Checks a complete run that began when the upstream had `before`, and ended when it had `now`.
    pub(crate) fn assert_complete_run(&self, before: &Snapshot, now: &Snapshot, rows: &[FoundRow], coverage: Coverage) {
        let name = &self.name;
        let rows: BTreeMap<u64, &FoundRow> = rows.iter().map(|found| (id_of(&found.raw), found)).collect();
        for (id, (updated, text)) in before.iter().filter(|(id, _)| now.contains_key(id)) {
            let row = rows.get(id).unwrap_or_else(|| panic!("{name}: {id} is lost"));
            let history = &self.history[id];
            let since = match coverage {
                Coverage::Changes => history.iter().position(|(time, _)| time == updated),
                Coverage::Everything => history.iter().rposition(|state| state == &(*updated, text.clone())),
            };
            let states = &history[since.unwrap()..];
            assert!(
                states.iter().any(|(_, text)| *text == row.raw),
                "{name}: {id} is older than the state before the run: {text}"
            );
        }
    }

    /// Checks a complete reconcile run: every issue that was gone before it began is marked deleted.
    pub(crate) fn assert_swept(&self, stream: StreamIndex, gone: &BTreeSet<u64>) {
        for id in gone {
            let live = self.streams[stream].found.get(id).is_some_and(|(_, deleted)| !deleted);
            assert!(!live, "{}: {id} is gone upstream but not marked deleted", self.name);
        }
    }
}

fn id_of(raw: &str) -> u64 {
    #[derive(serde::Deserialize)]
    struct WithId {
        id: u64,
    }
    serde_json::from_str::<WithId>(raw).unwrap().id
}
