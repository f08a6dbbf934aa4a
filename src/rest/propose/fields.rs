//! The records of an answer, and what their fields seem to be.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::fields::escaped;
use super::super::time::TimeFormat;
use super::super::version::{Order, Since, Version};
use super::proposal::Proposal;

/// Names of objects around a list.
const ENVELOPES: [&str; 13] = [
    "data", "results", "result", "items", "values", "records", "nodes", "edges", "list", "entries", "objects",
    "content", "response",
];

/// Names of identifying fields, the best first.
const KEYS: [&str; 10] = ["id", "gid", "uuid", "guid", "_id", "key", "ts", "sid", "number", "code"];

/// Parts of the names of fields that move when a record changes, the best first.
const CHANGED: [&str; 12] = [
    "updated",
    "modified",
    "changed",
    "edited",
    "update",
    "modif",
    "change",
    "edit",
    "generatedtimestamp",
    "bumped",
    "lastactivity",
    "touched",
];

/// Parts of the names of fields with the time of a creation.
const CREATED: [&str; 4] = ["created", "createdat", "timestamp", "date"];

/// What the names of parameters for what has changed since end with.
const CURSORS: [&str; 9] = ["since", "after", "from", "_min", "_gte", "[gte]", "[gt]", "start_time", "oldest"];

/// Names of lists that come beside the one that was asked for.
const BESIDE: [&str; 4] = ["users", "included", "includes", "groups"];

/// Whether the name of a list says nothing about its records.
pub(super) fn is_envelope(name: &str) -> bool {
    ENVELOPES.contains(&name)
}

/// The records of an answer.
pub(super) struct Records<'a> {
    /// A pointer to the list.
    pub(super) pointer: String,
    pub(super) is_list: bool,
    pub(super) all: Vec<&'a Map<String, Value>>,
}

