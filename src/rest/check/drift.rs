//! Whether rows can be missed because a list changes while it is read.

use std::fmt;

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
/// `is_numbered` says whether a request has shown that the links hold the number of a page.
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
    let follows = |old: Option<u64>, new: u64| match old {
        Some(old) => new == old + 1 || count > 0 && new == old + count,
        // The first page has no number: the next one is the second, or begins after its records.
        None => new == 1 || new == 2 || records > 0 && new == records,
    };
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
