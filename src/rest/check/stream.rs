//! What a stream says about its records.

use jiff::Timestamp;
use jiff::civil::Date;

use super::super::place::Place;
use super::super::stream::{Stream, StreamType};
use super::super::time::TimeFormat;
use super::super::version::{Order, Since};
use super::errors::errors;
use super::placeholders::uses_word;
use super::problem::Problems;
use crate::stream::{PLAIN_NAME, is_plain};

pub(super) fn check(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    if !is_plain(&stream.name) {
        let help = format!("name it with {PLAIN_NAME}");
        problems.error(at.clone().key("name"), format!("the name {:?} is not allowed", stream.name), help);
    }
    pointers(problems, stream, at);
    let has_code = !stream.errors.code.is_empty() || !problems.api.errors.code.is_empty();
    errors(problems, &stream.errors, &at.clone().key("errors"), has_code);
    order(problems, stream, at);
    if let Some(since) = &stream.since {
        check_since(problems, stream, since, &at.clone().key("since"));
    }
    cap(problems, stream, at);
    if stream.kind == Some(StreamType::Append) {
        append(problems, stream, at);
    }
}

fn pointers(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    problems.pointer_or_root(&stream.records, at.clone().key("records"));
    if stream.key.is_empty() {
        problems.error(at.clone().key("key"), "no pointer to the key", "write `key = \"/id\"`, or leave it out");
    }
    problems.pointers(&stream.key, &at.clone().key("key"));
    if let Some(version) = &stream.version {
        if version.at.is_empty() {
            problems.error(at.clone().key("version"), "no pointer to the version", "write `version = \"/updated_at\"`");
        }
        problems.pointers(&version.at, &at.clone().key("version"));
    }
    if let Some(deleted) = &stream.deleted {
        problems.pointer(&deleted.at, at.clone().key("deleted"));
    }
    problems.optional_pointer(stream.spread.as_ref(), at.clone().key("spread"));
    for (name, pointer) in &stream.columns {
        let at = at.clone().key("columns").key(name);
        let is_given = matches!(name.as_str(), "resource" | "deleted_at" | "raw")
            || (name == "parent_key" && stream.parent.is_some());
        if !is_plain(name) {
            let help = format!("name it with {PLAIN_NAME}");
            problems.error(at.clone(), format!("the column name {name:?} is not allowed"), help);
        } else if is_given {
            problems.error(at.clone(), format!("each view has a column {name:?}"), "give the column another name");
        }
        problems.pointer(pointer, at);
    }
}

fn order(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let by_version = matches!(stream.order, Some(Order::Version | Order::VersionDescending));
    if by_version && stream.version.is_none() {
        let help = "add `version`, the pointer to what the list is sorted by, or write `order = \"key\"`";
        problems.error(
            at.clone().key("order"),
            "the list is in the order of a version that the records do not have",
            help,
        );
    }
}

/// Whether changes are asked for by `{since}`.
pub(super) fn is_asked_since(stream: &Stream) -> bool {
    stream.cursor.is_some() || uses_word(stream, "since")
}

fn check_since(problems: &mut Problems<'_>, stream: &Stream, since: &Since, at: &Place) {
    problems.pointers(&since.at, &at.clone().key("at"));
    if stream.parent.is_some() {
        problems.error(at.clone(), "the list of a parent is read whole", "remove `since`");
    } else if !is_asked_since(stream) && stream.order != Some(Order::VersionDescending) {
        let help = "add `cursor`, the name of the parameter, or write `{since}` in the request";
        problems.error(at.clone(), "nothing in the request takes `{since}`", help);
    }
    if let Some(start) = &since.start
        && start.parse::<Timestamp>().is_err()
        && start.parse::<Date>().is_err()
        && start.parse::<f64>().is_err()
    {
        let help = "write an instant, a date or a number: \"2024-05-06T07:08:09Z\", \"2024-05-06\", \"0\"";
        problems.error(at.clone().key("start"), format!("{start:?} is not a value to start from"), help);
    }
    let format = since.format.or(stream.version.as_ref().map(|version| version.format));
    let is_number = format == Some(TimeFormat::Number);
    if is_number && (since.window.is_some() || since.overlap.is_some()) {
        let key = if since.window.is_some() { "window" } else { "overlap" };
        problems.error(
            at.clone().key(key),
            "a number is not an instant, and has no length of time",
            format!("remove `{key}`"),
        );
    }
    let Some(window) = since.window else { return };
    let at = at.clone().key("window");
    if window.is_zero() {
        problems.error(at, "a window of no time", "write how long one question may span: \"30d\"");
    } else if !uses_word(stream, "until") {
        let help = "write `{until}` in the request, or remove `window`";
        problems.error(at, "nothing in the request takes `{until}`, the end of a window", help);
    }
}

fn cap(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let Some(cap) = stream.cap else { return };
    let at = at.clone().key("cap");
    let has_window = stream.since.as_ref().is_some_and(|since| since.window.is_some());
    let re_anchors = stream.order == Some(Order::Version) && is_asked_since(stream);
    if cap == 0 {
        problems.error(at, "a question of no results", "write the number of results that one question can have");
    } else if !has_window && !re_anchors {
        let help = "add `order = \"version\"` with a cursor, or `since.window`, so that what is beyond the cap can be asked for";
        problems.error(at, "nothing splits a question with more results", help);
    }
}

fn append(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let at = at.clone().key("kind");
    if !matches!(stream.order, Some(Order::KeyDescending | Order::VersionDescending)) {
        let help = "ask for the newest first and write `order = \"-key\"`, or remove `kind`";
        problems.error(at.clone(), "records are appended, and the list does not say that the newest are first", help);
    }
    for (is_there, key) in [
        (stream.parent.is_some(), "parent"),
        (stream.deletes.is_some(), "deletes"),
        (stream.deleted.is_some(), "deleted"),
    ] {
        if is_there {
            let help = format!("remove `kind`, or `{key}`");
            problems.error(at.clone(), format!("appended records never change, and the stream has `{key}`"), help);
        }
    }
}
