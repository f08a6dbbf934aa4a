//! Pages of ordered lists.

use std::borrow::Cow;
use std::ops::Range;

use jiff::Timestamp;

use super::links::PageParams;
use crate::answer::Answer;
use crate::data::ServerData;
use crate::log::ReceivedRequest;
use crate::server::Shared;
use crate::timeline::{Timeline, key, number_of};

/// The part of an order that a request lists.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    order: Cow<'a, Timeline>,
    range: Range<usize>,
    ascending: bool,
}

impl<'a> Selection<'a> {
    /// A whole order.
    pub(crate) fn all(order: &'a Timeline, ascending: bool) -> Self {
        Self { range: 0..order.len(), order: Cow::Borrowed(order), ascending }
    }

    /// An order from a second on.
    pub(crate) fn from_second(order: &'a Timeline, first: u32, ascending: bool) -> Self {
        Self::between(order, Some(first), None, ascending)
    }

    /// An order from one second to another, both included.
    pub(crate) fn between(order: &'a Timeline, first: Option<u32>, last: Option<u32>, ascending: bool) -> Self {
        let start = first.map_or(0, |first| order.rank(key(first, 0)));
        let end = last.map_or(order.len(), |last| order.rank(key(last.saturating_add(1), 0)));
        Self { order: Cow::Borrowed(order), range: start..end.max(start), ascending }
    }

    /// Keys in any order, to be sorted.
    pub(crate) fn sorted(keys: impl Iterator<Item = u64>, ascending: bool) -> Self {
        let order = Timeline::new(keys.collect());
        Self { range: 0..order.len(), order: Cow::Owned(order), ascending }
    }
}

/// Lets time pass and the repository change before a list of it is sent.
pub(crate) fn begin(shared: &Shared, data: &mut ServerData, index: usize) {
    shared.mutations().apply(data, index, &shared.clock);
    shared.clock.serve();
}

/// Whether a list is ascending, which a request without a direction leaves to the list.
pub(crate) fn ascending(request: &ReceivedRequest, default: bool) -> bool {
    match request.query("direction").as_deref() {
        Some("asc") => true,
        Some("desc") => false,
        _ => default,
    }
}

/// The first second that `since` includes, if the request has one.
///
/// # Errors
///
/// The response to a `since` that is not a time.
pub(crate) fn since(shared: &Shared, request: &ReceivedRequest) -> Result<Option<u32>, Box<Answer>> {
    let since = time(request, "since")?;
    Ok(since.map(|since| first_second(since, shared.settings.since_inclusive)))
}

/// A time in the query.
///
/// # Errors
///
/// The response to one that is not a time.
pub(crate) fn time(request: &ReceivedRequest, name: &str) -> Result<Option<Timestamp>, Box<Answer>> {
    let time = request.query(name).map(|text| text.parse::<Timestamp>()).transpose();
    time.map_err(|_| {
        let message = format!("Validation Failed: {name} is not a timestamp in ISO 8601 format");
        Box::new(Answer::error(422, &message))
    })
}

/// The first second that `since` lets through.
fn first_second(since: Timestamp, inclusive: bool) -> u32 {
    let whole = since.as_second();
    let into_the_second = since.subsec_nanosecond() > 0;
    let first = if into_the_second || !inclusive { whole + 1 } else { whole };
    u32::try_from(first.max(0)).unwrap_or(u32::MAX)
}

/// The requested page. `write` appends a record's JSON, or returns false where the server fails.
pub(crate) fn page(
    shared: &Shared,
    request: &ReceivedRequest,
    address: &str,
    selection: &Selection<'_>,
    mut write: impl FnMut(u32, &mut String) -> bool,
) -> Answer {
    let settings = &shared.settings;
    let after = request.query("after").and_then(|text| u64::from_str_radix(&text, 16).ok());
    let paging = PageParams::from_request(request, settings.page_limit);
    if after.is_none() && settings.page_depth.is_some_and(|depth| paging.page > depth) {
        return Answer::error(
            422,
            "Pagination with the page parameter is not supported for large datasets, please use cursor based pagination (after/before)",
        );
    }
    let Selection { order, range, ascending } = selection;
    let total = range.len();
    let within = |rank: usize| rank.clamp(range.start, range.end);
    let offset = match (after, ascending) {
        (None, _) => paging.offset(),
        (Some(after), true) => within(order.rank(after.saturating_add(1))) - range.start,
        (Some(after), false) => range.end - within(order.rank(after)),
    }
    .min(total);
    let count = paging.per_page.min(total - offset);
    let keys: Vec<u64> = if *ascending {
        order.slice(range.start + offset, count).collect()
    } else {
        let mut keys: Vec<u64> = order.slice(range.end - offset - count, count).collect();
        keys.reverse();
        keys
    };

    let mut body = String::with_capacity(keys.len() * 5_000 + 2);
    body.push('[');
    for key in &keys {
        if body.len() > 1 {
            body.push(',');
        }
        if !write(number_of(*key), &mut body) {
            return Answer::error(500, "Server Error");
        }
    }
    body.push(']');
    let link = if settings.cursor_links {
        keys.last().filter(|_| offset + count < total).map(|&last| paging.cursor_link(address, request, last))
    } else {
        paging.links(address, request, total)
    };
    Answer::json(body).with_link(link)
}