impl<'a> Records<'a> {
    /// Finds the list with the most records, and among lists of side-loaded records the one that the URL names.
    pub(super) fn find(body: &'a Value, url: &str) -> Self {
        let mut lists: Vec<(String, &'a Vec<Value>)> = Vec::new();
        let mut rest: Vec<(String, &'a Value, usize)> = vec![(String::new(), body, 0)];
        while let Some((pointer, value, depth)) = rest.pop() {
            match value {
                Value::Array(list) if list.iter().all(Value::is_object) => lists.push((pointer, list)),
                Value::Object(map) if depth < 4 => {
                    let below = |(name, value): (&String, &'a Value)| {
                        (format!("{pointer}/{}", escaped(name)), value, depth + 1)
                    };
                    rest.extend(map.iter().map(below));
                }
                _ => {}
            }
        }
        let path = url.split('?').next().unwrap_or_default().to_lowercase();
        let rank = |(pointer, list): &(String, &Vec<Value>)| {
            let name = pointer.rsplit('/').next().unwrap_or_default().to_lowercase();
            let is_named = !name.is_empty() && path.contains(&name);
            let depth = pointer.matches('/').count();
            let is_beside = BESIDE.contains(&&*name);
            (!list.is_empty(), is_named || is_envelope(&name), !is_beside, list.len(), std::cmp::Reverse(depth))
        };
        match lists.into_iter().max_by_key(rank) {
            Some((pointer, list)) => {
                Self { pointer, is_list: true, all: list.iter().filter_map(Value::as_object).collect() }
            }
            None => Self { pointer: String::new(), is_list: false, all: body.as_object().into_iter().collect() },
        }
    }
}

/// What the fields of the records seem to be.
#[derive(Default)]
pub(super) struct Fields {
    /// A pointer to what identifies a record.
    pub(super) key: Option<String>,
    pub(super) changed: Option<Time>,
    pub(super) created: Option<Time>,
    /// A pointer to what tells that a record is gone.
    deleted: Option<String>,
    /// Whether the keys are sorted.
    key_order: Option<Order>,
}

/// A field with instants.
#[derive(Clone)]
pub(super) struct Time {
    pub(super) pointer: String,
    pub(super) format: TimeFormat,
    /// Whether the records are sorted by it.
    order: Option<Order>,
}

impl Fields {
    /// `asked` is the format of the parameter for what has changed since, if the URL has one.
    pub(super) fn find(records: &Records<'_>, asked: Option<TimeFormat>, url: &str) -> Self {
        let pointers = pointers(records);
        let mut fields = Self { key: key(records, &pointers), ..Self::default() };
        let times: Vec<Time> = pointers.iter().filter_map(|pointer| time(records, pointer)).collect();
        let named = |names: &[&str], format: Option<TimeFormat>| {
            let has_format = |time: &&Time| format.is_none_or(|format| time.format == format);
            names.iter().find_map(|name| {
                let is = |time: &&Time| plain(time.pointer.rsplit('/').next().unwrap_or_default()).contains(name);
                times.iter().filter(has_format).find(is).cloned()
            })
        };
        // What the API filters by is written as the parameter is.
        let like_asked = asked.and_then(|format| named(&CHANGED, Some(format)));
        let sorts = sorts(url);
        let is_sorted_by = |time: &&Time| is_named(&sorts, &time.pointer) && !is_creation(&time.pointer);
        let by_sort = || times.iter().find(is_sorted_by).cloned();
        fields.changed = like_asked.or_else(by_sort).or_else(|| named(&CHANGED, None));
        fields.created = named(&CREATED, None)
            .filter(|created| Some(&created.pointer) != fields.changed.as_ref().map(|changed| &changed.pointer));
        fields.deleted = pointers.iter().find(|pointer| is_deletion(records, pointer)).cloned();
        if let Some(key) = &fields.key {
            let values: Vec<f64> = values(records, key).filter_map(number).collect();
            fields.key_order = (values.len() == records.all.len())
                .then(|| sorted(&values, Order::Key, Order::KeyDescending))
                .flatten();
        }
        fields
    }
}

/// What a URL asks to sort by: the values of such parameters, without case and separators.
fn sorts(url: &str) -> Vec<String> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let sorts = pairs.filter(|(name, _)| ["sort", "order"].iter().any(|word| name.to_lowercase().contains(word)));
    sorts.map(|(_, value)| plain(&percent_encoding::percent_decode_str(value).decode_utf8_lossy())).collect()
}

/// Whether a URL asks to sort by a field.
fn is_named(sorts: &[String], pointer: &str) -> bool {
    let name = plain(pointer.rsplit('/').next().unwrap_or_default());
    !name.is_empty() && sorts.iter().any(|sort| sort.contains(&name))
}

fn is_creation(pointer: &str) -> bool {
    let name = plain(pointer.rsplit('/').next().unwrap_or_default());
    CREATED.iter().any(|created| name.contains(created)) && !CHANGED.iter().any(|changed| name.contains(changed))
}

/// The pointers to the values of the records that are no lists, at most two levels down; the shallow first.
fn pointers(records: &Records<'_>) -> Vec<String> {
    let (mut shallow, mut deep) = (Vec::new(), Vec::new());
    for (name, value) in records.all.iter().flat_map(|record| record.iter()) {
        let pointer = format!("/{}", escaped(name));
        match value {
            Value::Object(map) => deep.extend(map.keys().map(|inner| format!("{pointer}/{}", escaped(inner)))),
            Value::Array(_) => {}
            _ => shallow.push(pointer),
        }
    }
    let mut seen = BTreeSet::new();
    shallow.into_iter().chain(deep).filter(|pointer| seen.insert(pointer.clone())).collect()
}

/// The values at a pointer, where a record has one that is not null.
fn values<'a>(records: &'a Records<'_>, pointer: &'a str) -> impl Iterator<Item = &'a Value> {
    let steps: Vec<String> =
        pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    records.all.iter().filter_map(move |record| {
        let (first, rest) = steps.split_first()?;
        rest.iter().try_fold(record.get(first)?, |value, step| value.get(step)).filter(|value| !value.is_null())
    })
}

