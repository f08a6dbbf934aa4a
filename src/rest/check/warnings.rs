//! What can be read, but not as its author may think.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::file::closest;
use super::super::paginate::Paging;
use super::super::place::Place;
use super::super::stream::{Stream, StreamType};
use super::super::version::{Order, Since};
use super::drift::{Drift, drift};
use super::placeholders::{BUILT_IN, settings_in, words};
use super::problem::Problems;
use super::stream::is_asked_since;

pub(super) fn check(problems: &mut Problems<'_>) {
    let api = problems.api;
    unused_settings(problems);
    secrets(problems, &api.headers, "header", &Place::api().key("headers"));
    for (index, stream) in api.streams.iter().enumerate() {
        let at = Place::stream(index, &stream.name);
        pages(problems, stream, &at);
        misplaced(problems, stream, &at);
        append(problems, stream, &at);
        parents(problems, stream, &at);
        deletions(problems, stream, &at);
        windows(problems, stream, &at);
        later_changes(problems, stream, &at);
        secrets(problems, &stream.headers, "header", &at.clone().key("headers"));
        secrets(problems, &stream.query, "query", &at.clone().key("query"));
    }
}

/// What to do about a list that does not say how it continues.
pub(in crate::rest) const PAGINATE: &str =
    "add `paginate`; write `paginate = \"none\"` if the answer always has all records";

fn pages(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    if stream.paginate.is_none() && problems.api.paginate.is_none() {
        return problems.warn(at.clone(), "only the first page is read: the list has no `paginate`", PAGINATE);
    }
    // What links hold, only an answer shows: the reader warns about it.
    let drift = drift(problems.api, stream, None);
    if let Some(help) = drift_help(drift, stream.order) {
        problems.warn(at.clone().key("paginate"), drift.to_string(), help);
    }
}

/// What to do about a list in which changes hide records; `None` if none do.
pub(in crate::rest) fn drift_help(drift: Drift, order: Option<Order>) -> Option<&'static str> {
    match (drift, order) {
        (Drift::Updates, Some(Order::Version)) => {
            Some("add `cursor`, so that page one can be asked for again from the last version")
        }
        (Drift::Updates, _) => Some(
            "ask for an order and name it with `order`: \"version\" with a cursor misses nothing, \"key\" only hides records behind deletions",
        ),
        (Drift::Deletions, _) => Some("run `ingest --reconcile` from time to time, or use a token if the API has one"),
        _ => None,
    }
}

/// Finds what leads to the next page in the query of a request that sends everything else in its body.
fn misplaced(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let (own, shared) = (stream.paginate.as_ref(), problems.api.paginate.as_ref());
    let Some(paginate) = own.or(shared) else { return };
    let (to, key, what) = match &paginate.by {
        Paging::Token { to, .. } => (to, "to", "the token"),
        Paging::Last { to, .. } => (to, "to", "the key"),
        Paging::Offset(to) => (to, "offset", "the offset"),
        Paging::Page(to) => (to, "page", "the number"),
        _ => return,
    };
    let has_query = !stream.query.is_empty() || stream.path.contains('?') || stream.cursor.is_some();
    if stream.body.is_none() || has_query || to.starts_with('/') {
        return;
    }
    let at = if own.is_some() { at.clone() } else { Place::api() };
    problems.warn(
        at.key("paginate").key(key),
        format!("{what} of the next page is sent as the parameter {to:?}, and everything else in the body"),
        format!("write `{key} = \"/{to}\"` if the API takes it in the body, too"),
    );
}

/// Finds a cursor of appended records that never has a value.
fn append(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let has_time = stream.version.is_some() || stream.since.as_ref().is_some_and(|since| !since.at.is_empty());
    let has_start = stream.since.as_ref().is_some_and(|since| since.start.is_some() || since.window.is_some());
    if stream.kind == Some(StreamType::Append) && is_asked_since(stream) && !has_time && !has_start {
        let key = if stream.cursor.is_some() { "cursor" } else { "kind" };
        let message = "`{since}` is never known: the records have no time from which to read on";
        let help = "add `since = { at = \"/created_at\" }` or `version`, the pointer to what the API filters by; without it each run reads everything";
        problems.warn(at.clone().key(key), message, help);
    }
}

