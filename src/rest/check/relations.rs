//! Streams that depend on others.

use std::collections::BTreeSet;

use super::super::place::Place;
use super::super::stream::Stream;
use super::placeholders::uses_word;
use super::problem::Problems;

pub(super) fn check(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    if let Some(deletes) = &stream.deletes {
        deletions(problems, stream, deletes, at);
    }
    if let Some(parent) = &stream.parent {
        let place = at.clone().key("parent");
        problems.optional_pointer(parent.when.as_ref(), place.clone().key("when"));
        let found = problems.named(&parent.stream, &place);
        if found.is_some_and(|parent| parent.deletes.is_some()) {
            let message = format!("the stream {:?} is a list of deletions, which has no rows", parent.stream);
            problems.error(place.clone(), message, "name a stream with rows");
        }
        if !uses_word(stream, "parent") {
            let help = "write `{parent.id}` in the path, the query or the body";
            problems.error(at.clone().key("path"), "the request does not say which parent it is about", help);
        }
    }
    if let Some(cycle) = cycle(problems, stream) {
        let key = if stream.deletes.is_some() { "deletes" } else { "parent" };
        let message = format!("the streams depend on each other: {}", cycle.join(" → "));
        problems.error(at.clone().key(key), message, format!("remove one `{key}`"));
    } else {
        scope(problems, stream, at);
    }
}

fn deletions(problems: &mut Problems<'_>, stream: &Stream, deletes: &str, at: &Place) {
    let place = at.clone().key("deletes");
    if let Some(target) = problems.named(deletes, &place) {
        if target.deletes.is_some() {
            let message = format!("the stream {deletes:?} is a list of deletions itself");
            problems.error(place.clone(), message, "name a stream with rows");
        } else if target.parent.is_some() {
            let help = "remove it; the whole list of each parent tells what is gone";
            problems.error(place.clone(), format!("the stream {deletes:?} has a parent"), help);
        } else if target.key.0.len() != stream.key.0.len() {
            let (own, other) = (stream.key.0.len(), target.key.0.len());
            let message = format!("the key has {own} values, and that of {deletes:?} has {other}");
            problems.error(at.clone().key("key"), message, "name a pointer to each of them, in the same order");
        }
    }
    let meaningless = [
        (stream.parent.is_some(), "parent"),
        (stream.get.is_some(), "get"),
        (stream.deleted.is_some(), "deleted"),
        (stream.spread.is_some(), "spread"),
        (!stream.columns.is_empty(), "columns"),
    ];
    for (_, key) in meaningless.into_iter().filter(|(is_there, _)| *is_there) {
        let message = format!("a list of deletions has no rows, and `{key}` is about rows");
        problems.error(at.clone().key(key), message, format!("remove `{key}`"));
    }
}

/// The names along which a stream depends on itself.
fn cycle<'a>(problems: &Problems<'a>, stream: &'a Stream) -> Option<Vec<&'a str>> {
    let mut names = vec![stream.name.as_str()];
    let mut seen = BTreeSet::from([stream.name.as_str()]);
    let mut current = stream;
    while let Some(next) = depends_on(current) {
        names.push(next);
        if next == stream.name {
            return Some(names);
        }
        // A cycle that this stream is not part of is found at its own streams.
        if !seen.insert(next) {
            return None;
        }
        current = problems.stream(next)?;
    }
    None
}

/// Checks that streams which depend on each other belong to the same: to each resource, or to the source.
fn scope(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    if problems.api.resource.is_none() || !uses_word(stream, "resource") {
        return;
    }
    let mut top = stream;
    while let Some(next) = depends_on(top).and_then(|name| problems.stream(name)) {
        top = next;
    }
    if top.name != stream.name && !uses_word(top, "resource") {
        let message = format!("`{{resource}}` is unknown here: the stream {:?} is read once for the source", top.name);
        problems.error(
            at.clone().key("path"),
            message,
            format!("write `{{resource}}` in the request of {:?}, too", top.name),
        );
    }
}

/// The name of the stream that must come first.
pub(super) fn depends_on(stream: &Stream) -> Option<&str> {
    stream.deletes.as_deref().or(stream.parent.as_ref().map(|parent| parent.stream.as_str()))
}
