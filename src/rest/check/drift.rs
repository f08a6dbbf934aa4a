//! Whether rows can be missed because a list changes while it is read.

use std::fmt;

use serde_json::Value;

use super::super::api::Api;
use super::super::paginate::Paging;
use super::super::stream::{Stream, StreamType};
use super::super::version::Order;
use super::stream::is_asked_since;
use crate::http::Url;

/// What changes do to a list that is being read, page by page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Drift {
    /// The list has one page.
    OnePage,
    /// A page begins where the one before it ended, whatever has changed.
    None,
    /// Nothing is missed: page one is asked for again from the last version.
    ReAnchored,
    /// Records that never change move down; some are read twice, and none is missed.
    Repeats,
    /// A record that is deleted during the read hides one other.
    Deletions,
    /// A record that changes during the read moves, and hides another.
    Updates,
    /// The links decide: if they hold the number of a page, it is what a page number would be.
    Links,
}

impl Drift {
    /// Whether rows can be missed.
    pub fn loses(self) -> bool {
        matches!(self, Self::Deletions | Self::Updates)
    }
}

impl fmt::Display for Drift {
    /// One sentence for people, without a full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnePage => "the list has one page",
            Self::None => "a page begins where the one before it ended, so that no change hides a record",
            Self::ReAnchored => "page one is asked for again from the last version, so that no change hides a record",
            Self::Repeats => "new records move the others down, so that some are read twice, and none is missed",
            Self::Deletions => "a record that is deleted while the list is read hides another one",
            Self::Updates => "a record that changes while the list is read moves to another page, and hides another one",
            Self::Links => {
                "if a link holds the number of the page, a record that changes or is deleted while the list is read can hide another one"
            }
        })
    }
}

/// Classifies the list of a stream of a description.
///
/// `is_numbered` says whether a request has shown that the links or the tokens hold the number of a page.
pub fn drift(api: &Api, stream: &Stream, is_numbered: Option<bool>) -> Drift {
    let paging = stream.paginate.as_ref().or(api.paginate.as_ref()).map_or(&Paging::None, |paginate| &paginate.by);
    match (paging, is_numbered) {
        (Paging::None, _) => return Drift::OnePage,
        (Paging::Next(_) | Paging::Token { .. } | Paging::Last { .. } | Paging::Link, Some(false)) => {
            return Drift::None;
        }
        (Paging::Next(_) | Paging::Token { .. } | Paging::Last { .. }, None) => return Drift::None,
        _ => {}
    }
    let numbered = match (stream.order, stream.kind) {
        (Some(Order::Version), _) if is_asked_since(stream) => return Drift::ReAnchored,
        (_, Some(StreamType::Append)) => Drift::Repeats,
        (Some(Order::Key | Order::KeyDescending | Order::VersionDescending), _) => Drift::Deletions,
        (Some(Order::Version) | None, _) => Drift::Updates,
    };
    if matches!(paging, Paging::Link) && is_numbered.is_none() { Drift::Links } else { numbered }
}

/// Whether the URL of the next page differs from that of its own page only by a number that grows as those of pages and offsets do: a page
/// number in disguise. It may be a parameter or a part of the path; the rest of the path may be written in another way, with an id in place
/// of a name, for example. `count` is the number of records of the page, `records` that of all pages so far.
pub(in crate::rest) fn is_page_number(page: &Url, next: &Url, count: u64, records: u64) -> bool {
    if page.origin() != next.origin() {
        return false;
    }
    let follows = |old: Option<u64>, new: u64| follows(old, new, count, records);
    let before: Vec<_> = page.query_pairs().collect();
    let changed: Vec<_> = next.query_pairs().filter(|pair| !before.contains(pair)).collect();
    match changed.as_slice() {
        [] => is_numbered_path(page, next, follows),
        [(name, value)] => {
            let old = before.iter().find(|(other, _)| other == name).map(|(_, value)| value.parse::<u64>());
            match (old, value.parse::<u64>()) {
                (Some(Err(_)), _) | (_, Err(_)) => false,
                (Some(Ok(old)), Ok(new)) => follows(Some(old), new),
                (None, Ok(new)) => follows(None, new),
            }
        }
        _ => false,
    }
}