/// A name without case and separators.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// The best field with another text or number in each record.
fn key(records: &Records<'_>, pointers: &[String]) -> Option<String> {
    let is_unique = |pointer: &&String| {
        let texts: BTreeSet<String> = values(records, pointer)
            .filter(|value| value.is_string() || value.is_i64() || value.is_u64())
            .map(ToString::to_string)
            .collect();
        !texts.is_empty() && texts.len() == records.all.len()
    };
    let shallow = || pointers.iter().filter(|pointer| pointer.matches('/').count() == 1);
    let named = KEYS
        .iter()
        .find_map(|name| shallow().filter(is_unique).find(|pointer| pointer[1..].eq_ignore_ascii_case(name)));
    named.or_else(|| shallow().filter(is_unique).find(|pointer| pointer.to_lowercase().ends_with("id"))).cloned()
}

/// A field whose values are all instants in one format.
fn time(records: &Records<'_>, pointer: &str) -> Option<Time> {
    let found: Vec<(TimeFormat, f64)> = values(records, pointer).map(instant).collect::<Option<_>>()?;
    let (format, _) = *found.first()?;
    if found.iter().any(|(other, _)| *other != format) {
        return None;
    }
    let seconds: Vec<f64> = found.iter().map(|(_, seconds)| *seconds).collect();
    let order = (seconds.len() == records.all.len())
        .then(|| sorted(&seconds, Order::Version, Order::VersionDescending))
        .flatten();
    Some(Time { pointer: pointer.to_owned(), format, order })
}

/// The format of an instant, and its seconds since 1970.
fn instant(value: &Value) -> Option<(TimeFormat, f64)> {
    let text = value.as_str().map(str::to_owned).or_else(|| value.is_number().then(|| value.to_string()))?;
    let format = TimeFormat::recognize(&text).filter(|format| format.is_instant())?;
    let instant = jiff::Timestamp::from_microsecond(format.parse(&text)?).ok()?;
    Some((format, instant.as_duration().as_secs_f64()))
}

/// How values are sorted, if they are and there are several.
fn sorted(values: &[f64], ascending: Order, descending: Order) -> Option<Order> {
    let differ = values.windows(2).any(|pair| pair[0] != pair[1]);
    match () {
        () if !differ => None,
        () if values.is_sorted() => Some(ascending),
        () if values.is_sorted_by(|a, b| a >= b) => Some(descending),
        () => None,
    }
}

/// Whether a field's name and values look like a mark of deletions.
fn is_deletion(records: &Records<'_>, pointer: &str) -> bool {
    let name = plain(pointer.rsplit('/').next().unwrap_or_default());
    let is_named = ["deleted", "isdeleted", "deletedat", "trashed", "istrashed", "removed"].contains(&name.as_str());
    is_named
        && pointer.matches('/').count() == 1
        && values(records, pointer).all(|value| value.is_boolean() || instant(value).is_some())
}

/// Takes the parameter for what has changed since out of a path, if its value is an instant.
pub(super) fn take_cursor(path: &str) -> (String, Option<(String, TimeFormat)>) {
    let Some((before, query)) = path.split_once('?') else { return (path.to_owned(), None) };
    let mut cursor = None;
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            let format = instant(&Value::String(value.into_owned())).map(|(format, _)| format);
            let is_cursor =
                cursor.is_none() && CURSORS.iter().any(|end| name.to_lowercase().ends_with(end)) && format.is_some();
            if is_cursor {
                cursor = format.map(|format| (name.to_owned(), format));
            }
            !is_cursor
        })
        .collect();
    let path = if kept.is_empty() { before.to_owned() } else { format!("{before}?{}", kept.join("&")) };
    (path, cursor)
}