fn parents(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let Some(parent) = &stream.parent else { return };
    let Some(parent) = problems.stream(&parent.stream) else { return };
    if parent.version.is_none() {
        let message =
            format!("each run asks for the list of every record of {:?}, which has no `version`", parent.name);
        let help = format!("add a `version` to {:?} that moves when a record of this list changes", parent.name);
        problems.warn(at.clone().key("parent"), message, help);
    }
}

fn deletions(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let is_incremental = (is_asked_since(stream) || stream.order == Some(Order::VersionDescending))
        && stream.parent.is_none()
        && stream.deletes.is_none()
        && stream.kind != Some(StreamType::Append);
    let is_found = stream.deleted.is_some()
        || stream.get.as_ref().is_some_and(|get| get.keys.is_none())
        || problems.api.streams.iter().any(|other| other.deletes.as_deref() == Some(&stream.name));
    if is_incremental && !is_found {
        let help = "add `deleted`, a stream with `deletes`, or `get`, which lets `ingest --reconcile` verify what a list lacks";
        problems.warn(at.clone(), "records that are deleted stay: nothing finds deletions", help);
    }
}

/// The longest overlap that is for clocks and not for records that change.
const SHORT: Duration = Duration::from_secs(86_400);

/// A list that is asked for by another time than the one that changes move.
fn later_changes(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let (Some(version), Some(since)) = (&stream.version, &stream.since) else { return };
    let is_short = since.overlap.is_none_or(|overlap| overlap.duration() < SHORT);
    if since.at.is_empty() || since.at == version.at || !is_short || stream.kind == Some(StreamType::Append) {
        return;
    }
    let (asked, moved) = (since.at.0.join(" and "), version.at.0.join(" and "));
    let message =
        format!("a record that changes later is not read again: the API is asked by {asked}, and changes move {moved}");
    let help = "ask by what changes move; if the API cannot, let `overlap` cover the time in which records change, such as `overlap = \"30d\"`";
    problems.warn(at.clone().key("since").key("at"), message, help);
}

fn windows(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let Some(Since { start: None, window: Some(window), .. }) = &stream.since else { return };
    let at = at.clone().key("since").key("window");
    let help = format!(
        "say when the API's first records are from: `since = {{ start = \"2020-01-01\", window = \"{window}\" }}`"
    );
    problems.warn(at, "a first read asks for each window since 1970, however little they hold", help);
}

/// Finds settings that are declared under a name that no placeholder has.
fn unused_settings(problems: &mut Problems<'_>) {
    let api = problems.api;
    let used = settings_in(api);
    for name in api.settings.keys().filter(|name| !used.contains(name.as_str())) {
        let near = closest(name, used.iter().copied().filter(|other| !api.settings.contains_key(*other)));
        let near = near.map(|other| format!("; `{{{other}}}` is another one")).unwrap_or_default();
        let help = format!("write `{{{name}}}` where it belongs, or remove it{near}");
        let at = Place::api().key("settings").key(name);
        problems.warn(at, "nothing in the description uses the setting", help);
    }
}

/// Finds settings in places that usually hold a credential. Only those in `auth` are secrets. `way` is the key of `auth` for such a place.
fn secrets(problems: &mut Problems<'_>, values: &BTreeMap<String, String>, way: &str, at: &Place) {
    for (name, value) in values {
        let plain = name.to_lowercase().replace('-', "_");
        let is_secret = ["api_key", "apikey", "access_token", "api_token", "auth_token", "secret", "password"]
            .iter()
            .any(|word| plain.contains(word));
        let setting = words(value).find(|word| !BUILT_IN.contains(word) && !word.contains('.'));
        if let Some(setting) = setting.filter(|_| is_secret) {
            let message = format!("`{{{setting}}}` looks like a credential, and is stored and shown as any setting");
            let help = format!(
                "move it to `auth`, where settings are secrets: `auth = {{ {way} = {{ {name} = {value:?} }} }}`"
            );
            problems.warn(at.clone().key(name), message, help);
        }
    }
}
