//! Saved answers, read as the reader would read them.

use bytestring::ByteString;
use serde::Serialize;

use super::api::Api;
use super::fields::{Pointer, Row, Wanted, scalar};
use super::reader::page::{Content, EnvelopePlan};
use super::reader::plan::{ApiPlan, Kind, PagingPlan, StreamPlan};
use super::time::TimeFormat;
use crate::http::{Response, Url};
use crate::{Error, Record, Result, Version};

/// What a saved answer shows about the description of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Replay {
    /// The stream.
    pub stream: String,
    /// The number of records in the answer.
    pub records: usize,
    /// What does not fit, and what to do: lower case, without a full stop.
    pub mistakes: Vec<String>,
}

/// Reads a saved answer of a stream's list, the body of a page that is not the last one, as the reader would. No request is sent.
///
/// These do not fit: no list at `records`, no record in it, a record without its key, its version or the value of `since.at`, no value
/// where the next page should be, and none that a child stream, or the list of resources, takes from the records. What is in headers,
/// such as a `Link`, cannot be checked.
///
/// # Errors
/// [`Configuration`](crate::ErrorKind::Configuration): a mistake in the description itself, or there is no such stream.
pub fn replay(api: &Api, stream: &str, body: &str) -> Result<Replay> {
    let plan = ApiPlan::parse(&api.clone().validated()?)?;
    let Some(described) = plan.streams.iter().find(|described| described.name == stream) else {
        let names: Vec<&str> = plan.streams.iter().map(|stream| stream.name.as_str()).collect();
        return Err(Error::configuration(format!("there is no stream {stream:?}"))
            .with_help(format!("the streams are: {}", names.join(", "))));
    };
    let url = Url::parse("https://saved.invalid/").map_err(|error| Error::internal("no URL").with_source(error))?;
    let body = ByteString::from(body);
    let envelope = EnvelopePlan::new(&described.records, Some(&described.paginate), &described.errors);
    let mut found = Replay { stream: stream.to_owned(), records: 0, mistakes: Vec::new() };
    match envelope.read(&described.elements(), &Response::saved(url, body.clone())) {
        Err(error) => {
            let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
            found.mistakes.push(format!("{}{help}", error.message()));
        }
        Ok(Content::Code(code)) => {
            found
                .mistakes
                .push(format!("the answer is the error {code:?}; save an answer of success, or correct `errors`"));
        }
        Ok(Content::Page(page)) => {
            found.records = page.rows.len();
            rows(described, &page.rows, &mut found.mistakes);
            next_page(described, &page.rows, &body, &mut found.mistakes)?;
            let records: Vec<&Record> = page.rows.iter().filter_map(|row| row.content.as_ref().ok()).collect();
            let absent = without_related(&plan, described, &records)?;
            found.mistakes.extend(absent.iter().map(Absent::mistake));
        }
    }
    Ok(found)
}

/// The records and their own fields.
fn rows(stream: &StreamPlan, rows: &[Row], mistakes: &mut Vec<String>) {
    let all = rows.len();
    if all == 0 {
        mistakes.push("the answer has no record; save one that has some, or correct `records`".to_owned());
    }
    let mut rejects = rows.iter().filter_map(|row| row.content.as_ref().err());
    if let Some(first) = rejects.next() {
        let count = 1 + rejects.count();
        let help = match unreadable(stream.version.as_ref(), rows) {
            Some(time) => time.help("version"),
            None => "correct `key` or `version`".to_owned(),
        };
        mistakes.push(format!("{count} of {all} records cannot be read: {}; {help}", first.reason));
    }
    let absent = [without_version(stream, rows), without_since(stream, rows)];
    mistakes.extend(absent.iter().flatten().map(Absent::mistake));
}

/// A value that records on a page lack.
pub(super) struct Absent {
    pub(super) message: String,
    /// What to do.
    pub(super) help: String,
    /// Whether no record has it.
    pub(super) is_everywhere: bool,
}

impl Absent {
    fn mistake(&self) -> String {
        format!("{}; {}", self.message, self.help)
    }

    /// The error of the description.
    pub(super) fn error(&self, stream: &str) -> Error {
        Error::invalid_data(format!("stream {stream:?}: {}", self.message)).with_help(self.help.clone())
    }
}

