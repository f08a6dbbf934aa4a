//! The requests of a stream: placeholders, parameters and bodies.

use serde_json::{Map, Value};

use super::super::paginate::Paging;
use super::super::place::Place;
use super::super::stream::{Get, Stream};
use super::{Problems, api, closest};
use crate::stream::{PLAIN_NAME, is_plain};

/// The placeholders that are no settings.
pub(super) const BUILT_IN: [&str; 6] = ["resource", "parent", "since", "until", "key", "keys"];

/// The words in braces, such as `since` and `parent.id`. Other braces are text.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |word: &&str| {
        let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
        word.split('.')
            .all(|part| part.starts_with(is_start) && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    };
    text.split('{').skip(1).filter_map(|after| after.split_once('}')).map(|(word, _)| word).filter(is_word)
}

/// What fills the placeholders of a text.
#[derive(Clone, Copy)]
pub(super) struct Uses<'a> {
    /// The stream whose request it is, if it is one's.
    stream: Option<&'a Stream>,
    /// Whether the request is for single records.
    get: Option<&'a Get>,
    /// Whether the text is in a body, which may be GraphQL.
    is_body: bool,
}

impl<'a> Uses<'a> {
    /// Only settings: the text belongs to all requests.
    pub(super) fn settings_only() -> Self {
        Self { stream: None, get: None, is_body: false }
    }

    fn list(stream: &'a Stream) -> Self {
        Self { stream: Some(stream), get: None, is_body: false }
    }

    fn in_body(self) -> Self {
        Self { is_body: true, ..self }
    }

    /// Checks that something fills each placeholder of a text.
    pub(super) fn check(&self, problems: &mut Problems<'_>, text: &str, at: Place) {
        for word in words(text) {
            if let Some((message, help)) = self.unfilled(problems, word) {
                problems.error(at.clone(), message, help);
            }
        }
    }

    /// Why nothing fills a placeholder, and what to do.
    fn unfilled(&self, problems: &Problems<'_>, word: &str) -> Option<(String, String)> {
        let nothing = |help: &str| Some((format!("nothing fills `{{{word}}}`"), help.to_owned()));
        let (first, field) = word.split_once('.').map_or((word, None), |(first, field)| (first, Some(field)));
        if field.is_some() && first != "parent" {
            return nothing(match self.is_body {
                true => "write spaces within the braces if it is not a placeholder",
                false => "write `{parent.field}` for a field of the parent, and a setting without a dot",
            });
        }
        match (first, self.stream) {
            ("resource" | "parent" | "since" | "until" | "key" | "keys", None) => {
                nothing("use it in the streams: this text belongs to all requests")
            }
            ("resource", Some(stream)) => match &problems.api.resource {
                None => nothing("add `resource = { stream, id }`: the stream that lists the resources"),
                Some(list) if list.stream == stream.name => {
                    nothing("remove it: this stream lists the resources, and is read once for the source")
                }
                Some(_) => None,
            },
            ("parent", Some(stream)) => match (&stream.parent, field) {
                (None, _) => nothing("add `parent`, the name of the stream whose records have these lists"),
                (Some(_), None) => nothing("write `{parent.id}`, with the name of the field"),
                (Some(_), Some(_)) => None,
            },
            ("since", Some(stream)) if self.get.is_some() || stream.parent.is_some() => {
                nothing("remove it: what is asked for by key, or by parent, is read whole")
            }
            ("since", Some(_)) => None,
            ("until", Some(_)) if self.get.is_some() => nothing("remove it: a record is asked for by its key"),
            ("until", Some(stream)) => match stream.since.as_ref().and_then(|since| since.window) {
                None => nothing("add `since = { window = \"30d\" }`, the longest time that one question may span"),
                Some(_) => None,
            },
            ("key" | "keys", Some(_)) => match (self.get, first) {
                (None, _) => nothing("move it to `get`, which asks for single records"),
                (Some(Get { keys: None, .. }), "keys") => {
                    nothing("write `{key}` for one record, or add `keys`, the pointer to the keys in the list")
                }
                (Some(Get { keys: Some(_), .. }), "key") => nothing("write `{keys}`, or remove `keys`"),
                (Some(_), _) => None,
            },
            _ => self.unknown(problems, word),
        }
    }

    /// What is wrong with the name of a setting.
    fn unknown(&self, problems: &Problems<'_>, word: &str) -> Option<(String, String)> {
        if problems.api.settings.contains_key(word) {
            return None;
        }
        // A setting may have a name that is not far: `{site}`.
        let is_near = |near: &&str| strsim::damerau_levenshtein(near, word) <= near.len() / 4;
        let near = closest(word, BUILT_IN).filter(is_near);
        if let Some(near) = near {
            let near = if near == "parent" { "parent.id" } else { near };
            return Some((
                format!("nothing fills `{{{word}}}`"),
                format!("write `{{{near}}}`, or declare a setting: `settings.{word} = {{ help = \"…\" }}`"),
            ));
        }
        if self.is_body {
            return Some((
                format!("nothing fills `{{{word}}}`"),
                format!(
                    "write `{{ {word} }}` if it is not a placeholder, or declare a setting: `settings.{word} = {{ help = \"…\" }}`"
                ),
            ));
        }
        (!is_plain(word)).then(|| {
            (format!("the setting `{{{word}}}` has a name that is not allowed"), format!("name it with {PLAIN_NAME}"))
        })
    }
}

pub(super) fn check(problems: &mut Problems<'_>, stream: &Stream, at: &Place) {
    let uses = Uses::list(stream);
    path(problems, &stream.path, at.clone().key("path"));
    uses.check(problems, &stream.path, at.clone().key("path"));
    for (name, value) in &stream.query {
        uses.check(problems, value, at.clone().key("query").key(name));
    }
    api::headers(problems, &stream.headers, &at.clone().key("headers"), &uses);
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
    }
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

/// Whether the list's request has this placeholder itself.
pub(super) fn uses_word(stream: &Stream, word: &str) -> bool {
    let is = |text: &str| words(text).any(|found| found == word || found.split('.').next() == Some(word));
    is(&stream.path)
        || stream.query.values().chain(stream.headers.values()).any(|text| is(text))
        || in_body(stream.body.as_ref(), &is)
}

fn in_body(body: Option<&Map<String, Value>>, is: &dyn Fn(&str) -> bool) -> bool {
    fn any(value: &Value, is: &dyn Fn(&str) -> bool) -> bool {
        match value {
            Value::String(text) => is(text),
            Value::Array(list) => list.iter().any(|value| any(value, is)),
            Value::Object(map) => map.values().any(|value| any(value, is)),
            _ => false,
        }
    }
    body.is_some_and(|body| body.values().any(|value| any(value, is)))
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
            if paginate.more.is_some() || paginate.done.is_some() {
                problems.error(at, "a flag says nothing beside a link", "remove `more` and `done`");
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
    if paginate.more.is_some() && paginate.done.is_some() {
        problems.error(at.clone(), "`more` and `done` say the same", "remove one of them");
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
    let uses = Uses { get: Some(get), ..Uses::list(stream) };
    path(problems, &get.path, at.clone().key("path"));
    uses.check(problems, &get.path, at.clone().key("path"));
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