/// The name of a format in a description, and in words.
fn format_words(format: TimeFormat) -> &'static str {
    match format {
        TimeFormat::Rfc3339 => "RFC 3339",
        TimeFormat::Rfc2822 => "RFC 2822",
        TimeFormat::Epoch => "seconds since 1970",
        TimeFormat::EpochMs => "milliseconds since 1970",
        TimeFormat::Date => "a date",
        TimeFormat::Number => "a number",
        TimeFormat::Dotnet => "milliseconds since 1970, as .NET writes them",
    }
}

impl Proposal {
    pub(super) fn time(&mut self, fields: &Fields, cursor: Option<(String, TimeFormat)>, is_list: bool) {
        match &fields.changed {
            Some(changed) => {
                self.found("version", format!("{}: {}", changed.pointer, format_words(changed.format)));
                self.stream.version = Some(Version::at(changed.pointer.as_str()).format(changed.format));
            }
            None => self.found("version", "no field seems to move when a record changes: the later read wins"),
        }
        match cursor {
            Some((name, format)) => {
                self.found("cursor", format!("the parameter {name}: {}", format_words(format)));
                self.stream.cursor = Some(name);
                let version = fields.changed.as_ref().map_or(TimeFormat::Rfc3339, |changed| changed.format);
                let mut since = Since::new();
                if format != version {
                    since = since.format(format);
                }
                if let (None, Some(created)) = (&fields.changed, &fields.created) {
                    since = since.at(created.pointer.as_str());
                }
                if since != Since::new() {
                    self.stream.since = Some(since);
                }
            }
            None if !is_list => {}
            None if self.stream.body.is_some() => self.doubt(
                "cursor",
                "write \"{since}\" where the body takes it, if it can ask for what has changed since; without it each run reads everything",
            ),
            None => self.doubt(
                "cursor",
                "name the parameter for what has changed since, if there is one; without it each run reads everything",
            ),
        }
    }

    pub(super) fn order(&mut self, fields: &Fields, url: &str) {
        let by_version = fields.changed.as_ref().and_then(|changed| changed.order);
        let by_creation = fields.created.as_ref().and_then(|created| created.order).map(|order| match order {
            Order::Version | Order::Key => Order::Key,
            Order::VersionDescending | Order::KeyDescending => Order::KeyDescending,
        });
        let sorts = sorts(url);
        let asks_for = |words: &[&str], pointer: Option<&String>| {
            sorts.iter().any(|sort| words.iter().any(|word| sort.contains(word)))
                || pointer.is_some_and(|pointer| is_named(&sorts, pointer))
        };
        let by_change = asks_for(&CHANGED, fields.changed.as_ref().map(|changed| &changed.pointer));
        let by_key = asks_for(&CREATED, fields.created.as_ref().map(|created| &created.pointer))
            || fields.key.as_ref().is_some_and(|key| is_named(&sorts, key));
        // An order of creation is often that of changes, too: nothing has changed since.
        let shown = match by_change {
            true => by_version,
            false => by_creation.or(fields.key_order).or(by_version),
        };
        let Some(order) = shown else {
            return self.found("order", "none that this page shows");
        };
        let (word, by) = match order {
            Order::Version => ("version", "the oldest change first"),
            Order::VersionDescending => ("-version", "the newest change first"),
            Order::Key => ("key", "the oldest record first"),
            Order::KeyDescending => ("-key", "the newest record first"),
        };
        self.found("order", format!("{word}: on this page, {by}"));
        let is_promised = match order {
            Order::Version | Order::VersionDescending => by_change,
            Order::Key | Order::KeyDescending => by_key,
        };
        if is_promised {
            self.stream.order = Some(order);
        } else {
            self.doubt("order", format!("this page is sorted so; write `order = {word:?}` if the API promises it"));
        }
    }

    pub(super) fn deleted(&mut self, fields: &Fields) {
        if let Some(deleted) = &fields.deleted {
            self.found("deleted", deleted.clone());
            self.stream.deleted = Some(deleted.as_str().into());
        }
    }
}
