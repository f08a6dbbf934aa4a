//! A page of a list: split into records, without copies, and validated.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::fields::{CommentFields, CommitFields, EventFields, Fields, IssueFields, RecordFields, ReviewFields};
use super::streams::Stream;
use super::updates::step::{PageInfo, UnixSecond};
use crate::http::{More, Response, Url, json, links};
use crate::record::content_hash;
use crate::{Error, Operation, Record, Reject, Result, Retry};

/// One element of a page.
#[derive(Debug)]
pub(super) struct Row {
    /// When it was last updated. A row without a time has [`Version::NONE`]: any state that has one is newer.
    pub(super) second: Option<UnixSecond>,
    /// Whether it is a pull request, or belongs to one.
    pub(super) is_pull_request: bool,
    pub(super) content: Result<Record, Reject>,
}

impl Row {
    pub(super) fn text(&self) -> &str {
        match &self.content {
            Ok(record) => record.json().map_or("", |json| json),
            Err(reject) => &reject.raw,
        }
    }

    /// What identifies it to people.
    pub(super) fn number(&self, stream: Stream) -> Option<u64> {
        number(stream, self.text())
    }
}

/// The number of the issue with this text, which may be unreadable otherwise; the id of another record.
pub(super) fn number(stream: Stream, text: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Number {
        number: u64,
    }
    #[derive(Deserialize)]
    struct Id {
        id: u64,
    }
    match stream {
        Stream::Issues => serde_json::from_str::<Number>(text).ok().map(|issue| issue.number),
        _ => serde_json::from_str::<Id>(text).ok().map(|record| record.id),
    }
}

/// A page, and its place in the list.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) rows: Vec<Row>,
    pub(super) info: PageInfo,
    pub(super) etag: Option<String>,
    /// Rows at which the server fails; the page was read around them.
    pub(super) unread: Vec<UnreadRow>,
}

/// A row at which the server fails, by its place in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnreadRow {
    /// It is among the first `place` rows updated since this time.
    pub(super) since: Option<UnixSecond>,
    pub(super) place: u32,
    /// The [numbers](number) of the rows before and after it.
    pub(super) after: Option<u64>,
    pub(super) before: Option<u64>,
}

impl UnreadRow {
    /// Whether both are the same row, however it was found.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.after, self.before) == (other.after, other.before)
    }

    pub(super) fn reject(&self, stream: Stream) -> Reject {
        let named = |number| if stream == Stream::Issues { format!("#{number}") } else { format!("{number}") };
        let place = match (self.after.map(named), self.before.map(named)) {
            (Some(after), Some(before)) => format!("between {after} and {before}"),
            (Some(after), None) => format!("after {after}, the newest"),
            (None, Some(before)) => format!("before {before}, the oldest"),
            (None, None) => "the only one".to_owned(),
        };
        let record = stream.record();
        let reason = format!("GitHub fails at this {record}; in the order of `updated_at` it is {place}");
        let raw = serde_json::json!({ "after": self.after, "before": self.before, "since": self.since });
        Reject { reason, raw: raw.to_string().into() }
    }
}

/// Splits the response to a request for `size` rows in order of `updated_at`.
///
/// # Errors
/// `InvalidData`: no JSON array, cut short, out of order, or empty although the server names a next page.
pub(super) fn read(stream: Stream, url: &str, size: u32, response: &Response) -> Result<Page> {
    let rows = rows(stream, response.body())?;
    let (first, last) = edges(&rows, url)?;
    let (next, silent) = match response.more() {
        More::Next(next) => (Some(String::from(next)), false),
        More::Last => (None, false),
        More::Unknown => (None, true),
    };
    if rows.is_empty() && next.is_some() {
        let error = Error::invalid_data("an empty page names a next one").with_context("url", url);
        return Err(error.with_retry(Retry::Backoff));
    }
    let full = rows.len() >= usize::try_from(size).unwrap_or(usize::MAX);
    let may_go_on = next.is_none() && !rows.is_empty() && (silent || full) && !has_cursor(url);
    let unconfirmed_next = if may_go_on { Some(following(url)?) } else { None };
    let fingerprint = content_hash(response.body());
    let info = PageInfo {
        url: url.to_owned(),
        size,
        rows: rows.len(),
        first,
        last,
        next,
        unconfirmed_next,
        // A server that counts pages may still send a malformed link.
        pages: response.last_page().ok().flatten(),
        date: response.date().map(UnixSecond::from),
        fingerprint,
        ..PageInfo::default()
    };
    Ok(Page { rows, info, etag: response.etag().map(str::to_owned), unread: Vec::new() })
}

