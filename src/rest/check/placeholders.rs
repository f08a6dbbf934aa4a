//! Placeholders, and what fills them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::api::{Api, Auth, OAuth2};
use super::super::file::closest;
use super::super::get::Get;
use super::super::place::Place;
use super::super::stream::Stream;
use super::super::template::Braced;
use super::problem::Problems;
use crate::stream::{PLAIN_NAME, is_plain};

/// The placeholders that are no settings.
pub(super) const BUILT_IN: [&str; 6] = ["resource", "parent", "since", "until", "key", "keys"];

/// What a placeholder that is no setting stands for, and a name for a setting with that meaning; `None` for another word.
pub(in crate::rest) fn reserved(word: &str) -> Option<(&'static str, &'static str)> {
    Some(match word {
        "resource" => ("the resource that is read", "resource_name"),
        "parent" => ("the record that a list belongs to", "parent_id"),
        "since" => ("the time from which changes are asked for", "start_date"),
        "until" => ("the time until which changes are asked for", "end_date"),
        "key" => ("the key of a record", "api_key"),
        "keys" => ("the keys of several records", "api_keys"),
        _ => return None,
    })
}

/// The words in braces, such as `since` and `parent.id`. Other braces are text, and so are doubled ones.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    Braced::all(text).filter(|braced| braced.pairs % 2 == 1).map(|braced| braced.word)
}

/// The words in doubled braces, which are text.
pub(super) fn doubled(text: &str) -> impl Iterator<Item = &str> {
    Braced::all(text).filter(|braced| braced.pairs % 2 == 0).map(|braced| braced.word)
}

/// What is wrong with a brace that is not one of a placeholder, and what to write; `None` for a text without such a brace.
fn stray_brace(text: &str) -> Option<(String, &'static str)> {
    let mut rest = text;
    while let Some(braced) = Braced::first(rest).filter(|braced| !rest[..braced.range.start].contains(['{', '}'])) {
        rest = &rest[braced.range.end..];
    }
    let at = rest.find(['{', '}'])?;
    // From a brace that closes nothing, what comes before it says more.
    let near = if rest[at..].starts_with('{') { &rest[at..] } else { &rest[..=at] };
    let help = "write a placeholder as `{word}`, with letters, digits and `_`, and a word in braces that is text as `{{word}}`";
    Some((format!("the brace in {near:?} belongs to no placeholder"), help))
}

/// Whether a text has a brace without its partner.
fn has_single_brace(text: &str) -> bool {
    let depth = text.chars().try_fold(0_u32, |depth, c| match c {
        '{' => depth.checked_add(1),
        '}' => depth.checked_sub(1),
        _ => Some(depth),
    });
    depth != Some(0)
}

/// What is wrong with a placeholder that is written as other languages write it, and what to write.
fn foreign_braces(text: &str) -> Option<(String, String)> {
    let word = words(text).find(|word| text.contains(&format!("${{{word}}}")))?;
    Some((format!("`${{{word}}}` has a `$` before its braces"), format!("write `{{{word}}}`")))
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
    /// Whether the text signs in, so that its settings are secrets.
    is_auth: bool,
}

impl<'a> Uses<'a> {
    /// Only settings: the text belongs to all requests.
    pub(super) fn settings_only() -> Self {
        Self { stream: None, get: None, is_body: false, is_auth: false }
    }

    pub(super) fn list(stream: &'a Stream) -> Self {
        Self { stream: Some(stream), get: None, is_body: false, is_auth: false }
    }

    /// The request for single records.
    pub(super) fn get(self, get: &'a Get) -> Self {
        Self { get: Some(get), ..self }
    }

    pub(super) fn in_body(self) -> Self {
        Self { is_body: true, ..self }
    }

    pub(super) fn in_auth(self) -> Self {
        Self { is_auth: true, ..self }
    }

    /// Checks the braces of a text, and that something fills each of its placeholders.
    pub(super) fn check(&self, problems: &mut Problems<'_>, text: &str, at: Place) {
        self.check_braces(problems, text, &at);
        self.check_words(problems, text, &at);
    }

    /// Checks a path with its query. Before the query, braces are hardly ever text.
    pub(super) fn check_path(&self, problems: &mut Problems<'_>, path: &str, at: &Place) {
        let (steps, query) = path.split_once('?').unwrap_or((path, ""));
        match stray_brace(steps) {
            Some((message, help)) => problems.error(at.clone(), message, help),
            None => doubled(steps).for_each(|word| warn_of_doubled(problems, word, at)),
        }
        self.check_braces(problems, query, at);
        self.check_words(problems, path, at);
    }

    fn check_braces(&self, problems: &mut Problems<'_>, text: &str, at: &Place) {
        // In a body, braces open and close in many other ways.
        if !self.is_body
            && has_single_brace(text)
            && let Some((message, help)) = stray_brace(text)
        {
            problems.warn(at.clone(), message, help);
        }
        let settings = settings_in(problems.api);
        let is_meant = |word: &str| {
            BUILT_IN.contains(&word)
                || word.starts_with("parent.")
                || settings.contains(word)
                || problems.api.settings.contains_key(word)
        };
        let meant: Vec<&str> = doubled(text).filter(|word| is_meant(word)).collect();
        meant.into_iter().for_each(|word| warn_of_doubled(problems, word, at));
    }

