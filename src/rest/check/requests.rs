//! The requests of a stream: placeholders, parameters and bodies.

use serde_json::{Map, Value};

use super::super::get::Get;
use super::super::paginate::Paging;
use super::super::place::Place;
use super::super::stream::Stream;
use super::headers::headers;
use super::placeholders::{Uses, in_body, uses_word, words};
use super::problem::Problems;

pub(super) fn check(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let uses = Uses::list(stream);
    path(problems, &stream.path, at.clone().key("path"));
    uses.check_path(problems, &stream.path, &at.clone().key("path"));
    for (name, value) in &stream.query {
        uses.check(problems, value, at.clone().key("query").key(name));
    }
    headers(problems, &stream.headers, &at.clone().key("headers"), &uses);
    if let Some(body) = &stream.body {
        check_body(problems, body, &at.clone().key("body"), uses.in_body());
    }
    parameters(problems, stream, at);
    continuation(problems, stream, at);
    if let Some(get) = &stream.get {
        check_get(problems, stream, get, &at.clone().key("get"));
    }
}

fn path(problems: &mut Problems<'_>, path: &str, at: Place) {
    if path.contains("://") {
        let help = "write the part after `base_url`, with a leading `/`";
        problems.error(at, "the path is a URL", help);
    } else if !path.starts_with('/') {
        problems.error(at, "the path does not begin with `/`", format!("write {:?}", format!("/{path}")));
    } else if path.contains('#') {
        problems.error(at, "the path has a fragment, which is never sent", "remove `#` and what follows");
    } else if steps(path).contains(char::is_whitespace) {
        problems.error(at, "the path has a space", "remove it, or write `%20`");
    }
}

/// The path without its query, which may have any text.
fn steps(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

/// Checks the texts of a body.
fn check_body(problems: &mut Problems<'_>, body: &Map<String, Value>, at: &Place, uses: Uses<'_>) {
    let mut rest: Vec<(&Value, Place)> = body.iter().map(|(name, value)| (value, at.clone().key(name))).collect();
    while let Some((value, at)) = rest.pop() {
        match value {
            Value::String(text) => uses.check(problems, text, at),
            Value::Array(list) => rest.extend(list.iter().enumerate().map(|(i, value)| (value, at.clone().key(i)))),
            Value::Object(map) => rest.extend(map.iter().map(|(name, value)| (value, at.clone().key(name)))),
            _ => {}
        }
    }
}

/// The parameters in the query of a path.
fn in_path(path: &str) -> impl Iterator<Item = &str> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or_default())
}

fn parameters(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    for name in stream.query.keys() {
        if in_path(&stream.path).any(|other| other == name) {
            let help = "remove it from `path` or from `query`";
            problems.error(
                at.clone().key("query").key(name),
                format!("the path has the parameter {name:?}, too"),
                help,
            );
        }
    }
    let Some(cursor) = &stream.cursor else { return };
    let at = at.clone().key("cursor");
    if cursor.starts_with('/') || cursor.contains(['{', '=', '&', '?']) {
        let help = "write only the name, or `\"{since}\"` where it belongs";
        problems.error(at.clone(), format!("{cursor:?} is not the name of a parameter"), help);
    }
    if stream.parent.is_some() {
        problems.error(at, "the list of a parent is read whole", "remove `cursor`");
    } else if stream.query.contains_key(cursor) || in_path(&stream.path).any(|other| other == cursor) {
        problems.error(at, format!("the query has the parameter {cursor:?}, too"), "remove `cursor`, or the parameter");
    } else if uses_word(stream, "since") {
        problems.error(at, "`{since}` is in the request, too", "remove `cursor`, or `{since}`");
    }
}