/// The times of the first and the last row that have one.
///
/// # Errors
/// `InvalidData`, when the rows are out of order.
pub(super) fn edges(rows: &[Row], url: &str) -> Result<(Option<UnixSecond>, Option<UnixSecond>)> {
    let mut times = rows.iter().filter_map(|row| row.second);
    let first = times.next();
    let last = times.try_fold(first, |last, time| (Some(time) >= last).then_some(Some(time)));
    let Some(last) = last else {
        return Err(Error::invalid_data("the list is not in the order of `updated_at` that was asked for")
            .with_context("url", url)
            .with_help("the API at this address does not sort as GitHub's does, so reading it could miss rows"));
    };
    Ok((first, last))
}

/// Splits a body into rows. An element that is not a record becomes a row with a reject.
pub(super) fn rows(stream: Stream, body: &ByteString) -> Result<Vec<Row>> {
    match stream {
        Stream::Issues => rows_of::<IssueFields<'_>>(body),
        Stream::IssueComments => rows_of::<CommentFields<'_>>(body),
        Stream::Reviews => rows_of::<ReviewFields<'_>>(body),
        Stream::IssueEvents => rows_of::<EventFields<'_>>(body),
        Stream::Commits => rows_of::<CommitFields<'_>>(body),
        _ => rows_of::<RecordFields<'_>>(body),
    }
}

fn rows_of<'a, F: Fields<'a>>(body: &'a ByteString) -> Result<Vec<Row>> {
    let read = |(fields, raw): (Option<F>, ByteString)| match fields {
        Some(fields) => row(&fields, raw),
        None => {
            let reason = if raw.starts_with('{') { "the object cannot be read" } else { "not a JSON object" };
            Row { second: None, is_pull_request: false, content: Err(Reject { reason: reason.into(), raw }) }
        }
    };
    objects::<F>(body).map(|element| element.map(read)).collect()
}

/// The elements of an array, each with its text; `None` for an element that is not a readable object.
pub(super) fn objects<'a, T: Deserialize<'a>>(
    array: &'a ByteString,
) -> impl Iterator<Item = Result<(Option<T>, ByteString)>> {
    // An array of the right length would be read as an object.
    let read = |(element, raw): (Result<T>, ByteString)| (element.ok().filter(|_| raw.starts_with('{')), raw);
    json::each(array).map(move |element| element.map(read))
}

/// Copies the records that are kept of a page of `page` bytes where they are few: as slices, they keep the whole page in memory.
pub(super) fn detach_records(records: &mut [Record], page: usize) {
    let kept: usize = records.iter().map(Record::size).sum();
    if kept >= page / 2 {
        return;
    }
    for record in records {
        if let Operation::Upsert(json) = &mut record.operation {
            *json = ByteString::from(json.to_string());
        }
    }
}

/// Reads one record. A body that cannot be one does not show whether the record exists.
pub(super) fn item(stream: Stream, body: &ByteString) -> Result<Record> {
    match stream {
        Stream::Issues => item_of::<IssueFields<'_>>(stream, body),
        Stream::Reviews => item_of::<ReviewFields<'_>>(stream, body),
        Stream::Commits => item_of::<CommitFields<'_>>(stream, body),
        _ => item_of::<RecordFields<'_>>(stream, body),
    }
}

fn item_of<'a, F: Fields<'a>>(stream: Stream, body: &'a ByteString) -> Result<Record> {
    let refuse = || {
        let (record, article) = (stream.record(), if stream == Stream::Issues { "an" } else { "a" });
        Error::invalid_data(format!("the answer is not {article} {record}"))
    };
    let fields: F = serde_json::from_str(body).map_err(|error| refuse().with_source(error))?;
    row(&fields, body.clone()).content.map_err(|reject| refuse().with_context("reason", reject.reason))
}

fn row<'a>(fields: &impl Fields<'a>, raw: ByteString) -> Row {
    let time = fields.time();
    let version = fields.version();
    let content = match fields.key() {
        // The parser that split the page has validated it.
        Ok(key) => Ok(Record::upsert(key, version, raw).parsed()),
        Err(reason) => Err(Reject { reason: reason.into(), raw }),
    };
    Row { second: time.map(UnixSecond::from), is_pull_request: fields.is_pull_request(), content }
}

/// Whether the URL came from a link with a cursor: the server sends links then, and without one there is no next page.
fn has_cursor(url: &str) -> bool {
    url.parse::<Url>().is_ok_and(|url| url.query_pairs().any(|(name, _)| is_cursor(&name)))
}

/// Whether a parameter is a cursor.
fn is_cursor(name: &str) -> bool {
    matches!(name, "after" | "before" | "cursor")
}

