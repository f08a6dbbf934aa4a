//! Proposes the description of a list, from one answer.

mod fields;
mod pages;
mod proposal;
mod quote;
mod toml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use self::fields::{Fields, Records};
use self::pages::Pages;
use self::proposal::SignIn;
pub use self::proposal::{Finding, Proposal, Sample};
use super::stream::Stream;
use super::template::literal;

/// Proposes the description of the list that the answer is a page of.
pub fn propose(sample: &Sample) -> Proposal {
    let (base_url, path) = split_url(&sample.url);
    let (path, secrets) = take_secrets(&path);
    let (path, cursor) = fields::take_cursor(&path);
    let mut proposal = Proposal {
        base_url,
        stream: Stream { body: sample.posted.as_ref().map(literals), ..Stream::new("records", literal(&path)) },
        findings: Vec::new(),
        doubts: Vec::new(),
        has_code: false,
        auth: (!secrets.is_empty()).then(|| SignIn::by_parameters(&secrets)),
        headers: BTreeMap::new(),
    };
    let records = Records::find(&sample.body, &sample.url);
    proposal.stream.name = stream_name(&sample.url, &records);
    proposal.records(&records);
    let fields = Fields::find(&records, cursor.as_ref().map(|(_, format)| *format), &sample.url);
    proposal.key(&fields);
    proposal.time(&fields, cursor, records.is_list);
    proposal.order(&fields, &sample.url);
    proposal.deleted(&fields);
    proposal.pages(&Pages::find(sample, &records, &fields), &records);
    proposal.code(&sample.body);
    proposal
}

impl Proposal {
    fn records(&mut self, records: &Records<'_>) {
        self.stream.records = records.pointer.clone();
        let place = if records.pointer.is_empty() { "the whole body" } else { &records.pointer };
        self.found(
            "records",
            match (records.is_list, records.all.len()) {
                (false, 0) => format!("{place}: neither a list nor an object"),
                (false, _) => format!("{place}: one object"),
                (true, 0) => format!("{place}: an empty list"),
                (true, 1) => format!("{place}: 1 record"),
                (true, n) => format!("{place}: {n} records"),
            },
        );
        if records.all.is_empty() {
            self.doubt("records", "there are no records: ask for a list that has some");
        }
    }

    fn key(&mut self, fields: &Fields) {
        match &fields.key {
            Some(key) => {
                self.found("key", key.clone());
                self.stream.key = key.as_str().into();
            }
            None => {
                self.found("key", "no field has another value in each record");
                self.doubt("key", "name what identifies a record; a list of pointers is possible");
            }
        }
    }

    fn code(&mut self, body: &Value) {
        if body.get("ok").is_some_and(Value::is_boolean) {
            self.has_code = true;
            self.found("errors", "/ok: a flag of success, so that /error may have the code of an error");
        }
    }
}

/// A body whose texts are templates that stand for themselves.
fn literals(body: &Map<String, Value>) -> Map<String, Value> {
    fn of(value: &Value) -> Value {
        match value {
            Value::String(text) => literal(text).into(),
            Value::Array(list) => list.iter().map(of).collect(),
            Value::Object(map) => literals(map).into(),
            other => other.clone(),
        }
    }
    body.iter().map(|(name, value)| (name.clone(), of(value))).collect()
}

/// Parameters that sign in.
const SECRETS: [&str; 7] = ["api_key", "apikey", "access_token", "token", "auth_token", "key", "api_token"];

/// Takes the parameters that sign in out of a path: a description holds no secret.
fn take_secrets(path: &str) -> (String, Vec<String>) {
    let Some((before, query)) = path.split_once('?') else { return (path.to_owned(), Vec::new()) };
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let is_secret = |pair: &&str| SECRETS.contains(&&*name(pair).to_lowercase());
    let (secret, kept): (Vec<&str>, Vec<&str>) = query.split('&').partition(is_secret);
    let path = if kept.is_empty() { before.to_owned() } else { format!("{before}?{}", kept.join("&")) };
    (path, secret.into_iter().map(name).collect())
}

/// The root of an API, and the path of a list with its query: the root ends at a version or at `api`, if the path has one.
fn split_url(url: &str) -> (String, String) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let host_end = url[start..].find(['/', '?']).map_or(url.len(), |at| start + at);
    let (path, query) =
        url[host_end..].split_once('?').map_or((&url[host_end..], None), |(path, query)| (path, Some(query)));
    let is_version = |part: &str| {
        let digits = part.strip_prefix('v').unwrap_or(part);
        part == "api"
            || (!digits.is_empty()
                && digits.len() < part.len()
                && digits.chars().all(|c| c.is_ascii_digit() || c == '.'))
    };
    let mut end = host_end;
    let mut at = host_end;
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    // The last part is the list itself.
    for part in parts.iter().take(parts.len().saturating_sub(1)) {
        at += 1 + part.len();
        if is_version(part) || (end == at - 1 - part.len() && part.chars().all(|c| c.is_ascii_digit())) {
            end = at;
        }
    }
    let rest = &url[end..host_end + path.len()];
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    (url[..end].to_owned(), rest + &query)
}

/// The last word of the path, or of the pointer to the records.
fn stream_name(url: &str, records: &Records<'_>) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, path)| path);
    let in_path = path.split('/').skip(1).filter(|part| part.chars().any(char::is_alphabetic)).last();
    let in_pointer = records.pointer.rsplit('/').find(|part| !fields::is_envelope(part));
    let word = in_pointer.filter(|word| !word.is_empty()).or(in_path).unwrap_or("records");
    let mut name = String::new();
    for c in word.trim_end_matches(".json").chars() {
        match c {
            c if c.is_ascii_alphanumeric() => {
                if c.is_ascii_uppercase() && name.ends_with(|c: char| c.is_ascii_lowercase()) {
                    name.push('_');
                }
                name.push(c.to_ascii_lowercase());
            }
            _ if !name.is_empty() && !name.ends_with('_') => name.push('_'),
            _ => {}
        }
    }
    let name = name.trim_end_matches('_');
    if crate::stream::is_plain(name) { name.to_owned() } else { "records".to_owned() }
}