    fn check_words(&self, problems: &mut Problems<'_>, text: &str, at: &Place) {
        if let Some((message, help)) = foreign_braces(text) {
            problems.error(at.clone(), message, help);
        }
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
                true => "double the braces if it is not a placeholder",
                false => "write `{parent.field}` for a field of the parent, and a setting without a dot",
            });
        }
        // It may be meant as a setting.
        let misnamed = |help: &str| {
            let (what, other) = reserved(first)?;
            Some((
                format!("nothing fills `{{{word}}}` here: the word is reserved for {what}"),
                format!("{help}; a setting needs another name: `{{{other}}}`"),
            ))
        };
        match (first, self.stream) {
            (first, None) if reserved(first).is_some() => misnamed("use it in the streams"),
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
                (None, _) => misnamed("move it to `get`, which asks for single records"),
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
        let declared = problems.api.settings.get(word);
        let is_secret = declared.is_none_or(|declared| declared.secret != Some(false))
            && problems.api.auth.as_ref().is_some_and(|auth| signs_in(auth, word));
        if !self.is_auth && is_secret {
            let help = match problems.api.auth.as_ref().is_some_and(|auth| identifies(auth, word)) {
                true => format!(
                    "say that it is none: `settings.{word} = {{ secret = false }}`; or use another setting here: a secret is only sent to sign in"
                ),
                false => "use another setting here: a secret is only sent to sign in".to_owned(),
            };
            return Some((format!("`{{{word}}}` is a secret, because `auth` has it"), help));
        }
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
                    "write `{{{{{word}}}}}` if it is not a placeholder, or declare a setting: `settings.{word} = {{ help = \"…\" }}`"
                ),
            ));
        }
        (!is_plain(word)).then(|| {
            (
                format!("the setting `{{{word}}}` has a name that is not allowed"),
                format!("name it with {PLAIN_NAME}; write `{{{{{word}}}}}` for a word in braces that is text"),
            )
        })
    }
}

/// Says that doubled braces, as placeholders have them in other languages, are text.
fn warn_of_doubled(problems: &mut Problems<'_>, word: &str, at: &Place) {
    let message = format!("`{{{{{word}}}}}` is the text `{{{word}}}`, and no placeholder");
    problems.warn(at.clone(), message, format!("write `{{{word}}}` for the value"));
}

/// Whether `auth` sends this setting only as a name, which need not be a secret.
pub(super) fn identifies(auth: &Auth, word: &str) -> bool {
    let has = |text: &String| words(text).any(|found| found == word);
    match auth {
        Auth::Basic(user, password) => has(user) && !has(password),
        Auth::Oauth2(OAuth2 { client_id, client_secret, refresh_token, .. }) => {
            has(client_id) && !client_secret.as_ref().is_some_and(has) && !refresh_token.as_ref().is_some_and(has)
        }
        Auth::Bearer(_) | Auth::Header(_) | Auth::Query(_) => false,
    }
}

/// Whether `auth` sends this setting, which makes it a secret.
pub(super) fn signs_in(auth: &Auth, word: &str) -> bool {
    let has = |text: &String| words(text).any(|found| found == word);
    match auth {
        Auth::Bearer(token) => has(token),
        Auth::Basic(user, password) => has(user) || has(password),
        Auth::Header(map) | Auth::Query(map) => map.values().any(has),
        Auth::Oauth2(OAuth2 { client_id, client_secret, refresh_token, .. }) => {
            has(client_id) || client_secret.as_ref().is_some_and(has) || refresh_token.as_ref().is_some_and(has)
        }
    }
}

/// The settings that the placeholders of a description name.
pub(super) fn settings_in(api: &Api) -> BTreeSet<&str> {
    fn in_value<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
        match value {
            Value::String(text) => texts.push(text),
            Value::Array(list) => list.iter().for_each(|value| in_value(value, texts)),
            Value::Object(map) => map.values().for_each(|value| in_value(value, texts)),
            _ => {}
        }
    }
    let mut texts = vec![api.base_url.as_str()];
    texts.extend(api.headers.values().map(String::as_str));
    match &api.auth {
        Some(Auth::Bearer(token)) => texts.push(token),
        Some(Auth::Basic(user, password)) => texts.extend([user.as_str(), password]),
        Some(Auth::Header(map) | Auth::Query(map)) => texts.extend(map.values().map(String::as_str)),
        Some(Auth::Oauth2(OAuth2 { token_url, grant, client_id, client_secret, refresh_token, scope })) => {
            texts.extend([token_url.as_str(), client_id]);
            texts.extend([grant, client_secret, refresh_token, scope].into_iter().flatten().map(String::as_str));
        }
        None => {}
    }
    for stream in &api.streams {
        texts.push(&stream.path);
        texts.extend(stream.query.values().chain(stream.headers.values()).map(String::as_str));
        texts.extend(stream.get.iter().map(|get| get.path.as_str()));
        let bodies = stream.body.iter().chain(stream.get.iter().filter_map(|get| get.body.as_ref()));
        bodies.flat_map(Map::values).for_each(|value| in_value(value, &mut texts));
    }
    let words = texts.into_iter().flat_map(words);
    words.filter(|word| !BUILT_IN.contains(word) && !word.contains('.')).collect()
}

/// Whether the list's request has this placeholder itself.
pub(super) fn uses_word(stream: &Stream, word: &str) -> bool {
    let is = |text: &str| words(text).any(|found| found == word || found.split('.').next() == Some(word));
    is(&stream.path)
        || stream.query.values().chain(stream.headers.values()).any(|text| is(text))
        || in_body(stream.body.as_ref(), &is)
}

pub(super) fn in_body(body: Option<&Map<String, Value>>, is: &dyn Fn(&str) -> bool) -> bool {
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