/// The same page by its number alone; `None` where only a cursor identifies it.
pub(super) fn by_number(url: &Url) -> Option<Url> {
    let has_number = url.query_pairs().any(|(name, value)| name == "page" && value.parse::<u64>().is_ok());
    if !url.query_pairs().any(|(name, _)| is_cursor(&name)) {
        return Some(url.clone());
    }
    let others: Vec<_> = url.query_pairs().into_owned().filter(|(name, _)| !is_cursor(name)).collect();
    let mut numbered = url.clone();
    numbered.query_pairs_mut().clear().extend_pairs(others);
    has_number.then_some(numbered)
}

/// How many rows a URL requests.
pub(super) fn size(url: &str) -> Option<u32> {
    let url: Url = url.parse().ok()?;
    url.query_pairs().find(|(name, _)| name == "per_page").and_then(|(_, size)| size.parse().ok())
}

/// The URL of the page after this one, for a server that sends no links.
pub(super) fn following(url: &str) -> Result<String> {
    let url: Url =
        url.parse().map_err(|error| Error::internal("the address of a page is not a URL").with_source(error))?;
    // The number is the server's, and may be any.
    let next = links::page_number(&url).checked_add(1);
    let next = next.ok_or_else(|| Error::invalid_data("the address of a page has no next one"))?;
    Ok(links::numbered(&url, next).into())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::Version;

    fn one(text: &str) -> Row {
        rows(Stream::Issues, &format!("[{text}]").into()).unwrap().remove(0)
    }

    #[test]
    fn an_issue_is_its_own_text_with_key_and_version() {
        let text = r#"{"id":7,"title":"\u0000","updated_at":"2024-01-02T03:04:05Z","x":{"id":"y"}}"#;
        let row = one(text);
        let time: Timestamp = "2024-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(row.content.unwrap(), Record::upsert("7", time, text));
        assert_eq!(row.second, Some(UnixSecond(time.as_second())));
        assert!(!row.is_pull_request);
    }

    #[test]
    fn a_pull_request_is_marked_by_a_key_that_is_not_null() {
        assert!(one(r#"{"id":1,"pull_request":{"url":"u"}}"#).is_pull_request);
        assert!(!one(r#"{"id":1,"pull_request":null}"#).is_pull_request);
    }

    #[test]
    fn a_row_without_an_id_is_rejected_and_one_without_a_time_is_kept() {
        for (text, reason) in [
            (r#"{"updated_at":"2024-01-02T03:04:05Z"}"#, "no id"),
            (r#"{"id":null}"#, "no id"),
            (r#"{"id":"x"}"#, "the id is not a whole number"),
            (r#"{"id":-1}"#, "the id is not a whole number"),
            ("null", "not a JSON object"),
            ("7", "not a JSON object"),
            ("[{}]", "not a JSON object"),
            (r#"{"id":1,"id":2}"#, "the object cannot be read"),
        ] {
            let reject = one(text).content.unwrap_err();
            assert_eq!((reject.reason.as_str(), &reject.raw[..]), (reason, text));
        }
        for text in [r#"{"id":1}"#, r#"{"id":1,"updated_at":null}"#, r#"{"id":1,"updated_at":"yesterday"}"#] {
            let row = one(text);
            assert_eq!(row.second, None);
            assert_eq!(row.content.unwrap(), Record::upsert("1", Version::NONE, text));
        }
    }

    #[test]
    fn few_kept_records_are_detached_from_their_page() {
        let row = |id, more| format!(r#"{{"id":{id},"body":"{}"}}"#, "x".repeat(more));
        for (others, is_held) in [(10, true), (1_000, false)] {
            let body: ByteString = format!("[{},{}]", row(1, 100), row(2, others)).into();
            let mut records = vec![rows(Stream::Issues, &body).unwrap().remove(0).content.unwrap()];
            let before = records[0].clone();
            detach_records(&mut records, body.len());
            assert_eq!(records[0], before);
            let place = records[0].json().unwrap().as_ptr();
            assert_eq!(body.as_bytes().as_ptr_range().contains(&place), is_held, "{others}");
        }
    }

    #[test]
    fn the_following_page_keeps_the_query() {
        let second = following("https://x/issues?a=b%20c&since=2024-01-01T00:00:00Z").unwrap();
        assert_eq!(second, "https://x/issues?a=b+c&since=2024-01-01T00%3A00%3A00Z&page=2");
        assert!(following(&second).unwrap().ends_with("&page=3"));
    }

    #[test]
    fn no_page_follows_the_last_one_that_has_a_number() {
        assert!(following("https://x/issues?page=18446744073709551615").is_err());
    }
}
