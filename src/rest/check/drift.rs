//! Whether rows can be missed because a list changes while it is read.

use std::fmt;

use super::super::api::Api;
use super::super::paginate::Paging;
use super::super::stream::{Stream, StreamType};
use super::super::version::Order;
use super::stream::is_asked_since;

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

/// Whether the URL of a next page differs from that of its own page only by a number that grows by one, or by the number of records:
/// then the link hides the number of a page, or an offset.
pub(in crate::rest) fn is_page_number(page: &str, next: &str, records: u64) -> bool {
    let parameters = |url: &str| -> Vec<(String, String)> {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let mut pairs: Vec<_> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        pairs.sort();
        pairs
    };
    let address = |url: &str| url.split('?').next().unwrap_or_default().to_owned();
    if address(page) != address(next) {
        return false;
    }
    let (before, after) = (parameters(page), parameters(next));
    let mut changed = after.iter().filter(|pair| !before.contains(pair));
    let (Some((name, value)), None) = (changed.next(), changed.next()) else { return false };
    let Ok(value) = value.parse::<u64>() else { return false };
    let old = before.iter().find(|(other, _)| other == name);
    match old.map(|(_, old)| old.parse::<u64>()) {
        Some(Ok(old)) => value == old + 1 || (records > 0 && value == old + records),
        Some(Err(_)) => false,
        // The first page has no number: the next one is the second, or begins after its records.
        None => value == 1 || value == 2 || (records > 0 && value == records),
    }
}

/// Whether a list of this many records without a paginator looks like the first page of several.
pub(in crate::rest) fn is_page_size(records: u64) -> bool {
    matches!(records, 10 | 15 | 20 | 25 | 30 | 40 | 50 | 60 | 75 | 80)
        || (records >= 100 && (records.is_multiple_of(100) || records.is_multiple_of(250)))
}
