//! Changes of records other than issues.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::changes::touch;
use crate::clock::second_of;
use crate::data::ServerData;
use crate::generate;
use crate::issue::IssueText;
use crate::mutations::any_number;
use crate::repository::{Repository, State};
use crate::table::{Record, RecordKind};

/// Adds a record to an issue or a pull request, a random one unless it is given, and returns its id; `None` where there is
/// none that it could belong to.
pub(crate) fn add(
    data: &mut ServerData,
    repository: usize,
    kind: RecordKind,
    parent: Option<u32>,
    now: u32,
) -> Option<u64> {
    let parents = &data.repositories[repository];
    let parent = match kind.belongs_to_pull() {
        Some(pull) => {
            let orders = if pull { parents.pull_order(State::All) } else { parents.order(State::All) };
            parent.or_else(|| any_number(&orders.created, &mut data.rng))?
        }
        None => 0,
    };
    Some(insert_new(data, repository, kind, parent, now, Map::new()))
}

/// Adds an event that happened to an issue.
pub(crate) fn add_event(data: &mut ServerData, repository: usize, number: u32, event: &str, now: u32) {
    let keys = Map::from_iter([("event".to_owned(), event.into())]);
    insert_new(data, repository, RecordKind::IssueEvent, number, now, keys);
}

fn insert_new(
    data: &mut ServerData,
    repository: usize,
    kind: RecordKind,
    parent: u32,
    now: u32,
    keys: Map<String, Value>,
) -> u64 {
    let (repository, ids) = data.repository_and_ids(repository);
    let table = repository.table_mut(kind);
    let parent = match kind {
        RecordKind::Commit => table.iter().next_back().map_or(0, |newest| newest.number),
        _ => parent,
    };
    let number = table.take_number();
    let mut record = generate::new_record(repository, kind, ids.take(), number, parent, now);
    record.keys.extend(keys);
    let id = record.id;
    put(repository, kind, record);
    if kind.belongs_to_pull().is_some() {
        touch(repository, parent, now);
    }
    id
}

/// Changes a record's text, also one that was set.
pub(crate) fn edit(repository: &mut Repository, kind: RecordKind, number: u32, now: u32) {
    change(repository, kind, number, Some(now), |record| {
        record.revision += 1;
        record.updated = now;
        record.keys.remove("body");
        record.keys.remove("description");
    });
}

/// Sets keys of a record's JSON; `now` is its `updated_at` unless the keys have one, and `None` leaves that alone.
pub(crate) fn patch(
    repository: &mut Repository,
    kind: RecordKind,
    number: u32,
    mut keys: Map<String, Value>,
    now: Option<u32>,
) {
    change(repository, kind, number, now, |record| {
        // Not kept as a key, or later changes could not move it.
        let given = keys.remove("updated_at");
        let given = given.as_ref().and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
        record.updated = given.map(second_of).or(now).unwrap_or(record.updated);
        record.keys.extend(keys);
    });
}

fn change(
    repository: &mut Repository,
    kind: RecordKind,
    number: u32,
    now: Option<u32>,
    apply: impl FnOnce(&mut Record),
) {
    let Some(mut record) = repository.table(kind).get(number).cloned() else { return };
    apply(&mut record);
    let parent = record.parent;
    put(repository, kind, record);
    touch_by_review(repository, kind, parent, now);
}

/// Removes a record from its list. With a time, a review moves the `updated_at` of its pull request.
pub(crate) fn delete(repository: &mut Repository, kind: RecordKind, number: u32, now: Option<u32>) {
    let Some(record) = repository.table_mut(kind).remove(number) else { return };
    after_change(repository, kind, record.parent, -1);
    touch_by_review(repository, kind, record.parent, now);
}

/// Inserts a record as it was, or replaces the one with its number. With a time, a review moves the `updated_at` of its
/// pull request.
pub(crate) fn restore(repository: &mut Repository, kind: RecordKind, record: Record, now: Option<u32>) {
    let parent = record.parent;
    put(repository, kind, record);
    touch_by_review(repository, kind, parent, now);
}

/// Restores a random deleted record, if there is one. Its `updated_at` moves, so that readers of changes find it.
pub(crate) fn restore_any(data: &mut ServerData, repository: usize, kind: RecordKind, now: u32) {
    let repository = &mut data.repositories[repository];
    let has_parent =
        |record: &&Record| kind.belongs_to_pull().is_none() || repository.issues.contains_key(&record.parent);
    let candidates: Vec<&Record> = repository.table(kind).removed().iter().filter(has_parent).collect();
    if candidates.is_empty() {
        return;
    }
    let record = candidates[data.rng.usize(..candidates.len())].clone();
    restore(repository, kind, Record { updated: now, ..record }, Some(now));
}

fn put(repository: &mut Repository, kind: RecordKind, record: Record) {
    let parent = record.parent;
    let new = repository.table_mut(kind).insert(record);
    after_change(repository, kind, parent, i32::from(new));
}

/// Keeps issues right after a record was added (1), changed (0) or removed (-1); no `updated_at` moves.
fn after_change(repository: &mut Repository, kind: RecordKind, parent: u32, added: i32) {
    match kind {
        RecordKind::Label | RecordKind::Milestone => repository.refresh_fragments(),
        RecordKind::IssueComment => {
            if let Some(issue) = repository.issues.get_mut(&parent)
                && let IssueText::Seed(_) = issue.content
            {
                issue.comments = issue.comments.saturating_add_signed(added);
            }
        }
        _ => {}
    }
}

/// A review that is dismissed or otherwise changed moves its pull request's `updated_at`; an edited comment does not.
fn touch_by_review(repository: &mut Repository, kind: RecordKind, parent: u32, now: Option<u32>) {
    if let (RecordKind::Review, Some(now)) = (kind, now) {
        touch(repository, parent, now);
    }
}

/// Removes all records that belong to an issue.
pub(crate) fn take_children(repository: &mut Repository, parent: u32) -> Vec<(RecordKind, Record)> {
    let mut taken = Vec::new();
    for (_, kind) in RecordKind::STREAMS.into_iter().filter(|(_, kind)| kind.belongs_to_pull().is_some()) {
        let table = repository.table_mut(kind);
        let numbers: Vec<u32> = table.children(parent).collect();
        taken.extend(numbers.into_iter().filter_map(|number| table.take(number)).map(|record| (kind, record)));
    }
    taken
}

/// Inserts records below an issue that was moved here; they get new ids.
pub(crate) fn put_children(data: &mut ServerData, to: usize, parent: u32, children: Vec<(RecordKind, Record)>) {
    let (repository, ids) = data.repository_and_ids(to);
    for (kind, record) in children {
        let table = repository.table_mut(kind);
        let number = table.take_number();
        table.insert(Record { id: ids.take(), number, parent, ..record });
    }
}
