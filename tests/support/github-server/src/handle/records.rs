//! Records other than issues, and pull requests.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::GithubServer;
use crate::clock::{second_of, timestamp};
use crate::data::ServerData;
use crate::render::{self, commit_sha, label_path};
use crate::repository::{Repository, State};
use crate::table::{Record, RecordKind};
use crate::timeline::number_of;
use crate::{changes, records};

/// One record as the server has it, to compare a destination with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRecord {
    /// Its id, unique across repositories; a label, a release or a comment has it in its JSON, a commit does not.
    pub id: u64,
    /// The number of the issue or pull request that it belongs to, if its kind belongs to one.
    pub parent: Option<u32>,
    /// When it was created; a commit's date.
    pub created_at: Timestamp,
    /// When it last changed. The JSON of some kinds does not have it.
    pub updated_at: Timestamp,
    /// The path of the record alone, below its repository: `labels/good%20first%20issue`.
    pub path: String,
    /// Its JSON, byte for byte as it is served.
    pub text: String,
    kind: RecordKind,
    record: Record,
}

impl GithubServer {
    #[track_caller]
    fn on_record<T>(
        &self,
        repository: &str,
        kind: RecordKind,
        id: u64,
        work: impl FnOnce(&mut Repository, u32, u32) -> T,
    ) -> T {
        self.on(repository, |data, index, now| {
            let found = &mut data.repositories[index];
            let Some(record) = found.table(kind).find(id) else { panic!("{repository} has no {kind:?} {id}") };
            let number = record.number;
            work(found, number, now)
        })
    }

    /// Adds `count` records, to random issues or pull requests if they belong to some, and returns their ids. Such a
    /// record moves the `updated_at` of the issue or pull request.
    ///
    /// # Panics
    ///
    /// When there is no issue or pull request that they could belong to.
    #[track_caller]
    pub fn add_records(&self, repository: &str, kind: RecordKind, count: u32) -> Vec<u64> {
        self.on(repository, |data, index, now| {
            let ids = (0..count).map_while(|_| records::add(data, index, kind, None, now));
            let ids: Vec<u64> = ids.collect();
            assert_eq!(ids.len(), count as usize, "{repository} has nothing that a {kind:?} could belong to");
            ids
        })
    }

    /// Adds a record to an issue or a pull request, moves the `updated_at` of that, and returns the record's id.
    ///
    /// # Panics
    ///
    /// When the kind belongs to neither, or to a pull request while this is none.
    #[track_caller]
    pub fn add_record_to(&self, repository: &str, kind: RecordKind, issue: u32) -> u64 {
        self.on_issue(repository, issue, |data, index, now| {
            let fits = match kind.belongs_to_pull() {
                Some(true) => data.repositories[index].pull(issue).is_some(),
                Some(false) => true,
                None => false,
            };
            assert!(fits, "a {kind:?} cannot belong to {repository}#{issue}");
            records::add(data, index, kind, Some(issue), now).unwrap_or_default()
        })
    }

    /// Adds a commit with this date to the default branch and returns its id. A date in the past hides it from readers
    /// that ask for newer ones, like a branch that is merged late.
    #[track_caller]
    pub fn push_commit(&self, repository: &str, date: Timestamp) -> u64 {
        self.on(repository, |data, index, _| {
            records::add(data, index, RecordKind::Commit, None, second_of(date)).unwrap_or_default()
        })
    }

    /// Changes a record's text and moves its `updated_at`, if its kind has one. A review is dismissed, and the
    /// `updated_at` of its pull request moves.
    ///
    /// # Panics
    ///
    /// When there is no such record, or when its kind is immutable.
    #[track_caller]
    pub fn edit_record(&self, repository: &str, kind: RecordKind, id: u64) {
        assert!(!kind.immutable(), "a {kind:?} is immutable");
        self.on_record(repository, kind, id, |repository, number, now| records::edit(repository, kind, number, now));
    }

    /// Sets top-level keys of a record's JSON, and otherwise does what [`edit_record`](Self::edit_record) does. The keys
    /// may have an `updated_at`.
    #[track_caller]
    pub fn patch_record(&self, repository: &str, kind: RecordKind, id: u64, keys: Value) {
        self.on_record(repository, kind, id, |repository, number, now| {
            records::patch(repository, kind, number, object(keys), Some(now));
        });
    }