fn shown(pointers: &[Pointer]) -> String {
    pointers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The version, if records lack it.
pub(super) fn without_version(stream: &StreamPlan, rows: &[Row]) -> Option<Absent> {
    let (pointers, _) = stream.version.as_ref()?;
    let lacks = |row: &&Row| row.content.as_ref().is_ok_and(|record| record.version == Version::NONE);
    let (count, all) = (rows.iter().filter(lacks).count(), rows.len());
    (count > 0).then(|| Absent {
        message: format!("{count} of {all} records have no version at {}", shown(pointers)),
        help: "correct `version`".into(),
        is_everywhere: count == all,
    })
}

/// The value from which the next run asks, if no record has one. That of a version is told by [`without_version`].
pub(super) fn without_since(stream: &StreamPlan, rows: &[Row]) -> Option<Absent> {
    let (pointers, format) = stream.since_at.as_ref().filter(|at| Some(*at) != stream.version.as_ref())?;
    if stream.kind == Kind::Snapshot || rows.is_empty() || rows.iter().any(|row| row.since.is_some()) {
        return None;
    }
    let (message, help) = match unreadable(stream.since_at.as_ref(), rows) {
        Some(time) => (format!("the value {:?} at {} is not {format}", time.text, time.at), time.help("since")),
        None => (format!("no record has a value at {}", shown(pointers)), "correct `since.at`".into()),
    };
    Some(Absent { message, help, is_everywhere: true })
}

/// A value that is not written as the description says.
struct UnreadableTime {
    at: String,
    text: String,
}

impl UnreadableTime {
    /// What to write in the table that has its pointer.
    fn help(&self, table: &str) -> String {
        let Self { at, text } = self;
        let Some(format) = TimeFormat::recognize(text) else {
            let words: Vec<&str> = TimeFormat::ALL.iter().map(|format| format.word()).collect();
            return format!("correct `{table}`: the pointer, or its `format`, which is one of {}", words.join(", "));
        };
        let write = |table: &str| format!("`{table} = {{ at = {at:?}, format = {:?} }}`", format.word());
        match table {
            "since" => {
                format!("write {} if the API takes `{{since}}` so, too, or {}", write("since"), write("version"))
            }
            _ => format!("write {}", write(table)),
        }
    }
}

/// The first value at these pointers that is not written in their format.
fn unreadable(times: Option<&(Vec<Pointer>, TimeFormat)>, rows: &[Row]) -> Option<UnreadableTime> {
    let (pointers, format) = times?;
    let mut wanted = Wanted::default();
    let slots: Vec<usize> = pointers.iter().map(|pointer| wanted.add(pointer)).collect();
    let documents =
        rows.iter().filter_map(|row| row.content.as_ref().map_or_else(|reject| Some(&reject.raw), Record::json));
    documents.into_iter().find_map(|document| {
        let found = wanted.scan(document).ok()?;
        pointers.iter().zip(&slots).find_map(|(pointer, slot)| {
            let text = scalar(found.value(*slot)?).filter(|text| !text.is_empty() && format.parse(text).is_none())?;
            Some(UnreadableTime { at: pointer.to_string(), text: text.chars().take(40).collect() })
        })
    })
}

/// Where the next page is.
fn next_page(stream: &StreamPlan, rows: &[Row], body: &str, mistakes: &mut Vec<String>) -> Result<()> {
    let paginate = &stream.paginate;
    let leads = match &paginate.by {
        PagingPlan::Next(pointer) | PagingPlan::Token { token: pointer, .. } => {
            Some((pointer, "leads to the next page"))
        }
        PagingPlan::Last { last, .. } if !rows.is_empty() && rows.iter().all(|row| row.last.is_none()) => {
            mistakes.push(format!("no record has a value at {last}, which leads to the next page; correct `paginate`"));
            None
        }
        _ => None,
    };
    let flags =
        paginate.more.iter().chain(&paginate.done).map(|pointer| (pointer, "tells whether there are more pages"));
    let pages = paginate.pages.iter().map(|pointer| (pointer, "tells how many pages there are"));
    for (pointer, what) in leads.into_iter().chain(flags).chain(pages) {
        if !has(body, pointer)? {
            mistakes.push(format!(
                "the answer has nothing at {pointer}, which {what}; correct `paginate`, or save an answer that is not the last page"
            ));
        }
    }
    Ok(())
}

/// What other streams, and the list of resources, take from the records, and none of them has.
pub(super) fn without_related(plan: &ApiPlan, stream: &StreamPlan, records: &[&Record]) -> Result<Vec<Absent>> {
    let documents: Vec<&ByteString> = records.iter().filter_map(|record| record.json()).collect();
    let mut absent = Vec::new();
    if documents.is_empty() {
        return Ok(absent);
    }
    let is_nowhere = |pointer: &Pointer| -> Result<bool> {
        for document in &documents {
            if has(document, pointer)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    for child in &plan.streams {
        let Some(parent) = child.parent.as_ref().filter(|parent| parent.stream == stream.name) else { continue };
        for field in &parent.fields {
            if is_nowhere(&Pointer::of_path(field)?)? {
                let message = format!("no record has a value at {field}, which the stream {:?} needs", child.name);
                absent.push(Absent { message, help: "correct it there".into(), is_everywhere: true });
            }
        }
    }
    if let Some(list) = plan.resource.as_ref().filter(|list| list.stream == stream.name) {
        for (key, pointer, what) in [("id", Some(&list.id), "name"), ("name", list.name.as_ref(), "title")] {
            let Some(pointer) = pointer else { continue };
            if is_nowhere(pointer)? {
                let message = format!("no record has a value at {pointer}, the {what} of a resource");
                absent.push(Absent { message, help: format!("correct `resource.{key}`"), is_everywhere: true });
            }
        }
    }
    Ok(absent)
}

/// Whether a text has something at a pointer, be it null.
fn has(text: &str, pointer: &Pointer) -> Result<bool> {
    let mut wanted = Wanted::default();
    let slot = wanted.add(pointer);
    let found = wanted.scan(text).map_err(|error| Error::invalid_data("the answer is not JSON").with_source(error))?;
    Ok(found.get(slot).is_some())
}
