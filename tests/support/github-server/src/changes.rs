//! Changes of issues.

use std::io;

use serde_json::{Map, Value};

use crate::clock::timestamp;
use crate::data::ServerData;
use crate::generate::mix;
use crate::issue::{Issue, IssueText};
use crate::records;
use crate::render::label_name;
use crate::repository::{Removal, Repository};
use crate::table::RecordKind;

/// Opens a new issue and returns its number.
pub(crate) fn create(data: &mut ServerData, repository: usize, now: u32) -> u32 {
    let repository = &mut data.repositories[repository];
    let number = repository.take_number();
    let seed = mix(repository.seed, u64::from(number));
    repository.put(Issue::generated(repository.id_of(number), number, seed, now));
    number
}

/// Opens a new pull request and returns its number.
pub(crate) fn create_pull(data: &mut ServerData, repository: usize, now: u32) -> u32 {
    let repository = &mut data.repositories[repository];
    let number = repository.take_number();
    let seed = mix(repository.seed, u64::from(number));
    let mut issue = Issue::generated(repository.id_of(number), number, seed, now);
    issue.draw_until(true);
    repository.put(issue);
    number
}

/// Replaces an issue's title, body and labels. Where no comments are served, it gets one more.
pub(crate) fn edit(data: &mut ServerData, repository: usize, number: u32, now: u32) {
    let repository = &mut data.repositories[repository];
    let commented = repository.table(RecordKind::IssueComment).len() == 0;
    change(
        repository,
        number,
        now,
        |issue| {
            issue.revision += 1;
            issue.comments += u32::from(commented);
        },
        |object| {
            let title = object.get("title").and_then(Value::as_str).unwrap_or_default();
            let comments = object.get("comments").and_then(Value::as_u64).unwrap_or_default();
            let title = format!("{title} (edited)");
            object.insert("title".into(), title.into());
            object.insert("comments".into(), (comments + u64::from(commented)).into());
        },
    );
}

/// Moves an issue's `updated_at` because a record that belongs to it was added or has changed.
pub(crate) fn touch(repository: &mut Repository, number: u32, now: u32) {
    change(repository, number, now, |_| {}, |_| {});
}

/// Closes or reopens an issue, which is an event.
pub(crate) fn set_open(data: &mut ServerData, repository: usize, number: u32, open: bool, now: u32) {
    change(
        &mut data.repositories[repository],
        number,
        now,
        |issue| {
            issue.revision += 1;
            issue.open = open;
            issue.closed = if open { 0 } else { now };
        },
        |object| {
            object.insert("state".into(), if open { "open" } else { "closed" }.into());
            object.insert("closed_at".into(), if open { Value::Null } else { timestamp(now).to_string().into() });
        },
    );
    let event = if open { "reopened" } else { "closed" };
    records::add_event(data, repository, number, event, now);
}

/// Changes an issue, as data or as text, and sets its `updated_at`.
fn change(
    repository: &mut Repository,
    number: u32,
    now: u32,
    generated: impl FnOnce(&mut Issue),
    raw: impl FnOnce(&mut Map<String, Value>),
) {
    let Some(mut issue) = repository.take(number) else { return };
    match &issue.content {
        IssueText::Seed(_) => {
            generated(&mut issue);
            issue.updated = now;
        }
        IssueText::Raw(text) => {
            let mut object: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
            raw(&mut object);
            object.insert("updated_at".into(), timestamp(now).to_string().into());
            if let Ok(changed) = Issue::from_raw(&Value::Object(object).to_string()) {
                issue = changed;
            }
        }
    }
    repository.put(issue);
}

/// Edits `count` random issues within one second.
pub(crate) fn bulk_edit(data: &mut ServerData, repository: usize, count: usize, now: u32) {
    let mut numbers: Vec<u32> = data.repositories[repository].issues.keys().copied().collect();
    data.rng.shuffle(&mut numbers);
    for number in numbers.into_iter().take(count) {
        edit(data, repository, number, now);
    }
}

/// Removes an issue from every list, with all records that belong to it.
pub(crate) fn delete(data: &mut ServerData, repository: usize, number: u32, gone: Removal) {
    let repository = &mut data.repositories[repository];
    if repository.take(number).is_some() {
        repository.gone.insert(number, gone);
        records::take_children(repository, number);
    }
}

/// Moves an issue to another repository, where it and the records that belong to it get new ids and numbers.
pub(crate) fn transfer(data: &mut ServerData, from: usize, number: u32, to: usize, now: u32) -> Option<u32> {
    let mut issue = data.repositories[from].take(number)?;
    let target = &mut data.repositories[to];
    let (new, target_id) = (target.take_number(), target.id);
    issue.number = new;
    issue.id = target.id_of(new);
    issue.updated = now;
    if let IssueText::Raw(text) = &issue.content {
        let patch = serde_json::json!({
            "id": issue.id, "number": new, "updated_at": timestamp(now).to_string(),
            "repository_url": format!("https://api.github.com/repos/{}", target.name),
        });
        issue = Issue::patched(text, object(patch)).unwrap_or(issue);
    }
    target.put(issue);
    let source = &mut data.repositories[from];
    source.gone.insert(number, Removal::Moved { repository: target_id, number: new });
    let children = records::take_children(source, number);
    records::put_children(data, to, new, children);
    Some(new)
}

/// Sets keys of an issue's JSON; its `updated_at` becomes `updated` unless the patch has one.
pub(crate) fn patch(repository: &mut Repository, number: u32, patch: Value, updated: u32) -> io::Result<()> {
    let Some(issue) = repository.issues.get(&number) else { return Ok(()) };
    // Fields added later are appended when the issue is written, so they must not be stored as well.
    let fields = std::mem::take(&mut repository.new_fields);
    let text = repository.text(issue);
    repository.new_fields = fields;
    let mut keys = Map::new();
    keys.insert("updated_at".into(), timestamp(updated).to_string().into());
    keys.extend(object(patch));
    let changed = Issue::patched(&text, keys)?;
    repository.take(number);
    repository.put(changed);
    Ok(())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// Renames a label, also in every issue that bears it; no `updated_at` moves.
pub(crate) fn rename_label(repository: &mut Repository, old: &str, new: &str) {
    let label = repository.table(RecordKind::Label).iter().find(|label| label_name(label) == old);
    if let Some(number) = label.map(|label| label.number) {
        let name = Map::from_iter([("name".to_owned(), new.into())]);
        records::patch(repository, RecordKind::Label, number, name, None);
    }
    for issue in repository.issues.values_mut() {
        let IssueText::Raw(text) = &issue.content else { continue };
        if !text.contains(old) {
            continue;
        }
        let Ok(mut object) = serde_json::from_str::<Value>(text) else { continue };
        for label in object["labels"].as_array_mut().into_iter().flatten() {
            if label["name"] == old {
                label["name"] = new.into();
            }
        }
        issue.content = IssueText::Raw(object.to_string().into());
    }
}