    /// Sets top-level keys of a record's JSON and leaves every `updated_at` alone.
    #[track_caller]
    pub fn patch_record_silently(&self, repository: &str, kind: RecordKind, id: u64, keys: Value) {
        self.on_record(repository, kind, id, |repository, number, _| {
            records::patch(repository, kind, number, object(keys), None);
        });
    }

    /// Deletes a record: it disappears from lists, and a request for it gets 404. A review moves the `updated_at` of its
    /// pull request. A commit disappears from the branch only, as after a forced push.
    #[track_caller]
    pub fn delete_record(&self, repository: &str, kind: RecordKind, id: u64) {
        self.on_record(repository, kind, id, |repository, number, now| {
            records::delete(repository, kind, number, Some(now));
        });
    }

    /// Deletes a record and moves no `updated_at`, as when its author is blocked.
    #[track_caller]
    pub fn hide_record(&self, repository: &str, kind: RecordKind, id: u64) {
        self.on_record(repository, kind, id, |repository, number, _| records::delete(repository, kind, number, None));
    }

    /// Restores a deleted or changed record to an earlier state, its id and `updated_at` included. No `updated_at` moves.
    ///
    /// # Panics
    ///
    /// When the issue or pull request that it belongs to is gone.
    #[track_caller]
    pub fn restore_record(&self, repository: &str, earlier: &SnapshotRecord) {
        let restore = |data: &mut ServerData, index: usize, _| {
            records::restore(&mut data.repositories[index], earlier.kind, earlier.record.clone(), None);
        };
        match earlier.parent {
            Some(parent) => self.on_issue(repository, parent, restore),
            None => self.on(repository, restore),
        }
    }

    /// All records of a kind, by ascending id.
    #[track_caller]
    pub fn records(&self, repository: &str, kind: RecordKind) -> Vec<SnapshotRecord> {
        self.on(repository, |data, index, _| {
            let repository = &data.repositories[index];
            let mut all: Vec<_> =
                repository.table(kind).iter().map(|record| snapshot(repository, kind, record)).collect();
            all.sort_by_key(|record| record.id);
            all
        })
    }

    /// The kinds of records that mutations change besides issues, from now on.
    pub fn mutate_records(&self, kinds: impl IntoIterator<Item = RecordKind>) {
        self.data().mutated = kinds.into_iter().collect();
    }

    /// Opens `count` new pull requests and returns their numbers. A pull request is an issue: it is edited, closed and
    /// deleted as one.
    #[track_caller]
    pub fn create_pulls(&self, repository: &str, count: u32) -> Vec<u32> {
        self.on(repository, |data, index, now| (0..count).map(|_| changes::create_pull(data, index, now)).collect())
    }

    /// All pull requests, as their list has them, by ascending number.
    #[track_caller]
    pub fn pulls(&self, repository: &str) -> Vec<(u32, String)> {
        self.on(repository, |data, index, _| {
            let repository = &data.repositories[index];
            let order = &repository.pull_order(State::All).created;
            let mut numbers: Vec<u32> = order.slice(0, order.len()).map(number_of).collect();
            numbers.sort_unstable();
            let pulls = numbers.into_iter().filter_map(|number| repository.pull(number));
            pulls.map(|issue| (issue.number, render::listed_pull(repository, issue).to_string())).collect()
        })
    }

    /// A pull request as a request for it alone returns it, with keys that lists leave out.
    #[track_caller]
    pub fn pull(&self, repository: &str, number: u32) -> String {
        self.on_issue(repository, number, |data, index, _| {
            let found = &data.repositories[index];
            let Some(pull) = found.pull(number) else { panic!("{repository}#{number} is not a pull request") };
            render::pull(found, pull).to_string()
        })
    }
}

fn snapshot(repository: &Repository, kind: RecordKind, record: &Record) -> SnapshotRecord {
    let Record { id, number, parent, .. } = *record;
    let path = match kind {
        RecordKind::Label => label_path(record),
        RecordKind::Milestone => format!("milestones/{number}"),
        RecordKind::Commit => format!("commits/{}", commit_sha(repository, number)),
        RecordKind::Review => format!("pulls/{parent}/reviews/{id}"),
        _ => format!("{}/{id}", kind.path()),
    };
    SnapshotRecord {
        id,
        parent: kind.belongs_to_pull().map(|_| parent),
        created_at: timestamp(record.created),
        updated_at: timestamp(record.updated),
        path,
        text: repository.record_text(kind, record),
        kind,
        record: record.clone(),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