/// Whether the token of the next page is a number that grows as those of pages and offsets do, as HubSpot's `after` of a search. `old` is the
/// token of its own page. In a list whose keys count, a token may be the last key, or the next one: then it is none of them.
pub(in crate::rest) fn is_page_number_token(
    old: Option<&Value>,
    token: &Value,
    last_key: Option<&str>,
    count: u64,
    records: u64,
) -> bool {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().ok().filter(|number: &u64| number.to_string() == *text),
        value => value.as_u64(),
    };
    let Some(new) = number(token) else { return false };
    let is_key = |key: u64| new == key || Some(new) == key.checked_add(1);
    if last_key.and_then(|key| key.parse().ok()).is_some_and(is_key) {
        return false;
    }
    match old {
        Some(old) => number(old).is_some_and(|old| follows(Some(old), new, count, records)),
        None => follows(None, new, count, records),
    }
}

/// Whether a number follows on that of a page as those of pages and offsets do.
fn follows(old: Option<u64>, new: u64, count: u64, records: u64) -> bool {
    match old {
        Some(old) => Some(new) == old.checked_add(1) || count > 0 && Some(new) == old.checked_add(count),
        // The first page has no number: the next one is the second, or begins after its records.
        None => new == 1 || new == 2 || records > 0 && new == records,
    }
}

/// Whether the paths of two pages differ only by such a number.
fn is_numbered_path(page: &Url, next: &Url, follows: impl Fn(Option<u64>, u64) -> bool) -> bool {
    fn segments(url: &Url) -> Vec<&str> {
        url.path().split('/').filter(|segment| !segment.is_empty()).collect()
    }
    let (before, after) = (segments(page), segments(next));
    let same = before.iter().zip(&after).take_while(|(before, after)| before == after).count();
    let number = |segments: &[&str]| segments.get(same).and_then(|segment| segment.parse::<u64>().ok());
    match (number(&before), number(&after)) {
        (Some(old), Some(new)) => before.get(same + 1..) == after.get(same + 1..) && follows(Some(old), new),
        // `/items` and `/items/2`, or `/items/page/2`.
        _ => {
            let is_longer = same == before.len() && (1..=2).contains(&(after.len() - same));
            let last = after.last().and_then(|segment| segment.parse::<u64>().ok());
            is_longer && last.is_some_and(|new| follows(None, new))
        }
    }
}

/// Whether a list of this many records without a paginator looks like the first page of several.
pub(in crate::rest) fn is_page_size(records: u64) -> bool {
    matches!(records, 10 | 15 | 20 | 25 | 30 | 40 | 50 | 60 | 75 | 80)
        || (records >= 100 && (records.is_multiple_of(100) || records.is_multiple_of(250)))
}

/// The parameters with the size of a page.
const SIZES: [&str; 16] = [
    "limit",
    "per_page",
    "perpage",
    "page_size",
    "pagesize",
    "page[size]",
    "page[limit]",
    "size",
    "count",
    "max_results",
    "maxresults",
    "results_per_page",
    "first",
    "top",
    "$top",
    "take",
];

/// Whether a parameter has the size of a page.
pub(in crate::rest) fn is_size(name: &str) -> bool {
    SIZES.contains(&&*name.to_lowercase())
}

/// The size of a page that a URL asks for.
fn asked_size(url: &Url) -> Option<u64> {
    url.query_pairs().filter(|(name, _)| is_size(name)).find_map(|(_, value)| value.parse().ok())
}

/// Whether a page has as many records as its URL asks for, or a number that looks like the size of a page.
pub(in crate::rest) fn is_full_page(url: &Url, records: u64) -> bool {
    is_page_size(records) || records > 0 && asked_size(url) == Some(records)
}

/// Whether a page has as many records as its URL asks for, or, if it does not say, a number that looks like the size of a page.
pub(in crate::rest) fn fills_page(url: &Url, records: u64) -> bool {
    asked_size(url).map_or_else(|| is_page_size(records), |size| size == records && records > 0)
}