/// Checks where the next page takes its value.
fn continuation(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let (paginate, own) = match (&stream.paginate, &problems.api.paginate) {
        (Some(paginate), _) => (paginate, true),
        (None, Some(paginate)) => (paginate, false),
        (None, None) => return,
    };
    let at = if own { at.clone().key("paginate") } else { Place::api().key("paginate") };
    let (to, key) = match &paginate.by {
        Paging::None | Paging::Link => {
            if paginate.more.is_some() || paginate.done.is_some() || paginate.pages.is_some() {
                problems.error(at, "a flag says nothing beside a link", "remove `more`, `done` and `pages`");
            }
            return;
        }
        Paging::Next(next) => {
            problems.pointer(next, at.clone().key("next"));
            (None, "next")
        }
        Paging::Token { token, to } => {
            problems.pointer(token, at.clone().key("token"));
            (Some(to), "to")
        }
        Paging::Last { last, to } => {
            problems.pointer(last, at.clone().key("last"));
            (Some(to), "to")
        }
        Paging::Offset(to) => (Some(to), "offset"),
        Paging::Page(to) => (Some(to), "page"),
    };
    problems.optional_pointer(paginate.more.as_ref(), at.clone().key("more"));
    problems.optional_pointer(paginate.done.as_ref(), at.clone().key("done"));
    problems.optional_pointer(paginate.pages.as_ref(), at.clone().key("pages"));
    if paginate.more.is_some() && paginate.done.is_some() {
        problems.error(at.clone(), "`more` and `done` say the same", "remove one of them");
    } else if paginate.pages.is_some() && (paginate.more.is_some() || paginate.done.is_some()) {
        let flag = if paginate.more.is_some() { "more" } else { "done" };
        problems.error(at.clone(), format!("`pages` and `{flag}` say the same"), "remove one of them");
    }
    if paginate.pages.is_some() && !matches!(paginate.by, Paging::Page(_)) {
        let message = "a number of pages ends only a list that continues by page numbers";
        problems.error(
            at.clone().key("pages"),
            message,
            "remove it, or write `page`, the parameter for the number of the page",
        );
    }
    let (Some(to), at) = (to, at.key(key)) else { return };
    if !to.starts_with('/') {
        if to.is_empty() || to.contains(['{', '=', '&', '?']) {
            let help = "write only the name, or with a leading `/` a place in the body";
            problems.error(at, format!("{to:?} is not the name of a parameter"), help);
        }
        return;
    }
    let Some(body) = &stream.body else {
        let message = format!("{to:?} is a place in the body, and the stream {:?} has none", stream.name);
        return problems.error(at, message, "write the name of a parameter without `/`, or add `body`");
    };
    problems.pointer(to, at.clone());
    // The last step is made; a list or an object around it must be there.
    let around = to.rsplit_once('/').map_or("", |(around, _)| around);
    let body = Value::Object(body.clone());
    if !body.pointer(around).is_some_and(|value| value.is_object() || value.is_array()) {
        problems.error(at, format!("the body has no object or list at {around:?}"), "add it to `body`");
    }
}

fn check_get(problems: &mut Problems<'_>, stream: &Stream, get: &Get, at: &Place) {
    let uses = Uses::list(stream).get(get);
    path(problems, &get.path, at.clone().key("path"));
    uses.check_path(problems, &get.path, &at.clone().key("path"));
    if let Some(body) = &get.body {
        check_body(problems, body, &at.clone().key("body"), uses.in_body());
    }
    problems.pointer_or_root(&get.records, at.clone().key("records"));
    problems.optional_pointer(get.keys.as_ref(), at.clone().key("keys"));
    if get.batch == 0 {
        problems.error(at.clone().key("batch"), "a request of no records", "write a number from 1");
    }
    let word = if get.keys.is_some() { "keys" } else { "key" };
    let is = |text: &str| words(text).any(|found| found == word);
    let is_other = |text: &str| words(text).any(|found| found == "key" || found == "keys");
    let has = |is: &dyn Fn(&str) -> bool| is(&get.path) || in_body(get.body.as_ref(), is);
    // The other placeholder is an error already.
    if !has(&is) && !has(&is_other) {
        let message = format!("`get` does not say which record: it has no `{{{word}}}`");
        problems.error(at.clone().key("path"), message, format!("write `{{{word}}}` in the path or the body"));
    }
    if get.keys.is_none() && stream.key.0.len() > 1 {
        let message = "a record has several keys, and `{key}` is one";
        problems.error(at.clone(), message, "name one pointer as `key`, or remove `get`");
    }
}
